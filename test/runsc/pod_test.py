"""Pods: containers that are made in the Sentry of another one, by the annotations that containerd and CRI-O give.

pod_test.py RUNSC [FLAG…]"""
import array
import os
import signal
import socket
import struct
import sys
import time

import container_harness
from container_harness import Containers
from sandbox_harness import (Processes, adopt_orphans, check, descendants, finish, reap, skip, wait_until)

CONTAINERD = ("io.kubernetes.cri.container-type", "io.kubernetes.cri.sandbox-id")
CRIO = ("io.kubernetes.cri-o.ContainerType", "io.kubernetes.cri-o.SandboxID")


def annotations(kind, sandbox, names=CONTAINERD):
    return {names[0]: kind, names[1]: sandbox}


class Pod:
    """The pod's first container, running."""

    def __init__(self, box, name, names=CONTAINERD):
        self.box, self.name, self.names = box, name, names
        bundle = box.bundle(["sleep", "600"], hostname="the-pod", annotations=annotations("sandbox", name, names))
        created = box.create(name, bundle)
        check(created.returncode == 0 and box.run("start", name).returncode == 0, "the pod starts", box.output(name))
        self.pid = box.state(name)["pid"]

    def bundle(self, args, **changes):
        linux = {"namespaces": [{"type": "pid"}, {"type": "mount"},
                                *({"type": kind, "path": f"/proc/{self.pid}/ns/{file}"}
                                  for kind, file in (("network", "net"), ("ipc", "ipc"), ("uts", "uts")))]}
        linux.update(changes.pop("linux", {}))
        return self.box.bundle(args, linux=linux, annotations=annotations("container", self.name, self.names), **changes)

    def start(self, name, args, **changes):
        created = self.box.create(name, self.bundle(args, **changes))
        check(created.returncode == 0, f"create of {name}", self.box.output(name))
        check(self.box.run("start", name).returncode == 0, f"start of {name}")

    def end(self, *names):
        for name in (*names, self.name):
            check(self.box.run("delete", "--force", name).returncode == 0, f"delete of {name}")


def sentries(box, name):
    return Processes(box.state(name)["pid"]).sentry


def members(box):
    for names in (CONTAINERD, CRIO):
        pod = Pod(box, "pod", names)
        pod.start("one", ["sh", "-c", "hostname 2>/dev/null || uname -n; echo $$; touch /tmp/mine; exec sleep 500"])
        check(wait_until(lambda: box.output("one") == b"the-pod\n1\n", 30), "a container of the pod", box.output("one"))
        check(sentries(box, "pod") is not None and sentries(box, "one") is None, "it has no Sentry of its own")
        ran = box.run("run", "--bundle", pod.bundle(["sh", "-c", "ls /tmp; read line; echo got $line; exit 5"]), "two",
                      stdin=None, input=b"typed\n")
        check((ran.returncode, ran.stdout) == (5, b"got typed\n"), "run in the pod", ran)
        inside = box.run("exec", "one", "sh", "-c", "cat /proc/1/cmdline; ls /tmp; kill -0 1 && echo its own")
        check(inside.stdout == b"sleep\x00500\x00mine\nits own\n", "exec finds the container's files and processes",
              inside)
        for name, command in (("pod", "sleep 600"), ("one", "sleep 500")):
            listed = box.run("ps", name).stdout.decode()
            check(command in listed and listed.count("sleep") == 1, f"ps of {name} shows its own only", listed)
        pod.end("one")


def shared_pids(box):
    pod = Pod(box, "pod")
    spaces = {"namespaces": [{"type": "pid", "path": f"/proc/{pod.pid}/ns/pid"}, {"type": "mount"}, {"type": "uts"}]}
    ran = box.run("run", "--bundle", pod.bundle(["cat", "/proc/1/cmdline"], linux=spaces), "one")
    check(ran.stdout == b"sleep\x00600\x00", "a container may share the pod's processes", ran)
    pod.end()


