#!/usr/bin/env python3
"""`runsc do` at a terminal: a pty stands for the user's, with an interactive bash of the host on it that has job
control. Each part types, and reads the screen.

terminal_test.py RUNSC"""
import fcntl
import os
import pty
import re
import select
import shutil
import signal
import struct
import sys
import termios
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from sandbox_harness import (Processes, Runsc, adopt_orphans, check, descendants, finish,  # noqa: E402
                             reap, skip, wait_until)

HOST, GUEST = "HOST> ", "GUEST> "
RUNNING = "sh -c 'echo runn\"\"ing; exec sleep 100'"
PATIENCE = 20  # seconds until something that has to appear counts as missing


class Terminal:
    """A pty with a program on it that leads its session. `screen` is all that it has written since the last
    `expect`."""

    def __init__(self, command, environment=None, rows=24, columns=200):
        self.pid, self.master = pty.fork()
        if self.pid == 0:
            try:
                for name in (signal.SIGPIPE, signal.SIGINT):
                    signal.signal(name, signal.SIG_DFL)
                os.environ.update({"TERM": "xterm", "PS1": HOST, "HISTFILE": "", **(environment or {})})
                os.execvp(command[0], command)
            finally:
                os._exit(99)
        self.screen = ""
        self.resize(rows, columns)

    def type(self, text):
        os.write(self.master, text.encode())

    def read(self, seconds):
        """Whether something came."""
        if not select.select([self.master], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self.master, 65536)
        except OSError:
            data = b""
        self.screen += data.decode(errors="replace")
        return data != b""

    def expect(self, pattern, name, seconds=PATIENCE):
        """Reads on until the pattern is there; what it matched, or None, which counts as a failure."""
        end = time.monotonic() + seconds
        while True:
            match = re.search(pattern, self.screen)
            if match:
                self.screen = self.screen[match.end():]
                check(True, name)
                return match
            left = end - time.monotonic()
            if left <= 0 or not self.read(left):
                check(False, name, f"no {pattern!r} in {self.screen[-600:]!r}")
                return None

    def quiet(self, seconds):
        """All that is written until nothing comes for so long."""
        while self.read(seconds):
            pass
        text, self.screen = self.screen, ""
        return text

    def settings(self):
        """As a command of the shell finds them; at its prompt they are readline's, sooner or later."""
        self.type("stty -g; echo fo''und\n")
        match = self.expect(r"([0-9a-f:]{40,})\r\nfound\r\n", "stty tells the settings")
        self.prompt("prompt")
        return match.group(1) if match else None

    def local_modes(self):
        return termios.tcgetattr(self.master)[3]

    def is_raw(self):
        return not self.local_modes() & termios.ICANON

    def echoes(self):
        return bool(self.local_modes() & termios.ECHO)

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def close(self):
        os.close(self.master)
        try:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        except (ProcessLookupError, ChildProcessError):
            pass


class HostShell(Terminal):
    """An interactive bash of the host, with runsc in $R."""

    def __init__(self, runsc, flags, **options):
        super().__init__(["bash", "--norc", "--noprofile", "+o", "history", "-i"],
                         {"R": f"{runsc.binary} do {flags}", "D": runsc.binary}, **options)
        self.expect(re.escape(HOST), "the host's shell prompts")
        # What it echoes is not to be mistaken for what is printed.
        self.type("bind 'set enable-bracketed-paste off'; set +o emacs; stty -echo\n")
        self.expect(re.escape(HOST), "the host's shell prompts again")

    def run(self, command, pattern, name):
        self.type(command + "\n")
        return self.expect(pattern, name)

    def prompt(self, name):
        return self.expect(re.escape(HOST), name)

    def status(self, code, name):
        self.type("echo status=$?.\n")
        match = self.expect(r"status=(\d+)\.", f"{name}: the shell goes on")
        if match:
            check(match[1] == str(code), f"{name}: exit code {code}", match[1])
        self.prompt(f"{name}: the shell prompts")

    def guest(self, command, pattern, name):
        self.type(command + "\n")
        match = self.expect(pattern, name)
        self.expect(re.escape(GUEST), f"{name}: prompt")
        return match

    def runsc_pid(self):
        """The runsc that is a job of the shell, once it is there."""
        found = []

        def look():
            for pid in descendants(self.pid):
                with open(f"/proc/{pid}/comm", encoding="ascii", errors="replace") as file:
                    if file.read().strip() == "runsc":
                        found.append(pid)
                        return True
            return False
        wait_until(look, PATIENCE)
        return found[0] if found else None


