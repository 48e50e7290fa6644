"""containerd-shim-runsc-v1 without containerd: this program starts shims as containerd does, speaks ttrpc to them and
takes their events.

shim_test.py RUNSC [FLAG…]"""
import json
import os
import signal
import socket
import subprocess
import sys

import container_harness
import ttrpc
from container_harness import Containers
from sandbox_harness import (Processes, adopt_orphans, check, descendants, finish, reap, skip, wait_until)
from ttrpc import number, sub, text

ALREADY_EXISTS, NOT_FOUND, FAILED_PRECONDITION, UNIMPLEMENTED, INVALID = 6, 5, 9, 12, 3
CREATED, RUNNING, STOPPED, PAUSED = 1, 2, 3, 4
SPACE = "test"
SANDBOX_ID, TYPE = "io.kubernetes.cri.sandbox-id", "io.kubernetes.cri.container-type"
PROCESS = "types.containerd.io/opencontainers/runtime-spec/1/Process"


def failure(call, *arguments):
    """(code, message) of a call that has to fail."""
    try:
        call(*arguments)
        return 0, ""
    except ttrpc.Failed as failed:
        return failed.code, failed.message


class Host:
    """What containerd is to a shim."""

    def __init__(self, binary, flags, box):
        self.box = box
        self.flags = flags
        # The name that the shim has in PATH.
        self.shim = box.path("containerd-shim-runsc-v1")
        os.symlink(binary, self.shim)
        self.address = box.path("containerd.sock")
        self.events = ttrpc.EventSocket(self.address + ".ttrpc")
        self.clients = []
        self.fifos = 0
        os.mkdir(box.path("tasks"))

    def bundle(self, name, args, **changes):
        made = self.box.bundle(args, **changes)
        bundle = self.box.path("tasks", name)
        os.rename(made, bundle)
        os.mkfifo(f"{bundle}/log", 0o600)
        return bundle

    def run_shim(self, name, command, environment=None, **options):
        bundle = self.box.path("tasks", name)
        return subprocess.run(
            [self.shim, "-namespace", SPACE, "-address", self.address, "-publish-binary", "/bin/false", "-id", name, command],
            cwd=bundle, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False,
            env={**os.environ, "TTRPC_ADDRESS": self.address + ".ttrpc", **(environment or {})}, **options)

    def start_shim(self, name):
        started = self.run_shim(name, "start")
        address = started.stdout.decode()
        check(started.returncode == 0 and address.startswith("unix:///"), "start prints an address", started)
        return address

    def connect(self, address):
        client = ttrpc.Client(address.removeprefix("unix://"))
        self.clients.append(client)
        return client

    def fifo(self):
        self.fifos += 1
        path = self.box.path(f"fifo{self.fifos}")
        os.mkfifo(path)
        return path

    def options(self):
        """runtimeoptions.v1.Options with our flags as the body."""
        if not self.flags:
            return {}
        return {10: {1: "runtimeoptions.v1.Options", 2: {3: "# how it is run\n" + "\n".join(self.flags) + "\n"}}}

    def request(self, name, **streams):
        fields = {1: name, 2: self.box.path("tasks", name), **self.options()}
        for field, key in ((4, "terminal"), (5, "stdin"), (6, "stdout"), (7, "stderr")):
            if streams.get(key):
                fields[field] = streams[key]
        return fields

    def events_of(self, name):
        return [(topic, message) for space, topic, _, message in self.events.events if space == SPACE and text(message, 1) == name]

    def topics_of(self, name):
        return [topic.removeprefix("/tasks/") for topic, _ in self.events_of(name)]

    def close(self):
        for client in self.clients:
            client.close()
        self.events.close()


class Reader:
    """The client's end of an output FIFO."""

    def __init__(self, path):
        self.fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        os.set_blocking(self.fd, True)

    def expect(self, part):
        return container_harness.read_until(self.fd, part)

    def rest(self):
        """All up to the end."""
        data = b""
        while True:
            part = os.read(self.fd, 65536)
            if not part:
                os.close(self.fd)
                return data
            data += part


def gone(client, name):
    return failure(client, "State", {1: name})[0] == NOT_FOUND


def state(client, name, exec_id=""):
    answer = client("State", {1: name, 2: exec_id})
    return number(answer, 4)


