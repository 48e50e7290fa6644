"""What of the runtime specification and of runsc's own commands the other tests do not go through: startContainer
hooks, limits that are changed while a container runs, attributes of its process, and `runsc debug`."""
import json
import os
import re
import shutil
import subprocess
import sys
import time
import traceback

import container_harness
from container_harness import Containers
from sandbox_harness import adopt_orphans, check, descendants, finish, reap, skip, wait_until


def shell(script, **fields):
    return {"path": "/bin/busybox", "args": ["sh", "-c", script], "env": ["PATH=/bin"], **fields}


def start_container_hooks(box):
    """They run inside, as guests, between `start` and the process; the program is the path's, not args[0]."""
    bundle = box.bundle(["sh", "-c", "cat /tmp/said"], hooks={"startContainer": [
        shell("echo $0; id -u; pwd; uname -r; cat > /tmp/state; echo $HOME- >> /tmp/said.env"),
        shell("echo second; grep -E 'CapEff|NoNewPrivs' /proc/self/status; hostname 2>/dev/null; ls /proc | grep -c '^1$'")]},
        process={"user": {"uid": 1000, "gid": 1000}, "cwd": "/etc"})
    for hook in json.load(open(f"{bundle}/config.json", encoding="utf-8"))["hooks"]["startContainer"]:
        check(hook["path"] == "/bin/busybox", "the hooks are there")
    document = json.load(open(f"{bundle}/config.json", encoding="utf-8"))
    for hook in document["hooks"]["startContainer"]:
        hook["args"][2] = "(" + hook["args"][2] + ") >> /tmp/said"
    box.write_config(bundle, document)
    os.chmod(f"{bundle}/rootfs/tmp", 0o777)
    check(box.create("sc", bundle).returncode == 0, "create", box.output("sc"))
    check(not os.path.exists(f"{bundle}/rootfs/tmp/said"), "nothing runs before start")
    started = box.run("start", "sc")
    check(started.returncode == 0, "start", started.stderr)
    box.wait_stopped("sc")
    lines = box.output("sc").decode().splitlines()
    check(lines[:3] == ["sh", "1000", "/etc"] and lines[3].endswith("-runsc") and lines[4] == "second",
          "in order, as the container's user, in its directory and kernel", lines)
    check("CapEff:\t0000000000000000" in lines and "NoNewPrivs:\t1" in lines and lines[-1] == "1",
          "with its capabilities, in its PID namespace", lines)
    with open(f"{bundle}/rootfs/tmp/state", encoding="utf-8") as file:
        state = json.load(file)
    check(state["status"] == "created" and state["pid"] == 1 and state["id"] == "sc" and state["bundle"] == bundle,
          "the state is on stdin", state)
    with open(f"{bundle}/rootfs/tmp/said.env", encoding="utf-8") as file:
        check(file.read() == "-\n", "with the environment of the hook alone")
    box.run("delete", "sc")

    for label, hook, words in (
            ("fails", shell("echo because >&2; exit 3"), (b"startContainer hook #0", b"exit status 3", b"because")),
            ("is not there", {"path": "/nosuch"}, (b"startContainer hook #0 /nosuch", b"o such file or directory")),
            ("is killed", shell("kill -9 $$"), (b"killed by signal 9",)),
            ("hangs", shell("sleep 1000", timeout=1), (b"timeout of 1 s",))):
        bundle = box.bundle(["touch", "/ran"], hooks={"startContainer": [hook], "poststop": [
            {"path": "/bin/touch", "args": ["touch", box.path("poststop-ran")]}]})
        box.create("sc", bundle)
        begin = time.monotonic()
        started = box.run("start", "sc")
        check(started.returncode == 1 and started.stderr.count(b"\n") == 1 and all(word in started.stderr for word in words),
              f"a hook that {label}", started)
        check(time.monotonic() - begin < 10, f"a hook that {label} does not keep start")
        check(box.status("sc") == "stopped" and not os.path.exists(f"{bundle}/rootfs/ran"),
              f"a hook that {label} stops the container")
        check(box.run("delete", "sc").returncode == 0 and os.path.exists(box.path("poststop-ran")), "poststop runs after it")
        os.unlink(box.path("poststop-ran"))
    check(wait_until(lambda: reap() or not descendants(os.getpid()), 30), "no process is left")


