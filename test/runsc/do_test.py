#!/usr/bin/env python3
"""`runsc do` and its help as a user at a shell meets them: exit codes, messages, streams,
flags, signals; and that nothing is left behind.

do_test.py RUNSC"""
import ctypes
import os
import resource
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from sandbox_harness import (Runsc, adopt_orphans, check, descendants, end, finish,  # noqa: E402
                             mounts, reap, wait_until)

NOBODY = 65534
SYS_RESOURCE = 24  # CAP_SYS_RESOURCE


def text(data):
    return data.decode(errors="replace")


def check_run(runsc, arguments, code=0, stdout=None, name=None, **options):
    name = name or " ".join(arguments)
    result = runsc.run(*arguments, **options)
    check(result.returncode == code, f"{name}: exit code", f"{result.returncode}, not {code}; {text(result.stderr or b'')}")
    if stdout is not None:
        check(text(result.stdout) == stdout, f"{name}: stdout", repr(result.stdout))
    return result


def has_capability(number):
    with open("/proc/self/status", encoding="ascii") as file:
        effective = next(line.split()[1] for line in file if line.startswith("CapEff"))
    return int(effective, 16) >> number & 1 == 1


def check_refused(runsc, arguments, code, says, **options):
    """Bad input: the exit code, nothing on stdout, exactly one line on stderr that names it."""
    result = check_run(runsc, arguments, code, "", **options)
    lines = text(result.stderr).splitlines()
    check(len(lines) == 1 and lines[0].startswith("runsc") and says in lines[0],
          f"{' '.join(arguments)}: one line on stderr with '{says}'", repr(text(result.stderr)))


def bad_input(runsc):
    # What stands before a command's name is told as OCI runtimes tell it, with runc's exit codes.
    for arguments, code in ((["--nonsense"], 1), (["nonsense"], 3), (["--log-format=xml", "list"], 1)):
        result = check_run(runsc, arguments, code, "")
        check(re.fullmatch(r'time="[^"]+" level=error msg="[^\n]+"\n', text(result.stderr)) is not None
              and arguments[0].split("=")[-1].strip("-") in text(result.stderr), f"{arguments}: an entry on stderr", result.stderr)
    check_refused(runsc, ["help", "nonsense"], 125, "nonsense")
    check_refused(runsc, ["version", "nonsense"], 125, "arguments")
    check_refused(runsc, ["do"], 125, "no command")
    check_refused(runsc, ["do", "--"], 125, "no command")
    check_refused(runsc, ["do", ""], 125, "no command")
    check_refused(runsc, ["do", "--nonsense", "true"], 125, "-nonsense")
    check_refused(runsc, ["do", "--nonsense=1", "true"], 125, "-nonsense")
    check_refused(runsc, ["do", "--debug=maybe", "true"], 125, "maybe")
    for flag in ("rootfs", "volume", "cwd", "env", "uid", "gid", "memory", "network", "platform"):
        check_refused(runsc, ["do", f"--{flag}"], 125, f"--{flag} needs a value")
    for value in ("-1", "4294967296", "x", "1x", ""):
        check_refused(runsc, ["do", f"--uid={value}", "true"], 125, "--uid")
        check_refused(runsc, ["do", f"--gid={value}", "true"], 125, "--gid")
    for value in ("", "0", "1k", "-5m", "5q", "99999999999999999999"):
        check_refused(runsc, ["do", f"--memory={value}", "true"], 125, "--memory")
    check_refused(runsc, ["do", "--network=nonsense", "true"], 125, "nonsense")
    check_refused(runsc, ["do", "--platform=nonsense", "true"], 125, "nonsense")
    check_refused(runsc, ["do", "--env==x", "true"], 125, "--env")
    check_refused(runsc, ["do", "--env=", "true"], 125, "--env")
    check_refused(runsc, ["do", "--hostname=" + 65 * "a", "true"], 125, "--hostname")
    missing = runsc.path("missing")
    for volume in ("", "/tmp", ":/mnt", "/tmp:", "/tmp:mnt", "/tmp:/mnt:nonsense", "/tmp:/mnt:ro:ro"):
        check_refused(runsc, ["do", f"--volume={volume}", "true"], 125, "--volume")
    check_refused(runsc, ["do", f"--volume={missing}:/mnt", "true"], 125, missing)
    check_refused(runsc, ["do", f"--rootfs={missing}", "true"], 125, missing)
    check_refused(runsc, ["do", "--rootfs=/etc/passwd", "true"], 125, "Not a directory")
    check_refused(runsc, ["do", "--cwd=usr", "true"], 125, "absolute")
    check_refused(runsc, ["do", f"--cwd={missing}", "true"], 125, missing)
    check_refused(runsc, ["do", "--cwd=/etc/passwd", "true"], 125, "/etc/passwd")
    check_refused(runsc, ["do", f"--debug-log={missing}/log", "true"], 125, missing)


