"""What the tests of container engines share: a place of their own to start one in, an image, and the end of it.

A test starts itself again in a mount and a network namespace of its own (Place.enter), where it is the reaper of all that
an engine leaves. Everything is in one directory; sockets are unix sockets there. Needs root and Debian's
packages docker.io, podman, crun, busybox-static, iproute2, iptables; says SKIPPED if one is missing."""
import fcntl
import io
import os
import pty
import select
import shutil
import signal
import struct
import subprocess
import sys
import tarfile
import tempfile
import termios
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "runsc"))
import sandbox_harness  # pylint: disable=wrong-import-position
from sandbox_harness import check, finish, skip, wait_until  # pylint: disable=wrong-import-position,unused-import

IMAGE = "busybox-test"
_INSIDE = "RUNSC_ENGINE_TEST_INSIDE"


def text(data):
    return data.decode(errors="replace") if isinstance(data, bytes) else data


def require(*programs):
    """Skips the test if it can't be run here at all."""
    if os.geteuid() != 0:
        skip("only root can start container engines")
    for program in (*programs, "unshare", "ip", "busybox"):
        if shutil.which(program) is None:
            skip(f"{program} is not installed")
    if os.environ.get(_INSIDE) is None:
        probe = subprocess.run(["unshare", "--mount", "--net", "true"], stderr=subprocess.PIPE, check=False)
        if probe.returncode != 0:
            skip(text(probe.stderr).strip())
        os.environ[_INSIDE] = "1"
        os.execvp("unshare", ["unshare", "--mount", "--net", "--propagation", "private",
                              sys.executable, os.path.abspath(sys.argv[0]), *sys.argv[1:]])


def parse(parser):
    """(arguments, runsc's flags): what stands behind --. argparse takes nothing there if options stand before it."""
    own, flags = sys.argv[1:], []
    if "--" in own:
        own, flags = own[:own.index("--")], own[own.index("--") + 1:]
    return parser.parse_args(own), flags


def busybox_tar():
    """A root filesystem: busybox and what programs expect in /etc."""
    busybox = shutil.which("busybox")
    names = subprocess.run([busybox, "--list"], stdout=subprocess.PIPE, check=True).stdout.decode().split()
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        def directory(name, mode=0o755):
            info = tarfile.TarInfo(name)
            info.type, info.mode = tarfile.DIRTYPE, mode
            tar.addfile(info)

        def file(name, content):
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o644
            tar.addfile(info, io.BytesIO(content))

        for name in ("bin", "dev", "etc", "home", "proc", "root", "run", "sys", "usr", "var"):
            directory(name)
        directory("tmp", 0o1777)
        tar.add(busybox, "bin/busybox")
        for name in names:
            if name == "busybox":
                continue
            info = tarfile.TarInfo(f"bin/{name}")
            info.type, info.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(info)
        file("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home:/bin/sh\n")
        file("etc/group", b"root:x:0:\nuser:x:1000:\nextra:x:2000:user\n")
    return data.getvalue()


class Place:
    """The test's own directory, and the processes that were started in it."""

    def __init__(self):
        sandbox_harness.adopt_orphans()
        self.folder = tempfile.mkdtemp(prefix="runsc-engine-")
        os.chmod(self.folder, 0o755)
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        # crun refuses the layout with both versions of cgroups.
        subprocess.run(["umount", "/sys/fs/cgroup/unified"], stderr=subprocess.DEVNULL, check=False)
        self.cgroup_parent = f"/runsc-engine-{os.getpid()}"

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def write(self, name, content):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(content)
        return self.path(name)

    def write_bytes(self, name, content):
        with open(self.path(name), "wb") as file:
            file.write(content)
        return self.path(name)

    def start(self, arguments, log):
        with open(self.path(log), "wb") as output:
            return subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)

    def tail(self, log, lines=30):
        with open(self.path(log), encoding="utf-8", errors="replace") as file:
            return "".join(file.readlines()[-lines:])

    def close(self, *daemons):
        for daemon in daemons:
            if daemon is not None and daemon.poll() is None:
                daemon.send_signal(signal.SIGTERM)
        for daemon in daemons:
            if daemon is not None:
                try:
                    daemon.wait(20)
                except subprocess.TimeoutExpired:
                    daemon.kill()
                    daemon.wait()
        # What is left, children before parents, until nothing is.
        for _ in range(50):
            left = sandbox_harness.descendants(os.getpid())
            if not left:
                break
            for pid in reversed(left):
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            sandbox_harness.reap()
            time.sleep(0.05)
        for controller in os.listdir("/sys/fs/cgroup") if os.path.isdir("/sys/fs/cgroup") else []:
            self._remove_cgroup(f"/sys/fs/cgroup/{controller}{self.cgroup_parent}")
        with open("/proc/self/mounts", encoding="utf-8") as mounts:
            points = [line.split()[1] for line in mounts]
        for point in reversed(points):
            if point.startswith(self.folder):
                subprocess.run(["umount", "-l", point], stderr=subprocess.DEVNULL, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    @staticmethod
    def _remove_cgroup(path):
        for folder, _, _ in os.walk(path, topdown=False):
            try:
                os.rmdir(folder)
            except OSError:
                pass


class Result:
    def __init__(self, returncode, stdout, stderr):
        self.returncode, self.stdout, self.stderr = returncode, text(stdout), text(stderr)

    def __str__(self):
        return f"exit {self.returncode}, stdout {self.stdout[-600:]!r}, stderr {self.stderr[-600:]!r}"


def run(arguments, timeout=60, **options):
    """Bounded: a command that hangs is a result with exit code -1 and not the end of the test."""
    given = options.pop("input", None)
    options.setdefault("stdin", subprocess.DEVNULL if given is None else subprocess.PIPE)
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
    try:
        out, err = process.communicate(given, timeout=timeout)
        return Result(process.returncode, out, err)
    except subprocess.TimeoutExpired:
        process.kill()
        try:
            out, err = process.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            out, err = b"", b""
        return Result(-1, out, text(err) + f"\n(no end within {timeout} s)")


class Terminal:
    """A command on a pty of its own."""

    def __init__(self, arguments, rows=33, columns=99):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                os.execvp(arguments[0], arguments)
            finally:
                os._exit(127)
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        os.kill(self.pid, signal.SIGWINCH)
        self.output = ""

    def expect(self, part, seconds=30):
        """Reads until `part` comes up; false if it does not."""
        end = time.monotonic() + seconds
        while part not in self.output:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.fd], [], [], left)[0]:
                return False
            try:
                data = os.read(self.fd, 4096)
            except OSError:
                data = b""
            if not data:
                return part in self.output
            self.output += text(data)
        return True

    def send(self, line):
        os.write(self.fd, line.encode())

    def end(self, seconds=30):
        """The exit code; -1 if there is none in time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if select.select([self.fd], [], [], 0.05)[0]:
                try:
                    self.output += text(os.read(self.fd, 4096))
                except OSError:
                    pass
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid != 0:
                os.close(self.fd)
                return os.waitstatus_to_exitcode(status)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.fd)
        return -1