def shut_down(host, client, shim_pid):
    client("Shutdown", {1: "x"})
    check(wait_until(lambda: (reap(), not os.path.exists(f"/proc/{shim_pid}"))[1], 10), "the shim ends when it is asked to")


def life(host):
    """A container from its creation to its removal, with its streams, and an exec."""
    host.bundle("one", ["sh", "-c", "echo out; echo err >&2; read line; echo got $line; exit 7"])
    address = host.start_shim("one")
    with open(host.box.path("tasks", "one", "address"), encoding="ascii") as file:
        check(file.read() == address, "the address is kept in the bundle")
    task = host.connect(address)
    shim_pid = number(task("Connect", {1: "one"}), 1)
    stdin, stdout, stderr = host.fifo(), host.fifo(), host.fifo()
    out, err = Reader(stdout), Reader(stderr)
    created = task("Create", host.request("one", stdin=stdin, stdout=stdout, stderr=stderr))
    pid = number(created, 1)
    check(os.path.exists(f"/proc/{pid}") and state(task, "one") == CREATED, "it is created")
    check(failure(task, "Create", host.request("one"))[0] == ALREADY_EXISTS, "only once")
    waiting = task.begin("Wait", {1: "one"})
    typed = os.open(stdin, os.O_WRONLY)
    check(number(task("Start", {1: "one"}), 1) == pid and state(task, "one") == RUNNING, "it is started")
    check(failure(task, "Start", {1: "one"})[0] == FAILED_PRECONDITION, "only once")
    check(out.expect(b"out\n") == b"out\n" and err.expect(b"err\n") == b"err\n", "its output goes to the FIFOs")
    check(failure(task, "Delete", {1: "one"})[0] == FAILED_PRECONDITION, "a running one is not deleted")

    spec = container_harness.config(["sh", "-c", "cat; echo done; exit 3"])["process"]
    exec_in, exec_out = host.fifo(), host.fifo()
    inside = Reader(exec_out)
    task("Exec", {1: "one", 2: "e1", 4: exec_in, 5: exec_out, 7: {1: PROCESS, 2: json.dumps(spec)}})
    exec_wait = task.begin("Wait", {1: "one", 2: "e1"})
    exec_pid = number(task("Start", {1: "one", 2: "e1"}), 1)
    pids = [number(ttrpc.decode(entry), 1) for entry in task("Pids", {1: "one"}).get(1, [])]
    check(pids == [pid, exec_pid], "Pids has both", pids)
    more = os.open(exec_in, os.O_WRONLY)
    os.write(more, b"typed\n")
    check(inside.expect(b"typed\n") == b"typed\n", "exec's input and output")
    os.close(more)
    again = os.open(exec_in, os.O_WRONLY)
    os.write(again, b"again\n")
    check(inside.expect(b"again\n") == b"again\n", "another client goes on where one has left")
    os.close(again)
    task("CloseIO", {1: "one", 2: "e1", 3: True})
    check(inside.rest() == b"done\n", "CloseIO ends the input")
    check(number(exec_wait.get(), 1) == 3 and state(task, "one", "e1") == STOPPED, "exec's exit code")
    check(number(task("Delete", {1: "one", 2: "e1"}), 2) == 3, "exec is deleted")
    check(failure(task, "State", {1: "one", 2: "e1"})[0] == NOT_FOUND, "and gone")

    os.write(typed, b"a line\n")
    os.close(typed)
    check(out.rest() == b"got a line\n" and err.rest() == b"", "the rest of the output, and its end")
    ended = waiting.get()
    check(number(ended, 1) == 7 and number(sub(ended, 2), 1) > 0, "its exit code", ended)
    check(failure(task, "Kill", {1: "one", 3: 15})[0] == NOT_FOUND, "what has ended cannot be killed")
    deleted = task("Delete", {1: "one"})
    check((number(deleted, 1), number(deleted, 2)) == (pid, 7) and gone(task, "one"), "it is deleted")
    wanted = ["create", "start", "exec-added", "exec-started", "exit", "exit", "delete"]
    check(wait_until(lambda: len(host.topics_of("one")) == len(wanted), 10) and host.topics_of("one") == wanted, "its events",
          host.topics_of("one"))
    exits = [(text(message, 2), number(message, 3), number(message, 4)) for topic, message in host.events_of("one")
             if topic == "/tasks/exit"]
    check(exits == [("e1", exec_pid, 3), ("one", pid, 7)], "what the exits say", exits)
    shut_down(host, task, shim_pid)
    check(not os.path.exists(address.removeprefix("unix://")), "its socket is gone")