def interactive_shell(runsc, flags):
    shell = HostShell(runsc, flags)
    shell.type(f"stty echo; PS1='{GUEST}' $R -- bash --norc --noprofile +o history -i\n")
    match = shell.expect(f"([^>]*){re.escape(GUEST)}", "bash in a sandbox prompts")
    greeting = match[1] if match else ""
    check("job control" not in greeting and "ioctl" not in greeting, "it has job control", greeting)
    check(shell.is_raw(), "readline has the terminal in raw mode")
    shell.type("echo $((40+2))\n")
    shell.expect(r"^echo \$\(\(40\+2\)\)\r\n[^\r\n]*\r42\r\n", "what is typed is echoed once")
    shell.expect(re.escape(GUEST), "prompt")
    shell.type("set +o emacs; bind 'set enable-bracketed-paste off'; stty -echo\n")
    shell.expect(re.escape(GUEST), "prompt")
    name = f"/dev/pts/{pts_number(shell.master)}"
    shell.guest("tty", re.escape(name) + "\r\n", "tty names the terminal by its name on the host")
    shell.guest("tty | cat; test -t 0 && test -t 1 && test -t 2 && echo all", "all\r\n", "the streams are terminals")
    shell.guest("stat -L -c '%F %t' /dev/stdin $(tty)", "character special file 88\r\ncharacter special file 88", "its node is a device")
    shell.guest("echo direct > $(tty)", "direct\r\n", "the named terminal can be opened")
    shell.guest("echo through > /dev/tty", "through\r\n", "/dev/tty can be opened")
    shell.guest("ps -o tty= -p $$", re.escape(name[5:]), "ps shows the terminal")
    shell.guest("ps -o stat= -p $$", r"Ss\+?\s", "bash leads its session")
    # ^C: the program, not the shell.
    shell.type(RUNNING + "\n")
    shell.expect("running\r\n", "a program runs")
    shell.type("\x03")
    shell.expect(re.escape(GUEST), "^C ends a program, and the shell goes on")
    shell.guest("echo $?", "130", "^C gives 130")
    shell.type("cat\n")
    shell.type("line\n")
    shell.expect("line\r\n", "a program reads from the terminal")
    shell.type("\x04")
    shell.expect(re.escape(GUEST), "^D is the end of its input")
    # ^Z, bg, fg.
    shell.type(RUNNING + "\n")
    shell.expect("running\r\n", "a program runs")
    shell.type("\x1a")
    shell.expect(r"\[1\]\+\s+Stopped", "^Z stops a program")
    shell.expect(re.escape(GUEST), "prompt")
    shell.guest("ps -o stat= -p $(jobs -p)", r"\nT|^T", "it is stopped")
    shell.guest("bg", r"\[1\]\+ .*sleep 100.* &", "bg")
    shell.guest("jobs", r"\[1\]\+\s+Running", "it runs in the background")
    shell.type("fg\n")
    shell.expect("sleep 100.*\r\n", "fg")
    time.sleep(0.2)
    shell.type("\x03")
    shell.expect(re.escape(GUEST), "^C ends it in the foreground")
    shell.guest("cat &", r"\[1\] \d+", "a reader in the background")
    shell.guest("until ps -o stat= -p $(jobs -p) | grep -q T; do sleep 0.05; done; jobs", r"Stopped", "is stopped by its input")
    shell.guest("kill %1; wait", "", "and killed")
    shell.guest("sleep 0.1 & wait $!; echo waited=$?", "waited=0", "wait")
    # Window size.
    shell.guest("stty size", "24 200\r\n", "the window's size")
    shell.guest("trap 'echo winch; stty size' WINCH; echo set", "set\r\n", "a trap")
    shell.resize(30, 90)
    # The signal comes through runsc, the key does not: it could overtake, and bash runs traps with the next line.
    time.sleep(0.3)
    shell.type("\n")
    shell.expect("winch\r\n30 90\r\n", "SIGWINCH arrives, and the new size")
    shell.quiet(0.2)
    shell.type("kill -STOP $$; echo back\n")
    shell.expect(r"\[1\]\+\s+Stopped", "the guest's shell stops, and so does runsc for the host's")
    shell.prompt("the host's shell prompts")
    shell.type("fg\n")
    shell.expect("back\r\n", "fg of the host's shell continues it")
    shell.expect(re.escape(GUEST), "prompt")
    shell.type("exit 7\n")
    shell.prompt("exit ends the guest's shell")
    shell.status(7, "exit 7")
    shell.close()


