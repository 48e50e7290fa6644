"""A machine with systemd for tests: Debian's, as process 1 of PID, mount, cgroup, network, UTS and IPC namespaces.

It touches nothing of the host: its root is an overlay over the host's, written to a tmpfs; its /proc, /sys and /dev are
its own (settings of the kernel read-only); and of the control groups it sees the subtree alone that was made for it,
as a cgroup namespace. It is either
  "unified"  version 2 alone, with the controllers that the host has left for it (often none of the interesting ones),
  "hybrid"   controllers of version 1, version 2 for systemd's own book-keeping,
  "legacy"   version 1 alone.
Nothing runs in it but systemd and a message bus. When it ends, everything in it does. Needs root and Debian's packages
systemd and dbus."""
import os
import shutil
import subprocess
import sys
import time

SYSTEMD = "/lib/systemd/systemd"
TARGET = "runsc-test.target"
UNITS = {
    TARGET: "[Unit]\nDefaultDependencies=no\nWants=dbus.service\n",
    "dbus.socket": "[Unit]\nDefaultDependencies=no\n[Socket]\nListenStream=/run/dbus/system_bus_socket\n",
    "dbus.service": "[Unit]\nDefaultDependencies=no\nRequires=dbus.socket\n[Service]\nType=notify\n"
                    "ExecStart=/usr/bin/dbus-daemon --system --address=systemd: --nofork --nopidfile --systemd-activation\n",
}
# What a machine of its own must not do to the one that it is on.
NOT_FOR_IT = "-sys_time,-sys_module,-sys_boot,-sys_rawio,-syslog"
_GROUPS = "/sys/fs/cgroup"
_NO_CONTROLLERS = ("rw", "relatime", "nosuid", "nodev", "noexec", "xattr", "clone_children", "noprefix")


def why_not():
    """Why there can be none here, or None."""
    if os.geteuid() != 0:
        return "only root can start systemd"
    for program in (SYSTEMD, "dbus-daemon", "systemctl", "unshare", "nsenter", "setpriv", "busybox"):
        if shutil.which(program) is None:
            return f"{program} is not installed"
    probe = subprocess.run(["unshare", "--cgroup", "--mount", "--pid", "--fork", "--net", "--uts", "--ipc", "true"],
                           stderr=subprocess.PIPE, check=False)
    if probe.returncode != 0:
        return probe.stderr.decode(errors="replace").strip()
    return None


def _mounts():
    """(mount point, type, controllers) of the hierarchies of control groups."""
    found = []
    with open("/proc/self/mounts", encoding="utf-8") as mounts:
        for line in mounts:
            _, point, kind, options = line.split()[:4]
            if kind in ("cgroup", "cgroup2"):
                found.append((point, kind, [o for o in options.split(",") if o not in _NO_CONTROLLERS and not o.startswith("release_agent=")]))
    return found


