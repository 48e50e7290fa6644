"""Containers that are to have namespaces of another one, outside of pods: by the paths that `docker run
--pid=container:NAME` and its likes give.

join_test.py RUNSC [FLAG…]"""
import os
import signal
import subprocess
import sys

import container_harness
from container_harness import Containers
from sandbox_harness import (Processes, adopt_orphans, check, descendants, finish, reap, skip, wait_until)

KINDS = {"pid": "pid", "network": "net", "ipc": "ipc", "uts": "uts", "time": "time"}
SHM = ("python3", "-c", """
import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
made = libc.shmget(int(sys.argv[1]), 4096, 0o1600 if sys.argv[2] == "make" else 0)
print("shm", made >= 0, flush=True)
""")


class Other:
    """The container whose namespaces others get."""

    def __init__(self, box, name="first", script="exec sleep 600", **changes):
        self.box, self.name = box, name
        bundle = box.bundle(["sh", "-c", script], hostname="the-first", **changes)
        created = box.create(name, bundle)
        check(created.returncode == 0 and box.run("start", name).returncode == 0, f"{name} starts", box.output(name))
        self.pid = box.state(name)["pid"]

    def spaces(self, *joined, pid=None):
        """The list with paths for some kinds and new ones for the rest."""
        return {"namespaces": [{"type": "mount"}, *(
            {"type": kind, "path": f"/proc/{pid or self.pid}/ns/{file}"} if kind in joined else {"type": kind}
            for kind, file in KINDS.items() if kind != "time" or kind in joined)]}

    def bundle(self, args, *joined, pid=None, **changes):
        changes.setdefault("linux", {}).update(self.spaces(*joined, pid=pid))
        return self.box.bundle(args, hostname="the-second", **changes)

    def run(self, script, *joined, name="second", **changes):
        return self.box.run("run", "--bundle", self.bundle(["sh", "-c", script], *joined, **changes), name)

    def start(self, name, script, *joined, **changes):
        created = self.box.create(name, self.bundle(["sh", "-c", script], *joined, **changes))
        check(created.returncode == 0, f"create of {name}", self.box.output(name))
        check(self.box.run("start", name).returncode == 0, f"start of {name}")

    def end(self, *names):
        for name in (*names, self.name):
            result = self.box.run("delete", "--force", name)
            check(result.returncode == 0, f"delete of {name}", result)


def pids(box):
    first = Other(box)
    ran = first.run("cat /proc/1/cmdline | tr '\\0' ' '; kill -0 1 && echo reached; hostname 2>/dev/null || uname -n; "
                    "[ $$ -gt 1 ] && echo not first; ls /", "pid", process={"capabilities": {
                        name: ["CAP_KILL"] for name in ("bounding", "effective", "permitted")}})
    lines = ran.stdout.decode().splitlines()
    check(ran.returncode == 0 and lines[:4] == ["sleep 600 reached", "the-second", "not first", "bin"],
          "--pid: its processes are seen, and nothing else of it", ran)
    first.start("second", "sleep 500 & exec sleep 501", "pid")
    check(Processes(box.state("second")["pid"]).sentry is None, "it is in the other's Sentry")
    ran = box.run("exec", "first", "ps")
    check(b"sleep 501" in ran.stdout and b"sleep 600" in ran.stdout, "the other one sees its processes", ran)
    listed = {name: box.run("ps", name).stdout.decode() for name in ("first", "second")}
    check(listed["first"].count("sleep") == 1 and "sleep 600" in listed["first"], "ps of the first shows its own", listed)
    check(listed["second"].count("sleep") == 2 and "sleep 501" in listed["second"], "ps of the second shows its own", listed)
    ran = box.run("exec", "second", "sh", "-c", "cat /proc/1/cmdline; hostname 2>/dev/null || uname -n; touch /tmp/mine")
    check(ran.stdout == b"sleep\x00600\x00the-second\n", "exec is where its container is", ran)
    check(box.run("exec", "first", "ls", "/tmp").stdout == b"", "with its files")
    # What is left of a container ends with it: nobody is its init.
    box.run("kill", "second", "KILL")
    check(box.wait_stopped("second"), "a signal ends it")
    check(wait_until(lambda: b"sleep 500" not in box.run("exec", "first", "ps").stdout, 20), "with all that came of it",
          box.run("exec", "first", "ps"))
    check(box.status("first") == "running", "the first one runs on")
    check(box.run("delete", "second").returncode == 0, "delete")
    first.start("second", "exec sleep 500", "pid")
    check(box.run("kill", "--all", "second", "KILL").returncode == 0 and box.wait_stopped("second"), "kill --all", )
    check(box.status("first") == "running", "reaches no other container")
    box.run("delete", "second")
    first.start("second", "exec sleep 500", "pid")
    box.run("kill", "first", "KILL")
    check(box.wait_stopped("first") and box.wait_stopped("second"), "the end of the namespace's first process ends both")
    first.end("second")