def commands(runsc):
    check_refused(runsc, ["do", "no-such-command"], 127, "no-such-command: command not found")
    check_refused(runsc, ["do", "./no-such-command"], 127, "No such file")
    check_refused(runsc, ["do", "/etc/passwd"], 126, "Permission denied")
    check_refused(runsc, ["do", "/etc"], 126, "/etc")
    check_refused(runsc, ["do", "/etc/passwd/x"], 126, "Not a directory")
    root = runsc.path("empty")
    os.mkdir(root)
    check_refused(runsc, ["do", f"--rootfs={root}", "true"], 127, "command not found")
    script = runsc.path("script")
    with open(script, "w", encoding="ascii") as file:
        file.write('echo "$0" "$@"; exit 5\n')
    os.chmod(script, 0o755)
    check_run(runsc, ["do", script, "x", "y z"], 5, f"{script} x y z\n", "a script without #!")
    with open(script, "w", encoding="ascii") as file:
        file.write("#!/no/such/interpreter\n")
    check_refused(runsc, ["do", script], 127, script)
    check_run(runsc, ["do", "--", "printf", "%s", "--uid"], 0, "--uid")
    check_run(runsc, ["do", "echo", "--", "-x"], 0, "-- -x\n")
    for code in (0, 1, 42, 255):
        check_run(runsc, ["do", "sh", "-c", f"exit {code}"], code, "")
    for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV, signal.SIGPIPE):
        check_run(runsc, ["do", "sh", "-c", f"kill -{int(number)} $$"], 128 + number, "")
        check_run(runsc, ["do", "sh", "-c", f"sh -c 'kill -{int(number)} $$'; exit $?"], 128 + number)
    fault = "import ctypes; ctypes.string_at(0)"
    if shutil.which("python3"):
        check_run(runsc, ["do", "python3", "-c", fault], 139, "", "a fault of the command itself")


