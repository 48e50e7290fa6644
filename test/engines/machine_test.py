#!/usr/bin/env python3
"""What needs another kernel than most hosts have: AppArmor, SELinux, and version 2 of control groups with all its
controllers. Debian's kernel is booted in QEMU (by software emulation, so that it needs no KVM) with a root of a few
files in its memory; what runsc does there is compared with what was asked for, and its limits with crun's.

  machine_test.py RUNSC [--only PART,PART...] [--kernel FILE] [-- RUNSC_FLAG...]

The kernel is the file given, or the newest of build/kernel (tools/test_engines.sh machine fetches one there)."""
import argparse
import glob
import json
import os
import re
import shutil
import subprocess
import tempfile

import engine_harness
from engine_harness import check, finish, skip

HERE = os.path.dirname(os.path.abspath(__file__))
PROFILES = """
profile usual flags=(attach_disconnected,mediate_deleted) {
  network, capability, file, umount,
  signal (receive) peer=unconfined,
  signal (send,receive) peer=usual,
  deny /proc/* w,
  deny mount,
  deny /sys/[^f]*/** wklx,
  ptrace (trace,read,tracedby,readby) peer=usual,
}
profile strict flags=(attach_disconnected,mediate_deleted) {
  network, file, signal,
  deny /{,rootfs/}secret r,
}
"""
INITIAL_SIDS = ("kernel security unlabeled fs file file_labels init any_socket port netif netmsg node igmp_packet icmp_socket tcp_socket sysctl_modprobe "
                "sysctl sysctl_fs sysctl_kernel sysctl_net sysctl_net_unix sysctl_vm sysctl_dev kmod policy scmp_packet devnull").split()
PERMISSIONS = ("fork transition sigchld sigkill sigstop signull signal ptrace getsched setsched getsession getpgid setpgid getcap setcap share getattr "
               "setexec setfscreate noatsecure siginh setrlimit rlimitinh dyntransition setcurrent execmem execstack execheap setkeycreate setsockcreate "
               "getrlimit")
LABEL = "system_u:system_r:container_t:s0:c1,c2"
MIB = 1 << 20
# As config.json has them; pids are the host's business in another number (several of its tasks are one of the guest's).
LIMITS = {
    "mem": {"memory": {"limit": 200 * MIB, "reservation": 100 * MIB, "swap": 300 * MIB}},
    "swap-unlimited": {"memory": {"limit": 200 * MIB, "swap": -1}},
    "swap-none": {"memory": {"limit": 200 * MIB, "swap": 200 * MIB}},
    "mem-unlimited": {"memory": {"limit": -1}},
    "reservation": {"memory": {"reservation": -1}},
    **{f"shares-{shares}": {"cpu": {"shares": shares}} for shares in (0, 2, 3, 512, 1024, 4096, 262144)},
    "quota": {"cpu": {"quota": 50000, "period": 100000}},
    "quota-alone": {"cpu": {"quota": 50000}},
    "period-alone": {"cpu": {"period": 50000}},
    "quota-none": {"cpu": {"quota": -1, "period": 50000}},
    "idle": {"cpu": {"idle": 1}},
    "cpuset": {"cpu": {"cpus": "0", "mems": "0"}},
    "pids-none": {"pids": {"limit": -1}},
    **{f"io-{weight}": {"blockIO": {"weight": weight}} for weight in (10, 500, 1000)},
    "hugepages": {"hugepageLimits": [{"pageSize": "2MB", "limit": 4 * MIB}]},
    "unified": {"unified": {"memory.high": "150M", "cpu.weight": "77", "memory.max": "200M"}},
}
BURST = {"cpu": {"quota": 50000, "period": 100000, "burst": 10000}}  # Debian's crun does not know it
REFUSED = {
    "swap-alone": ({"memory": {"swap": 200 * MIB}}, "memory.swap"),
    "kernel": ({"memory": {"kernel": 100 * MIB}}, "memory.kernel"),
    "swappiness": ({"memory": {"swappiness": 10}}, "memory.swappiness"),
    "oom-killer": ({"memory": {"disableOOMKiller": True}}, "memory.disableOOMKiller"),
    "realtime": ({"cpu": {"realtimeRuntime": 1000}}, "cpu.realtimeRuntime"),
    "leaf": ({"blockIO": {"leafWeight": 500}}, "blockIO.leafWeight"),
    "net": ({"network": {"classID": 5}}, "network"),
    "unknown": ({"unified": {"nosuch.file": "1"}}, "unified"),
}
INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
if [ ! -e /second ]; then
  # Not the initial ramfs, which crun cannot leave.
  mkdir /new && mount -t tmpfs -o size=600m tmpfs /new
  for name in bin lib lib64 etc bundles rootfs init run.sh; do cp -a /$name /new/; done
  cd /new && mkdir proc sys dev tmp run && touch second && umount /proc && exec switch_root /new /init
