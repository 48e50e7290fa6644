#!/usr/bin/env python3
"""systemd making the control groups of runsc's containers (--systemd-cgroup), as a kubelet, podman and docker ask for it.

  systemd_test.py RUNSC [--mode MODE,MODE...] [--only PART,PART...] [-- RUNSC_FLAG...]

Each mode (systemd_machine.py) is a machine of its own with a real systemd."""
import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import engine_harness
import systemd_engines
import systemd_machine
from engine_harness import IMAGE, busybox_tar, check, finish, skip
from systemd_machine import Machine

import container_harness  # after engine_harness, which knows where it is
from sandbox_harness import adopt_orphans, wait_until

MODES = ("hybrid", "unified", "legacy")
POD = "kubepods-besteffort-podab12.slice"
POD_PATH = "kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podab12.slice"
MIB = 1 << 20
LIMITS = {"memory": {"limit": 100 * MIB}, "cpu": {"quota": 50000, "period": 100000, "shares": 512}, "pids": {"limit": 10}}


def read(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except (OSError, TypeError):
        return ""


class Test:
    def __init__(self, machine, binary, flags):
        self.machine = machine
        self.binary, self.flags = binary, flags
        self.box = container_harness.Containers([machine.enter, binary, *flags, "--systemd-cgroup"], container_harness.busybox())
        self.is_v1 = machine.mode != "unified"
        self.count = 0

    def bundle(self, args, path, resources=None, **changes):
        linux = {"cgroupsPath": path, **changes.pop("linux", {})}
        # Limits that need a controller which this machine has not are left out.
        if resources and self.is_v1:
            linux["resources"] = resources
        return self.box.bundle(args, linux=linux, **changes)

    def create(self, name, *arguments, **changes):
        bundle = self.bundle(*arguments, **changes)
        made = self.box.create(name, bundle)
        return made.returncode == 0, self.box.output(name).decode(errors="replace")

    def error(self, name, *arguments, **changes):
        """Of a create that has to fail."""
        good, said = self.create(name, *arguments, **changes)
        if good:
            self.delete(name)
        return "it was made" if good else said

    def fail_or_not(self, *arguments):
        """runsc without the flag; what it says."""
        with open(self.box.path("said"), "wb") as said:
            subprocess.run([self.machine.enter, self.binary, *arguments], stdin=subprocess.DEVNULL, stdout=said, stderr=said, timeout=60, check=False)
        return read(self.box.path("said"))

    def delete(self, name):
        return self.box.run("delete", "--force", name)

    def members(self, path, controller=None):
        """The processes of a group, of systemd's hierarchy."""
        if controller is None:
            controller = "name=systemd" if self.is_v1 else ""
        return read(os.path.join(self.machine.group(controller, path) or "/nowhere", "cgroup.procs")).split()

    def gone(self, unit):
        """Neither the unit nor a group of it is left."""
        return wait_until(lambda: not self.machine.has(unit) and not self.machine.find_groups(unit), 10)


def lifecycle(test):
    """As a kubelet has it made: the slice of the pod, a scope for the container."""
    unit, path = "cri-containerd-c1.scope", f"{POD_PATH}/cri-containerd-c1.scope"
    good, said = test.create("c1", ["sh", "-c", "sleep 1000"], f"{POD}:cri-containerd:c1", LIMITS)
    if not check(good, "create", said):
        return
    shown = test.machine.show(unit, "Slice", "Description", "ControlGroup", "Delegate", "DefaultDependencies", "ActiveState", "TasksAccounting")
    check(shown == {"Slice": POD, "Description": "runsc container c1", "ControlGroup": "/" + path, "Delegate": "yes",
                    "DefaultDependencies": "no", "ActiveState": "active", "TasksAccounting": "yes"}, "the unit", str(shown))
    everyone = test.members(path)
    check(len(everyone) >= 3, "monitor, Sentry and Gofer are in it", str(everyone))
    hierarchies = [point for point, kind, options in test.machine.mounts if kind == "cgroup" and options != ["name=systemd"]] if test.is_v1 else []
    for point in hierarchies:
        inside = read(os.path.join(point, test.machine.name, path, "cgroup.procs")).split()
        check(sorted(inside) == sorted(everyone), f"and in {point}", f"{inside}, not {everyone}")
    check(test.box.run("start", "c1").returncode == 0 and test.box.status("c1") == "running", "start")
    executed = test.box.run("exec", "c1", "sh", "-c", "echo $((1+1)); cat /proc/self/cgroup")
    check(executed.stdout == b"2\n0::/\n", "exec", str(executed))
    ran = test.box.start("exec", "c1", "sleep", "30", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    check(wait_until(lambda: len(test.members(path)) > len(everyone), 10), "who executes is in the group, too", str(test.members(path)))
    check(test.box.run("pause", "c1").returncode == 0 and test.box.status("c1") == "paused", "pause")
    check(test.box.run("resume", "c1").returncode == 0 and test.box.status("c1") == "running", "resume")
    stats = test.box.run("events", "--stats", "c1")
    check(stats.returncode == 0 and json.loads(stats.stdout)["data"]["pids" if test.is_v1 else "cpu"] is not None, "events --stats", str(stats))
    check(test.box.run("kill", "c1", "KILL").returncode == 0 and test.box.wait_stopped("c1"), "kill")
    ran.wait(30)
    deleted = test.box.run("delete", "c1")
    check(deleted.returncode == 0, "delete", str(deleted))
    check(test.gone(unit), "nothing is left", str(test.machine.find_groups("c1")))


def places(test):
    """Where units are, by their names and slices."""
    def place(name, path):
        good, said = test.create(name, ["sleep", "1000"], path)
        if not good:
            return said
        pid = str(test.box.state(name)["pid"])
        lines = read(f"/proc/{test.machine.pid}/root/proc/{pid}/cgroup").splitlines()
        mine = [line.split(":", 2)[2] for line in lines if (":name=systemd:" in line if test.is_v1 else line.startswith("0::"))]
        check(test.delete(name).returncode == 0, f"delete of {path}")
        # /proc is the machine's, but read from another control group namespace.
        return mine[0].replace("/" + test.machine.name, "", 1) if mine else str(lines)

    for path, right in (("", "/system.slice/runsc-p1.scope"), (":docker:x1", "/system.slice/docker-x1.scope"),
                        ("-.slice:a:x2", "/a-x2.scope"), ("machine.slice:libpod:x3", "/machine.slice/libpod-x3.scope"),
                        ("x-y-z.slice::x4", "/x.slice/x-y.slice/x-y-z.slice/x4.scope"), ("x.slice:no:x-q.slice", "/x.slice/x-q.slice"),
                        ("system.slice:memory.x:5", "/system.slice/_memory.x-5.scope")):
        got = place("p1", path)
        # systemd escapes what would look like a controller's file where it has that controller.
        check(got in (right, right.replace("/_", "/")), f"the group of '{path}'", got)
    check(test.gone("x-q.slice"), "a container's slice is gone")


def refusals(test):
    words = 'expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups, got'
    said = test.error("r1", ["true"], "/kubepods/podX/r1")
    check(words in said.replace("\\", "") and said.count("\n") == 1, "a path of the other driver", said)
    said = test.error("r1", ["true"], "a--b.slice:c:d")
    check("invalid slice name: a--b.slice" in said, "an invalid slice", said)
    said = test.error("r1", ["true"], "a.slice:c:d/e")
    check("'c-d/e.scope' is no name of a unit" in said, "an invalid name", said)
    said = test.error("r1", ["true"], "a.slice:c:-.slice")
    check("cannot be the root slice" in said, "the root slice", said)
    other = test.fail_or_not("--root", test.box.root, "create", "--bundle", test.bundle(["true"], "a.slice:c:d"), "r1")
    check("'a.slice:c:d' is the name of a directory" in other, "a path of systemd's without the flag is told", str(other))
    test.delete("r1")
    # A unit that is in use is not ours to take, nor to stop.
    test.machine.run("systemd-run", "--unit=taken-1.scope", "--scope", "--slice=a.slice", "sh", "-c", "sleep 1000 >/dev/null 2>&1 & exec sleep 0.1")
    said = test.error("r1", ["true"], "a.slice:taken:1")
    check("Unit taken-1.scope already exists" in said, "a unit that is there already", said)
    check(test.machine.show("taken-1.scope", "ActiveState") == {"ActiveState": "active"}, "it goes on", str(test.machine.show("taken-1.scope", "ActiveState")))
    test.machine.run("systemctl", "stop", "taken-1.scope")
    said = test.error("r1", ["true"], "a.slice:x:r1", annotations={"org.systemd.property.NoSuchThing": "true"})
    check("NoSuchThing" in said, "systemd refuses a property", said)
    check(test.gone("x-r1.scope"), "and nothing is left of it")
    said = test.error("r1", ["true"], "a.slice:x:r1", annotations={"org.systemd.property.TimeoutStopUSec": "{1}"})
    check("annotation org.systemd.property.TimeoutStopUSec={1} value parse error" in said, "a value that is none", said)
    said = test.error("r1", ["true"], "a.slice:x:r1", annotations={"org.systemd.property.PIDs": "[uint32 1]"})
    check("runsc sets this property of its units itself" in said, "a property that is ours", said)
    namespaces = [{"type": kind} for kind in ("pid", "ipc", "uts", "mount")] + [{"type": "network", "path": "/etc/passwd"}]
    said = test.error("r1", ["true"], "a.slice:x:r1", linux={"namespaces": namespaces})
    check("network" in said and "systemd" not in said and test.gone("x-r1.scope"), "a monitor that ends early says why", said)
    said = test.error("r1", ["no-such-program"], "a.slice:x:r1")
    check("executable file not found" in said and test.gone("x-r1.scope"), "create fails later: nothing is left", said)
    said = test.error("r1", ["true"], "a.slice:x:r1", linux={"resources": {"hugepageLimits": [{"pageSize": "7MB", "limit": 1}]}})
    check("hugepageLimits" in said and test.gone("x-r1.scope"), "a limit that cannot be set: nothing is left", said)
    said = test.fail_or_not("--rootless=true", "--systemd-cgroup", "--root", test.box.root, "create", "--bundle",
                            test.bundle(["true"], "a.slice:c:d"), "r1")
    check(("cannot use rootless systemd cgroups manager on cgroup v1" if test.is_v1 else "cannot reach systemd of the user: ") in said,
          "a user's systemd that is not there", said)


def limits(test):
    """In the files and in systemd's properties, which a reload sets again."""
    annotations = {"org.systemd.property.TimeoutStopSec": "7", "org.systemd.property.CollectMode": "'inactive-or-failed'",
                   "org.systemd.property.Description": "'a container'"}
    unit, path = "x-l1.scope", "system.slice/x-l1.scope"
    good, said = test.create("l1", ["sleep", "1000"], ":x:l1", LIMITS, annotations=annotations)
    if not check(good, "create", said):
        return
    shown = test.machine.show(unit, "TimeoutStopUSec", "CollectMode", "Description")
    check(shown == {"TimeoutStopUSec": "7s", "CollectMode": "inactive-or-failed", "Description": "a container"}, "annotations", str(shown))
    if test.is_v1:
        def now():
            files = (("memory", "memory.limit_in_bytes"), ("cpu", "cpu.shares"), ("cpu", "cpu.cfs_quota_us"), ("pids", "pids.max"))
            known = test.machine.show(unit, "MemoryLimit", "CPUShares", "CPUQuotaPerSecUSec", "TasksMax")
            return ([read(f"{test.machine.group(controller, path)}/{file}") for controller, file in files],
                    [known.get(name) for name in ("MemoryLimit", "CPUShares", "CPUQuotaPerSecUSec", "TasksMax")])

        first = (["104857600", "512", "50000", "94"], ["104857600", "512", "500ms", "94"])
        check(now() == first, "limits", str(now()))
        test.machine.run("systemctl", "daemon-reload")
        check(now() == first, "limits after a reload", str(now()))
        updated = test.box.run("update", "--memory", "200m", "--cpu-quota", "25000", "--cpu-period", "100000", "--cpu-share", "256", "--pids-limit", "20", "l1")
        second = (["209715200", "256", "25000", "124"], ["209715200", "256", "250ms", "124"])
        check(updated.returncode == 0 and now() == second, "update", f"{updated} {now()}")
        test.machine.run("systemctl", "daemon-reload")
        check(now() == second, "and after a reload", str(now()))
    else:
        # The one controller that hosts have left for version 2, which systemd knows nothing of.
        controllers = read(test.machine.group("", "cgroup.controllers")).split()
        if "hugetlb" in controllers:
            good, said = test.create("l3", ["sleep", "1000"], "a-b.slice:x:l3", linux={"resources": {"hugepageLimits": [{"pageSize": "2MB", "limit": 4 * MIB}]}})
            got = read(test.machine.group("", "a.slice/a-b.slice/x-l3.scope/hugetlb.2MB.max"))
            check(good and got == str(4 * MIB), "a limit of version 2", f"{said} {got}")
            check(test.delete("l3").returncode == 0 and test.gone("x-l3.scope"), "delete")
        # No other controllers here, but properties: systemd remembers what it cannot set.
        updated = test.box.run("update", "--memory", "200m", "--cpuset-cpus", "0", "--pids-limit", "20", "l1")
        known = test.machine.show(unit, "MemoryMax", "AllowedCPUs", "TasksMax")
        check(known == {"MemoryMax": "209715200", "AllowedCPUs": "0", "TasksMax": "124"}, "update: systemd knows", str(known))
        check(updated.returncode != 0 and b"linux.resources.memory.limit" in updated.stderr, "update: a controller that is not there is told", str(updated))
    check(test.delete("l1").returncode == 0 and test.gone(unit), "delete: with a description of one's own")
    if test.is_v1:
        good, said = test.create("l2", ["sh", "-c", "x=$(dd if=/dev/zero bs=1M count=90 | tr '\\0' x); echo survived $x"], ":x:l2",
                                 {"memory": {"limit": 48 * MIB}})
        check(good and test.box.run("start", "l2").returncode == 0 and test.box.wait_stopped("l2"), "too much memory", said)
        check(b"survived" not in test.box.output("l2"), "too much memory ends it")
        check(test.delete("l2").returncode == 0 and test.gone("x-l2.scope"), "nothing is left of it")


def pods(test):
    """The containers of a pod, each in a scope of its own."""
    def annotations(kind):
        return {"io.kubernetes.cri.container-type": kind, "io.kubernetes.cri.sandbox-id": "pod"}

    good, said = test.create("pod", ["sleep", "1000"], f"{POD}:cri-containerd:pod", {"cpu": {"shares": 2}}, annotations=annotations("sandbox"))
    if not check(good and test.box.run("start", "pod").returncode == 0, "the sandbox", said):
        return
    good, said = test.create("one", ["sleep", "1000"], f"{POD}:cri-containerd:one", LIMITS, annotations=annotations("container"))
    check(good and test.box.run("start", "one").returncode == 0, "a further container", said)
    inside = test.members(f"{POD_PATH}/cri-containerd-one.scope")
    check(len(inside) >= 2 and test.machine.has("cri-containerd-one.scope"), "it is in a scope of its own", str(inside))
    check(test.delete("one").returncode == 0 and test.gone("cri-containerd-one.scope"), "it goes alone")
    check(test.box.status("pod") == "running" and test.machine.has("cri-containerd-pod.scope"), "the sandbox goes on")
    check(test.delete("pod").returncode == 0 and test.gone("cri-containerd-pod.scope"), "and goes")


def ends(test):
    """Ends that are not `delete`'s: by systemd, by a crash."""
    good, said = test.create("e1", ["sh", "-c", "trap 'exit 7' TERM; echo ready; while :; do sleep 0.1; done"], ":x:e1")
    check(good and test.box.run("start", "e1").returncode == 0, "create", said)
    wait_until(lambda: b"ready" in test.box.output("e1"), 10)
    stopped = test.machine.run("systemctl", "stop", "x-e1.scope")
    check(stopped.returncode == 0 and test.box.wait_stopped("e1"), "systemctl stop ends the container", str(stopped))
    check(test.box.run("delete", "e1").returncode == 0 and test.gone("x-e1.scope"), "delete after that")
    test.machine.run("systemctl", "daemon-reexec")
    good, said = test.create("e1", ["sleep", "1000"], ":x:e1")
    check(good, "create after systemd was restarted", said)
    check(test.box.run("delete", "--force", "e1").returncode == 0 and test.gone("x-e1.scope"), "and delete")
    bundle = test.bundle(["sleep", "1000"], ":x:crash")
    started = 0
    for milliseconds in range(0, 60, 2):
        with open(test.box.path("crash.out"), "wb") as output:
            process = test.box.start("create", "--bundle", bundle, "crash", stdout=output, stderr=output)
        time.sleep(milliseconds / 1000)
        for pid in creators(process.pid):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        process.wait()
        started += test.machine.has("x-crash.scope")
        deleted = test.delete("crash")
        if not check(deleted.returncode == 0 and test.gone("x-crash.scope"), f"create killed after {milliseconds} ms",
                     f"{deleted} {test.machine.find_groups('crash')}"):
            break
    check(started > 0, "some were killed with their unit there")
    # systemd sleeps while a container is made: create waits, and is killed; then systemd does what it was asked for.
    os.kill(test.machine.pid, signal.SIGSTOP)
    with open(test.box.path("crash.out"), "wb") as output:
        process = test.box.start("create", "--bundle", bundle, "crash", stdout=output, stderr=output)
    time.sleep(0.3)
    check(process.poll() is None, "create waits for systemd")
    for pid in creators(process.pid):
        os.kill(pid, signal.SIGKILL)
    process.wait()
    os.kill(test.machine.pid, signal.SIGCONT)
    check(test.delete("crash").returncode == 0 and test.gone("x-crash.scope"), "create killed while it waits")


def creators(pid):
    """The processes of ours that carry a create out: nsenter and runsc, but none that runsc has made."""
    found = [pid]
    child = read(f"/proc/{pid}/task/{pid}/children").split()
    return found + [int(child[0])] if child else found


def buses(test):
    """Where systemd's own socket is not to be had, the message bus is."""
    def without(socket, *arguments):
        hide = f"mount --bind /dev/null {socket} && exec \"$@\""
        return test.machine.run("unshare", "--mount", "sh", "-c", hide, "sh", test.binary, *test.flags, "--systemd-cgroup", "--root", test.box.root, *arguments)

    bundle = test.bundle(["sleep", "1000"], ":x:b1", LIMITS)
    made = test.machine.run("unshare", "--mount", "sh", "-c", 'mount --bind /dev/null /run/systemd/private && exec "$@" >/dev/null 2>&1', "sh", test.binary,
                            *test.flags, "--systemd-cgroup", "--root", test.box.root, "create", "--bundle", bundle, "b1")
    check(made.returncode == 0 and test.machine.has("x-b1.scope"), "create over the bus", str(made))
    updated = without("/run/systemd/private", "update", "--cpu-share", "100", "b1") if test.is_v1 else None
    check(updated is None or updated.returncode == 0, "update over the bus", str(updated))
    deleted = without("/run/systemd/private", "delete", "--force", "b1")
    check(deleted.returncode == 0 and test.gone("x-b1.scope"), "delete over the bus", str(deleted))
    made = test.machine.run("unshare", "--mount", "sh", "-c", "for socket in /run/systemd/private /run/dbus/system_bus_socket; do "
                            'mount --bind /dev/null $socket; done; exec "$@"', "sh", test.binary, "--systemd-cgroup", "--root", test.box.root, "create", "--bundle", bundle, "b1")
    check(made.returncode == 1 and "cannot reach systemd: /run/systemd/private: " in made.stderr and made.stderr.count("\n") == 1, "neither of them", str(made))
    made = test.machine.run("unshare", "--mount", "sh", "-c", 'mount -t tmpfs tmpfs /run/systemd; exec "$@"', "sh", test.binary, "--systemd-cgroup", "--root",
                            test.box.root, "create", "--bundle", bundle, "b1")
    check(made.returncode == 1 and "systemd not running on this host, cannot use systemd cgroups manager" in made.stderr and made.stderr.count("\n") == 1,
          "no systemd", str(made))


USER = 54321


def rootless(test):
    """The caller's own systemd, of an ordinary user."""
    if test.is_v1:
        return
    run_folder, home = f"/run/user/{USER}", f"{test.machine.folder}/home"
    test.machine.run("sh", "-c", f"echo tester:x:{USER}:{USER}::{home}:/bin/sh >>/etc/passwd; echo tester:x:{USER}: >>/etc/group; "
                     "for file in /etc/subuid /etc/subgid; do echo tester:200000:65536 >>$file; done; "
                     f"mkdir -p {run_folder} {home}; chown {USER}:{USER} {run_folder} {home}; chmod 700 {run_folder}")
    started = test.machine.run("systemd-run", "--unit=manager-of-user.service", f"--slice=user-{USER}.slice", f"--uid={USER}", "-p", "Delegate=yes",
                               "-p", "Type=notify", f"--setenv=XDG_RUNTIME_DIR={run_folder}", f"--setenv=HOME={home}", systemd_machine.SYSTEMD, "--user",
                               "--unit=basic.target")
    as_user = ("setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "env", f"XDG_RUNTIME_DIR={run_folder}", f"HOME={home}")
    runs = wait_until(lambda: test.machine.run(*as_user, "systemctl", "--user", "show", "-p", "Version").returncode == 0, 10)
    if not check(runs, "the user's systemd", str(started)):
        return
    bundle = test.bundle(["sleep", "1000"], "")
    spec = test.machine.run(*as_user, "sh", "-c", f"cd {home} && {test.binary} spec --rootless && cp -r {bundle}/rootfs . && "
                            "sed -i 's/\"terminal\": true/\"terminal\": false/; s/\"sh\"/\"sleep\", \"1000\"/' config.json")
    check(spec.returncode == 0, "spec --rootless", str(spec))
    # We are in no group of the user's: his systemd has the machine's move the processes.
    made = test.machine.run(*as_user, "sh", "-c", f"exec {test.binary} --systemd-cgroup create --bundle {home} u1 >{home}/out 2>&1")
    check(made.returncode == 0, "create", f"{made} {read(home + '/out')}")
    shown = test.machine.show("runsc-u1.scope", "ActiveState", "ControlGroup", "Slice", manager=as_user)
    check(shown.get("ActiveState") == "active" and shown.get("Slice") == "user.slice", "a scope of the user's systemd", str(shown))
    check(len(test.members(shown.get("ControlGroup", "/none"))) >= 3, "its processes", str(shown))
    ran = test.machine.run(*as_user, test.binary, "exec", "u1", "echo", "inside")
    check(ran.returncode == 0 and ran.stdout == "inside\n", "exec", str(ran))
    deleted = test.machine.run(*as_user, test.binary, "delete", "--force", "u1")
    check(deleted.returncode == 0 and test.gone("runsc-u1.scope"), "delete", str(deleted))
    in_user_namespace(test, as_user, home, bundle)
    test.machine.run("systemctl", "stop", "manager-of-user.service")


def in_user_namespace(test, as_user, home, bundle):
    # In a user namespace, as podman starts us: who we are is another number there.
    if shutil.which("newuidmap") is None:
        print("SKIPPED: rootless: in a user namespace: newuidmap is not installed")
        return
    namespace = ("unshare", "--user", "--map-root-user", "--map-auto", "--keep-caps")
    made = test.machine.run(*as_user, *namespace, "sh", "-c", f"exec {test.binary} --systemd-cgroup create --bundle {bundle} u2 >{home}/out 2>&1")
    shown = test.machine.show("runsc-u2.scope", "ActiveState", manager=as_user)
    check(made.returncode == 0 and shown == {"ActiveState": "active"}, "create in a user namespace", f"{made} {read(home + '/out')} {shown}")
    deleted = test.machine.run(*as_user, *namespace, test.binary, "delete", "--force", "u2")
    check(deleted.returncode == 0 and test.gone("runsc-u2.scope"), "delete in a user namespace", str(deleted))


def podman(test):
    if shutil.which("podman") is None or shutil.which("conmon") is None:
        print("SKIPPED: podman: it is not installed")
        return
    folder = f"{test.machine.folder}/podman"
    os.makedirs(f"{folder}/cni", exist_ok=True)
    settings = (f'[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]\npids_limit = {2048 if test.is_v1 else 0}\n'
                '[engine]\nevents_logger = "file"\n')
    for name, content in (("containers.conf", settings), ("registries.conf", "")):
        with open(f"{folder}/{name}", "w", encoding="utf-8") as file:
            file.write(content)
    with open(f"{folder}/image.tar", "wb") as file:
        file.write(busybox_tar())
    runtime = test.binary
    if test.flags:
        runtime = f"{folder}/runsc-with-flags"
        with open(runtime, "w", encoding="utf-8") as file:
            file.write(f"#!/bin/sh\nexec {test.binary} {' '.join(test.flags)} \"$@\"\n")
        os.chmod(runtime, 0o755)
    command = ["env", f"CONTAINERS_CONF={folder}/containers.conf", f"CONTAINERS_REGISTRIES_CONF={folder}/registries.conf", "podman", "--root", f"{folder}/root",
               "--runroot", f"{folder}/run", "--tmpdir", f"{folder}/tmp", "--storage-driver", "vfs", "--cgroup-manager", "systemd", "--runtime", runtime]

    def pod(*arguments, **options):
        return test.machine.run(*command, *arguments, **options)

    imported = pod("import", f"{folder}/image.tar", IMAGE)
    if imported.returncode != 0:
        print(f"SKIPPED: podman: it does not work here: {imported}")
        return
    alone = ("--network", "none")
    ran = pod("run", "--rm", *alone, IMAGE, "sh", "-c", "echo out; exit 3")
    check(ran.returncode == 3 and ran.stdout == "out\n", "podman run", str(ran))
    limited = ("--memory", "64m", "--pids-limit", "50", "--cpus", "0.5") if test.is_v1 else ()
    started = pod("run", "-d", "--name", "back", *alone, *limited, IMAGE, "sh", "-c", "trap 'exit 7' TERM; while :; do sleep 0.1; done")
    if check(started.returncode == 0, "podman run -d", str(started)):
        unit = f"libpod-{started.stdout.strip()}.scope"
        shown = test.machine.show(unit, "ActiveState", "Slice", "MemoryLimit", "CPUQuotaPerSecUSec")
        check(shown.get("ActiveState") == "active" and shown.get("Slice") == "machine.slice", "its scope", str(shown))
        check(not test.is_v1 or (shown["MemoryLimit"] == str(64 * MIB) and shown["CPUQuotaPerSecUSec"] == "500ms"), "its limits", str(shown))
        ran = pod("exec", "back", "sh", "-c", "echo in; exit 6")
        check(ran.returncode == 6 and ran.stdout == "in\n", "podman exec", str(ran))
        check(pod("pause", "back").returncode == 0 and pod("unpause", "back").returncode == 0, "podman pause and unpause")
        stopped = pod("stop", "-t", "20", "back")
        check(stopped.returncode == 0 and test.gone(unit), "podman stop", str(stopped))
        check(pod("inspect", "-f", "{{.State.ExitCode}}", "back").stdout.strip() == "7", "it ended by itself")
        again = pod("start", "back")
        check(again.returncode == 0 and test.machine.has(unit), "podman start again: the same name", str(again))
        check(pod("rm", "-f", "-t", "0", "back").returncode == 0 and test.gone(unit), "podman rm")
    made = pod("pod", "create", "--name", "pod", "--infra=false")
    check(made.returncode == 0, "podman pod create", str(made))
    ran = pod("run", "--rm", "--pod", "pod", *alone, IMAGE, "echo", "podded")
    check(ran.stdout == "podded\n", "podman run --pod: its slice is in machine.slice", str(ran))
    check(pod("pod", "rm", "-f", "pod").returncode == 0, "podman pod rm")


def containerd(test):
    """As a service of systemd, with both shims; a restart of it does not concern containers."""
    if shutil.which("containerd") is None:
        print("SKIPPED: containerd: it is not installed")
        return
    if not test.is_v1 and "cpu" not in read(test.machine.group("", "cgroup.controllers")).split():
        print("SKIPPED: containerd: ctr sets shares of the CPUs, and version 2 has no controller for them here")
        return
    folder = f"{test.machine.folder}/containerd-{test.machine.mode}"
    os.makedirs(f"{folder}/bin")
    os.symlink(test.binary, f"{folder}/bin/containerd-shim-runsc-v1")
    rootfs = f"{test.bundle(['true'], '')}/rootfs"
    socket = f"{folder}/sock"
    for name, content in (("config.toml", f'version = 2\nroot = "{folder}/root"\nstate = "{folder}/state"\n'
                           f'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\n  address = "{socket}"\n'),
                          ("flags", "".join(f"{flag}\n" for flag in ("--systemd-cgroup", *test.flags)))):
        with open(f"{folder}/{name}", "w", encoding="utf-8") as file:
            file.write(content)
    started = test.machine.run("systemd-run", "--unit=engine-containerd", "-p", "KillMode=process", "-p", "Delegate=yes",
                               f"--setenv=PATH={folder}/bin:/usr/sbin:/usr/bin:/sbin:/bin", shutil.which("containerd"), "-c", f"{folder}/config.toml")

    def ctr(*arguments):
        return test.machine.run("ctr", "-a", socket, *arguments)

    def running(name):
        return [line.split()[2] for line in ctr("task", "ls").stdout.splitlines() if line.startswith(f"{name} ")]

    if not check(wait_until(lambda: ctr("version").returncode == 0, 60), "containerd", str(started)):
        return
    shims = (("stock", ("--runtime", "io.containerd.runc.v2", "--runc-binary", test.binary, "--runc-systemd-cgroup")),
             ("own", ("--runtime", "io.containerd.runsc.v1", "--runtime-config-path", f"{folder}/flags")))
    for name, shim in shims:
        unit = f"ctr-{name}.scope"
        made = ctr("run", "-d", *shim, "--cgroup", f"system.slice:ctr:{name}", "--rootfs", rootfs, name, "/bin/sleep", "300")
        check(made.returncode == 0 and test.machine.show(unit, "ActiveState") == {"ActiveState": "active"}, f"{name} shim: run", str(made))
        done = ctr("task", "exec", "--exec-id", "e1", name, "/bin/sh", "-c", "echo in; exit 4")
        check((done.returncode, done.stdout) == (4, "in\n"), f"{name} shim: exec", str(done))
        check(ctr("task", "metrics", name).returncode == 0, f"{name} shim: metrics")
        test.machine.run("systemctl", "restart", "engine-containerd")
        check(wait_until(lambda name=name: running(name) == ["RUNNING"], 30), f"{name} shim: goes on while containerd is restarted", str(running(name)))
        ctr("task", "kill", "-s", "KILL", name)
        wait_until(lambda name=name: running(name) in ([], ["STOPPED"]), 30)
        ctr("task", "rm", name)
        removed = ctr("container", "rm", name)
        check(removed.returncode == 0 and test.gone(unit), f"{name} shim: rm", f"{removed} {test.machine.find_groups(name)}")
    test.machine.run("systemctl", "stop", "engine-containerd")


PARTS = {"lifecycle": lifecycle, "places": places, "refusals": refusals, "limits": limits, "pods": pods, "ends": ends, "buses": buses, "rootless": rootless,
         "containerd": containerd, "podman": podman, "docker": systemd_engines.docker, "cri": systemd_engines.cri}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("runsc")
    parser.add_argument("--mode", default=",".join(MODES))
    parser.add_argument("--only", default=",".join(PARTS))
    parser.add_argument("--runtime", choices=["runsc"], default="runsc", help="for tools/test_engines.sh, which gives it to all")
    arguments, flags = engine_harness.parse(parser)
    why = systemd_machine.why_not()
    if why is not None:
        skip(why)
    adopt_orphans()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    folder = tempfile.mkdtemp(prefix="runsc-systemd-")
    os.chmod(folder, 0o755)
    tempfile.tempdir = folder
    binary = shutil.copy(os.path.abspath(arguments.runsc), f"{folder}/runsc")
    ran = 0
    try:
        for mode in arguments.mode.split(","):
            machine = Machine(folder, mode)
            if machine.why_not is not None:
                print(f"SKIPPED: {mode}: {machine.why_not}", flush=True)
                continue
            ran += 1
            try:
                test = Test(machine, binary, flags)
                for part in arguments.only.split(","):
                    print(f"--- {mode}: {part}", flush=True)
                    PARTS[part](test)
                left = test.box.run("list", "-q").stdout
                check(left == b"", f"{mode}: no container is left", str(left))
            finally:
                machine.close()
            check(not machine.groups, f"{mode}: no control group is left", str(machine.groups))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if ran == 0:
        skip("none of the machines could be started")
    finish()


if __name__ == "__main__":
    main()