def streams(runsc):
    def sh(script, **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        return subprocess.run(["sh", "-c", f"R={runsc.binary}; {script}"], cwd=runsc.folder, timeout=20,
                              check=False, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)

    def content(name):
        with open(runsc.path(name), "rb") as file:
            return file.read()

    result = runsc.run("do", "sh", "-c", "echo out; echo err >&2")
    check((result.stdout, result.stderr) == (b"out\n", b"err\n"), "stdout and stderr are apart", str(result))
    data = bytes(range(256)) * 4096
    result = subprocess.run([runsc.binary, "do", "cat"], input=data, stdout=subprocess.PIPE, timeout=20, check=False)
    check(result.stdout == data, "a MiB through pipes arrives as it was", str(len(result.stdout)))
    sh("($R do echo a; echo b; $R do echo c) > shared")
    check(content("shared") == b"a\nb\nc\n", "stdout: a file's offset is shared with the host", str(content("shared")))
    sh("echo x > appended; $R do sh -c 'echo y; echo z' >> appended")
    check(content("appended") == b"x\ny\nz\n", "stdout: O_APPEND is honoured", str(content("appended")))
    sh("$R do sh -c 'echo e >&2' 2> errors; $R do no-such-command 2>> errors")
    check(content("errors").splitlines()[0] == b"e" and len(content("errors").splitlines()) == 2,
          "stderr to a file", str(content("errors")))
    sh("printf 'one\\ntwo\\n' > lines")
    result = sh("($R do sh -c 'read line; echo got $line'; cat) < lines")
    check(result.stdout == b"got one\ntwo\n", "stdin: a file's offset is shared with the host", str(result))
    sh("$R do cat < lines > copy")
    check(content("copy") == b"one\ntwo\n", "file to file", str(content("copy")))
    result = sh("$R do yes | head -n 1")
    check(result.stdout == b"y\n", "a reader that leaves ends the command", str(result))
    if shutil.which("python3"):
        edges = ("import os, select; e = select.epoll(); e.register(0, select.EPOLLIN | select.EPOLLET)\n"
                 "while True: print(len(e.poll(0)), flush=True); print(len(e.poll(10)), os.read(0, 9), flush=True)")
        with subprocess.Popen([runsc.binary, "do", "python3", "-c", edges], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0) as process:
            for word in (b"one", b"two"):
                got = process.stdout.readline()
                process.stdin.write(word)
                got += process.stdout.readline()
                check(got == b"0\n1 b'%s'\n" % word, "stdin: each arrival is an edge", str(got))
            process.kill()
    check(sh("$R do true <&- >&- 2>&-").returncode == 0, "with all streams closed")
    result = sh("$R do sh -c 'cat; echo still' <&-")
    check(result.stdout == b"still\n", "with stdin closed", str(result))
    check(sh("$R do echo x > /dev/full").returncode == 1, "a full device is an error in the guest")
    read_end, write_end = os.pipe()
    os.write(write_end, b"kept")
    result = runsc.run("do", "ls", "-l", "/proc/self/fd", pass_fds=[read_end, write_end])
    check(result.stdout.count(b"->") <= 4, "no other open file of the caller gets in", text(result.stdout))
    os.close(read_end)
    os.close(write_end)


def settings(runsc):
    check_run(runsc, ["do", "--cwd=/usr", "pwd"], 0, "/usr\n")
    check_run(runsc, ["do", "pwd"], 0, f"{runsc.folder}\n", cwd=runsc.folder)
    env = {"PATH": os.environ["PATH"], "KEPT": "1", "GONE": "2"}
    check_run(runsc, ["do", "--env=A=b c=d", "--env", "GONE", "--env=E=", "sh", "-c",
                      "echo $KEPT,$A,${GONE-unset},${E-unset}"], 0, "1,b c=d,unset,\n", env=env)
    check_run(runsc, ["do", "--uid=1234", "--gid=56", "sh", "-c", "id -u; id -g; id -G"], 0, "1234\n56\n56\n")
    check_run(runsc, ["do", "--uid=1234", "--gid=56", "grep", "CapEff", "/proc/self/status"], 0,
              "CapEff:\t0000000000000000\n")
    check_run(runsc, ["do", "--hostname=elsewhere", "uname", "-n"], 0, "elsewhere\n")
    check_run(runsc, ["do", "uname", "-n"], 0, os.uname().nodename + "\n")
    # The soft limit only: the Gofer's own descriptors come out of the hard one.
    hard_limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    check_run(runsc, ["do", "sh", "-c", "umask; ulimit -n"], 0, "0027\n99\n", "umask and limits are the caller's",
              preexec_fn=lambda: (os.umask(0o027), resource.setrlimit(resource.RLIMIT_NOFILE, (99, hard_limit))))
    low = {resource.RLIMIT_FSIZE: 512000, resource.RLIMIT_AS: 2 << 30, resource.RLIMIT_NOFILE: 48, resource.RLIMIT_CPU: 100}
    for hard_too in (False, True):
        if hard_too and not has_capability(SYS_RESOURCE):
            print("SKIPPED: hard limits as the guest's: raising one's own needs CAP_SYS_RESOURCE")
            continue

        def lower(hard_too=hard_too):
            for which, limit in low.items():
                resource.setrlimit(which, (limit, limit if hard_too else resource.getrlimit(which)[1]))
        check_run(runsc, ["do", "sh", "-c", "ulimit -f; ulimit -v; ulimit -n; ulimit -t"], 0,
                  f"{512000 // 512}\n{2 << 20}\n48\n100\n", "low limits are the guest's, not runsc's own", preexec_fn=lower)
    result = check_run(runsc, ["do", "--strace", "true"])
    check(b"exit_group" in result.stderr, "--strace logs to stderr", text(result.stderr)[-200:])
    log = runsc.path("log")
    result = check_run(runsc, ["do", "--strace", f"--debug-log={log}", "true"])
    with open(log, "rb") as file:
        check(result.stderr == b"" and b"exit_group" in file.read(), "--debug-log takes the log")
    os.remove(log)


def networks(runsc):
    """none: a loopback interface of its own, on which a server inside is reached inside; off: not even that."""
    serve = """import socket, threading
server = socket.create_server(("127.0.0.1", %d))
threading.Thread(target=lambda: server.accept()[0].sendall(b"served"), daemon=True).start()
print(socket.create_connection(server.getsockname()).recv(9).decode(), [name for _, name in socket.if_nameindex()])"""
    with socket.create_server(("127.0.0.1", 0)) as outside:
        port = outside.getsockname()[1]
        check_run(runsc, ["do", "python3", "-c", serve % port], 0, "served ['lo']\n", "a server on a port that is taken outside")
        reach = f"import socket; socket.create_connection(('127.0.0.1', {port})); print('reached')"
        check_run(runsc, ["do", "--network=host", "python3", "-c", reach], 0, "reached\n", "--network=host reaches the host's")
        refused = check_run(runsc, ["do", "python3", "-c", reach], 1, "", "--network=none does not")
        check("ConnectionRefusedError" in text(refused.stderr), "--network=none: refused", text(refused.stderr))
    if os.statvfs("/proc/sys/net").f_flag & os.ST_RDONLY:  # so nobody can tell a new namespace what it allows
        print("SKIPPED: low ports and echo requests: /proc/sys is read-only")
    else:
        check_run(runsc, ["do", "--network=none", "python3", "-c", serve % 80], 0, "served ['lo']\n", "a port that root alone may bind to")
        low = check_run(runsc, ["do", "--uid=1", "--gid=1", "python3", "-c", serve % 80], 1, "", "a port that root alone may bind to, as daemon")
        check("PermissionError" in text(low.stderr), "a low port is refused", text(low.stderr))
        ping = """import socket
echo = socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP)
echo.settimeout(5)
echo.sendto(bytes([8, 0, 0xf7, 0xfd, 0, 1, 0, 1]), ("127.0.0.1", 0))
print(echo.recv(99)[0])"""
        check_run(runsc, ["do", "python3", "-c", ping], 0, "0\n", "an echo request is answered")
    off = check_run(runsc, ["do", "--network=off", "python3", "-c", "import socket; socket.socket()"], 1, "", "--network=off")
    check("Address family not supported" in text(off.stderr), "--network=off: no internet sockets", text(off.stderr))


def files(runsc):
    before = sorted(os.listdir(runsc.folder))
    with open(runsc.path("original"), "w", encoding="ascii") as file:
        file.write("original\n")
    check_run(runsc, ["do", "sh", "-c", "echo changed > original; echo > new; mkdir d; cat original; ls new"],
              0, "changed\nnew\n", cwd=runsc.folder)
    check_run(runsc, ["do", "sh", "-c", "rm original; ls original 2>/dev/null"], 2, "", cwd=runsc.folder)
    with open(runsc.path("original"), encoding="ascii") as file:
        check(file.read() == "original\n", "a write does not reach the host")
    os.remove(runsc.path("original"))
    check(sorted(os.listdir(runsc.folder)) == before, "no file of the guest is on the host")
    volume = runsc.path("volume")
    os.mkdir(volume)
    spec = f"--volume={volume}:/mnt"
    check_run(runsc, ["do", spec, "sh", "-c", "echo in > /mnt/file; cat /mnt/file"], 0, "in\n")
    with open(os.path.join(volume, "file"), encoding="ascii") as file:
        check(file.read() == "in\n", "a volume's write does reach the host")
    check_run(runsc, ["do", spec + ":ro", "sh", "-c", "cat /mnt/file; echo > /mnt/file"], 2, "in\n")
    check_run(runsc, ["do", spec + ":ro", "rm", "-f", "/mnt/file"], 1, "")
    check(os.path.getsize(os.path.join(volume, "file")) == 3, "a read-only volume is left as it was")
    check_run(runsc, ["do", f"--volume={volume}:/made/for/it", "cat", "/made/for/it/file"], 0, "in\n")
    os.symlink("/etc/passwd", os.path.join(volume, "link"))
    with open("/etc/passwd", "rb") as file:
        passwd = file.read()
    result = runsc.run("do", spec, "sh", "-c", "echo evil >> /mnt/link")
    with open("/etc/passwd", "rb") as file:
        check(file.read() == passwd, "a symlink in a volume does not lead out to the host", str(result))
    root = runsc.path("root")
    os.makedirs(os.path.join(root, "bin"))
    busybox = shutil.which("busybox")
    if busybox and b"statically linked" in subprocess.run(["file", "-L", busybox], check=False, stdout=subprocess.PIPE,
                                                          stderr=subprocess.DEVNULL).stdout:
        shutil.copy(busybox, os.path.join(root, "bin", "busybox"))
        check_run(runsc, ["do", f"--rootfs={root}", "/bin/busybox", "sh", "-c", "pwd; echo x > /x; busybox ls / || /bin/busybox ls /"],
                  0, name="--rootfs")
        check(os.listdir(root) == ["bin"], "--rootfs is left as it was", str(os.listdir(root)))


def signals(runsc):
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1):
        process = runsc.start_guest("exec sleep 60")
        process.send_signal(number)
        check(wait_until(lambda: process.poll() is not None, 5), f"{number.name} ends the command")
        end(process)
        check(process.returncode == 128 + number, f"{number.name}: exit code", str(process.returncode))
        process = runsc.start("do", "--", "sh", "-c",
                              f"trap 'echo caught; exit 7' {number.name[3:]}; echo ready; while :; do sleep 0.01; done")
        check(process.stdout.readline() == b"ready\n", "the handler's guest starts")
        process.send_signal(number)
        check(wait_until(lambda: process.poll() is not None, 5), f"{number.name}: the handler runs")
        check(process.stdout.read() == b"caught\n" and process.returncode == 7, f"{number.name}: the handler's exit code",
              str(process.returncode))
        end(process)