fi
mount -t sysfs sysfs /sys; mount -t devtmpfs dev /dev; mount -t tmpfs tmpfs /run
mkdir -p /dev/shm /dev/pts; mount -t devpts devpts /dev/pts
mount -t securityfs securityfs /sys/kernel/security; mount -t cgroup2 cgroup2 /sys/fs/cgroup
ip link set lo up
sh /run.sh 2>&1
echo MACHINE ENDS
poweroff -f
"""
APPARMOR = """
apparmor_parser -r -K /etc/profiles || echo no profiles
for bundle in usual strict nosuch unconfined plain; do
  echo "== $bundle"; RUNSC run -b /bundles/$bundle c; echo "code $?"
done
RUNSC run -d -b /bundles/sleeper s; echo "== running $?"
for process in /proc/[0-9]*; do
  case $(cat $process/comm 2>/dev/null) in runsc*) echo "$(cat $process/comm) $(cat $process/attr/current)";; esac
done
for profile in usual strict unconfined; do echo "== exec $profile"; RUNSC exec --apparmor $profile s true; echo "code $?"; done
RUNSC delete -f s; echo "== denied"; dmesg | grep 'apparmor="DENIED"' | grep -v strict
"""
SELINUX = """
mount -t selinuxfs selinuxfs /sys/fs/selinux; dd if=/etc/policy of=/sys/fs/selinux/load bs=1M 2>/dev/null
echo 1 > /sys/fs/selinux/enforce; echo "enforce $(cat /sys/fs/selinux/enforce)"
for bundle in labelled other nolabel plain; do
  echo "== $bundle"; RUNSC run -b /bundles/$bundle c; echo "code $?"
done
RUNSC run -d -b /bundles/sleeper s; echo "== running $?"
for process in /proc/[0-9]*; do
  case $(cat $process/comm 2>/dev/null) in runsc*) echo "$(cat $process/comm) $(tr '\\000' '\\n' < $process/attr/current)";; esac
done
for label in LABEL system_u:system_r:other_t:s0; do echo "== exec $label"; RUNSC exec --process-label $label s true; echo "code $?"; done
RUNSC delete -f s
"""
LIMITS_SCRIPT = """
mkdir /sys/fs/cgroup/limits
for bundle in /bundles/*; do
  name=${bundle##*/}
  for runtime in crun runsc; do
    echo "== $name $runtime"
    command=runsc; [ $runtime = runsc ] && command='RUNSC' || command="crun --root /run/crun"
    $command run -d -b $bundle c > /tmp/said 2>&1; echo "code $?"; cat /tmp/said
    for file in memory.max memory.low memory.high memory.swap.max cpu.weight cpu.max cpu.max.burst cpu.idle cpuset.cpus cpuset.mems pids.max io.weight \\
        hugetlb.2MB.max; do
      [ -e /sys/fs/cgroup/limits/$name/$file ] && echo "$file=$(cat /sys/fs/cgroup/limits/$name/$file)"
    done
    $command delete -f c > /dev/null 2>&1
    [ -e /sys/fs/cgroup/limits/$name ] && { echo left; rmdir /sys/fs/cgroup/limits/$name; }
  done
