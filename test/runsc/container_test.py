"""runsc's OCI commands on bundles: the life of containers, their files, processes, terminals, hooks, what is
refused, and what is left when something of it is killed."""
import fcntl
import json
import os
import signal

import struct
import subprocess
import sys
import termios
import threading

import container_harness
from container_harness import Containers, ConsoleSocket, read_until
from sandbox_harness import (adopt_orphans, alive, check, descendants, finish, identity, reap, skip, wait_until)


def lifecycle(box):
    bundle = box.bundle(["sh", "-c", "echo out; echo err >&2; read line; exit 7"])
    pid_file = box.path("pid")
    reader, writer = os.pipe()
    created = box.create("life", bundle, "--pid-file", pid_file, stdin=reader)
    os.close(reader)
    check(created.returncode == 0, "create", box.output("life"))
    state = box.state("life")
    with open(pid_file, encoding="ascii") as file:
        pid = int(file.read())
    check(state["status"] == "created" and state["pid"] == pid and state["bundle"] == bundle, "state", state)
    with open(f"/proc/{pid}/comm", encoding="ascii") as file:
        check(file.read() == "runsc-monitor\n", "the pid is the monitor's")
    check(box.output("life") == b"", "nothing runs before start")
    again = box.run("create", "--bundle", bundle, "life")
    check(again.returncode != 0 and box.status("life") == "created", "an id is taken once")
    check(box.run("delete", "nosuch").returncode == 1, "delete of no container fails")
    check(box.run("delete", "--force", "nosuch").returncode == 0, "delete --force of no container does not")
    check(box.run("start", "life").returncode == 0, "start")
    check(box.status("life") == "running", "it is running")
    check(box.run("start", "life").returncode == 1, "it starts once")
    check(box.run("delete", "life").returncode == 1, "a running container is not deleted")
    check(wait_until(lambda: box.output("life").count(b"\n") == 2, 30), "its output", box.output("life"))
    os.write(writer, b"go\n")
    os.close(writer)
    waited = box.run("wait", "life")
    check(json.loads(waited.stdout)["exitStatus"] == 7, "wait", waited.stdout)
    _, status = os.waitpid(pid, 0)
    check(os.waitstatus_to_exitcode(status) == 7, "the monitor's exit code", status)
    check(box.status("life") == "stopped" and box.state("life")["pid"] == 0, "it is stopped")
    check(box.run("kill", "life").returncode == 1, "a stopped container takes no signal")
    check(box.run("exec", "life", "true").returncode == 255, "nor a process")
    check(box.run("delete", "life").returncode == 0, "delete")
    check(box.state("life") is None and os.listdir(box.root) == [], "nothing is left")


def exit_codes(box):
    for script, code in (("exit 0", 0), ("exit 42", 42), ("kill -9 $$; exit 1", 137)):
        # A signal of its own does not end a PID namespace's first process.
        bundle = box.bundle(["sh", "-c", 'sh -c "$0"; exit $?', script])
        result = box.run("run", "--bundle", bundle, "codes")
        check(result.returncode == code, f"run: {script}", (result.returncode, result.stderr))
    bundle = box.bundle(["nosuch"])
    result = box.run("run", "--bundle", bundle, "codes")
    check(result.returncode == 1 and b"executable file not found in $PATH" in result.stderr, "no such program",
          result.stderr)
    bundle = box.bundle(["/etc/passwd"])
    result = box.run("run", "--bundle", bundle, "codes")
    check(result.returncode == 1 and b"permission denied" in result.stderr, "no program", result.stderr)
    bundle = box.bundle(["/bin/nosuch"])
    result = box.run("run", "--bundle", bundle, "codes")
    check(result.returncode == 1 and b"no such file or directory" in result.stderr, "no such file",
          result.stderr)
    check(os.listdir(box.root) == [], "nothing is left of what did not start")