def short_lives(host):
    """What ends at once is told after its start."""
    host.bundle("short", ["true"])
    task = host.connect(host.start_shim("short"))
    shim_pid = number(task("Connect", {1: "short"}), 1)
    task("Create", host.request("short"))
    task("Start", {1: "short"})
    check(number(task("Wait", {1: "short"}), 1) == 0, "its end")
    task("Delete", {1: "short"})
    check(wait_until(lambda: len(host.topics_of("short")) >= 4, 10) and
          host.topics_of("short") == ["create", "start", "exit", "delete"], "in this order", host.topics_of("short"))

    host.bundle("never", ["true"])
    task("Create", host.request("never"))
    waiting = task.begin("Wait", {1: "never"})
    task("Delete", {1: "never"})
    waiting.get()
    check(gone(task, "never"), "one that was never started can be deleted")

    bundle = host.bundle("bad", ["/bin/nothing"])
    code, message = failure(task, "Create", host.request("bad"))
    check(code != 0 and "/bin/nothing" in message, "no such program", message)
    with open(f"{bundle}/config.json", "w", encoding="ascii") as file:
        file.write("{}")
    code, message = failure(task, "Create", host.request("bad"))
    check("config.json" in message, "a wrong config.json", message)
    check(gone(task, "bad"), "nothing is left of it")
    options = {10: {1: "runtimeoptions.v1.Options", 2: {3: "platform"}}}
    code, message = failure(task, "Create", {**host.request("bad"), **options})
    check(code == INVALID and "line 1" in message, "wrong options", message)

    host.bundle("some", ["sleep", "500"])
    task("Create", host.request("some"))
    task("Start", {1: "some"})
    spec = container_harness.config(["/bin/nothing"])["process"]
    task("Exec", {1: "some", 2: "e1", 7: {1: PROCESS, 2: json.dumps(spec)}})
    check(failure(task, "Exec", {1: "some", 2: "e1"})[0] == ALREADY_EXISTS, "an exec's id is taken")
    check(failure(task, "Exec", {1: "some", 2: "../e1"})[0] == INVALID, "an id that is a path")
    check("/bin/nothing" in failure(task, "Start", {1: "some", 2: "e1"})[1], "an exec of no such program")
    task("Delete", {1: "some", 2: "e1"})
    task("Pause", {1: "some"})
    check(state(task, "some") == PAUSED, "paused")
    task("Resume", {1: "some"})
    check(state(task, "some") == RUNNING, "and resumed")
    stats = sub(task("Stats", {1: "some"}), 1)
    metrics = sub(stats, 2)
    check(text(stats, 1).startswith("io.containerd.cgroups.v") and sub(metrics, 4), "figures", stats)
    task("Update", {1: "some", 2: {1: "x", 2: json.dumps({"memory": {"limit": 256 << 20}})}})
    memory = sub(sub(sub(task("Stats", {1: "some"}), 1), 2), 4)
    limit = number(sub(memory, 33), 1) if text(stats, 1).endswith("v1.Metrics") else number(memory, 33)
    check(limit == 256 << 20, "Update", limit)
    check(failure(task, "Checkpoint", {1: "some"})[0] == UNIMPLEMENTED, "no checkpoints")
    check(failure(task, "ResizePty", {1: "some"})[0] == FAILED_PRECONDITION, "no terminal, no size")
    spec = container_harness.config(["sleep", "400"])["process"]
    task("Exec", {1: "some", 2: "e2", 7: {1: PROCESS, 2: json.dumps(spec)}})
    task("Start", {1: "some", 2: "e2"})
    task("Kill", {1: "some", 2: "e2", 3: 9})
    check(number(task("Wait", {1: "some", 2: "e2"}), 1) == 137, "an exec is killed")
    task("Exec", {1: "some", 2: "e3", 7: {1: PROCESS, 2: json.dumps(spec)}})
    task("Start", {1: "some", 2: "e3"})
    last = task.begin("Wait", {1: "some", 2: "e3"})
    task("Kill", {1: "some", 3: 9, 4: True})
    check(number(task("Wait", {1: "some"}), 1) == 137, "killed")
    task("Delete", {1: "some"})
    check(number(last.get(), 1) == 137, "an exec that is left ends with its container")
    check(wait_until(lambda: "delete" in host.topics_of("some"), 10) and host.topics_of("some").count("exit") == 3,
          "all ends are told", host.topics_of("some"))
    check("paused" in host.topics_of("some") and "resumed" in host.topics_of("some"), "events of pausing",
          host.topics_of("some"))
    shut_down(host, task, shim_pid)


