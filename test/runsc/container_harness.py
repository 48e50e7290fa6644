"""Bundles and containers for the tests of runsc's OCI commands. Standard library only."""
import array
import json
import os
import shutil
import socket
import subprocess
import time

import sandbox_harness as harness

APPLETS = ("cat chmod chown dd echo env false grep head id kill ln ls mkdir mount ps pwd rm seq sh sleep stat stty test "
           "touch tr trap true tty umask uname wc nc ip nproc").split()


def busybox():
    path = shutil.which("busybox")
    if path is None:
        return None
    with open(path, "rb") as file:
        image = file.read()
    # A program without interpreter needs no libraries beside it.
    return None if b"/lib64/ld-linux" in image[:8192] else path


def config(args, **changes):
    document = {
        "ociVersion": "1.2.0",
        "process": {
            "terminal": False,
            "user": {"uid": 0, "gid": 0},
            "args": args,
            "env": ["PATH=/bin", "TERM=xterm"],
            "cwd": "/",
            "capabilities": {name: ["CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_CHOWN"]
                             for name in ("bounding", "effective", "permitted")},
            "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
            "noNewPrivileges": True,
        },
        "root": {"path": "rootfs"},
        "hostname": "box",
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
             "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
            {"destination": "/dev/pts", "type": "devpts", "source": "devpts",
             "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"]},
        ],
        "linux": {
            "namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount")],
        },
    }
    document["process"].update(changes.pop("process", {}))
    document["linux"].update(changes.pop("linux", {}))
    document["mounts"] += changes.pop("mounts", [])
    document.update(changes)
    return document


class Containers:
    """A state directory and bundles of its own; `runtime` may be another OCI runtime's command."""

    def __init__(self, runtime, busybox_path):
        self.runtime = runtime
        self.busybox = busybox_path
        self.folder = harness.tempfile.mkdtemp(prefix="runsc-oci-")
        os.chmod(self.folder, 0o755)
        self.root = os.path.join(self.folder, "state")
        self.bundles = 0

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def bundle(self, args, **changes):
        self.bundles += 1
        path = self.path(f"bundle{self.bundles}")
        os.makedirs(f"{path}/rootfs/bin")
        for folder in ("etc", "tmp", "dev", "proc", "sys"):
            os.mkdir(f"{path}/rootfs/{folder}")
        shutil.copy(self.busybox, f"{path}/rootfs/bin/busybox")
        for name in APPLETS:
            os.symlink("busybox", f"{path}/rootfs/bin/{name}")
        with open(f"{path}/rootfs/etc/passwd", "w", encoding="ascii") as file:
            file.write("root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n")
        document = changes.pop("document", None) or config(args, **changes)
        if isinstance(document, dict) and isinstance(document.get("linux"), dict):
            # Other tests may run at the same time, with containers of the same names.
            document["linux"].setdefault("cgroupsPath", f"/runsc-test-{os.getpid()}-{self.bundles}")
        self.write_config(path, document)
        return path

    @staticmethod
    def write_config(bundle, document):
        with open(f"{bundle}/config.json", "w", encoding="utf-8") as file:
            file.write(document if isinstance(document, str) else json.dumps(document))

    def command(self, *arguments):
        return [*self.runtime, "--root", self.root, *arguments]

    def run(self, *arguments, timeout=60, **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        return subprocess.run(self.command(*arguments), timeout=timeout, check=False, **options)

    def start(self, *arguments, **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        return subprocess.Popen(self.command(*arguments), **options)

    def create(self, name, bundle, *flags, **options):
        """Streams to files: a pipe's other end would stay with the container."""
        output = open(self.path(f"{name}.out"), "wb")
        with output:
            options.setdefault("stdout", output)
            options.setdefault("stderr", output)
            return self.run("create", "--bundle", bundle, *flags, name, **options)

    def output(self, name):
        with open(self.path(f"{name}.out"), "rb") as file:
            return file.read()

    def state(self, name):
        result = self.run("state", name)
        return json.loads(result.stdout) if result.returncode == 0 else None

    def status(self, name):
        state = self.state(name)
        return state["status"] if state else None

    def wait_stopped(self, name, seconds=30):
        return harness.wait_until(lambda: self.status(name) == "stopped", seconds)

    def children(self, name):
        """(Sentry, Gofer) of a container, by the processes below its monitor."""
        processes = harness.Processes(self.state(name)["pid"])
        return processes.sentry, processes.gofer


class ConsoleSocket:
    def __init__(self, path):
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.bind(path)
        self.socket.listen(1)
        self.socket.settimeout(30)

    def receive(self):
        connection, _ = self.socket.accept()
        with connection:
            name, rights, _, _ = connection.recvmsg(4096, socket.CMSG_SPACE(4))
        fds = array.array("i")
        for level, kind, data in rights:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds.frombytes(data[:4])
        return name.decode(), fds[0]

    def close(self):
        self.socket.close()
        os.unlink(self.path)


def read_until(fd, text, seconds=30):
    """What a terminal says until `text` is in it."""
    import select
    got = b""
    end = time.monotonic() + seconds
    while text not in got and time.monotonic() < end:
        if not select.select([fd], [], [], 0.1)[0]:
            continue
        try:
            part = os.read(fd, 4096)
        except OSError:
            break
        if not part:
            break
        got += part
    return got
