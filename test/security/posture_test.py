#!/usr/bin/env python3
"""What the processes of a sandbox may still do, as the host's /proc tells it: namespaces,
capabilities, filters, open files, root directories. Prints a table.

posture_test.py RUNSC [FOLDER OF THE GENERATED FILTERS]"""
import os
import re
import stat
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "runsc"))
from sandbox_harness import Processes, Runsc, check, end, finish, skip  # noqa: E402

NAMESPACES = ["user", "pid", "net", "mnt", "ipc", "uts"]
CAPABILITIES = ["CapPrm", "CapEff", "CapBnd", "CapAmb"]
CHOWN, DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER, FSETID = (1 << bit for bit in range(5))
READING = DAC_OVERRIDE | DAC_READ_SEARCH
WRITING = READING | CHOWN | FOWNER | FSETID
O_PATH = 0o10000000
# A policy may shrink; growing one is a decision, made here too.
MOST_CALLS = {"SentryPtrace": 50, "SentryPtraceHostSockets": 59, "SentrySystrap": 50, "SentrySystrapHostSockets": 59,
              "Gofer": 44, "GoferConnect": 46}


def status(pid, task):
    with open(f"/proc/{pid}/task/{task}/status", encoding="ascii", errors="replace") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def namespace(pid, name):
    return os.readlink(f"/proc/{pid}/ns/{name}")


def open_files(pid):
    """[(fd, target, flags, mode)]"""
    files = []
    for fd in sorted(os.listdir(f"/proc/{pid}/fd"), key=int):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{fd}").removesuffix(" (deleted)")
            with open(f"/proc/{pid}/fdinfo/{fd}", encoding="ascii") as file:
                flags = int(re.search(r"flags:\s*(\d+)", file.read()).group(1), 8)
            mode = os.stat(f"/proc/{pid}/fd/{fd}").st_mode
        except FileNotFoundError:
            continue
        files.append((int(fd), target, flags, mode))
    return files


def check_tasks(role, pid, capabilities):
    for task in os.listdir(f"/proc/{pid}/task"):
        fields = status(pid, task)
        who = f"{role} {pid}, thread {task}"
        for name in CAPABILITIES:
            held = int(fields[name], 16)
            allowed = 0 if name == "CapAmb" else capabilities
            check(held & ~allowed == 0, f"{who}: {name}", f"{held:#x} beyond {allowed:#x}")
        check(fields["NoNewPrivs"].strip() == "1", f"{who}: NoNewPrivs", fields["NoNewPrivs"])
        check(fields["Seccomp"].strip() == "2", f"{who}: Seccomp", fields["Seccomp"])


def check_namespaces(role, pid, names):
    for name in names:
        check(namespace(pid, name) != namespace("self", name), f"{role}: own {name} namespace")


def check_empty_root(role, pid):
    root = f"/proc/{pid}/root/"
    check(os.listdir(root) == [], f"{role}: the root directory is empty", str(os.listdir(root)[:5]))
    check(os.statvfs(root).f_flag & os.ST_RDONLY, f"{role}: the root directory is read-only")
    with open(f"/proc/{pid}/mountinfo", encoding="utf-8") as file:
        mounted = file.readlines()
    check(len(mounted) == 1, f"{role}: nothing is mounted but the root", "".join(mounted[:5]))


def check_sentry_files(role, pid, stdio):
    """Standard streams, the memfds, the guest's memory, two sockets and two more to ask the network, an eventfd,
    pidfds and their epoll, /proc/net, donated read-only files."""
    sockets = memory_files = 0
    for fd, target, flags, mode in open_files(pid):
        what = f"{role}: fd {fd} -> {target}"
        if fd < 3:
            check(target in stdio, what, "not the caller's stream")
        elif target.startswith("/memfd:"):
            check(target in ("/memfd:stub", "/memfd:runsc-memory"), what, "unknown memfd")
        elif re.fullmatch(r"/#\d+", target):
            memory_files += 1
            kind = subprocess.run(["stat", "-L", "-f", "-c", "%T", f"/proc/{pid}/fd/{fd}"],
                                  check=False, capture_output=True, text=True).stdout.strip()
            check(kind == "tmpfs", what, f"a nameless file of {kind}")
            check(os.stat(f"/proc/{pid}/fd/{fd}").st_nlink == 0, what, "the guest's memory has a name")
        elif target.startswith("socket:"):
            sockets += 1
        elif target.startswith("anon_inode:"):
            check(target in ("anon_inode:[eventfd]", "anon_inode:[timerfd]", "anon_inode:[signalfd]",
                             "anon_inode:[pidfd]", "anon_inode:[eventpoll]"), what, "unexpected")
        else:
            check(stat.S_ISREG(mode), what, f"a donated file is of mode {mode:o}")
            check(flags & os.O_ACCMODE == os.O_RDONLY, what, f"donated with flags {flags:o}")
            check(not flags & O_PATH, what, "a handle of a path")
    check(memory_files <= 1, f"{role}: nameless files", f"{memory_files}, not only the guest's memory")
    check(sockets <= 4, f"{role}: sockets", f"{sockets}, not the Gofer's, the caller's, rtnetlink's and netdevice's")


def check_gofer_files(pid, stderr):
    sockets = 0
    for fd, target, flags, _ in open_files(pid):
        what = f"gofer: fd {fd} -> {target}"
        if target.startswith("socket:"):
            sockets += 1
        elif target != stderr:
            check(flags & O_PATH, what, f"flags {flags:o}, not O_PATH")
    check(sockets == 1, "gofer: sockets", str(sockets))