def help_texts(runsc):
    overview = check_run(runsc, ["help"])
    for arguments in ([], ["--help"], ["-h"], ["help", "help"], ["help", "--help"]):
        check_run(runsc, arguments, 0, text(overview.stdout))
    names = re.findall(r"^  (\w+) ", text(overview.stdout), re.M)
    check({"do", "help", "version"} <= set(names), "help lists the commands", str(names))
    for name in names:
        by_flag = check_run(runsc, [name, "--help"])
        by_help = check_run(runsc, ["help", name])
        check(by_flag.stdout == by_help.stdout, f"help {name} is {name} --help")
        check(b"Usage: runsc" in by_flag.stdout and not by_flag.stderr, f"{name} --help is complete", text(by_flag.stdout))
    do_help = text(runsc.run("do", "--help").stdout)
    for flag in ("rootfs", "volume", "cwd", "env", "uid", "gid", "hostname", "network", "memory", "platform",
                 "strace", "debug-log", "debug", "help"):
        check(re.search(rf"^  --{flag}\b", do_help, re.M) is not None, f"do --help tells about --{flag}")
    check("Exit code" in do_help, "do --help tells about exit codes")
    version = text(check_run(runsc, ["version"]).stdout)
    check(re.fullmatch(r"runsc version \d+\.\d+\.\d+\nspec: \d+\.\d+\.\d+\n", version) is not None, "version", version)
    check_run(runsc, ["--version"], 0, version)
    table = text(check_run(runsc, ["help", "syscalls"]).stdout)
    rows = re.findall(r"^ *(\d+)  (\w+) +(full|partial|refused|none)\b", table, re.M)
    numbers = [int(row[0]) for row in rows]
    check(("0", "read", "full") in rows and len(rows) > 300 and numbers == sorted(set(numbers)),
          "help syscalls prints the table", f"{len(rows)} rows")
    counts = {kind: sum(row[2] == kind for row in rows) for kind in ("full", "partial", "refused", "none")}
    check(all(f"{count} {kind}" in table for kind, count in counts.items()), "help syscalls: the sums", str(counts))