def signals(box):
    bundle = box.bundle(["sh", "-c", "trap 'echo got; exit 3' TERM; echo up; while :; do sleep 0.05; done"])
    for how in ("TERM", "SIGTERM", "15", None):
        box.create("sig", bundle)
        box.run("start", "sig")
        check(wait_until(lambda: b"up" in box.output("sig"), 30), "it runs")
        pid = box.state("sig")["pid"]
        if how is None:
            os.kill(pid, signal.SIGTERM)
        else:
            check(box.run("kill", "sig", how).returncode == 0, f"kill {how}")
        check(box.wait_stopped("sig") and b"got" in box.output("sig"), f"{how} arrives")
        _, status = os.waitpid(pid, 0)
        check(os.waitstatus_to_exitcode(status) == 3, "its exit code")
        box.run("delete", "sig")
    bundle = box.bundle(["sleep", "1000"])
    box.create("sig", bundle)
    box.run("start", "sig")
    check(box.run("kill", "sig", "NOSUCH").returncode == 1, "no such signal")
    # As on Linux: what the first process has no handler for does not reach it.
    check(box.run("kill", "sig", "TERM").returncode == 0 and box.status("sig") == "running",
          "a first process ignores SIGTERM")
    check(box.run("kill", "--all", "sig", "KILL").returncode == 0 and box.wait_stopped("sig"), "SIGKILL for all")
    waited = box.run("wait", "sig")
    check(json.loads(waited.stdout)["exitStatus"] == 137, "137", waited.stdout)
    box.run("delete", "sig")
    box.create("sig", bundle)
    check(box.run("kill", "sig", "KILL").returncode == 0 and box.wait_stopped("sig"), "before it was started")
    check(box.run("delete", "sig").returncode == 0, "and it is deleted")
    box.create("sig", bundle)
    check(box.run("delete", "sig").returncode == 0 and os.listdir(box.root) == [], "a created one is deleted")