def _read(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return ""


def _write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


class Machine:
    """`folder` is the same inside and outside. `why_not` says why it did not start, else it is None."""

    def __init__(self, folder, mode):
        self.folder, self.mode, self.pid, self.process = folder, mode, None, None
        self.name = f"runsc-systemd-{os.getpid()}-{mode}"
        self.groups, self.mounts = [], _mounts()
        self.log = os.path.join(folder, f"systemd-{mode}.log")
        self.why_not = self._missing()
        if self.why_not is not None:
            return
        try:
            self._make_groups()
            self._boot()
        except OSError as error:
            self.why_not = str(error)
        if self.why_not is not None:
            self.close()

    def _missing(self):
        kinds = {kind for _, kind, _ in self.mounts}
        named = any("name=systemd" in options for _, _, options in self.mounts)
        if self.mode != "legacy" and "cgroup2" not in kinds:
            return "version 2 of control groups is not mounted here"
        if self.mode != "unified" and not named:
            return "the controllers of control groups are not version 1's here"
        return None

    def _make_groups(self):
        for point, _, _ in self.mounts:
            top = os.path.join(point, self.name)
            for group in (top, os.path.join(top, "tests")):
                os.mkdir(group)
                for file in ("cpuset.cpus", "cpuset.mems"):
                    if os.path.exists(f"{group}/{file}") and _read(f"{group}/{file}") == "":
                        _write(f"{group}/{file}", _read(f"{os.path.dirname(group)}/{file}"))
            self.groups.append(top)

    def _boot(self):
        def join():
            for group in self.groups:
                _write(f"{group}/cgroup.procs", "0")

        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                ["unshare", "--cgroup", "--mount", "--pid", "--fork", "--net", "--uts", "--ipc", "--propagation", "private",
                 sys.executable, os.path.abspath(__file__), self.mode, self.folder],
                preexec_fn=join, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT)
        end = time.monotonic() + 30
        while time.monotonic() < end and self.process.poll() is None:
            children = _read(f"/proc/{self.process.pid}/task/{self.process.pid}/children").split()
            if children and _read(f"/proc/{children[0]}/comm") == "systemd":
                self.pid = int(children[0])
                self._write_enter()
                if self.run("systemctl", "is-system-running", timeout=5).stdout.strip() == "running":
                    self._leave_top()
                    return
            time.sleep(0.05)
        self.why_not = f"systemd does not start: {_read(self.log)[-2000:]}"

    def _leave_top(self):
        """Of version 2, a group that has processes itself gives no controllers to those below."""
        for group in self.groups:
            os.makedirs(f"{group}/starter", exist_ok=True)
            for file in ("cpuset.mems", "cpuset.cpus"):
                if os.path.exists(f"{group}/starter/{file}"):
                    _write(f"{group}/starter/{file}", _read(f"{group}/{file}"))
            _write(f"{group}/starter/cgroup.procs", str(self.process.pid))

    def _write_enter(self):
        """A command's begin that makes it one of the machine: in its namespaces and in a group of its own."""
        self.enter = os.path.join(self.folder, f"enter-{self.mode}")
        # systemd removes what is empty and not its own when it starts.
        lines = [f"mkdir -p {group}/tests && echo $$ >{group}/tests/cgroup.procs || exit 125\n" for group in self.groups]
        _write(self.enter, "#!/bin/sh\n" + "".join(lines) +
               f"cd {self.folder}\nexec nsenter -t {self.pid} -m -p -u -i -n -C -- \"$@\"\n")
        os.chmod(self.enter, 0o755)

    def run(self, *arguments, timeout=60, **options):
        """In the machine; a result as of subprocess, exit code -1 if it does not end in time."""
        options.setdefault("stdin", subprocess.DEVNULL)
        try:
            return subprocess.run([self.enter, *arguments], timeout=timeout, check=False, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True, errors="replace", **options)
        except subprocess.TimeoutExpired as late:
            return subprocess.CompletedProcess(late.cmd, -1, str(late.stdout), f"no end within {timeout} s: {late.stderr}")

    def show(self, unit, *names, manager=()):
        """Properties of a unit."""
        text = self.run(*manager, "systemctl", *(("--user",) if manager else ()), "show", unit, "-p", ",".join(names)).stdout
        return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)

    def has(self, unit):
        """Running, or failed. (A slice without a file is loaded by the question for it.)"""
        return self.show(unit, "ActiveState").get("ActiveState") != "inactive"

    def group(self, controller, path):
        """The directory of a group of the machine, as the host sees it; "" is version 2's."""
        for point, kind, options in self.mounts:
            if (kind == "cgroup2") if controller == "" else (controller in options):
                return os.path.join(point, self.name, path.lstrip("/"))
        return None

    def find_groups(self, part):
        """Those whose name has the part in it."""
        return [os.path.join(folder, name) for top in self.groups for folder, names, _ in os.walk(top) for name in names if part in name]

    def close(self):
        if self.pid is not None:
            try:
                os.kill(self.pid, 9)
            except ProcessLookupError:
                pass
        if self.process is not None:
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for _ in range(100):
            self.groups = [group for group in self.groups if not self._removed(group)]
            if not self.groups:
                return
            time.sleep(0.05)

    @staticmethod
    def _removed(top):
        for folder, _, _ in os.walk(top, topdown=False):
            try:
                os.rmdir(folder)
            except OSError:
                return False
        return not os.path.exists(top)