def limits(box):
    """`update` changes what the Sentry enforces and shows, not only the host's cgroup."""
    bundle = box.bundle(["sleep", "1000"], mounts=[{"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup"},
                                                   {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs",
                                                    "options": ["size=1g"]}],
                        linux={"resources": {"memory": {"limit": 256 << 20}, "pids": {"limit": 50}, "cpu": {
                            "quota": 50000, "period": 100000, "shares": 1024}}})
    box.create("up", bundle)
    box.run("start", "up")

    def inside():
        names = ("memory.max", "pids.max", "cpu.max", "cpu.weight")
        result = box.run("exec", "up", "sh", "-c", "cd /sys/fs/cgroup; cat " + " ".join(names) +
                         "; grep MemTotal /proc/meminfo")
        return result.stdout.decode().split("\n")[:5]
    before = inside()
    check(before[:4] == [str(256 << 20), "50", "50000 100000", "39"] and before[4].split()[1] == str(256 << 10), "at first",
          before)

    def fill(megabytes):
        result = box.run("exec", "up", "sh", "-c", f"dd if=/dev/zero of=/tmp/f bs=1M count={megabytes} 2>/dev/null; "
                         "wc -c < /tmp/f; rm /tmp/f")
        return int(result.stdout or 0) >> 20
    check(fill(100) == 100, "there is memory")
    check(box.run("update", "--memory", "134217728", "--pids-limit", "12", "--cpu-quota", "80000", "--cpu-share", "512",
                  "up").returncode == 0, "update")
    after = inside()
    check(after[:4] == [str(128 << 20), "12", "80000 100000", "20"] and after[4].split()[1] == str(128 << 10), "afterwards", after)
    check(fill(20) == 20, "there is less memory")
    result = box.run("exec", "up", "sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14; do sleep 5 & done; wait")
    check(result.returncode != 0 or b"fork" in result.stderr, "fewer tasks", result)
    check(box.run("update", "-r", "-", "up", input=json.dumps({"memory": {"limit": 512 << 20}, "pids": {"limit": -1},
                                                              "cpu": {"quota": -1}}).encode(), stdin=None).returncode == 0,
          "more of all")
    more = inside()
    check(more[:3] == [str(512 << 20), "max", "max 100000"], "shows", more)
    check(fill(320) == 320, "and holds, above what it began with")
    box.run("delete", "--force", "up")


def attributes(box):
    """What of the process of config.json Linux keeps for a task."""
    bundle = box.bundle(["sh", "-c", "uname -m; ionice; cut -d' ' -f19 /proc/self/stat"],
                        process={"scheduler": {"policy": "SCHED_OTHER", "nice": 5},
                                 "ioPriority": {"class": "IOPRIO_CLASS_IDLE", "priority": 0}},
                        linux={"personality": {"domain": "LINUX32"}})
    for name in ("cut", "ionice"):
        os.symlink("busybox", f"{bundle}/rootfs/bin/{name}")
    result = box.run("run", "--bundle", bundle, "attr")
    lines = result.stdout.decode().splitlines()
    check(len(lines) == 3 and lines[0] == "i686" and "idle" in lines[1] and lines[2] == "5",
          "nice, personality, I/O priority", result)
    # The bundle's config.json means nothing any more once the container is there.
    bundle = box.bundle(["sleep", "1000"], process={"env": ["PATH=/bin", "A=before"]})
    box.create("attr", bundle)
    box.run("start", "attr")
    os.unlink(f"{bundle}/config.json")
    result = box.run("exec", "attr", "sh", "-c", "echo $A")
    check(result.stdout == b"before\n", "exec without the bundle's config.json", result)
    check(box.run("delete", "--force", "attr").returncode == 0, "delete without it")


# sched_getattr(2) of the process itself, the host's python3 in a read-only view of the host's root.
SCHED_GETATTR = """
import ctypes, os, struct
data = ctypes.create_string_buffer(48)
ctypes.CDLL(None).syscall(315, 0, data, 48, 0)
size, policy, flags, nice, priority, runtime, deadline, period = struct.unpack("IIQiIQQQ", data.raw)
print(policy, flags, nice, priority, runtime, deadline, period, flush=True)
"""
HOSTS_ROOT = {"root": {"path": "/", "readonly": True}}