def pts_number(master):
    return struct.unpack("I", fcntl.ioctl(master, 0x80045430, b"\0" * 4))[0]  # TIOCGPTN


def settings_restored(runsc, flags):
    shell = HostShell(runsc, flags)
    shell.type("stty echo; echo set\n")
    shell.expect("set\r\nset\r\n|set\r\n", "the terminal echoes")
    shell.prompt("prompt")
    before = shell.settings()
    shell.run("$R stty raw -echo; sleep 0.3; echo do''ne", "done\r", "a command that leaves raw mode")
    shell.prompt("prompt")
    after = shell.settings()
    check(after == before, "raw mode and echo are as before", f"{after} {before}")
    for victim in ("runsc-sentry", "runsc-gofer"):
        shell.type("$R -- sh -c 'stty raw -echo; echo now\" \"raw; sleep 100'; stty -a | tr ' ' '\\n' | grep -E '^-?(echo|icanon);?$'\n")
        shell.expect("now raw", "the guest has the terminal in raw mode")
        processes = Processes(shell.runsc_pid())
        os.kill(processes.sentry if victim == "runsc-sentry" else processes.gofer, signal.SIGKILL)
        shell.expect(r"was killed by signal 9.*\n", f"{victim} is killed")
        match = shell.expect(r"(-?icanon)\r\n(-?echo)\r\n", "stty tells")
        if match:
            check(match.groups() == ("icanon", "echo"), f"{victim} killed: the terminal is usable", str(match.groups()))
        shell.prompt("prompt")
    shell.run("$R -- sh -c 'stty raw -echo; kill -9 $$'; echo co''de=$?", "code=137\r\n", "a command that dies in raw mode")
    shell.prompt("prompt")
    check(shell.settings() == before, "and leaves the terminal usable")
    shell.close()