def ends(box):
    """Who dies takes nobody along but its own."""
    pod = Pod(box, "pod")
    for name in ("one", "two", "three"):
        pod.start(name, ["sleep", "500"])
    box.run("kill", "one", "KILL")
    check(box.wait_stopped("one"), "a container killed by signal")
    os.kill(Processes(box.state("two")["pid"]).gofer, signal.SIGKILL)
    check(box.wait_stopped("two"), "a container whose Gofer is killed")
    monitor = box.state("three")["pid"]
    os.kill(monitor, signal.SIGKILL)
    check(box.wait_stopped("three"), "a container whose monitor is killed")
    check(wait_until(lambda: box.run("exec", "pod", "sh", "-c", "ps | grep -c 'sleep 50[0]'").stdout == b"0\n", 30),
          "its processes are gone from the pod", box.run("exec", "pod", "ps"))
    check(box.status("pod") == "running", "the pod runs on")
    check(box.run("run", "--bundle", pod.bundle(["echo", "again"]), "four").stdout == b"again\n", "and takes another one")
    pod.start("five", ["sleep", "500"])
    created = box.create("six", pod.bundle(["sleep", "500"]))
    check(created.returncode == 0, "create of six", box.output("six"))
    box.run("kill", "pod", "KILL")
    for name in ("pod", "five", "six"):
        check(box.wait_stopped(name), f"with the pod's first container {name} ends")
    pod.end("one", "two", "three", "five", "six")


def pausing(box):
    """Each by itself, without the others and without what its processes or others' could do about it."""
    pod = Pod(box, "pod")
    forever = "while :; do echo >> /tmp/n; sleep 0.01; done"
    counters = {}

    def start(name, script, **changes):
        bundle = pod.bundle(["sh", "-c", script], **changes)
        counters[name] = f"{bundle}/rootfs/tmp/n"
        check(box.create(name, bundle).returncode == 0 and box.run("start", name).returncode == 0, f"start of {name}")

    def count(name):
        return os.path.getsize(counters[name])

    def runs(*names):
        before = {name: count(name) for name in names}
        return wait_until(lambda: all(count(name) > before[name] for name in names), 30)

    def stands(name):
        before = count(name)
        time.sleep(0.3)
        return before == count(name)

    start("one", forever)
    start("two", f"(while :; do true; done) & {forever}")
    spaces = {"namespaces": [{"type": "pid", "path": f"/proc/{pod.pid}/ns/pid"}, {"type": "mount"}, {"type": "uts"}]}
    start("three", f"trap 'echo caught > /tmp/n; exit' USR2; echo $$ > /tmp/pid; {forever}", linux=spaces)
    check(wait_until(lambda: all(os.path.exists(path) for path in counters.values()), 30) and runs(*counters), "they run")
    check(box.run("pause", "one").returncode == 0, "pause of one")
    check(stands("one") and runs("two", "three"), "it stands and the others run")
    states = [box.status(name) for name in ("pod", "one", "two", "three")]
    check(states == ["running", "paused", "running", "running"], "their states", states)
    refused = box.run("exec", "one", "true")
    check(refused.returncode == 255 and b"paused" in refused.stderr, "no exec in it", refused)
    check(box.run("exec", "two", "echo", "up").stdout == b"up\n", "but in another")
    check(box.run("pause", "pod").returncode == 0 and runs("two"), "the pod's first container is one of them")
    check(box.run("resume", "one").returncode == 0 and runs("one") and box.status("pod") == "paused", "resume of one")
    check(box.run("resume", "pod").returncode == 0, "and of the pod's")

    check(box.run("pause", "three").returncode == 0, "pause of one that shares its processes")
    with open(os.path.join(os.path.dirname(counters["three"]), "pid"), encoding="ascii") as file:
        pid = file.read().strip()
    for name in ("CONT", "STOP", "CONT", "USR2"):
        sent = box.run("exec", "pod", "kill", f"-{name}", pid)
        check(sent.returncode == 0 and stands("three"), f"SIG{name} does not wake it", sent)
    check(box.run("resume", "three").returncode == 0 and box.wait_stopped("three"), "what was sent comes with resume")
    with open(counters["three"], encoding="ascii") as file:
        check(file.read() == "caught\n" and runs("one", "two"), "to its handler, and ends it alone")

    check(box.run("pause", "two").returncode == 0 and stands("two"), "pause of one with several processes")
    check(box.run("kill", "two", "TERM").returncode == 0 and stands("two") and box.status("two") == "paused",
          "a signal waits")
    check(box.run("kill", "two", "KILL").returncode == 0 and box.wait_stopped("two"), "but SIGKILL does not")
    check(box.run("pause", "one").returncode == 0 and box.run("delete", "--force", "one").returncode == 0,
          "a paused one is deleted by force")
    start("four", forever)
    check(wait_until(lambda: os.path.exists(counters["four"]), 30) and runs("four"), "a new one is not paused")
    check(box.run("pause", "four").returncode == 0, "pause of it")
    box.run("kill", "pod", "KILL")
    check(box.wait_stopped("four"), "it ends with the pod")
    pod.end("two", "three", "four")