def schedulers(box):
    """Every policy of process.scheduler, as sched_getattr(2) tells it inside; and what Linux would not take."""
    def process(**scheduler):
        return {"args": ["python3", "-c", SCHED_GETATTR], "env": ["PATH=/usr/bin:/bin"], "scheduler": scheduler}
    rows = (({"policy": "SCHED_OTHER", "nice": 7}, "0 0 7 0 0 0 0"),
            ({"policy": "SCHED_BATCH", "nice": -5, "flags": ["SCHED_FLAG_RESET_ON_FORK"]}, "3 1 -5 0 0 0 0"),
            ({"policy": "SCHED_IDLE", "nice": 3}, "5 0 0 0 0 0 0"),
            ({"policy": "SCHED_FIFO", "priority": 12}, "1 0 0 12 0 0 0"),
            ({"policy": "SCHED_RR", "priority": 99, "nice": 4}, "2 0 0 99 0 0 0"),
            ({"policy": "SCHED_DEADLINE", "runtime": 5000000, "deadline": 10000000, "flags": ["SCHED_FLAG_RECLAIM"]},
             "6 2 0 0 5000000 10000000 10000000"),
            ({"policy": "SCHED_FIFO", "priority": 0, "flags": ["SCHED_FLAG_KEEP_POLICY"]}, None),
            ({"policy": "SCHED_BATCH", "nice": 9, "flags": ["SCHED_FLAG_KEEP_PARAMS"]}, "0 0 0 0 0 0 0"))
    for scheduler, told in rows:
        result = box.run("run", "--bundle", box.bundle([], process=process(**scheduler), **HOSTS_ROOT), "sched")
        if told is None:
            check(result.returncode == 1 and b"process.scheduler" in result.stderr, f"{scheduler}", result)
            continue
        check(result.stdout.decode().strip() == told, f"{scheduler}", result)
        real_time = scheduler["policy"] in ("SCHED_FIFO", "SCHED_RR", "SCHED_DEADLINE")
        check((b"process.scheduler.policy" in result.stderr) == real_time, f"{scheduler}: the host does not do it, and says so",
              result.stderr)
    refused = (({"policy": "SCHED_ISO"}, "policy"), ({"policy": "x"}, "policy"), ({"nice": 1}, "policy"),
               ({"policy": "SCHED_OTHER", "nice": -21}, "nice"), ({"policy": "SCHED_BATCH", "priority": 1}, "priority"),
               ({"policy": "SCHED_RR"}, "priority"), ({"policy": "SCHED_RR", "priority": 100}, "priority"),
               ({"policy": "SCHED_FIFO", "priority": 3, "period": 5}, "period"),
               ({"policy": "SCHED_DEADLINE", "runtime": 10, "deadline": 5}, "deadline"),
               ({"policy": "SCHED_DEADLINE"}, "deadline"), ({"policy": "SCHED_IDLE", "flags": ["SCHED_FLAG_X"]}, "flags"),
               ({"policy": "SCHED_IDLE", "flags": ["SCHED_FLAG_UTIL_CLAMP_MIN"]}, "flags"))
    for scheduler, word in refused:
        result = box.run("run", "--bundle", box.bundle([], process=process(**scheduler), **HOSTS_ROOT), "sched")
        check(result.returncode == 1 and b"process.scheduler" in result.stderr and word.encode() in result.stderr and
              result.stderr.count(b"\n") == 1, f"{scheduler} is refused", result)
    # exec: what the file says, and else what the container's process has.
    box.create("sched", box.bundle([], process={**process(policy="SCHED_RR", priority=7), "args": ["sleep", "1000"]},
                                   **HOSTS_ROOT))
    box.run("start", "sched")
    document = {**process(policy="SCHED_FIFO", priority=3), "cwd": "/", "user": {"uid": 0, "gid": 0}}
    with open(box.path("process.json"), "w", encoding="utf-8") as file:
        json.dump(document, file)
    result = box.run("exec", "--process", box.path("process.json"), "sched")
    check(result.stdout == b"1 0 0 3 0 0 0\n", "exec --process", result)
    result = box.run("exec", "sched", "python3", "-c", SCHED_GETATTR)
    check(result.stdout == b"2 0 0 7 0 0 0\n", "exec of a command", result)
    document["scheduler"] = {"policy": "SCHED_OTHER", "priority": 1}
    with open(box.path("process.json"), "w", encoding="utf-8") as file:
        json.dump(document, file)
    result = box.run("exec", "--process", box.path("process.json"), "sched")
    check(result.returncode == 255 and b"scheduler.priority" in result.stderr, "exec --process: a wrong one", result)
    box.run("delete", "--force", "sched")