def as_nobody(runsc):
    """As an ordinary user, which needs the binary where that user can read it."""
    if os.geteuid() != 0:
        return  # then everything else ran so
    binary = runsc.path("runsc")
    shutil.copy(runsc.binary, binary)
    os.chmod(binary, 0o755)
    volume = runsc.path("theirs")
    os.mkdir(volume)
    os.chown(volume, NOBODY, NOBODY)
    secret = runsc.path("secret")
    with open(secret, "w", encoding="ascii") as file:
        file.write("secret\n")
    os.chmod(secret, 0o600)

    class AsNobody(Runsc):
        def __init__(self):  # pylint: disable=super-init-not-called
            self.binary = binary
            self.folder = runsc.folder

        def run(self, *arguments, timeout=20, **options):
            return super().run(*arguments, timeout=timeout, user=NOBODY, group=NOBODY, extra_groups=[],
                               cwd="/", env={"PATH": "/usr/local/bin:/usr/bin:/bin"}, **options)

    theirs = AsNobody()
    probe = theirs.run("do", "true")
    if probe.returncode == 125 and b"user namespaces" in probe.stderr:
        check(len(probe.stderr.splitlines()) == 1, "one line where user namespaces are not for everybody")
        return
    check_run(theirs, ["do", "sh", "-c", "id -u; id -g"], 0, f"{NOBODY}\n{NOBODY}\n", "as nobody: id")
    check_run(theirs, ["do", "cat", secret], 1, "", "as nobody: a file of root's")
    check_run(theirs, ["do", "--uid=0", "--gid=0", "cat", secret], 1, "", "as nobody, root inside: a file of root's")
    spec = f"--volume={volume}:/mnt"
    check_run(theirs, ["do", spec, "sh", "-c", "echo x > /mnt/file; cat /mnt/file"], 0, "x\n", "as nobody: a volume")
    path = os.path.join(volume, "file")
    check(os.path.exists(path) and os.stat(path).st_uid == NOBODY, "as nobody: the volume's file is theirs")
    check_run(theirs, ["do", "sh", "-c", "exit 42"], 42, "", "as nobody: the exit code")
    for which, flag in ((resource.RLIMIT_FSIZE, "-f"), (resource.RLIMIT_AS, "-v")):
        check_refused(theirs, ["do", "true"], 125, f"ulimit -H {flag}",
                      preexec_fn=lambda which=which: resource.setrlimit(which, (4 << 30, 4 << 30)))
    check_refused(theirs, ["do", "no-such-command"], 127, "command not found")
    closed = runsc.path("closed")
    os.mkdir(closed, 0o700)
    check_refused(theirs, ["do", f"--rootfs={closed}", "true"], 125, "Permission denied")
    check_refused(theirs, ["do", f"--volume={closed}/x:/mnt", "true"], 125, "Permission denied")