def refused(box):
    pod = Pod(box, "pod")
    missing = box.bundle(["true"], annotations={CONTAINERD[0]: "container"})
    strange = box.bundle(["true"], annotations={CONTAINERD[0]: "else"})
    nowhere = box.bundle(["true"], annotations=annotations("container", "nowhere"))
    bad_id = box.bundle(["true"], annotations=annotations("container", "../pod"))
    not_there = pod.bundle(["/bin/nothing"])
    for bundle, words in ((missing, CONTAINERD[1]), (strange, CONTAINERD[0]), (nowhere, "nowhere"), (bad_id, CONTAINERD[1]),
                          (not_there, "/bin/nothing")):
        result = box.create("bad", bundle)
        said = box.output("bad").decode()
        check(result.returncode == 1 and words in said and said.count("\n") == 1, f"refused: {words}", said)
        check(box.state("bad") is None, "nothing is left")
    pod.end()


def hostile(box):
    """Packets that no command of runsc sends: the pod goes on."""
    pod = Pod(box, "pod")

    def send(size, value, files):
        client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        client.settimeout(30)
        here = os.getcwd()
        os.chdir(os.path.join(box.root, "pod"))
        client.connect("control.sock")
        os.chdir(here)
        packet = struct.pack("<IiQ", 10, value, 0).ljust(size, b"\xff")
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files).tobytes())] if files else []
        with client:
            try:
                client.sendmsg([packet], rights)
                return client.recv(512)
            except OSError:
                return b""

    zero = os.open("/dev/zero", os.O_RDONLY)
    junk = os.memfd_create("junk")
    os.write(junk, os.urandom(70000))
    huge = os.memfd_create("huge")
    os.ftruncate(huge, 1 << 40)
    counts = os.memfd_create("counts")
    os.write(counts, b"\xff" * 4096)
    for value in (0, 7, -1):
        for files in ([], [zero], [junk], [junk] * 5, [zero] * 8, [huge] * 5, [counts] * 5, [junk] * 60):
            answer = send(512, value, files)
            check(len(answer) in (0, 512) and answer[:4] != struct.pack("<I", 64), "no container is made", answer[:20])
    for size in (16, 511, 600):
        send(size, 0, [junk])
    for fd in (zero, junk, huge, counts):
        os.close(fd)
    check(box.run("exec", "pod", "echo", "well").stdout == b"well\n", "the pod is as it was")
    pod.end()


def main():
    binary, flags = os.path.abspath(sys.argv[1]), sys.argv[2:]
    busybox = container_harness.busybox()
    if busybox is None:
        skip("no busybox-static is installed")
    if os.geteuid() != 0:
        skip("needs root")
    adopt_orphans()
    box = Containers([binary, *flags], busybox)
    try:
        for part in (members, shared_pids, ends, pausing, refused, hostile):
            part(box)
            check(wait_until(lambda: (reap(), not descendants(os.getpid()))[1], 10),
                  f"{part.__name__}: no process is left", str(descendants(os.getpid())))
            check(os.listdir(box.root) == [], f"{part.__name__}: no state is left", os.listdir(box.root))
    finally:
        box.close()
    finish()


main()