def pids_of_a_member(box):
    """A container that is itself in another one's Sentry, with a PID namespace of its own."""
    first = Other(box)
    first.start("second", "exec sleep 500", "ipc")
    second = box.state("second")["pid"]
    ran = first.run("tr '\\0' ' ' < /proc/1/cmdline", "pid", name="third", pid=second)
    check(ran.stdout == b"sleep 500 ", "its PID namespace", ran)
    first.start("third", "exec sleep 400", "pid", pid=second)
    box.run("kill", "second", "KILL")
    check(box.wait_stopped("second") and box.wait_stopped("third"), "whose end ends those in it")
    check(box.status("first") == "running", "and no other")
    bundle = box.bundle(["true"], linux={"namespaces": [{"type": "mount"}, {"type": "pid", "path": f"/proc/{second}/ns/pid"},
                                                       {"type": "ipc"}, {"type": "uts"}]})
    refused = box.run("run", "--bundle", bundle, "fourth")
    check(refused.returncode == 1 and b"linux.namespaces[1].path" in refused.stderr, "one that has ended", refused)
    first.end("second", "third")


def ipc(box):
    """System V segments, and /dev/shm as docker gives it: one directory of the host in both."""
    shared = box.path("shm")
    os.mkdir(shared)
    mounts = [{"destination": "/dev/shm", "type": "bind", "source": shared, "options": ["rbind", "rprivate"]}]
    root = {"root": {"path": "/", "readonly": True}, "mounts": mounts}
    process = {"env": ["PATH=/usr/bin:/bin"]}
    first = Other(box, mounts=mounts)
    box.run("delete", "--force", "first")
    bundle = box.bundle(["sh", "-c", "exec sleep 600"], process=process, hostname="the-first", **root)
    box.create("first", bundle)
    box.run("start", "first")
    first.pid = box.state("first")["pid"]
    made = box.run("exec", "first", *SHM, "4711", "make")
    check(made.stdout == b"shm True\n", "a segment is made", made)
    box.run("exec", "first", "sh", "-c", "echo here > /dev/shm/file")
    for joined, found in ((("ipc",), b"shm True\nhere\n"), (("pid",), b"shm False\nhere\n"), (("ipc", "pid"), b"shm True\nhere\n")):
        # busybox's root has no python3: the host's root, read-only.
        bundle = first.bundle(["sh", "-c", f"python3 -c '{SHM[2]}' 4711 find; cat /dev/shm/file"], *joined,
                              process=process, root={"path": "/", "readonly": True}, mounts=[*mounts])
        ran = box.run("run", "--bundle", bundle, "second")
        check(ran.stdout == found, f"{joined}: its IPC objects" if "ipc" in joined else "without: none of them", ran)
    first.end()