def terminals(host):
    host.bundle("term", ["sh"], process={"terminal": True})
    task = host.connect(host.start_shim("term"))
    shim_pid = number(task("Connect", {1: "term"}), 1)
    stdin, stdout = host.fifo(), host.fifo()
    out = Reader(stdout)
    task("Create", host.request("term", terminal=True, stdin=stdin, stdout=stdout))
    typed = os.open(stdin, os.O_WRONLY)
    task("Start", {1: "term"})
    task("ResizePty", {1: "term", 3: 99, 4: 33})
    os.write(typed, b"tty; stty size\n")
    check(b"33 99" in out.expect(b"33 99"), "a terminal of that size")

    spec = container_harness.config(["sh", "-c", "stty size; read line; echo got $line"])["process"]
    exec_in, exec_out = host.fifo(), host.fifo()
    inside = Reader(exec_out)
    task("Exec", {1: "term", 2: "e1", 3: True, 4: exec_in, 5: exec_out,
                  7: {1: PROCESS, 2: json.dumps({**spec, "terminal": True, "consoleSize": {"height": 11, "width": 22}})}})
    task("Start", {1: "term", 2: "e1"})
    check(inside.expect(b"11 22\r\n") == b"11 22\r\n", "a terminal of an exec")
    more = os.open(exec_in, os.O_WRONLY)
    os.write(more, b"x\n")
    rest = inside.rest()
    check(rest == b"x\r\ngot x\r\n", "what is typed there", rest)
    os.close(more)
    task("Wait", {1: "term", 2: "e1"})
    task("Delete", {1: "term", 2: "e1"})
    os.write(typed, b"seq 1 20000; exit 4\n")
    check(out.rest().endswith(b"\r\n19999\r\n20000\r\n"), "all that is written before the end arrives")
    os.close(typed)
    check(number(task("Wait", {1: "term"}), 1) == 4, "its exit code")
    task("Delete", {1: "term"})
    shut_down(host, task, shim_pid)


def logs(host):
    """Output to a file, and to a program."""
    logger = host.box.path("logger")
    with open(logger, "w", encoding="ascii") as file:
        file.write('#!/bin/sh\nexec 5>&-\necho "$CONTAINER_ID $CONTAINER_NAMESPACE $*" >$2\ncat <&3 >>$2\n')
    os.chmod(logger, 0o755)
    out, kept = host.box.path("out.log"), host.box.path("kept.log")
    uris = (("logfile", f"file://{out}"), ("logger", f"binary://{logger}?file={kept}&n=%41"))
    task = None
    for name, uri in uris:
        host.bundle(name, ["sh", "-c", "echo to the log; echo and more"])
        if task is None:
            task = host.connect(host.start_shim(name))
        task("Create", host.request(name, stdout=uri, stderr=uri))
        task("Start", {1: name})
        task("Wait", {1: name})
        task("Delete", {1: name})
    shim_pid = number(task("Connect", {1: "x"}), 1)
    with open(out, encoding="ascii") as file:
        check(file.read() == "to the log\nand more\n", "file://")
    wanted = f"logger {SPACE} file {kept} n A\nto the log\nand more\n"

    def is_kept():
        with open(kept, encoding="ascii") as file:
            return file.read() == wanted
    check(wait_until(lambda: os.path.exists(kept) and is_kept(), 10), "binary://")
    host.bundle("nolog", ["true"])
    code, message = failure(task, "Create", host.request("nolog", stdout="npipe://x"))
    check(code == INVALID and "npipe://x" in message, "an unknown scheme", message)
    shut_down(host, task, shim_pid)