done
"""


class Root:
    """The files of a machine, packed for the kernel (cpio, "newc")."""

    def __init__(self, folder):
        self.folder = folder
        for name in ("bin", "lib", "lib64", "etc", "bundles", "rootfs/bin", "rootfs/proc", "rootfs/dev", "proc"):
            os.makedirs(f"{folder}/{name}")
        self.add_program("busybox")
        shutil.copy(shutil.which("busybox"), f"{folder}/rootfs/bin")
        for name in ("sh", "true", "sleep", "cat", "touch", "ls"):
            os.symlink("busybox", f"{folder}/rootfs/bin/{name}")
        self.write("rootfs/secret", "secret\n")
        self.write("init", INIT, 0o755)

    def write(self, name, text, mode=0o644):
        with open(f"{self.folder}/{name}", "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(f"{self.folder}/{name}", mode)

    def add_program(self, path, name=None):
        path = shutil.which(path) or path
        shutil.copy(path, f"{self.folder}/bin/{name or os.path.basename(path)}")
        for library in re.findall(r"(/\S+) \(0x", subprocess.run(["ldd", path], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False).stdout):
            place = "lib64" if "/ld-linux" in library else "lib"
            shutil.copy(os.path.realpath(library), f"{self.folder}/{place}/{os.path.basename(library)}")

    def add_bundle(self, name, args, resources=None, **process):
        os.mkdir(f"{self.folder}/bundles/{name}")
        linux = {"namespaces": [{"type": kind} for kind in ("pid", "mount", "ipc", "uts", "network")], "cgroupsPath": f"/limits/{name}"}
        if resources:
            linux["resources"] = resources
        document = {"ociVersion": "1.0.2", "root": {"path": "/rootfs"}, "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}],
                    "process": {"user": {"uid": 0, "gid": 0}, "args": args, "env": ["PATH=/bin"], "cwd": "/", "noNewPrivileges": True, **process},
                    "linux": linux}
        self.write(f"bundles/{name}/config.json", json.dumps(document))

    def pack(self, path):
        with open(path, "wb") as out:
            def entry(name, mode, content):
                fields = (0, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name) + 1, 0)
                head = b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0"
                out.write(head + b"\0" * (-len(head) % 4) + content + b"\0" * (-len(content) % 4))
            for folder, folders, files in os.walk(self.folder):
                for name in folders + files:
                    full = os.path.join(folder, name)
                    status = os.lstat(full)
                    content = b""
                    if os.path.islink(full):
                        content = os.readlink(full).encode()
                    elif os.path.isfile(full):
                        with open(full, "rb") as file:
                            content = file.read()
                    entry(os.path.relpath(full, self.folder), status.st_mode, content)
            entry("TRAILER!!!", 0, b"")


class Machines:
    def __init__(self, folder, binary, flags, kernel):
        self.folder, self.binary, self.kernel = folder, binary, kernel
        self.command = " ".join(["runsc", *flags])
        self.count = 0

    def root(self):
        self.count += 1
        root = Root(f"{self.folder}/root{self.count}")
        root.add_program(self.binary, "runsc")
        return root

    def boot(self, root, script, *parameters):
        """{heading: lines} of what the script says; lines before the first heading are those of ""."""
        root.write("run.sh", script.replace("RUNSC", self.command).replace("LABEL", LABEL))
        image = f"{root.folder}.cpio"
        root.pack(image)
        # QEMU 7.2 emulates an iret of user mode as if it were the kernel's, which SMAP forbids.
        done = engine_harness.run(
            ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max,la57=off,smap=off", "-m", "1536", "-smp", "2", "-display", "none", "-nodefaults",
             "-serial", "stdio", "-no-reboot", "-kernel", self.kernel, "-initrd", image, "-append", " ".join(("console=ttyS0 panic=-1 quiet no_timer_check", *parameters))],
            timeout=420)
        text = done.stdout.replace("\r", "")
        if "MACHINE ENDS" not in text:
            raise RuntimeError(f"the machine did not do all it was asked for: {done.stderr[-500:]} {text[-1500:]}")
        found, lines = {"": []}, None
        for line in text.split("\n"):
            if line.startswith("== "):
                lines = found.setdefault(line[3:], [])
            elif not line.startswith("["):
                (found[""] if lines is None else lines).append(line)
        return found


def labels(machine, found, kind, own, none, other):
    """What is the same for both."""
    for name in (own, "plain"):
        check("code 0" in found.get(name, ()) and any("f" in line.split() for line in found[name]), f"{kind}: a container, {name}", found.get(name))
    refused = "\n".join(found.get(none, ()))
    check("code 1" in refused and refused.count("level=error") == 1 and f"unable to apply {kind.lower()}" in refused, f"{kind}: one that is not there", refused)
    running = next((lines for name, lines in found.items() if name.startswith("running")), [])
    for process in ("runsc-sentry", "runsc-gofer"):
        own_lines = [line for line in running if line.startswith(process)]
        check(own_lines and all(machine in line for line in own_lines), f"{kind}: of each {process}", running)
    check("code 0" in found.get(f"exec {machine}", ()), f"{kind}: exec with the container's", found.get(f"exec {machine}"))
    check("code 255" in found.get(f"exec {other}", ()), f"{kind}: exec with another one", found.get(f"exec {other}"))


def apparmor(machines):
    root = machines.root()
    root.add_program("apparmor_parser")
    root.write("etc/profiles", PROFILES)
    for name in ("usual", "strict", "nosuch", "unconfined"):
        root.add_bundle(name, ["sh", "-c", "touch /f; ls /; cat /secret"], apparmorProfile=name)
    root.add_bundle("plain", ["sh", "-c", "touch /f; ls /"])
    root.add_bundle("sleeper", ["sleep", "1000"], apparmorProfile="usual")
    found = machines.boot(root, APPARMOR, "apparmor=1 security=apparmor")
    labels("usual (enforce)", {**found, "exec usual (enforce)": found.get("exec usual", [])}, "AppArmor", "usual", "nosuch", "strict")
    check("secret" in found.get("usual", ()), "AppArmor: the usual profile lets it read", found.get("usual"))
    strict = "\n".join(found.get("strict", ()))
    check("code 0" not in strict and "secret: Permission denied" in strict, "AppArmor: a strict one does not", strict)
    check("code 0" in found.get("unconfined", ()), "AppArmor: none by name", found.get("unconfined"))
    warned = "\n".join(found.get("exec unconfined", ()))
    check("code 0" in warned and "level=warning" in warned, "AppArmor: exec with none", warned)
    denied = [line for line in found.get("denied", ()) if "DENIED" in line]
    check(not denied, "AppArmor: the usual profile lets Sentry and Gofer do what they do", denied)


def selinux(machines):
    root = machines.root()
    source, policy = f"{root.folder}.conf", f"{root.folder}/etc/policy"
    with open(source, "w", encoding="ascii") as file:
        file.write("class process\nclass security\n" + "".join(f"sid {sid}\n" for sid in INITIAL_SIDS) +
                   f"class process {{ {PERMISSIONS} }}\nclass security {{ compute_av }}\nsensitivity s0;\ndominance {{ s0 }}\n"
                   "category c0;\ncategory c1;\ncategory c2;\nlevel s0:c0.c2;\nmlsconstrain process { ptrace } ( h1 dom h2 );\n"
                   "type kernel_t;\ntype container_t;\ntype other_t;\nrole system_r;\nrole system_r types { kernel_t container_t other_t };\n"
                   "allow kernel_t kernel_t:process *;\nallow kernel_t container_t:process *;\nallow container_t container_t:process { fork sigchld sigkill "
                   "sigstop signull signal ptrace getsched setsched share getattr setrlimit rlimitinh execmem execstack execheap getcap setcap getrlimit };\n"
                   "allow container_t kernel_t:process { sigchld signull };\nuser system_u roles { system_r } level s0 range s0 - s0:c0.c2;\n" +
                   "".join(f"sid {sid} system_u:system_r:kernel_t:s0 - s0:c0.c2\n" for sid in INITIAL_SIDS))
    made = engine_harness.run(["checkpolicy", "-M", "-U", "allow", "-c", "33", "-o", policy, source])
    if not check(made.returncode == 0, "checkpolicy", made):
        return
    for name, label in (("labelled", LABEL), ("other", "system_u:system_r:other_t:s0"), ("nolabel", "no:label")):
        root.add_bundle(name, ["sh", "-c", "touch /f; ls /"], selinuxLabel=label)
    root.add_bundle("plain", ["sh", "-c", "touch /f; ls /"])
    root.add_bundle("sleeper", ["sleep", "1000"], selinuxLabel=LABEL)
    found = machines.boot(root, SELINUX, "selinux=1 security=selinux")
    check("enforce 1" in found[""], "SELinux enforces", found[""])
    labels(LABEL, found, "SELinux", "labelled", "nolabel", "system_u:system_r:other_t:s0")
    check("code 1" in found.get("other", ()), "SELinux: a type that we may not become", found.get("other"))


def limits(machines):
    root = machines.root()
    root.add_program("crun")
    for name, resources in {**LIMITS, **{name: resources for name, (resources, _) in REFUSED.items()}}.items():
        root.add_bundle(name, ["sleep", "1000"], resources)
    root.add_bundle("burst", ["sleep", "1000"], BURST)
    found = machines.boot(root, LIMITS_SCRIPT)
    for name in LIMITS:
        theirs, ours = found.get(f"{name} crun", []), found.get(f"{name} runsc", [])
        check("code 0" in theirs and ours == theirs, f"limits: {name}: as crun sets them", f"{ours}, not {theirs}")
    check("cpu.max.burst=10000" in found.get("burst runsc", []), "limits: burst", found.get("burst runsc"))
    for name, (_, field) in REFUSED.items():
        ours = "\n".join(found.get(f"{name} runsc", []))
        check("code 1" in ours and f"linux.resources.{field}" in ours and "left" not in ours, f"limits: {name} is refused", ours)


PARTS = {"apparmor": (apparmor, ("apparmor_parser",)), "selinux": (selinux, ("checkpolicy",)), "limits": (limits, ("crun",))}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("runsc")
    parser.add_argument("--only", default=",".join(PARTS))
    parser.add_argument("--kernel")
    parser.add_argument("--runtime", choices=["runsc"], default="runsc", help="for tools/test_engines.sh, which gives it to all")
    arguments, flags = engine_harness.parse(parser)
    kernels = sorted(glob.glob(os.path.join(HERE, "..", "..", "build", "kernel", "boot", "vmlinuz-*")))
    kernel = arguments.kernel or (kernels[-1] if kernels else None)
    for program in ("qemu-system-x86_64", "busybox"):
        if shutil.which(program) is None:
            skip(f"{program} is not installed")
    if kernel is None:
        skip("there is no kernel for it: tools/test_engines.sh machine fetches one")
    folder = tempfile.mkdtemp(prefix="runsc-machine-")
    try:
        machines = Machines(folder, os.path.abspath(arguments.runsc), flags, kernel)
        for part in arguments.only.split(","):
            run, needs = PARTS[part]
            missing = [program for program in needs if shutil.which(program) is None]
            print(f"SKIPPED: {part}: {missing[0]} is not installed" if missing else f"--- {part}", flush=True)
            if not missing:
                try:
                    run(machines)
                except RuntimeError as error:
                    check(False, part, error)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    finish()


if __name__ == "__main__":
    main()