def jobs_of_the_host(runsc, flags):
    shell = HostShell(runsc, flags)
    shell.type("$R sleep 100\n")
    pid = shell.runsc_pid()
    guest_runs(pid)
    shell.type("\x1a")
    shell.expect(r"\[1\]\+\s+Stopped", "^Z stops a command")
    shell.prompt("the shell prompts")
    check(state_of(pid) == "T", "runsc is stopped", state_of(pid))
    shell.run("bg; jobs", r"\[1\]\+\s+Running", "bg continues it")
    shell.prompt("prompt")
    shell.type("fg\n")
    shell.expect("sleep 100", "fg")
    time.sleep(0.2)
    shell.type("\x03")
    shell.prompt("^C ends it")
    shell.status(130, "^C")
    shell.run("$R sleep 0.2; echo slept=$?", "slept=0\r\n", "a command that just ends")
    shell.prompt("prompt")
    shell.type("while :; do $R sleep 100; done\n")
    guest_runs(shell.runsc_pid())
    shell.type("\x03")
    shell.prompt("^C ends a loop of the shell around it")
    shell.type("$R sleep 100\n")
    guest_runs(shell.runsc_pid())
    shell.type("\x1c")
    shell.prompt("^\\ ends it")
    shell.status(131, "^\\")
    shell.run("$R sh -c 'trap \"echo caught; exit 3\" INT; echo ready; while :; do sleep 0.05; done'", "ready\r\n", "a handler")
    shell.type("\x03")
    shell.expect("caught\r\n", "the guest's handler of ^C runs")
    shell.prompt("prompt")
    shell.status(3, "a handled ^C")
    # In the background it may write but not read.
    shell.run("$R echo from the background &", "from the background", "a job in the background writes")
    shell.quiet(0.3)
    shell.type("$R cat &\n")
    shell.prompt("prompt")
    wait_until(lambda: state_of(shell.runsc_pid()) == "T", PATIENCE)
    shell.run("jobs", r"Stopped", "a job in the background that reads is stopped")
    shell.prompt("prompt")
    shell.type("fg\n")
    time.sleep(0.3)
    shell.type("now\n\x04")
    shell.expect("now\r\n", "and reads in the foreground")
    shell.prompt("and ends")
    shell.type("$R stty -echo &\n")
    shell.quiet(0.3)
    wait_until(lambda: state_of(shell.runsc_pid()) == "T", PATIENCE)
    shell.run("jobs", r"Stopped", "a job in the background that changes the terminal is stopped")
    shell.run("kill %1; sleep 0.5; jobs", "Exit 143", "and killed")
    shell.quiet(0.3)
    # What is typed ahead is for the next program.
    shell.type("$R sleep 0.5\n")
    time.sleep(0.1)
    shell.type("echo typed ahead\n")
    shell.expect("typed ahead\r\n", "what is typed ahead reaches the shell")
    shell.prompt("prompt")
    shell.run("$R seq 5 | tail -n 1", "5\r\n", "in a pipeline")
    shell.prompt("prompt")
    shell.run("echo x | $R cat", "x\r\n", "with a pipe for input")
    shell.prompt("prompt")
    shell.run("$R -- sh -c 'read line < /dev/tty; echo got $line' < /dev/null & sleep 0.5; fg", "read line", "no input but the terminal")
    shell.quiet(0.2)
    shell.type("\x03")
    shell.quiet(0.2)
    shell.close()