def pods(host):
    """One shim and one Sentry for the containers of a pod."""
    def role(kind):
        return {TYPE: kind, SANDBOX_ID: "pod"}
    host.bundle("pod", ["sleep", "500"], annotations=role("sandbox"))
    address = host.start_shim("pod")
    task = host.connect(address)
    shim_pid = number(task("Connect", {1: "pod"}), 1)
    task("Create", host.request("pod"))
    task("Start", {1: "pod"})
    host.bundle("member", ["sleep", "400"], annotations=role("container"),
                linux={"namespaces": [{"type": "pid"}, {"type": "mount"}, {"type": "uts"}]})
    check(host.start_shim("member") == address, "the pod's shim serves its containers")
    member = host.connect(address)
    member("Create", host.request("member"))
    member("Start", {1: "member"})
    monitors = [number(sub_client("State", {1: name}), 3) for sub_client, name in ((task, "pod"), (member, "member"))]
    sentries = [Processes(pid).sentry for pid in monitors]
    check(sentries[0] is not None and sentries[1] is None, "one Sentry for both", sentries)
    member("Shutdown", {1: "member"})
    check(os.path.exists(f"/proc/{shim_pid}"), "Shutdown waits for the last container")
    member("Kill", {1: "member", 3: 9})
    check(number(member("Wait", {1: "member"}), 1) == 137, "the member is killed")
    member("Delete", {1: "member"})
    check(state(task, "pod") == RUNNING, "the pod runs on")
    task("Kill", {1: "pod", 3: 9})
    task("Wait", {1: "pod"})
    task("Delete", {1: "pod"})
    shut_down(host, task, shim_pid)


def mounted(host):
    """The root filesystem comes as mounts."""
    bundle = host.bundle("mounted", ["cat", "/etc/passwd", "/upper"])
    deep = host.box.path("snapshots-" + "x" * 100)
    os.mkdir(deep)
    layer, upper, work = (os.path.join(deep, name) for name in ("layer", "upper", "work"))
    os.rename(f"{bundle}/rootfs", layer)
    for folder in (upper, work, f"{bundle}/rootfs"):
        os.mkdir(folder)
    with open(f"{upper}/upper", "w", encoding="ascii") as file:
        file.write("of the upper layer\n")
    # More than a page, which is what mount(2) takes, unless it is said relative to a directory.
    empty = [os.path.join(deep, f"empty-{n}") for n in range(60)]
    for folder in empty:
        os.mkdir(folder)
    task = host.connect(host.start_shim("mounted"))
    shim_pid = number(task("Connect", {1: "mounted"}), 1)
    stdout = host.fifo()
    out = Reader(stdout)
    mount = {1: "overlay", 2: "overlay", 4: [f"lowerdir={':'.join([*empty, layer])}", f"upperdir={upper}", f"workdir={work}"]}
    try:
        task("Create", {**host.request("mounted", stdout=stdout), 3: mount})
    except ttrpc.Failed as failed:
        if "overlay" not in failed.message:
            raise
        print(f"skipped: overlay mounts: {failed.message}")
        shut_down(host, task, shim_pid)
        return
    task("Start", {1: "mounted"})
    check(out.rest().endswith(b"/bin/sh\nof the upper layer\n"), "an overlay of many layers")
    task("Wait", {1: "mounted"})
    check(os.path.ismount(f"{bundle}/rootfs"), "it is mounted in the bundle")
    task("Delete", {1: "mounted"})
    check(not os.path.ismount(f"{bundle}/rootfs"), "and no longer after Delete")
    shut_down(host, task, shim_pid)


def out_of_memory(host):
    script = "x=$(dd if=/dev/zero bs=1M count=300 2>/dev/null | tr '\\0' x); echo survived"
    host.bundle("hog", ["sh", "-c", script], linux={"resources": {"memory": {"limit": 64 << 20}}})
    task = host.connect(host.start_shim("hog"))
    shim_pid = number(task("Connect", {1: "hog"}), 1)
    task("Create", host.request("hog"))
    task("Start", {1: "hog"})
    ended = task("Wait", {1: "hog"})
    check(number(ended, 1) == 137, "it is killed", ended)
    task("Delete", {1: "hog"})
    check(wait_until(lambda: "delete" in host.topics_of("hog"), 10) and
          host.topics_of("hog") == ["create", "start", "oom", "exit", "delete"], "its reason is told first", host.topics_of("hog"))
    shut_down(host, task, shim_pid)


