"""The same bundles and commands with runc, crun and runsc: exit codes, stdout, what stands on stderr, the state as
JSON, what a process inside sees. runsc must do what runc does, or for bad input what one of the others does; each
difference that remains stands in compare_differences.py with its reason, and is looked for as well.

compare_test.py RUNSC [FLAGS]             checks
compare_test.py --print PART RUNSC        prints what each of the three did"""
import concurrent.futures
import json
import os
import re
import shutil
import subprocess
import sys
import time

import container_harness
from compare_differences import ACCEPTED, BAD_INPUT, DIFFERENCES
from container_harness import Containers, config
from sandbox_harness import adopt_orphans, check, descendants, finish, reap, skip, wait_until

VERSION = "1.0.2"  # of the specification; what all three take
NAMESPACES = [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount")]


class Recorder:
    """Runs commands of one runtime and keeps what came of them, by a label, without what differs by itself."""

    def __init__(self, name, runtime, busybox):
        self.name = name
        self.box = Containers(runtime, busybox)
        self.seen = {}
        self.groups = 0

    def close(self):
        for entry in os.listdir(self.box.root) if os.path.exists(self.box.root) else []:
            self.box.run("delete", "--force", entry)
        self.box.close()

    def bundle(self, args, **changes):
        document = config(args, **{"ociVersion": VERSION, **changes})
        document["linux"].setdefault("cgroupsPath", self.cgroup())
        return self.box.bundle(args, document=document)

    def cgroup(self):
        """One for each container: the runtimes run beside each other."""
        self.groups += 1
        return f"/runsc-test-{os.getpid()}-{self.name}-{self.groups}"

    def plain(self, data):
        text = data.decode(errors="replace").replace(self.box.folder, "BOX")
        text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.\d]*Z", "TIME", text)
        text = re.sub(rf"runsc-test-{os.getpid()}-[-a-z0-9]+", "CGROUP", text)
        return text.replace(self.name, "RUNTIME")

    def errors(self, data):
        """[(level, message)]"""
        found = []
        for line in self.plain(data).splitlines():
            entry = re.fullmatch(r'time="TIME" level=(\w+) msg="((?:[^"\\]|\\.)*)"( .*)?', line)
            if entry:
                found.append((entry[1], entry[2].replace('\\"', '"').replace("\\n", "\n")))
            elif line.startswith("{"):
                document = json.loads(line)
                found.append((document["level"], document["msg"]))
            elif line:
                found.append(("", line))
        return found

    def note(self, label, value):
        assert label not in self.seen, label
        self.seen[label] = {"out": value}

    def do(self, *arguments, label=None, out=True, timeout=20, **options):
        """`out`: whether stdout is compared."""
        label = label or self.plain(" ".join(arguments).encode())
        assert label not in self.seen, label
        try:
            result = self.box.run(*arguments, timeout=timeout, **options)
        except subprocess.TimeoutExpired:
            self.seen[label] = {"code": "timeout"}
            return None
        self.seen[label] = {"code": result.returncode, "errors": self.errors(result.stderr)}
        if out:
            self.seen[label]["out"] = self.plain(result.stdout)
        return result

    def inside(self, label, script, **changes):
        """What a shell script in a container of its own writes."""
        flags = changes.pop("flags", [])
        bundle = self.bundle(["sh", "-c", script], **changes)
        return self.do("run", "--bundle", bundle, *flags, "inside", label=label)


def fields_of(value):
    """The shape of a JSON document: names and types."""
    if isinstance(value, dict):
        return {name: fields_of(item) for name, item in value.items()}
    if isinstance(value, list):
        return [fields_of(value[0])] if value else []
    return type(value).__name__ if not isinstance(value, (int, float)) or isinstance(value, bool) else "number"