def _mount(*arguments):
    subprocess.run(["mount", *arguments], check=True)


def _become_machine(mode, folder):
    """In the new namespaces, as process 1."""
    top = f"{folder}/machine-{mode}"
    os.mkdir(top)
    hierarchies = _mounts()
    _mount("-t", "tmpfs", "tmpfs", top)
    for name in ("upper", "work", "root"):
        os.mkdir(f"{top}/{name}")
    root = f"{top}/root"
    _mount("-t", "overlay", "overlay", "-o", f"lowerdir=/,upperdir={top}/upper,workdir={top}/work", root)
    _mount("-t", "proc", "proc", f"{root}/proc")
    for part in (part for part in ("sys", "sysrq-trigger") if os.path.exists(f"{root}/proc/{part}")):
        _mount("--bind", f"{root}/proc/{part}", f"{root}/proc/{part}")
        _mount("-o", "remount,ro,bind", f"{root}/proc/{part}")
    _mount("-t", "sysfs", "-o", "ro", "sysfs", f"{root}/sys")
    _mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", f"{root}/dev")
    for name in ("null", "zero", "full", "random", "urandom", "tty"):
        _write(f"{root}/dev/{name}", "")
        _mount("--bind", f"/dev/{name}", f"{root}/dev/{name}")
    os.mkdir(f"{root}/dev/pts")
    _mount("-t", "devpts", "-o", "newinstance,ptmxmode=0666", "devpts", f"{root}/dev/pts")
    os.symlink("pts/ptmx", f"{root}/dev/ptmx")
    os.symlink("/proc/self/fd", f"{root}/dev/fd")
    os.mkdir(f"{root}/dev/shm")
    for place in ("dev/shm", "run", "lib/systemd/system-generators", "etc/systemd"):
        _mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", f"{root}/{place}")
    groups = f"{root}{_GROUPS}"
    if mode == "unified":
        _mount("-t", "cgroup2", "cgroup2", groups)
    else:
        _mount("-t", "tmpfs", "-o", "mode=755", "tmpfs", groups)
        for _, kind, options in hierarchies:
            if kind == "cgroup2" and mode == "legacy":
                continue
            names = options if kind == "cgroup" else ["unified"]
            place = f"{groups}/{','.join(names).replace('name=', '')}"
            os.mkdir(place)
            wanted = ["none", *names] if names[0].startswith("name=") else names
            _mount("-t", kind, *(("-o", ",".join(wanted)) if kind == "cgroup" else ()), kind, place)
    os.mkdir(f"{root}/etc/systemd/system")
    for name, text in UNITS.items():
        _write(f"{root}/etc/systemd/system/{name}", text)
    os.makedirs(f"{root}{folder}", exist_ok=True)
    _mount("--bind", folder, f"{root}{folder}")
    os.makedirs(f"{root}/old", exist_ok=True)
    os.chdir(root)
    subprocess.run(["pivot_root", ".", "old"], check=True)
    subprocess.run(["umount", "-l", "/old"], check=True)
    subprocess.run(["hostname", "machine"], check=True)
    os.execvpe("setpriv", ["setpriv", f"--bounding-set={NOT_FOR_IT}", SYSTEMD, "--system", f"--unit={TARGET}",
                           "--log-target=console", "--log-level=info", "--show-status=no"],
               {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "container": "runsc-test"})


if __name__ == "__main__":
    _become_machine(sys.argv[1], sys.argv[2])