def execs(box):
    bundle = box.bundle(["sleep", "1000"])
    box.create("ex", bundle)
    box.run("start", "ex")
    result = box.run("exec", "ex", "sh", "-c", "echo $HOME $0; pwd; exit 5", "zero")
    check(result.returncode == 5 and result.stdout == b"/root zero\n/\n", "exec", result)
    result = box.run("exec", "--user", "1000:1001", "--additional-gids", "7", "--cwd", "/etc", "--env", "A=b", "ex",
                     "sh", "-c", "id -u; id -g; id -G; pwd; echo $A $HOME")
    check(result.stdout == b"1000\n1001\n1001 7\n/etc\nb /home/user\n", "its user, directory, environment", result)
    result = box.run("exec", "--cap", "CAP_SYS_ADMIN", "ex", "sh", "-c", "grep CapEff /proc/self/status")
    check(int(result.stdout.split()[1], 16) == 1 << 21 | 1 << 5 | 1 << 10 | 1, "its capabilities", result)
    result = box.run("exec", "ex", "sh", "-c", "grep -E 'NoNewPrivs|PPid' /proc/$$/status")
    check(result.stdout == b"PPid:\t0\nNoNewPrivs:\t1\n", "no new privileges, no parent", result)
    result = box.run("exec", "ex", "nosuch")
    check(result.returncode == 255 and b"executable file not found" in result.stderr, "no such program", result)
    result = box.run("exec", "ex", "cat", input=b"through", stdin=None)
    check(result.stdout == b"through", "its stdin", result)
    document = container_harness.config(["sh", "-c", "id -u; exit 9"])["process"]
    document["user"] = {"uid": 5, "gid": 6}
    with open(box.path("process.json"), "w", encoding="utf-8") as file:
        json.dump(document, file)
    result = box.run("exec", "--process", box.path("process.json"), "ex")
    check(result.returncode == 9 and result.stdout == b"5\n", "--process", result)

    pid_file = box.path("exec.pid")
    result = box.run("exec", "--detach", "--pid-file", pid_file, "ex", "sh", "-c", "sleep 1000; exit 1",
                     stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with open(pid_file, encoding="ascii") as file:
        pid = int(file.read())
    check(result.returncode == 0 and alive(identity(pid)), "detached")
    listed = box.run("ps", "ex").stdout
    check(listed.count(b"sleep 1000") == 3 and listed.startswith(b"UID"), "ps", listed)
    pids = json.loads(box.run("ps", "--format", "json", "ex").stdout)
    monitor = json.loads(box.run("state", "ex").stdout)["pid"]
    check(pids == [monitor, pid], "ps as JSON: of the host, one for the container and one for exec", pids)
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        check(file.read().startswith(b"sh\0-c\0sleep 1000"), "ps(1) of the host shows the guest's command")
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    check(wait_until(lambda: b"sh -c" not in box.run("ps", "ex").stdout, 30), "killed with its keeper")
    process = box.start("exec", "ex", "sh", "-c", "trap 'exit 4' TERM; echo up; while :; do sleep 0.05; done")
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    check(process.wait(30) == 4, "its signals")
    process = box.start("exec", "ex", "sh", "-c", "echo up; sleep 1000")
    process.stdout.readline()
    box.run("kill", "ex", "KILL")
    check(process.wait(30) == 137, "it ends with the container")
    for stream in (process.stdout, process.stderr):
        stream.close()
    box.wait_stopped("ex")
    check(box.run("delete", "ex").returncode == 0, "deleted")


def pausing(box):
    bundle = box.bundle(["sh", "-c", "i=0; while :; do i=$((i+1)); echo $i > /count; done"])
    box.create("pause", bundle)
    box.run("start", "pause")
    count = f"{bundle}/rootfs/count"

    def read():
        try:
            with open(count, encoding="ascii") as file:
                return file.read()
        except OSError:
            return ""
    check(wait_until(lambda: read() != "", 30), "it counts")
    check(box.run("pause", "pause").returncode == 0 and box.status("pause") == "paused", "pause")
    check(box.run("exec", "pause", "true").returncode == 255, "no exec in a paused container")
    stopped = box.run("ps", "pause")
    before = read()
    check(stopped.returncode == 0 and box.run("ps", "pause").returncode == 0 and read() == before, "nothing runs")
    check(box.run("resume", "pause").returncode == 0 and box.status("pause") == "running", "resume")
    check(wait_until(lambda: read() not in ("", before), 30), "it counts on")
    stats = json.loads(box.run("events", "--stats", "pause").stdout)
    check(stats["type"] == "stats" and stats["id"] == "pause", "events --stats", stats)
    check(box.run("pause", "pause").returncode == 0, "pause again")
    check(box.run("delete", "--force", "pause").returncode == 0, "a paused container is deleted by force")


def files(box):
    host = box.path("host")
    os.makedirs(f"{host}/dir/sub")
    with open(f"{host}/dir/file", "w", encoding="ascii") as file:
        file.write("shared\n")
    mounts = [
        {"destination": "/rw", "type": "bind", "source": f"{host}/dir", "options": ["rbind", "rw"]},
        {"destination": "/ro", "type": "bind", "source": f"{host}/dir", "options": ["bind", "ro", "rprivate"]},
        {"destination": "/etc/one", "type": "bind", "source": f"{host}/dir/file", "options": ["bind", "ro"]},
        {"destination": "/scratch", "type": "tmpfs", "source": "tmpfs",
         "options": ["nosuid", "noexec", "nodev", "size=1m", "mode=700"]},
    ]
    script = ("cat /etc/one; echo new > /rw/new; echo no > /ro/new; echo no > /etc/one; cat /ro/new;"
              "stat -c %a /scratch; dd if=/dev/zero of=/scratch/big bs=1M count=2; ls /secret; cat /hidden;"
              "echo no > /fixed/file; echo here > /out; stat -c '%t %T %a' /dev/null /dev/extra; cat /dev/fd/0")
    bundle = box.bundle(["sh", "-c", script], mounts=mounts, linux={
        "maskedPaths": ["/secret", "/hidden", "/nosuch"], "readonlyPaths": ["/fixed", "/nosuch"],
        "devices": [{"path": "/dev/extra", "type": "c", "major": 1, "minor": 3, "fileMode": 0o640}]})
    os.makedirs(f"{bundle}/rootfs/secret/inner")
    os.makedirs(f"{bundle}/rootfs/fixed")
    with open(f"{bundle}/rootfs/hidden", "w", encoding="ascii") as file:
        file.write("hidden\n")
    result = box.run("run", "--bundle", bundle, "files", input=b"last", stdin=None)
    lines = result.stdout.split(b"\n")
    check(lines == [b"shared", b"new", b"700", b"1 3 666", b"1 3 640", b"last"], "what it sees", result)
    check(result.stderr.count(b"Read-only file system") == 3 and b"No space left" in result.stderr,
          "what it may not", result.stderr)
    check(os.path.exists(f"{host}/dir/new") and os.path.exists(f"{bundle}/rootfs/out"), "what stays")
    check(not os.path.exists(f"{bundle}/rootfs/scratch/big"), "what does not")

    bundle = box.bundle(["sh", "-c", "echo no > /out"], root={"path": "rootfs", "readonly": True})
    result = box.run("run", "--bundle", bundle, "files")
    check(result.returncode == 1 and b"Read-only file system" in result.stderr, "a read-only root", result)
    bundle = box.bundle(["sh", "-c", "echo yes > /out; cat /out"])
    result = box.run("run", "--overlay", "--bundle", bundle, "files")
    check(result.stdout == b"yes\n" and not os.path.exists(f"{bundle}/rootfs/out"), "--overlay", result)

    # A mount point that is a symlink leads to where it leads inside.
    bundle = box.bundle(["sh", "-c", "cat /link/file; ls /real"], mounts=[
        {"destination": "/link", "type": "bind", "source": f"{host}/dir", "options": ["bind"]}])
    outside = box.path("outside")
    os.mkdir(outside)
    os.symlink(outside, f"{bundle}/rootfs/link")
    result = box.run("run", "--bundle", bundle, "files")
    check(os.listdir(outside) == [], "a symlink out of the root is not followed", result)
    # What a tool changes in the root filesystem is seen inside.
    bundle = box.bundle(["sh", "-c", "cat /later; echo up; read x; cat /later"])
    process = box.start("run", "--bundle", bundle, "files", stdin=subprocess.PIPE)
    process.stdout.readline()
    with open(f"{bundle}/rootfs/later", "w", encoding="ascii") as file:
        file.write("later\n")
    out, _ = process.communicate(b"\n", timeout=30)
    check(out == b"later\n", "the root filesystem is shared with the host", out)


def process_of(box):
    bundle = box.bundle(
        ["sh", "-c", "id; umask; pwd; uname -n; ulimit -n; grep -E 'Cap(Eff|Bnd)|NoNew' /proc/self/status"],
        process={"user": {"uid": 1000, "gid": 1000, "additionalGids": [3, 4], "umask": 0o27}, "cwd": "/made/here",
                 "capabilities": {"bounding": ["CAP_CHOWN"], "permitted": ["CAP_CHOWN"],
                                  "effective": ["CAP_CHOWN"]}})
    result = box.run("run", "--bundle", bundle, "proc")
    check(result.stdout == b"uid=1000(user) gid=1000 groups=3,4\n0027\n/made/here\nbox\n1024\n"
          b"CapEff:\t0000000000000000\nCapBnd:\t0000000000000001\nNoNewPrivs:\t1\n", "its process", result)
    bundle = box.bundle(["sh", "-c", "mkdir /denied; uname -s; grep Seccomp: /proc/self/status"], linux={"seccomp": {
        "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 61}]}})
    result = box.run("run", "--bundle", bundle, "proc")
    check(b"No data available" in result.stderr and result.stdout == b"Linux\nSeccomp:\t2\n", "seccomp", result)
    box.create("proc", bundle := box.bundle(["sleep", "1000"], linux=json.load(
        open(f"{bundle}/config.json", encoding="utf-8"))["linux"]))
    box.run("start", "proc")
    result = box.run("exec", "proc", "mkdir", "/denied")
    check(result.returncode == 1 and b"No data available" in result.stderr, "and of exec", result)
    box.run("delete", "--force", "proc")
    bundle = box.bundle(["sh", "-c", "stat -c '%u %g' /; touch /made; chown 5:6 /made; stat -c '%u %g' /made"],
                        linux={"uidMappings": [{"containerID": 0, "hostID": 100000, "size": 1000}],
                               "gidMappings": [{"containerID": 0, "hostID": 200000, "size": 1000}],
                               "namespaces": [{"type": kind} for kind in
                                              ("pid", "network", "ipc", "uts", "mount", "user")]})
    for folder, _, names in os.walk(f"{bundle}/rootfs"):
        for entry in (folder, *(os.path.join(folder, name) for name in names)):
            os.chown(entry, 100000, 200000, follow_symlinks=False)
    result = box.run("run", "--bundle", bundle, "proc")
    made = os.stat(f"{bundle}/rootfs/made") if os.path.exists(f"{bundle}/rootfs/made") else None
    check(result.stdout == b"0 0\n5 6\n" and made and (made.st_uid, made.st_gid) == (100005, 200006),
          "ids of a user namespace", (result, made))
    reader, writer = os.pipe()
    os.write(writer, b"three")
    os.close(writer)
    os.dup2(reader, 3)
    bundle = box.bundle(["sh", "-c", "cat <&3"])
    result = box.run("run", "--preserve-fds", "1", "--bundle", bundle, "proc", pass_fds=(3,))
    check(result.stdout == b"three", "--preserve-fds", result)
    os.close(reader)


def terminals(box):
    bundle = box.bundle(["sh", "-c", "tty; trap 'stty size' WINCH; stty size; while :; do sleep 0.05; done"],
                        process={"terminal": True, "consoleSize": {"height": 33, "width": 44}})
    refused = box.run("create", "--bundle", bundle, "tty")
    check(refused.returncode == 1 and b"console socket" in refused.stderr, "a terminal needs a socket", refused)
    console = ConsoleSocket(box.path("console"))
    created = box.create("tty", bundle, "--console-socket", console.path)
    check(created.returncode == 0, "create with a terminal", box.output("tty"))
    name, master = console.receive()
    check(name.startswith("/dev/pts/"), "the terminal's name", name)
    box.run("start", "tty")
    said = read_until(master, b"33 44")
    check(b"/dev/pts/0" in said or b"/dev/console" in said, "the terminal inside", said)
    check(b"33 44" in said, "consoleSize", said)
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 11, 22, 0, 0))
    check(b"11 22" in read_until(master, b"11 22"), "resize")
    os.write(master, b"\x03")
    # The first process ignores what it has no handler for; the sleep before it is interrupted.
    box.run("kill", "tty", "KILL")
    box.wait_stopped("tty")
    os.close(master)
    check(box.run("delete", "tty").returncode == 0, "deleted")

    bundle = box.bundle(["sleep", "1000"])
    box.create("tty", bundle)
    box.run("start", "tty")
    document = container_harness.config(["sh", "-c", "echo up; cat"])["process"]
    document["terminal"] = True
    with open(box.path("process.json"), "w", encoding="utf-8") as file:
        json.dump(document, file)
    result = box.run("exec", "--detach", "--console-socket", console.path, "--pid-file", box.path("exec.pid"),
                     "--process", box.path("process.json"), "tty")
    check(result.returncode == 0, "exec with a terminal", result)
    _, master = console.receive()
    read_until(master, b"up")
    os.write(master, b"typed\n")
    check(read_until(master, b"typed\r\ntyped").count(b"typed") == 2, "what is typed")
    with open(box.path("exec.pid"), encoding="ascii") as file:
        pid = int(file.read())
    os.write(master, b"\x03")
    _, status = os.waitpid(pid, 0)
    check(os.waitstatus_to_exitcode(status) == 130, "^C ends it", status)
    os.close(master)

    # In the foreground the caller's terminal is copied to and from.
    leader, follower = os.openpty()
    process = box.start("exec", "-t", "tty", "sh", "-c", "stty size; tty; read line; echo got $line; seq 20000; exit 6",
                        stdin=follower, stdout=follower, stderr=follower, start_new_session=True)
    os.close(follower)
    fcntl.ioctl(leader, termios.TIOCSWINSZ, struct.pack("HHHH", 7, 8, 0, 0))
    said = read_until(leader, b"/dev/pts/")
    os.write(leader, b"hello\n")
    said = read_until(leader, b"20000\r\n")
    check(b"got hello" in said and said.rstrip().endswith(b"20000"), "exec -t", said[-80:])
    check(process.wait(30) == 6, "its exit code")
    os.close(leader)
    console.close()
    box.run("delete", "--force", "tty")


def hooks(box):
    log = box.path("hooks")
    tool = box.path("hook.sh")
    with open(tool, "w", encoding="ascii") as file:
        file.write("#!/bin/sh\nstate=$(cat)\n"
                   f"echo \"$1 $(echo \"$state\" | grep -o '\"status\":\"[a-z]*\"')\" >> {log}\n"
                   "case $1 in createRuntime) kill -0 $(echo \"$state\" | grep -o '\"pid\":[0-9]*' | cut -d: -f2)"
                   f" && echo alive >> {log};; esac\n")
    os.chmod(tool, 0o755)
    kinds = ("prestart", "createRuntime", "createContainer", "poststart", "poststop")
    bundle = box.bundle(["sleep", "1000"], hooks={
        kind: [{"path": tool, "args": ["hook", kind]}] for kind in kinds})

    def said():
        with open(log, encoding="ascii") as file:
            return [line.split()[0] for line in file]
    check(box.create("hooks", bundle).returncode == 0, "create", box.output("hooks"))
    check(said() == ["prestart", "createRuntime", "alive", "createContainer"], "hooks of create", said())
    box.run("start", "hooks")
    check(said()[4:] == ["poststart"], "of start", said())
    box.run("delete", "--force", "hooks")
    check(said()[5:] == ["poststop"], "of delete", said())

    for kind in ("prestart", "createRuntime", "createContainer"):
        bundle = box.bundle(["true"], hooks={kind: [{"path": "/bin/sh",
                                                    "args": ["sh", "-c", "echo because >&2; exit 1"]}]})
        result = box.run("run", "--bundle", bundle, "hooks")
        check(result.returncode == 1 and kind.encode() in result.stderr and b"because" in result.stderr,
              f"a {kind} hook that fails", result)
    check(os.listdir(box.root) == [], "nothing is left")


def refusals(box):
    def refused(what, document, *words):
        bundle = box.bundle(["true"], document=document)
        result = box.run("run", "--bundle", bundle, "bad")
        text = result.stderr.strip()
        check(result.returncode == 1 and text.count(b"\n") == 0 and all(word.encode() in text for word in words),
              what, (result.returncode, text))
    config = container_harness.config
    refused("no JSON", "{", "config.json")
    refused("a wrong type", config("true"), "process.args")
    refused("no program", config([]), "process.args")
    refused("no such root", config(["true"], root={"path": "nosuch"}), "root.path", "no such file")
    refused("a root that is a file", config(["true"], root={"path": "config.json"}), "root.path")
    refused("no such source", config(["true"], mounts=[{"destination": "/x", "type": "bind", "source": "/nosuch/x",
                                                       "options": ["bind"]}]), "mounts[3].source")
    refused("a filesystem", config(["true"], mounts=[{"destination": "/x", "type": "ext4", "source": "x"}]),
            "mounts[3].type")
    refused("a namespace", config(["true"], linux={"namespaces": [
        {"type": "pid", "path": "/proc/1/ns/pid"}, {"type": "ipc"}, {"type": "mount"}, {"type": "uts"}]}), "linux.namespaces[0]")
    refused("a sysctl", config(["true"], linux={"sysctl": {"vm.swappiness": "1"}}), "vm.swappiness")
    result = box.run("run", "--bundle", box.folder, "bad")
    check(result.returncode == 1 and b"config.json" in result.stderr, "no config.json", result)
    bundle = box.bundle(["true"])
    for name in ("a/b", "..", "", "a b"):
        check(box.run("run", "--bundle", bundle, name).returncode == 1, f"the id '{name}'")
    result = box.run("run", "--bundle", box.bundle(["true"], process={"cwd": "/etc/passwd"}), "bad")
    check(result.returncode == 1 and b"cwd" in result.stderr, "a directory that is none", result)
    check(not os.path.exists(box.root) or os.listdir(box.root) == [], "nothing is left")


def crashes(box):
    """Whatever is killed whenever: the container is stopped, can be deleted, and nothing is left."""
    bundle = box.bundle(["sh", "-c", "sleep 1000 & sleep 1000"])
    for stage in ("created", "running", "executing"):
        for victim in ("monitor", "sentry", "gofer"):
            name = f"{stage}-{victim}"
            box.create(name, bundle)
            monitor = box.state(name)["pid"]
            sentry, gofer = box.children(name)
            if stage != "created":
                box.run("start", name)
            keeper = None
            if stage == "executing":
                keeper = box.start("exec", name, "sh", "-c", "echo up; sleep 1000")
                keeper.stdout.readline()
            everything = [identity(pid) for pid in [monitor, *descendants(monitor)]]
            os.kill({"monitor": monitor, "sentry": sentry, "gofer": gofer}[victim], signal.SIGKILL)
            check(box.wait_stopped(name), f"{name}: it is stopped")
            if keeper:
                check(keeper.wait(30) == 137, f"{name}: exec ends")
                keeper.stdout.close()
                keeper.stderr.close()
            check(box.run("exec", name, "true").returncode == 255, f"{name}: no exec")
            check(box.run("delete", name).returncode == 0, f"{name}: delete")
            check(wait_until(lambda: reap() or not any(alive(process) for process in everything), 30),
                  f"{name}: no process is left")
    # The creator itself, at every moment.
    tool = box.path("slow.sh")
    with open(tool, "w", encoding="ascii") as file:
        file.write(f"#!/bin/sh\necho here > {box.path('in-hook')}\nexec sleep 1000\n")
    os.chmod(tool, 0o755)
    for kind in ("createRuntime", "createContainer"):
        slow = box.bundle(["true"], hooks={kind: [{"path": tool}]})
        process = box.start("create", "--bundle", slow, "creator", stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)
        check(wait_until(lambda: os.path.exists(box.path("in-hook")), 30), f"{kind} runs")
        below = [identity(pid) for pid in descendants(process.pid)]
        process.kill()
        process.wait()
        os.unlink(box.path("in-hook"))
        check(box.run("delete", "--force", "creator").returncode == 0, f"{kind}: delete --force")
        for pid, _ in below:
            try:
                os.kill(pid, signal.SIGKILL)  # the hook itself is nobody's
            except ProcessLookupError:
                pass
        check(wait_until(lambda: reap() or not any(alive(process) for process in below), 30),
              f"{kind}: no process is left")
    check(os.listdir(box.root) == [], "no state is left")


def many(box):
    bundles = [box.bundle(["true"]) for _ in range(10)]
    mounts_before = len(open("/proc/self/mountinfo", encoding="utf-8").readlines())
    failures = []

    def one(number):
        name = f"many{number}"
        for step in (box.create(name, bundles[number % 10]), box.run("start", name)):
            if step.returncode != 0:
                failures.append((name, step.stderr, box.output(name)))
        box.wait_stopped(name)
        if (result := box.run("delete", name)).returncode != 0:
            failures.append((name, result.stderr))
    for batch in range(5):
        threads = [threading.Thread(target=one, args=(batch * 10 + i,)) for i in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    check(not failures, "50 containers, 10 at a time", failures[:2])
    check(wait_until(lambda: reap() or not descendants(os.getpid()), 30), "no process is left",
          descendants(os.getpid()))
    check(os.listdir(box.root) == [], "no state is left")
    check(len(open("/proc/self/mountinfo", encoding="utf-8").readlines()) == mounts_before, "no mount is left")


def main():
    binary, flags = sys.argv[1], sys.argv[2:]
    if os.geteuid() != 0:
        skip("needs root")
    busybox = container_harness.busybox()
    if busybox is None:
        skip("needs a static busybox (package busybox-static)")
    adopt_orphans()
    only = os.environ.get("RUNSC_TEST_ONLY")
    for part in (lifecycle, exit_codes, signals, execs, pausing, files, process_of, terminals, hooks, refusals,
                 crashes, many):
        if only and part.__name__ not in only.split(","):
            continue
        box = Containers([binary, *flags], busybox)
        try:
            part(box)
        except (subprocess.TimeoutExpired, OSError, KeyError, TypeError, ValueError, IndexError) as error:
            import traceback
            traceback.print_exc()
            check(False, f"{part.__name__}: {error}")
        finally:
            for entry in os.listdir(box.root) if os.path.exists(box.root) else []:
                box.run("delete", "--force", entry)
            box.close()
            reap()
    finish()


main()