def state_of(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rsplit(")", 1)[1].split()[0]
    except OSError:
        return "gone"


def guest_runs(pid):
    """Waits until a guest is there: its stub."""
    return wait_until(lambda: pid is not None and bool(Processes(pid).stubs), PATIENCE) and (time.sleep(0.2) or True)


def full_screen(runsc, flags):
    shell = HostShell(runsc, flags)
    text = runsc.path("text")
    with open(text, "w", encoding="ascii") as file:
        file.write("".join(f"line {number}\n" for number in range(1, 201)))
    before = shell.settings()
    if shutil.which("vi"):
        shell.type(f"$R -- sh -c 'vi -u NONE {text} && head -n 1 {text}'\n")
        shell.expect("line 1\\b", "vi shows the file")
        check(shell.is_raw(), "vi has the terminal in raw mode")
        time.sleep(0.5)
        shell.type("Ochanged\x1b")
        time.sleep(0.3)
        shell.type(":wq\r")
        shell.expect("changed\r\n", "vi has changed the guest's file")
        shell.prompt("prompt")
        check(shell.settings() == before, "the terminal after vi is as before")
    if shutil.which("less"):
        shell.type(f"$R less {text}\n")
        shell.expect("line 1\\b", "less shows the file")
        shell.quiet(0.3)
        shell.type("G")
        shell.expect("line 200", "less goes to the end")
        shell.type("q")
        shell.prompt("less ends")
        shell.type(f"$R cat {text} | less\n")
        shell.expect("line 1\\b", "less of the host shows what a sandbox writes")
        shell.quiet(0.3)
        shell.type("G")
        shell.expect("line 200", "and has the keyboard")
        shell.type("q")
        shell.prompt("it ends")
        check(shell.settings() == before, "the terminal after less is as before")
    if shutil.which("python3"):
        shell.run("$R python3 -c 'import getpass; print(\"secret\", getpass.getpass())'", "Password: ", "a password is asked for")
        check(wait_until(lambda: not shell.echoes(), PATIENCE), "without echo")
        shell.type("hidden\n")
        shell.expect(r"\r\nsecret hidden\r\n", "and read")
        shell.prompt("prompt")
        shell.run("$R python3 -c 'import pty; pty.spawn([\"tty\"])'", "/dev/pts/[0-9]+\r\n", "a pty inside")
        shell.prompt("prompt")
    shell.run("$R stty min 0 time 3 -icanon -echo; $R -- sh -c 'stty min 0 time 3 -icanon; head -c 1 | wc -c'", "0\r\n",
              "a read of a terminal with VTIME ends")
    shell.prompt("prompt")
    shell.close()


def as_session_leader(runsc, flags):
    """runsc is what the terminal was opened for, as with ssh -t."""
    terminal = Terminal([runsc.binary, "do", *flags.split(), "--", "bash", "--norc", "--noprofile", "-i"], {"PS1": GUEST})
    terminal.expect(re.escape(GUEST), "without a shell of the host, bash prompts")
    terminal.type(RUNNING + "\n")
    terminal.expect("running\r\n", "a program runs")
    terminal.type("\x03")
    terminal.expect(re.escape(GUEST), "^C ends a program")
    terminal.type(RUNNING + "\n")
    terminal.expect("running\r\n", "a program runs")
    terminal.type("\x1a")
    terminal.expect("Stopped", "^Z stops one")
    terminal.type("exit 5\n")
    terminal.type("exit 5\n")
    terminal.quiet(0.5)
    _, status = os.waitpid(terminal.pid, 0)
    check(os.waitstatus_to_exitcode(status) == 5, "the exit code", str(status))
    terminal.close()
    # The window is closed.
    terminal = Terminal([runsc.binary, "do", *flags.split(), "--", "sh", "-c", "echo ready; sleep 100"])
    terminal.expect("ready", "a command runs")
    os.close(terminal.master)
    ended = []
    check(wait_until(lambda: ended.append(os.waitpid(terminal.pid, os.WNOHANG)) or ended[-1][0] != 0, PATIENCE),
          "it ends when the window is closed")
    if ended[-1][0]:
        check(os.waitstatus_to_exitcode(ended[-1][1]) == 129, "by SIGHUP", str(ended[-1][1]))


EDGES = """
import os, select
epoll = select.epoll()
epoll.register(0, select.EPOLLIN | select.EPOLLET)
print("ready", flush=True)
while epoll.poll(30):
    print("got", os.read(0, 100), flush=True)
"""


def edges(runsc, flags):
    """Edge-triggered, as full-screen programs in Rust wait for keys: again without a read that found nothing."""
    if not shutil.which("python3"):
        print("SKIPPED edges: there is no python3")
        return
    terminal = Terminal([runsc.binary, "do", *flags.split(), "--", "python3", "-c", EDGES])
    terminal.expect("ready", "a command waits for edges")
    for word in ("one", "two", "three"):
        terminal.type(word + "\n")
        terminal.expect(re.escape(f"got b'{word}\\n'"), f"an edge for {word}")
    terminal.type("\x03")
    terminal.quiet(0.5)
    os.waitpid(terminal.pid, 0)
    terminal.close()


def main():
    if not shutil.which("bash"):
        skip("there is no bash")
    runsc = Runsc(os.path.abspath(sys.argv[1]))
    flags = " ".join(sys.argv[2:])
    try:
        runsc.require()
        adopt_orphans()
        for part in (interactive_shell, settings_restored, jobs_of_the_host, full_screen, as_session_leader,
                     edges):
            part(runsc, flags)
            check(wait_until(lambda: (reap(), not descendants(os.getpid()))[1], 5),
                  f"{part.__name__}: no process is left", str(descendants(os.getpid())))
    finally:
        runsc.close()
    finish()


main()