# Classic BPF, as far as seccomp filters use it: opcodes and the two fixed offsets.
LOAD, NR, ARCH = 0x20, 0, 4
ALLOW, X86_64 = 0x7FFF0000, 0xC000003E
JUMPS = {0x15: lambda a, k: a == k, 0x25: lambda a, k: a > k, 0x35: lambda a, k: a >= k,
         0x45: lambda a, k: a & k != 0}


def may_be_allowed(program, number):
    """Whether some arguments make the filter allow the system call `number`."""
    known = {NR: number, ARCH: X86_64}
    todo, seen = [(0, None)], set()
    while todo:
        at, value = todo.pop()
        if (at, value) in seen:
            continue
        seen.add((at, value))
        code, yes, no, k = program[at]
        if code == 0x06:
            if k == ALLOW:
                return True
        elif code == LOAD:
            todo.append((at + 1, known.get(k)))
        elif code == 0x05:
            todo.append((at + 1 + k, value))
        elif code in JUMPS:
            outcomes = (True, False) if value is None else (JUMPS[code](value, k),)
            todo += [(at + 1 + (yes if outcome else no), value) for outcome in outcomes]
        else:
            todo.append((at + 1, None))
    return False


def print_policies(folder):
    print("\npolicy                       system calls   instructions")
    for header in ("sentry_filters.h", "gofer_filters.h"):
        try:
            with open(os.path.join(folder, header), encoding="ascii") as file:
                text = file.read()
        except FileNotFoundError:
            continue
        for name, body in re.findall(r"k(\w+)Filter\[\] = \{(.*?)\n\};", text, re.S):
            program = [tuple(int(word, 0) for word in row.split(","))
                       for row in re.findall(r"\{(0x[^}]*)\}", body)]
            calls = sum(may_be_allowed(program, number) for number in range(512))
            print(f"{name:<28} {calls:>12}   {len(program):>12}")
            check(0 < calls, f"{name}: the filter can be read")
            if name in MOST_CALLS:
                most = MOST_CALLS[name]
                check(calls <= most, f"{name}: at most {most} system calls", str(calls))


def row(role, pid):
    fields = status(pid, pid)
    own = [name for name in NAMESPACES if namespace(pid, name) != namespace("self", name)]
    uid = fields["Uid"].split()[1]
    print(f"{role:<8} {pid:<8} {uid:<6} {fields['CapEff'].lstrip('0') or '0':<6} "
          f"{fields['CapBnd'].lstrip('0') or '0':<6} {fields['NoNewPrivs']:<6} {fields['Seccomp']:<8} "
          f"{len(os.listdir(f'/proc/{pid}/task')):<8} {len(os.listdir(f'/proc/{pid}/fd')):<4} "
          f"{' '.join(own)}")


def settled(pid):
    """The processes, once the guest has stopped making and ending them."""
    last, since = Processes(pid), time.monotonic()
    while time.monotonic() - since < 0.2:
        time.sleep(0.02)
        found = Processes(pid)
        if found.all() != last.all():
            last, since = found, time.monotonic()
    return last


def check_sandbox(runsc, flags, gofer_capabilities, namespaces):
    with open(runsc.path("stderr"), "wb") as stderr:
        process = runsc.start_guest("sleep 60 & wait", *flags, stderr=stderr)
    try:
        found = settled(process.pid)
        if not check(found.sentry and found.gofer and len(found.stubs) >= 2, "all processes are found",
                     str(vars(found))):
            return
        print(f"\nrunsc do {' '.join(flags)}\nprocess  pid      uid    CapEff CapBnd NoNew  Seccomp  "
              "threads  fds  namespaces of its own")
        row("sentry", found.sentry)
        row("gofer", found.gofer)
        for stub in found.stubs:
            row("stub", stub)
        stdio = [os.readlink(f"/proc/{process.pid}/fd/{fd}") for fd in range(3)]
        for role, pid in [("sentry", found.sentry), *(("stub", stub) for stub in found.stubs)]:
            check_tasks(role, pid, 0)
            check_namespaces(role, pid, namespaces)
            check_empty_root(role, pid)
            check_sentry_files(role, pid, stdio)
            uids = status(pid, pid)["Uid"].split()
            check(uids == ["65534"] * 4, f"{role}: runs as nobody", str(uids))
        check_tasks("gofer", found.gofer, gofer_capabilities)
        check_namespaces("gofer", found.gofer, namespaces)
        check_empty_root("gofer", found.gofer)
        check_gofer_files(found.gofer, stdio[2])
    finally:
        end(process)


def main():
    if os.geteuid() != 0:
        skip("only root may look at a process that is not dumpable")
    runsc = Runsc(sys.argv[1])
    try:
        runsc.require()
        can_unshare = subprocess.run(["unshare", "-U", "true"], check=False, capture_output=True).returncode == 0
        namespaces = NAMESPACES if can_unshare else NAMESPACES[1:]
        os.mkdir(runsc.path("volume"))
        for platform in ("--platform=ptrace", "--platform=systrap"):
            check_sandbox(runsc, [platform], READING, namespaces)
            check_sandbox(runsc, [platform, f"--volume={runsc.path('volume')}:/mnt"], WRITING, namespaces)
        if len(sys.argv) > 2:
            print_policies(sys.argv[2])
    finally:
        runsc.close()
    finish()


main()
