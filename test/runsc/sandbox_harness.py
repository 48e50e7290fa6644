"""What the tests of the runsc binary share: running it, its process tree, what it leaves
behind, and a list of checks that is printed at the end. Standard library only.

A test program becomes the subreaper of what it starts, so that a process which outlives
runsc is found and its end seen."""
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

SKIPPED = 77
_PR_SET_CHILD_SUBREAPER = 36
_failures = []
_count = 0


def skip(why):
    print(f"skipped: {why}")
    sys.exit(SKIPPED)


def check(ok, what, detail=""):
    global _count
    _count += 1
    if not ok:
        _failures.append(what)
        print(f"FAILED: {what}{': ' if detail else ''}{detail}", flush=True)
    return ok


def finish():
    print(f"{_count} checks, {len(_failures)} failed")
    sys.exit(1 if _failures else 0)


def adopt_orphans():
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _stat(pid):
    """(parent, state, start time), or None if there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            fields = file.read().rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return None
    return int(fields[1]), fields[0], fields[19]


def descendants(root):
    """The processes beneath `root`, parents first, zombies left out."""
    children = {}
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        stat = _stat(int(name))
        if stat is not None and stat[1] not in "ZX":
            children.setdefault(stat[0], []).append(int(name))
    found = []
    todo = [root]
    while todo:
        parent = todo.pop(0)
        below = sorted(children.get(parent, []))
        found += below
        todo += below
    return found


def identity(pid):
    """A process, in a way that survives reuse of its number."""
    stat = _stat(pid)
    return (pid, stat[2]) if stat else (pid, None)


def alive(process):
    stat = _stat(process[0])
    return stat is not None and stat[1] not in "ZX" and stat[2] == process[1]


def reap(but=None):
    """Takes orphans that have ended off the process table; `but` is somebody else's to wait for."""
    try:
        while True:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if ended is None or ended.si_pid == but:
                return
            os.waitpid(ended.si_pid, 0)
    except ChildProcessError:
        pass


def wait_until(condition, seconds):
    """Polls; true once `condition` holds, false if it does not within `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return condition()
        time.sleep(0.002)
    return True


def mounts():
    with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
        return sorted(line.split(" ", 1)[1] for line in file)


class Processes:
    """The processes of a running `runsc do`, by their place in the tree."""

    def __init__(self, runsc_pid):
        self.runsc = runsc_pid
        self.sentry = self.gofer = None
        self.stubs = []
        for pid in descendants(runsc_pid):
            parent = _stat(pid)
            name = self._name(pid)
            if parent is not None and parent[0] == runsc_pid:
                if name == "runsc-sentry":
                    self.sentry = pid
                elif name == "runsc-gofer":
                    self.gofer = pid
            elif parent is not None and parent[0] == self.sentry:
                self.stubs.append(pid)

    @staticmethod
    def _name(pid):
        try:
            with open(f"/proc/{pid}/comm", encoding="ascii", errors="replace") as file:
                return file.read().strip()
        except OSError:
            return ""

    def all(self):
        return [pid for pid in [self.runsc, self.gofer, self.sentry, *self.stubs] if pid]


class Runsc:
    def __init__(self, binary):
        self.binary = binary
        self.folder = tempfile.mkdtemp(prefix="runsc-test-")
        os.chmod(self.folder, 0o755)

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def require(self):
        """Skips the whole test where a sandbox cannot be made at all."""
        probe = self.run("do", "true")
        if probe.returncode == 125 and b"user namespaces" in probe.stderr:
            skip(probe.stderr.decode(errors="replace").strip())

    def run(self, *arguments, timeout=20, **options):
        if "input" not in options:
            options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        return subprocess.run([self.binary, *arguments], timeout=timeout, check=False, **options)

    def start(self, *arguments, **options):
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        return subprocess.Popen([self.binary, *arguments], **options)

    def start_guest(self, script, *flags, **options):
        """A guest that has said "ready", and so runs."""
        process = self.start("do", *flags, "--", "sh", "-c", f"echo ready; {script}", **options)
        line = process.stdout.readline()
        if line != b"ready\n":
            process.kill()
            raise RuntimeError(f"the guest did not start: {line!r} {process.stderr.read()!r}")
        return process


def end(process):
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
    process.wait()
    for stream in (process.stdout, process.stderr):
        if stream:
            stream.close()