def refuse_system_call(number):
    """In this process and its children, as the seccomp profile of a container that runsc is started in."""
    load, jump_if_equal, give = 0x20, 0x15, 0x06
    allowed, eperm = 0x7FFF0000, 0x50001
    program = b"".join(struct.pack("=HBBI", *step) for step in
                       ((load, 0, 0, 0), (jump_if_equal, 0, 1, number), (give, 0, 0, eperm), (give, 0, 0, allowed)))
    code = ctypes.create_string_buffer(program)
    filter_program = struct.pack("@HP", len(program) // 8, ctypes.addressof(code))
    libc = ctypes.CDLL(None, use_errno=True)
    set_no_new_privs, set_seccomp, filter_mode = 38, 22, 2
    if libc.prctl(set_no_new_privs, 1, 0, 0, 0) or libc.prctl(set_seccomp, filter_mode, filter_program):
        raise OSError(ctypes.get_errno(), "prctl")


def poor_surroundings(runsc):
    """What a host that forbids the calls which confine runsc's processes makes of it."""
    if os.geteuid() != 0:
        return
    clone, mount, pivot_root, unshare, seccomp = 56, 165, 155, 272, 317
    for number, says in ((mount, "CAP_SYS_ADMIN"), (pivot_root, "CAP_SYS_ADMIN"), (unshare, "CAP_SYS_ADMIN"),
                         (clone, "platform"), (seccomp, "seccomp filter")):
        check_refused(runsc, ["do", "true"], 125, says, preexec_fn=lambda number=number: refuse_system_call(number))


def limits_inside(runsc):
    """What language runtimes read to size themselves, and what holds besides."""
    shown = "cd /sys/fs/cgroup && cat memory.max pids.max cpu.max && stat -f -c %t . && cat /proc/self/cgroup"
    check_run(runsc, ["do", "sh", "-c", shown], 0, "max\nmax\nmax 100000\n63677270\n0::/\n")
    check_run(runsc, ["do", "--memory=300m", "sh", "-c", "cat /sys/fs/cgroup/memory.max"], 0, f"{300 << 20}\n")
    check_run(runsc, ["do", "sh", "-c", "cd /sys/fs/cgroup; cat cgroup.procs; "
                      "test $(cat memory.current) -gt 100000 && grep -q usage_usec cpu.stat && echo counted"], 0,
              "1\n2\ncounted\n")
    check_run(runsc, ["do", "sh", "-c", "echo 1 2>/dev/null > /sys/fs/cgroup/memory.max || "
                      "mkdir /sys/fs/cgroup/below 2>/dev/null || echo refused"], 0, "refused\n")


def main():
    runsc = Runsc(os.path.abspath(sys.argv[1]))
    try:
        runsc.require()
        adopt_orphans()
        mounted = mounts()
        for part in (bad_input, commands, streams, settings, networks, files, limits_inside, signals, help_texts, as_nobody,
                     poor_surroundings):
            part(runsc)
            check(wait_until(lambda: (reap(), not descendants(os.getpid()))[1], 1),
                  f"{part.__name__}: no process is left", str(descendants(os.getpid())))
            check(mounts() == mounted, f"{part.__name__}: no mount is left")
    finally:
        runsc.close()
    finish()


main()