def life(run):
    bundle = run.bundle(["sleep", "1000"], annotations={"org.example.a": "b"})

    def state(label):
        result = run.box.run("state", "c1")
        document = json.loads(result.stdout) if result.returncode == 0 else {}
        document["pid"] = "some" if document.get("pid", 0) > 0 else document.get("pid")
        run.note(label, {key: value for key, value in document.items() if key not in ("created", "ociVersion", "bundle",
                                                                                     "rootfs")})
        run.note(label + ": members", sorted(document))

    run.note("create", run.box.create("c1", bundle).returncode)
    state("state created")
    run.do("create", "--bundle", bundle, "c1", label="create again")
    run.do("exec", "c1", "echo", "in created")
    run.do("pause", "c1", label="pause created")
    state("state paused created")
    run.do("resume", "c1", label="resume created")
    state("state resumed created")
    run.do("start", "c1")
    run.do("start", "c1", label="start twice")
    state("state running")
    run.do("delete", "c1", label="delete running")
    listed = run.box.run("list").stdout.decode().splitlines()
    run.note("list", [listed[0].split(), listed[1].split()[0], listed[1].split()[2]])
    listed = json.loads(run.box.run("list", "--format", "json").stdout)
    run.note("list -f json", [sorted(row) for row in listed])
    run.do("list", "-q")
    run.do("list", "-f", "yaml")
    for command in ("delete", "state", "start", "pause", "resume", "ps", "update", "kill"):
        run.do(command, "nosuch")
    run.do("events", "--stats", "nosuch")
    run.do("exec", "nosuch", "true")
    run.do("delete", "--force", "nosuch")
    run.do("resume", "c1", label="resume running")
    run.do("pause", "c1")
    run.do("pause", "c1", label="pause paused")
    state("state paused")
    run.do("exec", "c1", "true", label="exec paused")
    run.do("start", "c1", label="start paused")
    run.do("delete", "c1", label="delete paused")
    run.do("resume", "c1")
    for number in ("SIGFOO", "99", "0", "-1", "KILL9", "sigusr1", "USR1", "RTMIN", "64", ""):
        run.do("kill", "c1", number)
    rows = run.box.run("ps", "c1").stdout.decode().splitlines()
    run.note("ps", [rows[0].split()] + [row.split()[-2:] for row in rows[1:]])
    run.note("ps -f json", len(json.loads(run.box.run("ps", "-f", "json", "c1").stdout)))
    rows = run.box.run("ps", "c1", "-o", "pid,args").stdout.decode().splitlines()
    run.note("ps -o", [rows[0].split()] + [row.split()[1:] for row in rows[1:]])
    run.do("ps", "c1", "-o", "args", label="ps without PID")
    stats = json.loads(run.box.run("events", "--stats", "c1").stdout)
    for name in ("raw", "cache"):  # the latter only when there is some
        stats["data"]["memory"].pop(name, None)
    run.note("events --stats", {name: sorted(value) if isinstance(value, dict) else type(value).__name__
                                for name, value in stats["data"].items()})
    run.note("events --stats: cpu", fields_of(stats["data"]["cpu"]["usage"]))
    run.note("events --stats: memory", fields_of(stats["data"]["memory"]))
    run.do("kill", "c1", "KILL")
    run.box.wait_stopped("c1")
    run.do("kill", "c1", "KILL", label="kill stopped")
    run.do("kill", "--all", "c1", "KILL", label="kill --all stopped")
    for command in ("pause", "resume", "start", "ps"):
        run.do(command, "c1", label=f"{command} stopped")
    run.do("ps", "-f", "json", "c1", label="ps -f json stopped")
    run.do("exec", "c1", "true", label="exec stopped")
    run.do("events", "--stats", "c1", label="events stopped")
    run.do("update", "--memory", "100000000", "c1", label="update stopped")
    state("state stopped")
    run.do("delete", "c1")
    run.do("delete", "c1", label="delete deleted")


def ids(run):
    bundle = run.bundle(["true"])
    for name in ("", "a/b", "../x", "..", ".", "a b", "a\nb", "é", "x" * 200, "x" * 300, "x" * 1025, "a.b_c-d+e", "-x"):
        run.do("run", "--bundle", bundle, "--", name, label=f"id {name!r}" if len(name) < 100 else f"id of {len(name)}")