def killed(host):
    """A shim that is killed: `delete` takes away what it left."""
    bundle = host.bundle("orphan", ["sleep", "500"])
    address = host.start_shim("orphan")
    task = host.connect(address)
    shim_pid = number(task("Connect", {1: "orphan"}), 1)
    pid = number(task("Create", host.request("orphan")), 1)
    task("Start", {1: "orphan"})
    os.kill(shim_pid, signal.SIGKILL)
    os.waitpid(shim_pid, 0)
    check(os.path.exists(f"/proc/{pid}"), "the container runs on")
    deleted = host.run_shim("orphan", "delete")
    answer = ttrpc.decode(deleted.stdout)
    check(deleted.returncode == 0 and (number(answer, 1), number(answer, 2)) == (pid, 137), "delete", deleted)
    check(wait_until(lambda: (reap(), not os.path.exists(f"/proc/{pid}"))[1], 10), "the container is gone")
    check(not os.path.exists(address.removeprefix("unix://")), "so is the socket")
    check(host.run_shim("orphan", "delete").returncode == 0, "again is no error")
    check(os.listdir(f"{bundle}/rootfs/bin") != [], "the bundle's files are there")


def answers(host):
    """What `start` prints, and what it refuses."""
    host.bundle("json", ["true"])
    started = host.run_shim("json", "start", {"MAX_SHIM_VERSION": "3"})
    parameters = json.loads(started.stdout)
    check(parameters["version"] == 2 and parameters["protocol"] == "ttrpc", "a newer containerd gets JSON", parameters)
    path = parameters["address"].removeprefix("unix://")
    task = host.connect(parameters["address"])
    shim_pid = number(task("Connect", {1: "json"}), 1)
    check(os.stat(path).st_mode & 0o777 == 0o600, "the socket is its owner's")
    # Bytes that no client sends.
    for data in (b"\xff" * 40, ttrpc.frame(1, 1, b"\xff\xff\xff"), ttrpc.frame(2, 1, b""), ttrpc.frame(1, 9, b"x"),
                 ttrpc.frame(1, 1, ttrpc.encode({1: task.service, 2: "Create", 3: b"\xff" * 9}))):
        with socket.socket(socket.AF_UNIX) as raw:
            raw.connect(path)
            raw.sendall(data)
            raw.shutdown(socket.SHUT_WR)
            raw.settimeout(20)
            try:
                while raw.recv(4096):
                    pass
            except ConnectionResetError:
                pass
    check(number(task("Connect", {1: "json"}), 1) == shim_pid, "it goes on after malformed messages")
    check(failure(task, "Nothing", {})[0] == UNIMPLEMENTED, "an unknown method")
    check(failure(task, "State", {1: "json"})[0] == NOT_FOUND, "an unknown container")
    shut_down(host, task, shim_pid)
    for words in (["start"], ["-namespace", "x", "start"], ["-namespace", "x", "-id", "y", "go"]):
        refused = subprocess.run([host.shim, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, timeout=20)
        check(refused.returncode == 1 and refused.stdout == b"" and refused.stderr.count(b"\n") == 1, f"refused: {words}", refused)
    version = subprocess.run([host.shim, "-v"], stdout=subprocess.PIPE, check=False, timeout=20)
    check(version.stdout.startswith(b"containerd-shim-runsc-v1 "), "-v", version)
    info = subprocess.run([host.shim, "-info"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False, timeout=20)
    said = ttrpc.decode(info.stdout)
    check(text(said, 1) == "io.containerd.runsc.v1" and text(sub(said, 2), 1) in version.stdout.decode(), "-info", info)


PARTS = (answers, life, short_lives, terminals, logs, pods, mounted, out_of_memory, killed)


def main():
    binary, flags = os.path.abspath(sys.argv[1]), sys.argv[2:]
    busybox = container_harness.busybox()
    if busybox is None:
        skip("no busybox-static is installed")
    if os.geteuid() != 0:
        skip("needs root")
    adopt_orphans()
    box = Containers([binary], busybox)
    host = Host(binary, flags, box)
    try:
        for part in PARTS:
            part(host)
            check(wait_until(lambda: (reap(), not descendants(os.getpid()))[1], 10),
                  f"{part.__name__}: no process is left", str(descendants(os.getpid())))
            root = box.path("runsc", SPACE)
            check(not os.path.exists(root) or os.listdir(root) == [], f"{part.__name__}: no state is left")
            check(os.listdir(box.path("s")) == [], f"{part.__name__}: no socket is left", os.listdir(box.path("s")))
    finally:
        host.close()
        box.close()
    finish()


main()