def times(box):
    """linux.timeOffsets in a time namespace of the container's own."""
    with_time = [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount", "time")]
    script = "cut -d. -f1 /proc/uptime; cat /proc/self/timens_offsets; readlink /proc/self/ns/time"

    def run(**linux):
        bundle = box.bundle(["sh", "-c", script], linux=linux)
        for name in ("cut", "readlink"):
            os.symlink("busybox", f"{bundle}/rootfs/bin/{name}")
        return box.run("run", "--bundle", bundle, "times")
    result = run(namespaces=with_time, timeOffsets={"monotonic": {"secs": 172800, "nanosecs": 5}, "boottime": {"secs": 604800}})
    lines = result.stdout.decode().splitlines()
    check(result.returncode == 0 and 604800 <= int(lines[0]) < 604900 and lines[1].split() == ["monotonic", "172800", "5"] and
          lines[2].split() == ["boottime", "604800", "0"], "timeOffsets", result)
    result = run(namespaces=with_time)
    check(result.returncode == 0 and int(result.stdout.split()[0]) < 604800, "a time namespace without", result)
    # The vDSO tells the same as the system call.
    program = ("import ctypes, time; c = ctypes.CDLL(None); t = (ctypes.c_long * 2)(); c.syscall(228, 1, t); "
               "print(time.clock_gettime(1) - t[0] < 2, t[0] >= 7000000, flush=True)")
    result = box.run("run", "--bundle", box.bundle([], process={"args": ["python3", "-c", program], "env": ["PATH=/usr/bin:/bin"]},
                                                   linux={"namespaces": with_time, "timeOffsets": {"monotonic": {"secs": 7000000}}},
                                                   **HOSTS_ROOT), "times")
    check(result.stdout == b"True True\n", "clock_gettime", result)
    for offsets, namespaces, word in (
            ({"boottime": {"secs": 1}}, with_time[:-1], b"isn't enabled"), ({"realtime": {"secs": 1}}, with_time, b"realtime"),
            ({"boottime": {"secs": -1 << 40}}, with_time, b"out of range"),
            ({"monotonic": {"secs": 1, "nanosecs": 1000000000}}, with_time, b"timeOffsets")):
        result = run(namespaces=namespaces, timeOffsets=offsets)
        check(result.returncode == 1 and b"timeOffsets" in result.stderr and word in result.stderr and
              result.stderr.count(b"\n") == 1, f"{offsets} is refused", result)
    # exec is in it too.
    bundle = box.bundle(["sleep", "1000"], linux={"namespaces": with_time, "timeOffsets": {"boottime": {"secs": 604800}}})
    box.create("times", bundle)
    box.run("start", "times")
    result = box.run("exec", "times", "sh", "-c", "read up rest < /proc/uptime; echo ${up%.*}")
    check(int(result.stdout or 0) >= 604800, "exec", result)
    box.run("delete", "--force", "times")


def features(box):
    """`runsc features` says what is so."""
    told = json.loads(box.run("features").stdout)
    kinds = told["linux"]["namespaces"]
    check(kinds == sorted(kinds) and "time" in kinds, "namespaces", kinds)
    for kind in kinds:
        spaces = [{"type": name} for name in ("pid", "ipc", "mount", "uts", "network")]
        if kind not in [space["type"] for space in spaces]:
            spaces.append({"type": kind})
        maps = {f"{which}Mappings": [{"containerID": 0, "hostID": 0, "size": 70000}] for which in ("uid", "gid")}
        result = box.run("run", "--bundle", box.bundle(["echo", "up"], linux={"namespaces": spaces,
                                                                             **(maps if kind == "user" else {})}), "kind")
        check(result.stdout == b"up\n", f"a new {kind} namespace", result)
    check(told["linux"]["mountExtensions"]["idmap"]["enabled"] and {"idmap", "ridmap"} <= set(told["mountOptions"]),
          "id-mapped mounts (idmap_test.py)", told["linux"])
    for name in ("apparmor", "selinux", "intelRdt"):
        check(told["linux"][name]["enabled"], "what is done where the host has it", told["linux"])
    check("SCMP_ACT_NOTIFY" not in told["linux"]["seccomp"]["actions"], "what is refused is not there", told["linux"])
    unsafe = told["potentiallyUnsafeConfigAnnotations"]
    check("org.systemd.property." in unsafe and "io.kubernetes.cri.sandbox-id" in unsafe, "annotations", unsafe)


def what_the_host_lacks(box):
    """Labels and shares that this host has none of are refused, in one line that names them, and leave nothing behind."""
    spaces = [{"type": kind} for kind in ("pid", "mount", "uts", "ipc")]

    def lines(result):
        return result.stderr.decode().splitlines()

    def refused(label, word, process=None, **linux):
        bundle = box.bundle(["true"], linux={"namespaces": spaces, **linux})
        if process:
            spec = json.load(open(f"{bundle}/config.json"))
            spec["process"].update(process)
            json.dump(spec, open(f"{bundle}/config.json", "w"))
        result = box.run("run", "--bundle", bundle, "lacks")
        check(result.returncode == 1 and len(lines(result)) == 1 and word in lines(result)[0], label, result)
        check(box.run("state", "lacks").returncode == 1, f"{label}: nothing is left", result)

    def reads(path):
        try:
            return bool(open(path).read())
        except OSError:
            return False
    if reads("/proc/self/attr/apparmor/current") or (reads("/proc/self/attr/current") and not os.path.exists("/sys/fs/selinux/enforce")):
        print("SKIPPED: AppArmor is here, of which its absence was to be tested")
    else:
        refused("a profile", "process.apparmorProfile: 'p'", {"apparmorProfile": "p"})
        refused("no profile by name", "process.apparmorProfile: 'unconfined'", {"apparmorProfile": "unconfined"})
    if os.path.exists("/sys/fs/selinux/enforce"):
        print("SKIPPED: SELinux is here, of which its absence was to be tested")
    else:
        refused("a label", "process.selinuxLabel: 'u:r:t:s0'", {"selinuxLabel": "u:r:t:s0"})
        refused("a label of mounts", "linux.mountLabel: 'u:r:t:s0'", mountLabel="u:r:t:s0")
    if " - resctrl " in open("/proc/self/mountinfo").read():
        print("SKIPPED: Intel RDT is here, of which its absence was to be tested")
    else:
        for field, value in (("l3CacheSchema", "L3:0=f"), ("memBwSchema", "MB:0=50"), ("closID", "gold"), ("enableCMT", True),
                             ("enableMBM", True), ("schemata", ["L3:0=f"])):
            refused(f"Intel RDT's {field}", f"linux.intelRdt.{field}: ", intelRdt={field: value})
    notify = {"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}
    where = "linux.seccomp.syscalls[0].action: "
    for label, word, seccomp in (
            ("a listener", where + "SCMP_ACT_NOTIFY is not supported", {"syscalls": [notify], "listenerPath": "/run/x"}),
            ("none", where + "listenerPath is not set", {"syscalls": [notify]}),
            ("by default", "linux.seccomp.defaultAction: SCMP_ACT_NOTIFY cannot be used as default action",
             {"defaultAction": "SCMP_ACT_NOTIFY", "listenerPath": "/run/x"}),
            ("metadata", "linux.seccomp.listenerMetadata: needs linux.seccomp.listenerPath", {"listenerMetadata": "x"})):
        refused(f"notification, {label}", word, seccomp={"defaultAction": "SCMP_ACT_ALLOW", **seccomp})
    # A listener that no action needs is not asked for anything.
    bundle = box.bundle(["sleep", "1000"], linux={"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/nosuch"},
                                                "intelRdt": {}, "namespaces": spaces})
    result = box.create("lacks", bundle)
    box.run("start", "lacks")
    for flag in ("--apparmor", "--process-label"):
        result = box.run("exec", flag, "p", "lacks", "true")
        check(result.returncode == 255 and len(lines(result)) == 1 and "'p'" in lines(result)[0], f"exec {flag}", result)
    result = box.run("exec", "--apparmor", "", "lacks", "true")
    check(result.returncode == 0 and not result.stderr, "exec with no profile", result)
    box.run("delete", "--force", "lacks")


def debugging(box):
    bundle = box.bundle(["sh", "-c", "(while :; do :; done) & sleep 1000 & read line < /tmp/fifo"])
    os.mkfifo(f"{bundle}/rootfs/tmp/fifo")
    box.create("dbg", bundle)
    box.run("start", "dbg")

    def tasks():
        result = box.run("debug", "dbg")
        rows = [line.split() for line in result.stdout.decode().splitlines()]
        check(result.returncode == 0 and rows and rows[0] == ["PID", "TID", "STATE", "CPU-MS", "NAME", "SYSCALL"], "debug",
              result)
        return rows[1:]

    def has(state, name, call):
        return any(row[2] in state and row[4] == name and row[5] == call for row in tasks())
    check(wait_until(lambda: has("S", "sleep", "nanosleep") or has("S", "sleep", "clock_nanosleep"), 20),
          "a task that sleeps", tasks())
    check(has("R", "sh", "-"), "a task in its own code", tasks())
    first = [row for row in tasks() if row[0] == "1"]
    check(len(first) == 1 and first[0][5] in ("openat", "open", "read"), "the first one waits", tasks())

    log = box.path("strace.log")
    refused = box.run("debug", "--strace=on", "dbg")
    check(refused.returncode == 1 and b"--debug-log" in refused.stderr, "strace needs a log", refused)
    refused = box.run("--debug-log", "/dev/null", "debug", "--strace=on", "dbg")
    check(refused.returncode == 1 and b"regular file" in refused.stderr, "that is a regular file", refused)
    check(box.run("--debug-log", log, "debug", "--strace=on", "dbg").returncode == 0, "strace is switched on")
    box.run("exec", "dbg", "cat", "/etc/passwd")

    def text():
        with open(log, encoding="utf-8", errors="replace") as file:
            return file.read()
    check(wait_until(lambda: re.search(r'open(at)?\(.*"/etc/passwd"', text()) is not None, 20), "it logs calls",
          text()[-300:])
    check(box.run("debug", "--strace=off", "dbg").returncode == 0, "and off")
    box.run("exec", "dbg", "cat", "/etc/group")
    check("/etc/group" not in text(), "then it is silent")
    check(box.run("--debug-log", log, "debug", "--strace=on", "dbg").returncode == 0, "and on again")
    box.run("exec", "dbg", "cat", "/etc/hosts")
    check(wait_until(lambda: "/etc/hosts" in text(), 20), "it logs again")
    box.run("debug", "--strace=off", "dbg")

    posture = box.run("debug", "--posture", "dbg")
    said = posture.stdout.decode()
    calls = re.match(r"host system calls allowed: sentry (\d+), gofer (\d+)\n", said)
    check(calls is not None and 20 < int(calls[1]) < 80 and 20 < int(calls[2]) < 60, "how many host calls", said)
    rows = {line.split()[0]: line.split() for line in said.splitlines()[3:]}
    check({"runsc-monitor", "runsc-sentry", "runsc-gofer"} <= set(rows), "its processes", said)
    sentry, gofer = rows.get("runsc-sentry"), rows.get("runsc-gofer")
    if sentry and gofer:
        check(sentry[2] == "65534" and sentry[3] == "0" and sentry[5:7] == ["1", "2"], "the Sentry holds nothing", sentry)
        check(gofer[5:7] == ["1", "2"] and int(gofer[3], 16) & ~0x1f == 0, "the Gofer little", gofer)
        check({"user", "pid", "mnt", "ipc", "uts"} <= set(sentry[10].split(",")), "namespaces of its own", sentry)
    check(len([line for line in said.splitlines()[3:]]) >= 4, "stubs are there too", said)
    check(box.run("debug", "nosuch").returncode == 1, "no such container")
    box.run("kill", "dbg", "KILL")
    box.wait_stopped("dbg")
    stopped = box.run("debug", "dbg")
    check(stopped.returncode == 1 and b"not running" in stopped.stderr, "a stopped container", stopped)
    box.run("delete", "dbg")


def out_of_memory(box):
    """`events` tells at once of a process that the host killed for want of memory."""
    if not os.path.isdir("/sys/fs/cgroup/memory") and not os.path.exists("/sys/fs/cgroup/memory.events"):
        print("skipped: out_of_memory: no memory controller")
        return
    bundle = box.bundle(["sleep", "1000"])
    box.create("oom", bundle)
    box.run("start", "oom")
    events = box.start("events", "--interval", "1s", "oom")
    first = json.loads(events.stdout.readline())
    check(first["type"] == "stats" and first["id"] == "oom", "a report at first", first)
    second = json.loads(events.stdout.readline())
    check(second["type"] == "stats", "and each second", second)
    box.run("kill", "oom", "KILL")
    check(events.wait(20) == 0, "events ends with the container")
    events.stdout.close()
    events.stderr.close()
    box.run("delete", "oom")


def mount_propagation_and_attributes(box):
    """As in the container's own tree: a mount of the host that comes later shows in none of them."""
    source = box.path("source")
    os.makedirs(f"{source}/sub")

    def table(root, *mounts):
        bundle = box.bundle(["cat", "/proc/self/mountinfo"], linux={"rootfsPropagation": root} if root else {},
                            mounts=[{"destination": f"/m{i}", "type": kind, "source": source, "options": options}
                                    for i, (kind, options) in enumerate(mounts)])
        result = box.run("run", "--bundle", bundle, "tree")
        check(result.returncode == 0, "run", result.stderr)
        lines = [line.split(" - ")[0].split() for line in result.stdout.decode().splitlines()]
        return {words[4]: (words[5].split(","), [word.split(":")[0] for word in words[6:]]) for words in lines}

    for root, expected in ((None, []), ("private", []), ("rslave", []), ("rshared", ["shared"]), ("shared", ["shared"]),
                           ("unbindable", ["unbindable"])):
        seen = table(root)
        check(seen["/"][1] == expected, f"the root, {root}", seen)
        check(seen["/proc"][1] == (expected if "shared" in expected else []), f"what is on it, {root}", seen)
    seen = table("rshared", ("bind", ["rbind", "rprivate"]), ("bind", ["bind"]))
    check(seen["/m0"][1] == [] and seen["/m1"][1] == ["shared"], "a mount's own propagation counts", seen)
    seen = table(None, ("bind", ["rbind", "rshared"]), ("bind", ["bind", "slave"]), ("bind", ["bind", "unbindable"]),
                 ("tmpfs", ["shared"]))
    check([seen[f"/m{i}"][1] for i in range(4)] == [["shared"], [], ["unbindable"], ["shared"]], "of each mount", seen)
    seen = table(None, ("bind", ["rbind", "rro"]), ("bind", ["rbind", "rnoexec", "rnosuid", "rnodev", "rnoatime"]),
                 ("bind", ["rbind", "rro", "rrw"]), ("bind", ["rbind", "ro", "rrw"]), ("tmpfs", ["rro"]),
                 ("tmpfs", ["ro"]), ("bind", ["bind", "rnosymfollow", "rnodiratime"]), ("tmpfs", ["strictatime"]))
    check(["ro" in seen[f"/m{i}"][0] for i in range(6)] == [True, False, True, False, False, True],
          "what is set wins, and recursive attributes are for bind mounts, as in runc", seen)
    check({"noexec", "nosuid", "nodev", "noatime"} <= set(seen["/m1"][0]), "recursive attributes", seen)
    check({"nosymfollow", "nodiratime", "relatime"} <= set(seen["/m6"][0]), "two more", seen)
    check(not {"relatime", "noatime"} & set(seen["/m7"][0]), "strictatime", seen)

    # They hold for the whole tree of the host's mounts below.
    shutil.copy(box.busybox, f"{source}/sub/echo")
    bundle = box.bundle(["sh", "-c", "touch /m/sub/new; /n/sub/echo no; echo $?; /m/sub/echo ran"], mounts=[
        {"destination": f"/{name}", "type": "bind", "source": source, "options": options}
        for name, options in (("m", ["rbind", "rro"]), ("n", ["rbind", "rnoexec"]))])
    result = box.run("run", "--bundle", bundle, "tree")
    check(b"Read-only file system" in result.stderr and result.stdout == b"126\nran\n", "their effect", result)


def main():
    binary, flags = os.path.abspath(sys.argv[1]), sys.argv[2:]
    if os.geteuid() != 0:
        skip("needs root")
    busybox = container_harness.busybox()
    if busybox is None:
        skip("needs a static busybox (package busybox-static)")
    adopt_orphans()
    only = os.environ.get("RUNSC_TEST_ONLY")
    for part in (start_container_hooks, limits, attributes, schedulers, times, features, what_the_host_lacks, debugging, out_of_memory,
                 mount_propagation_and_attributes):
        if only and part.__name__ not in only.split(","):
            continue
        box = Containers([binary, *flags], busybox)
        try:
            part(box)
        except (subprocess.TimeoutExpired, OSError, ValueError, KeyError, IndexError, TypeError) as error:
            traceback.print_exc()
            check(False, f"{part.__name__}: {error!r}")
        finally:
            for entry in os.listdir(box.root) if os.path.exists(box.root) else []:
                box.run("delete", "--force", entry)
            box.close()
            reap()
    finish()


main()