def execs(run):
    bundle = run.bundle(["sleep", "1000"])
    run.box.create("ex", bundle)
    run.do("start", "ex")

    def do(*flags, command=(), label=None):
        return run.do("exec", *flags, "ex", *command, label=label or " ".join([*flags, "|", *command]))
    show = "id -u; id -g; id -G; grep -E 'Cap|NoNew' /proc/self/status"
    do(command=("sh", "-c", "echo $HOME $0 $PATH $TERM; pwd; exit 5", "zero"))
    do("--user", "1000:1001", "--additional-gids", "7", "--cwd", "/etc", "--env", "A=b",
       command=("sh", "-c", show + "; pwd; echo $A $HOME"))
    do("-u", "1000", command=("sh", "-c", show))
    do("--user", "root", command=("id",))
    do("--user", "1:2:3", command=("id",))
    do("--cap", "CAP_SYS_ADMIN", command=("sh", "-c", show))
    do("--cap", "CAP_SYS_ADMIN", "--user", "1000", command=("sh", "-c", show))
    do("--cap", "CAP_NOSUCH", command=("true",))
    do("--no-new-privs", command=("sh", "-c", show))
    do("--cwd", "relative", command=("pwd",))
    do("--cwd", "/nosuch", command=("pwd",))
    do("--env", "BAD", command=("true",))
    do("-e", "A=1", "-e", "A=2", command=("sh", "-c", "echo $A; env | grep -c ^A="))
    do("--env", "PATH=/nosuch", command=("true",))
    do("--additional-gids", "x", command=("true",))
    do(command=("nosuch",))
    do(command=("/nosuch",))
    do(command=("/etc/passwd",))
    do(command=("/etc",))
    do()
    do("--", command=("true",), label="-- before the id")
    do(command=("--", "echo", "hi"), label="-- behind the id")
    do(command=("echo", "--", "hi", "-t"))
    do("--tty", "--detach", command=("true",))
    do("--console-socket", "/nosuch", command=("true",))
    do("--console-socket", "/nosuch", "--tty", "--detach", command=("true",))
    do("--preserve-fds", "3", command=("true",))
    do("--process", "/nosuch")
    do("--cgroup", "/nosuch", command=("true",))
    do("--pid-file", "/nosuch/pid", command=("true",))
    do(command=("sh", "-c", "sh -c 'kill -9 $$'"))
    do("--nosuch", command=("true",))
    pid_file = run.box.path("pid")
    result = run.box.run("exec", "--detach", "--pid-file", pid_file, "ex", "true")
    with open(pid_file, encoding="ascii") as file:
        run.note("--detach --pid-file", (result.returncode, re.fullmatch(r"\d+", file.read()) is not None))
    reader, writer = os.pipe()
    os.write(writer, b"three")
    os.close(writer)
    keep = reader
    if keep != 3:
        # The descriptor has to be number 3 in the runtime.
        result = subprocess.run(["sh", "-c", f'exec "$@" 3<&{keep}', "sh", *run.box.command(
            "exec", "--preserve-fds", "1", "ex", "sh", "-c", "cat <&3")], pass_fds=(keep,), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=20, check=False)
        run.note("--preserve-fds", (result.returncode, result.stdout))
    os.close(reader)
    process = {"args": ["sh", "-c", show + "; pwd; ulimit -n; umask; env"], "cwd": "/etc", "env": ["X=1", "PATH=/bin"],
               "user": {"uid": 5, "gid": 6, "additionalGids": [9], "umask": 0o77}, "noNewPrivileges": False,
               "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 99, "hard": 100}]}
    for label, changes in (("process", {}), ("process without args", {"args": []}), ("process without cwd", {"cwd": ""}),
                           ("process in a relative cwd", {"cwd": "etc"})):
        with open(run.box.path("process.json"), "w", encoding="utf-8") as file:
            json.dump({**process, **changes}, file)
        run.do("exec", "--process", run.box.path("process.json"), "ex", label=label)
    run.do("exec", "-p", run.box.path("process.json"), "--cwd", "/tmp", "--env", "Y=2", "ex", label="process and flags")
    run.do("pause", "ex")
    waiting = run.box.start("exec", "--ignore-paused", "ex", "echo", "resumed")
    time.sleep(0.3)
    run.note("--ignore-paused waits", waiting.poll())
    run.do("resume", "ex")
    out, _ = waiting.communicate(timeout=20)
    run.note("--ignore-paused goes on", (waiting.returncode, out))


def updates(run):
    path = f"/runsc-test-{os.getpid()}-{run.name}"
    bundle = run.bundle(["sleep", "1000"], mounts=[{"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup"}],
                        linux={"cgroupsPath": path, "resources": {
        "memory": {"limit": 50_000_000}, "pids": {"limit": 10}}})
    run.box.create("up", bundle)
    run.do("start", "up")

    def files(label):
        names = ("memory.limit_in_bytes", "memory.soft_limit_in_bytes", "cpu.shares", "cpu.cfs_quota_us",
                 "cpu.cfs_period_us", "cpuset.cpus", "cpuset.mems", "pids.max")
        found = {}
        for name in names:
            try:
                with open(f"/sys/fs/cgroup/{name.split('.')[0]}{path}/{name}", encoding="ascii") as file:
                    found[name] = file.read().strip()
            except OSError as error:
                found[name] = error.strerror
        if run.name == "runsc":
            # The host's threads are more than the guest's: HostLimits().
            found["pids.max"] = run.do("exec", "up", "cat", "/sys/fs/cgroup/pids.max", label=label + " inside").stdout
            found["pids.max"] = found["pids.max"].decode().strip()
        run.note(label, found)

    files("at first")
    for flags in (("--memory", "30000000"), ("--memory", "64m"), ("--memory-reservation", "20000000"),
                  ("--memory", "abc"), ("--memory", "10000"), ("--pids-limit", "7"), ("--cpu-share", "500"),
                  ("--cpu-quota", "50000", "--cpu-period", "100000"), ("--cpu-period", "5"), ("--cpu-quota", "-1"),
                  ("--cpuset-cpus", "0"), ("--cpuset-cpus", "77"), ("--cpuset-mems", "0"), ("--blkio-weight", "200"),
                  ("--cpu-rt-period", "100000"), ("--kernel-memory", "50000000"), ("--kernel-memory-tcp", "50000000"),
                  ("--l3-cache-schema", "L3:0=f"), ("--mem-bw-schema", "MB:0=20"), ()):
        run.do("update", *flags, "up")
    files("by flags")
    for number, text in enumerate(('{"memory": {"limit": 40000000}, "pids": {"limit": 9}, "cpu": {"shares": 300}}',
                                   "{bad", '{"memory": {"limit": "x"}}', "{}")):
        run.do("update", "-r", "-", "up", label=f"update -r - {number}", input=text.encode(), stdin=None)
    run.do("update", "-r", "/nosuch", "up")
    run.do("update", "-r", "-", "--pids-limit", "3", "up", input=b"{}", stdin=None)
    files("by -r")


def logs(run):
    log = run.box.path("log")

    def do(*arguments):
        if os.path.exists(log):
            os.unlink(log)
        run.do(*arguments)
        if os.path.exists(log):
            with open(log, "rb") as file:
                text = file.read()
            run.seen[run.plain(" ".join(arguments).encode()) + ": log"] = {"errors": run.errors(text)}
    do("--log", log, "state", "nosuch")
    do("--log", log, "--log-format", "json", "state", "nosuch")
    do("--log-format", "json", "state", "nosuch")
    do("--log-format", "xml", "state", "nosuch")
    do("--log", "/nosuch/log", "state", "nosuch")
    do("--criu", "/x", "list", "-q")
    do("--rootless", "true", "list", "-q")
    do("list", "--nosuch")
    do("events", "--interval", "abc", "x")
    for arguments in (("--nosuch", "list"), ("nosuch",), ("state",), ("state", "a", "b"), ("create", "--nosuch"),
                      ("delete",), ("kill",), ("start",), ("spec", "x")):
        run.do(*arguments, out=False)
    run.do(out=False, label="no command")
    run.do("--help", out=False)
    run.do("run", "--help", out=False)
    version = run.box.run("--version").stdout.decode().splitlines()
    run.note("--version", [re.sub(r"[\d.]+.*", "N", run.plain(line.encode())) for line in version if line.split(":")[0].split()[0] in
                           (run.name, "spec")])


def options(run):
    bundle = run.bundle(["sh", "-c", "echo hi; exit 3"])
    run.do("run", "--bundle", bundle, "c")
    for flag in ("--no-pivot", "--no-new-keyring", "--no-subreaper"):
        run.do("run", flag, "-b", bundle, "c")
    run.do("run", "--keep", "-b", bundle, "kept")
    run.note("kept", run.box.status("kept"))
    run.do("delete", "kept")
    run.do("run", "-b", bundle, "--pid-file", "/nosuch/pid", "c")
    run.do("run", "-b", bundle, "--preserve-fds", "9", "c")
    run.do("run", "-b", "/nosuch", "c")
    run.do("run", "-b", run.box.folder, "c")
    run.do("run", "-b", bundle, "--console-socket", "/nosuch", "c")
    run.do("create", "-b", bundle, "--console-socket", "/nosuch", "c")
    run.do("run", "c", label="run in the bundle", cwd=bundle)
    pid_file = run.box.path("pid")
    run.note("run -d", run.box.run("run", "-d", "-b", bundle, "--pid-file", pid_file, "d", stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL).returncode)
    run.box.wait_stopped("d")
    with open(pid_file, encoding="ascii") as file:
        run.note("pid file", re.fullmatch(r"\d+", file.read()) is not None)
    run.do("delete", "d")
    terminal = run.bundle(["true"], process={"terminal": True})
    run.do("create", "-b", terminal, "t")
    run.do("create", "-b", terminal, "--console-socket", "/nosuch", "t", label="a console socket that is not there")
    for label, flags in (("spec", ()), ("spec --rootless", ("--rootless",))):
        folder = run.box.path("spec" + str(len(flags)))
        os.mkdir(folder)
        run.do("spec", *flags, "-b", folder, label=label)
        with open(folder + "/config.json", encoding="utf-8") as file:
            document = json.load(file)
        document.pop("ociVersion")
        document.pop("hostname")
        for part in ("process", "root", "mounts", "linux"):
            run.note(f"{label}: {part}", document[part])
        run.do("spec", *flags, "-b", folder, label=f"{label} again")
    run.do("spec", "-b", "/nosuch")
    features = json.loads(run.box.run("features").stdout) if run.name != "crun" else {}
    for part in ("hooks", "mountOptions"):
        run.note(f"features: {part}", features.get(part))
    for part in ("namespaces", "capabilities"):
        run.note(f"features: {part}", features.get("linux", {}).get(part))


def inside(run):
    """What a process in a container sees."""
    run.inside("process", "id; umask; pwd; uname -n; grep -E 'Cap|NoNew|Seccomp:' /proc/self/status; ulimit -n", process={
        "user": {"uid": 1000, "gid": 1000, "additionalGids": [3, 4], "umask": 0o27}, "cwd": "/made/here"})
    run.inside("limits", "cat /proc/self/limits | tr -s ' '", process={"rlimits": [
        {"type": f"RLIMIT_{name}", "soft": soft, "hard": hard} for name, soft, hard in (
            ("NOFILE", 64, 128), ("CORE", 0, 0), ("CPU", 100, 200), ("DATA", 1 << 30, 1 << 30), ("FSIZE", 1 << 20, 1 << 21),
            ("LOCKS", 7, 8), ("MEMLOCK", 4096, 8192), ("MSGQUEUE", 100, 200), ("NICE", 0, 0), ("NPROC", 77, 78),
            ("RSS", 1 << 25, 1 << 26), ("RTPRIO", 0, 0), ("RTTIME", 5, 6), ("SIGPENDING", 50, 60),
            ("STACK", 1 << 23, 1 << 23), ("AS", 1 << 34, 1 << 34))]})
    run.inside("environment", "env | sort", process={"env": ["PATH=/bin", "A=1", "A=2", "B=x=y", "EMPTY="]})
    run.inside("oomScoreAdj", "cat /proc/self/oom_score_adj", process={"oomScoreAdj": 300})
    run.inside("sysctl", "cat /proc/sys/kernel/shmmax /proc/sys/kernel/msgmax /proc/sys/net/ipv4/ip_forward",
               linux={"sysctl": {"kernel.shmmax": "123456789", "kernel.msgmax": "5555", "net.ipv4.ip_forward": "1"}})
    run.inside("devices", "ls -l /dev | tr -s ' ' | sed -E 's/ [A-Z][a-z]{2} [0-9 ]+:[0-9]{2}//'", linux={
        "devices": [{"path": "/dev/mynull", "type": "c", "major": 1, "minor": 3, "fileMode": 0o640, "uid": 5, "gid": 6},
                    {"path": "/dev/fifo", "type": "p", "fileMode": 0o600}],
        "resources": {"devices": [{"allow": True, "access": "rwm"}]}})
    run.inside("a device works", "echo x > /dev/mynull && cat /dev/mynull; head -c 3 /dev/zero | wc -c; echo y > /dev/full",
               linux={"devices": [{"path": "/dev/mynull", "type": "c", "major": 1, "minor": 3, "fileMode": 0o666}],
                      "resources": {"devices": [{"allow": True, "access": "rwm"}]}})
    run.inside("maskedPaths", "cat /proc/kcore 2>/dev/null | wc -c; ls /tmp | wc -l; cat /etc/passwd; touch /tmp/x",
               linux={"maskedPaths": ["/proc/kcore", "/tmp", "/etc/passwd", "/nosuch"]})
    run.inside("readonlyPaths", "echo 1 > /proc/sys/kernel/msgmax; touch /etc/x; rm /etc/passwd; touch /tmp/x && echo ok",
               linux={"readonlyPaths": ["/proc/sys", "/etc", "/nosuch"]})
    run.inside("root.readonly", "touch /x; touch /dev/x && echo dev", root={"path": "rootfs", "readonly": True})
    tmpfs = {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"}
    run.inside("tmpfs", "grep ' /tmp ' /proc/mounts; stat -c '%a %u %g' /tmp; dd if=/dev/zero of=/tmp/f bs=1k count=20; "
               "wc -c < /tmp/f", mounts=[{**tmpfs, "options": ["nosuid", "nodev", "noexec", "size=8k", "mode=751", "uid=3",
                                                             "gid=4"]}])
    run.inside("tmpfs, read-only", "touch /tmp/x; grep -c ' /tmp tmpfs ro' /proc/mounts",
               mounts=[{**tmpfs, "options": ["ro"]}])
    run.inside("tmpcopyup", "cat /etc/passwd; touch /etc/new && ls /etc", mounts=[
        {"destination": "/etc", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup"]}])
    source = run.box.path("source")
    os.makedirs(source + "/below")
    with open(source + "/file", "w", encoding="ascii") as file:
        file.write("text\n")
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", source + "/below"], check=True)
    with open(source + "/below/other", "w", encoding="ascii") as file:
        file.write("below\n")
    bind = {"destination": "/mnt", "source": source}
    for label, extra in (("rbind", {"type": "bind", "options": ["rbind"]}), ("bind", {"type": "bind", "options": ["bind"]}),
                         ("bind of type none", {"type": "none", "options": ["bind", "rw"]}),
                         ("bind, read-only", {"type": "bind", "options": ["rbind", "ro"]}),
                         ("bind, propagation", {"type": "bind", "options": ["rbind", "rslave"]}),
                         ("rbind, rro", {"type": "bind", "options": ["rbind", "ro"]})):
        run.inside(label, "ls /mnt /mnt/below; cat /mnt/file; echo new > /mnt/made; cat /mnt/made; rm -f /mnt/made",
                   mounts=[{**bind, **extra}])
    run.inside("a file", "cat /one; echo more >> /one; cat /one", mounts=[
        {"destination": "/one", "source": source + "/file", "type": "bind", "options": ["bind"]}])
    run.inside("noexec, nosuid", "/mnt/run; grep ' /mnt ' /proc/mounts | grep -o nosuid", mounts=[
        {**bind, "type": "bind", "options": ["rbind", "noexec", "nosuid"]}])
    subprocess.run(["umount", source + "/below"], check=True)
    run.inside("a relative source", "grep -c ociVersion /mnt/config.json", mounts=[
        {"destination": "/mnt", "source": ".", "type": "bind", "options": ["bind"]}])
    run.inside("mounts in order", "cat /mnt/below/x", mounts=[
        {**bind, "type": "bind", "options": ["bind"]},
        {"destination": "/mnt/below", "type": "tmpfs", "source": "tmpfs"}])
    run.inside("streams", "cat; readlink /proc/self/fd/0 | cut -d: -f1; echo err >&2")
    run.inside("pid 1", "echo $$; set -- /proc/[0-9]*; echo $#; cat /proc/1/comm")
    run.inside("signals", "grep -E 'Sig(Blk|Ign|Cgt)' /proc/self/status")
    run.inside("personality", "uname -m", linux={"personality": {"domain": "LINUX32"}})
    run.inside("seccomp", "mkdir /denied; grep Seccomp: /proc/self/status", linux={"seccomp": {
        "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 61}]}})
    run.inside("network", "ip link | grep -c LOOPBACK.*UP; cat /proc/net/dev | wc -l")
    run.inside("cgroup", "grep -c . /proc/self/cgroup", linux={"namespaces": NAMESPACES + [{"type": "cgroup"}]})
    run.inside("user namespace", "id -u; cat /proc/self/uid_map | tr -s ' '", linux={
        "namespaces": NAMESPACES + [{"type": "user"}],
        "uidMappings": [{"containerID": 0, "hostID": 0, "size": 70000}],
        "gidMappings": [{"containerID": 0, "hostID": 0, "size": 70000}]})


def hooks(run):
    log = run.box.path("hooks")
    kinds = ("prestart", "createRuntime", "createContainer", "poststart", "poststop")

    def hook(kind, more="", **fields):
        return {"path": "/bin/sh", "args": ["hook", "-c", f'echo {kind} $0 $A "$(cat)" >> {log}; {more}'],
                "env": ["PATH=/bin:/usr/bin", f"A={kind}"], **fields}
    bundle = run.bundle(["true"], annotations={"a": "b"}, hooks={kind: [hook(kind), hook(kind)] for kind in kinds})
    run.do("run", "--bundle", bundle, "h")
    with open(log, encoding="utf-8") as file:
        lines = file.read().splitlines()
    run.note("order", [line.split()[:3] for line in lines])
    for line in lines[::2]:
        state = json.loads(line[line.index("{"):])
        state["pid"] = "some" if state.get("pid") else "none"
        run.note(f"state of {line.split()[0]}", {key: value for key, value in state.items()
                                               if key in ("id", "status", "annotations")})
    run.inside("startContainer", "cat /tmp/said; echo main", hooks={"startContainer": [
        {"path": "/bin/sh", "args": ["sh", "-c", "(grep -o '\"status\":\"[a-z]*\"'; id -u; pwd; echo $A; "
                                     "grep CapEff /proc/self/status) > /tmp/said"], "env": ["A=a", "PATH=/bin"]},
        {"path": "/bin/sh", "args": ["sh", "-c", "echo second >> /tmp/said"]}]}, process={"cwd": "/etc"})
    for kind in ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"):
        for label, fields in (("fails", {"path": "/bin/false"}), ("is missing", {"path": "/nosuch"}),
                              ("hangs", {"path": "/bin/sleep", "args": ["sleep", "100"], "timeout": 1})):
            if kind == "startContainer" and label == "fails":
                fields = {"path": "/bin/sh", "args": ["sh", "-c", "exit 1"]}
            bundle = run.bundle(["true"], hooks={kind: [fields]})
            result = run.box.run("run", "--bundle", bundle, "h", timeout=20)
            run.note(f"{kind} {label}", result.returncode)
            run.note(f"{kind} {label}: left", os.listdir(run.box.root))


def bad_document(changes, cgroup):
    if "text" in changes:
        return changes["text"]
    document = config(["true"], ociVersion=VERSION)
    document["linux"]["cgroupsPath"] = cgroup
    for place, value in changes.get("set", {}).items():
        *outer, last = place.split(".")
        part = document
        for name in outer:
            part = part[name]
        if value is None:
            del part[last]
        else:
            part[last] = value
    if "mounts" in changes:
        document["mounts"] += changes["mounts"]
    return document


def bad_input(run):
    """Whether each is refused, in one line."""
    for label, (changes, _) in BAD_INPUT.items():
        bundle = run.box.bundle(["true"], document=bad_document(changes, run.cgroup()))
        for name, target in changes.get("links", {}).items():
            os.symlink(target, f"{bundle}/{name}")
        result = run.do("run", "--bundle", bundle, "bad", label=label, out=False)
        left = os.listdir(run.box.root) if os.path.exists(run.box.root) else []
        if run.name == "runsc":
            check(not left, f"bad input: {label}: nothing is left", left)
            if result is not None and result.returncode != 0:
                check(len(run.errors(result.stderr)) == 1, f"bad input: {label}: one line", result.stderr)
        for entry in left:
            run.box.run("delete", "--force", entry)
    if run.name == "runsc":
        check(not [name for name in os.listdir("/sys/fs/cgroup/memory") if name.startswith(f"runsc-test-{os.getpid()}-runsc-")],
              "bad input: no cgroup is left", os.listdir("/sys/fs/cgroup/memory"))


PARTS = (life, ids, execs, updates, logs, options, inside, hooks, bad_input)


def says_the_same(runc, runsc):
    """Each of runc's messages is in ours: callers look for its words."""
    if len(runc) != len(runsc):
        return False
    return all(theirs[0] == ours[0] and theirs[1].strip().lower() in ours[1].lower() for theirs, ours in zip(runc, runsc))


def compare(part, seen):
    runc, runsc = seen["runc"], seen["runsc"]
    for label, theirs in runc.items():
        ours = runsc.get(label)
        what = f"{part}: {label}"
        if ours is None:
            check(False, what, "was not run")
            continue
        same = ours.get("code") == theirs.get("code") and ours.get("out") == theirs.get("out") and says_the_same(
            theirs.get("errors", []), ours.get("errors", []))
        why = DIFFERENCES.get(what)
        if why is None:
            check(same, what, f"\n  runc:  {str(theirs)[:1500]}\n  runsc: {str(ours)[:1500]}")
        else:
            check(not same, f"{what}: there is no difference any more: {why}")


def compare_bad_input(seen):
    for label, (_, field) in BAD_INPUT.items():
        codes = {name: seen[name][label]["code"] for name in ("runc", "crun", "runsc") if name in seen}
        refused = codes["runsc"] != 0
        others = [code != 0 for name, code in codes.items() if name != "runsc"]
        what = f"bad input: {label}"
        why = ACCEPTED.get(label)
        if why is None:
            check(refused in others, what, codes)
        else:
            check(refused not in others, f"{what}: there is no difference any more: {why}", codes)
        check(refused == (field is not None), f"{what}: {'is refused' if field else 'is taken'}",
              seen["runsc"][label])
        if refused and field:
            check(codes["runsc"] == 1, f"{what}: exit code", codes)
            text = " ".join(message for _, message in seen["runsc"][label].get("errors", []))
            check(re.search(field, text) is not None, f"{what}: the message names it", text)


def races(binary, flags, busybox):
    """Two creates of one id at once: one container, one refusal."""
    run = Recorder("runsc", [binary, *flags], busybox)
    try:
        bundles = [run.bundle(["true"]) for _ in range(2)]
        for _ in range(5):
            # Into a file: a pipe's other end would stay with the container.
            with open(run.box.path("said"), "w+b") as file:
                both = [run.box.start("create", "--bundle", bundle, "same", stdout=subprocess.DEVNULL, stderr=file)
                        for bundle in bundles]
                codes = sorted(process.wait(30) for process in both)
                file.seek(0)
                said = file.read()
            check(codes == [0, 1] and b"already exists" in said, "two creates of one id", (codes, said))
            check(run.box.run("delete", "--force", "same").returncode == 0, "and it is deleted")
        check(wait_until(lambda: reap() or not descendants(os.getpid()), 30), "no process is left")
    finally:
        run.close()


def record(name, command, busybox, part):
    run = Recorder(name, command, busybox)
    try:
        part(run)
        return run.seen
    except (subprocess.SubprocessError, OSError, ValueError, KeyError, IndexError, TypeError, AssertionError) as error:
        import traceback
        if name == "runc" or name == "runsc":
            traceback.print_exc()
            check(False, f"{part.__name__} with {name}: {error!r}")
        return run.seen
    finally:
        run.close()


def main():
    arguments = sys.argv[1:]
    to_print = None
    if arguments[0] == "--print":
        to_print = arguments[1]
        arguments = arguments[2:]
    binary, flags = os.path.abspath(arguments[0]), arguments[1:]
    if os.geteuid() != 0:
        skip("needs root")
    if shutil.which("runc") is None:
        skip("needs runc (package runc)")
    busybox = container_harness.busybox()
    if busybox is None:
        skip("needs a static busybox (package busybox-static)")
    if os.environ.get("RUNSC_COMPARE_INSIDE") is None:
        # crun refuses to run beside a version 2 hierarchy without controllers.
        os.environ["RUNSC_COMPARE_INSIDE"] = "1"
        os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", "sh", "-c",
                              "umount /sys/fs/cgroup/unified 2>/dev/null; exec \"$@\"", "sh", sys.executable, *sys.argv])
    adopt_orphans()
    runtimes = {"runc": ["runc"], "runsc": [binary, *flags]}
    if shutil.which("crun"):
        runtimes["crun"] = ["crun"]
    only = os.environ.get("RUNSC_TEST_ONLY", to_print)
    for part in PARTS:
        if only and part.__name__ not in only.split(","):
            continue
        with concurrent.futures.ThreadPoolExecutor() as pool:
            # crun's part is to refuse or take bad input; its words and formats are its own.
            names = [name for name in runtimes if part is bad_input or name != "crun" or to_print]
            seen = dict(zip(names, pool.map(lambda name: record(name, runtimes[name], busybox, part), names)))
        if to_print:
            for label in seen["runc"]:
                print(f"{part.__name__}: {label}")
                for name in names:
                    print(f"    {name:<6} {seen[name].get(label)}")
        elif part is bad_input:
            compare_bad_input(seen)
        else:
            compare(part.__name__, seen)
    if not only:
        races(binary, flags, busybox)
    finish()


if __name__ == "__main__":
    main()