def uts_and_time(box):
    first = Other(box, linux={"namespaces": [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount", "time")],
                              "timeOffsets": {"boottime": {"secs": 1000000}}})
    up = "cut -d. -f1 /proc/uptime"
    check(int(box.run("exec", "first", "sh", "-c", up).stdout or 0) >= 1000000, "timeOffsets", box.run("exec", "first", "sh", "-c", up))
    ran = first.run(f"uname -n; {up}", "uts")
    name, seconds = ran.stdout.split()
    check(name == b"the-first" and int(seconds) < 1000000, "--uts alone", ran)
    ran = first.run(f"uname -n; {up}", "time")
    name, seconds = ran.stdout.split()
    check(name == b"the-second" and int(seconds) >= 1000000, "time alone", ran)
    ran = first.run("uname -n; cat /proc/1/cmdline", "uts", "time", "pid", "ipc", "network")
    check(ran.stdout == b"the-first\nsleep\x00600\x00", "all of them", ran)
    first.end()


def network(box):
    """A network namespace of its own beside another container's Sentry: sockets are made where it is."""
    first = Other(box, script="nc -l -p 7777 -e cat < /dev/null & exec sleep 600")
    check(wait_until(lambda: b":1E61" in box.run("exec", "first", "cat", "/proc/net/tcp").stdout or
                     b"7777" in box.run("exec", "first", "ps").stdout, 20), "somebody listens")
    talk = "echo said | nc -w 2 127.0.0.1 7777 || echo nobody"
    same = first.run(talk, "pid", "network")
    check(same.stdout == b"said\n", "the other's network namespace", same)
    alone = first.run(talk, "pid")
    check(alone.stdout == b"nobody\n", "its own: nobody listens there", alone)
    both = first.run("(echo answer | nc -l -p 7778) & sleep 1; nc -w 2 127.0.0.1 7778 < /dev/null", "pid")
    check(both.stdout == b"answer\n", "its own: sockets work", both)
    none = box.run("--network=none", "run", "--bundle", first.bundle(["sh", "-c", talk], "pid"), "second")
    check(none.stdout == b"nobody\n", "--network=none: there are none", none)
    first.end()


def keepers(box):
    """The process that stands for one of exec is its container's too."""
    first = Other(box)
    keeper = box.start("exec", "--pid-file", box.path("pid"), "first", "sh", "-c", "echo up; sleep 500")
    check(keeper.stdout.readline() == b"up\n" and wait_until(lambda: os.path.exists(box.path("pid")), 20), "exec")
    with open(box.path("pid"), encoding="ascii") as file:
        pid = int(file.read())
    if os.path.isdir("/sys/fs/cgroup/memory") or os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
        ran = first.run("tr '\\0' ' ' < /proc/1/cmdline", "pid", pid=pid)
        check(ran.stdout == b"sleep 600 ", "by the process of exec", ran)
    os.kill(pid, signal.SIGKILL)
    keeper.communicate()
    first.end()


def order(box):
    """Created but not started, paused, and deleted in any order."""
    bundle = box.bundle(["sleep", "600"])
    box.create("first", bundle)
    pid = box.state("first")["pid"]
    first = Other.__new__(Other)
    first.box, first.name, first.pid = box, "first", pid
    first.start("second", "exec sleep 500", "pid", "ipc")
    check(box.status("first") == "created" and box.status("second") == "running", "beside one that has not started")
    check(box.run("start", "first").returncode == 0, "which starts afterwards")
    paused = box.run("pause", "first")
    check(paused.returncode == 0 and (box.status("first"), box.status("second")) == ("paused", "running"), "pause", paused)
    check(box.run("exec", "second", "echo", "up").stdout == b"up\n", "the other runs on")
    check(box.run("exec", "first", "true").returncode == 255, "and it does not")
    check(box.run("pause", "second").returncode == 0 and box.run("resume", "first").returncode == 0, "each for itself")
    check(box.run("exec", "first", "echo", "up").stdout == b"up\n" and box.status("second") == "paused", "the other way round")
    check(box.run("delete", "--force", "first").returncode == 0, "delete of the first")
    check(box.wait_stopped("second"), "ends the second")
    state = box.state("second")
    check(state["status"] == "stopped" and box.run("delete", "second").returncode == 0, "which can be deleted", state)
    other = Other(box)
    check(box.run("pause", "first").returncode == 0, "pause")
    ran = other.run("echo up; kill -CONT 1", "pid")
    check(ran.returncode == 0 and ran.stdout == b"up\n", "a paused one gets company", ran)
    check(box.status("first") == "paused", "which does not wake it", ran)
    box.run("resume", "first")
    ran = other.run("echo up", "pid", linux={"resources": {"memory": {"limit": 64 << 20}}})
    check(ran.returncode == 0 and ran.stdout == b"up\n" and b"linux.resources" in ran.stderr and b"first" in ran.stderr,
          "a limit that does not hold is told", ran)
    other.end()


def refused(box):
    stranger = subprocess.Popen(["sleep", "600"])
    first, second = Other(box), Other(box, "other")
    host_pid = {"type": "pid", "path": f"/proc/{os.getpid()}/ns/pid"}
    spaces = [{"type": kind} for kind in ("mount", "pid", "ipc", "uts", "network")]
    cases = (
        ("of the host", [*spaces[:1], host_pid, *spaces[2:]], (b"linux.namespaces[1].path", b"--host-namespaces=own")),
        ("of no container", [*spaces[:1], {"type": "pid", "path": "/proc/999999999/ns/pid"}, *spaces[2:]],
         (b"linux.namespaces[1].path", b"pid")),
        ("of another kind", [*spaces[:1], {"type": "pid", "path": f"/proc/{first.pid}/ns/ipc"}, *spaces[2:]],
         (b"linux.namespaces[1].path",)),
        ("of a file", [*spaces[:2], {"type": "ipc", "path": "/etc/passwd"}, *spaces[3:]], (b"linux.namespaces[2].path",)),
        ("of two sandboxes", [spaces[0], {"type": "pid", "path": f"/proc/{first.pid}/ns/pid"},
                              {"type": "ipc", "path": f"/proc/{second.pid}/ns/ipc"}, *spaces[3:]],
         (b"linux.namespaces[2].path", b"another sandbox")),
        ("a mount namespace", [{"type": "mount", "path": f"/proc/{first.pid}/ns/mnt"}, *spaces[1:]],
         (b"linux.namespaces[0].path", b"mount")),
        ("no PID namespace", [spaces[0], *spaces[2:]], (b"linux.namespaces", b"host's pid", b"--host-namespaces=own")),
        ("no IPC namespace", [*spaces[:2], *spaces[3:]], (b"linux.namespaces", b"host's ipc")))
    for what, namespaces, words in cases:
        result = box.run("run", "--bundle", box.bundle(["true"], linux={"namespaces": namespaces}), "bad")
        text = result.stderr.strip()
        check(result.returncode == 1 and text.count(b"\n") == 0 and all(word in text for word in words), f"refused: {what}",
              result)
        check(box.state("bad") is None, "nothing is left")
    for what, namespaces in (("no PID namespace", [spaces[0], *spaces[2:]]), ("no IPC namespace", [*spaces[:2], *spaces[3:]]),
                             ("the host's by path", [*spaces[:1], host_pid, *spaces[2:]]),
                             ("neither", [spaces[0], *spaces[3:]])):
        bundle = box.bundle(["sh", "-c", "echo $$"], linux={"namespaces": namespaces})
        result = box.run("--host-namespaces=own", "run", "--bundle", bundle, "good")
        check(result.returncode == 0 and result.stdout == b"1\n" and b"the container has its own" in result.stderr,
              f"--host-namespaces=own: {what}", result)
    quiet = box.run("--host-namespaces=own", "run", "--bundle", box.bundle(["echo", "up"]), "good")
    check(quiet.stdout == b"up\n" and quiet.stderr == b"", "without a word where nothing is to be said", quiet)
    second.end()
    first.end()
    stranger.kill()
    stranger.wait()


def main():
    binary, flags = os.path.abspath(sys.argv[1]), sys.argv[2:]
    busybox = container_harness.busybox()
    if busybox is None:
        skip("no busybox-static is installed")
    if os.geteuid() != 0:
        skip("needs root")
    adopt_orphans()
    box = Containers([binary, *flags], busybox)
    only = os.environ.get("RUNSC_TEST_ONLY")
    try:
        for part in (pids, pids_of_a_member, ipc, uts_and_time, network, keepers, order, refused):
            if only and part.__name__ not in only.split(","):
                continue
            part(box)
            check(wait_until(lambda: (reap(), not descendants(os.getpid()))[1], 10),
                  f"{part.__name__}: no process is left", str(descendants(os.getpid())))
            check(os.listdir(box.root) == [], f"{part.__name__}: no state is left", os.listdir(box.root))
    finally:
        for entry in os.listdir(box.root) if os.path.exists(box.root) else []:
            box.run("delete", "--force", entry)
        box.close()
    finish()


main()
