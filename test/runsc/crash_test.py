"""SIGKILL for each process of ours at every step of create, start, exec and delete: runsc itself, the monitor, the
Sentry, the Gofer, the keeper of an exec. Whatever dies when: the next command says what happened, `delete --force`
works, and no process, mount, cgroup or state is left.

crash_test.py RUNSC [FLAGS] [--moments=N]   N points of time for each step and process (default: 2)"""
import os
import signal
import subprocess
import sys
import time
import traceback

import container_harness
from container_harness import Containers
from sandbox_harness import adopt_orphans, alive, check, descendants, finish, identity, mounts, reap, skip, wait_until

NAMES = {"monitor": "runsc-monitor", "sentry": "runsc-sentry", "gofer": "runsc-gofer", "keeper": "runsc-exec"}
MESSAGE = b"level=error msg="


def name_of(pid):
    try:
        with open(f"/proc/{pid}/comm", encoding="ascii", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""


def find(role, below):
    return next((pid for pid in descendants(below) if name_of(pid) == NAMES[role]), None)


def cgroups():
    """Those of this test."""
    found = []
    for folder, names, _ in os.walk("/sys/fs/cgroup"):
        found += [os.path.join(folder, name) for name in names if name.startswith(f"runsc-test-{os.getpid()}-")]
        if folder.count("/") > 5:
            names.clear()
    return found


class Matrix:
    def __init__(self, box, moments):
        self.box = box
        self.moments = moments
        self.bundle = box.bundle(["sh", "-c", "sleep 1000 & sleep 1000"])
        self.mounts = mounts()
        self.durations = {}

    def arguments(self, step):
        return {"create": ("create", "--bundle", self.bundle, "c"), "start": ("start", "c"),
                "exec": ("exec", "c", "sh", "-c", "sleep 0.05"), "delete": ("delete", "--force", "c")}[step]

    def begin(self, step):
        """Its stderr is a file: a pipe's other end would stay with the container."""
        with open(self.box.path("stderr"), "wb") as file:
            return self.box.start(*self.arguments(step), stdout=subprocess.DEVNULL, stderr=file)

    def prepare(self, step):
        """What has to be there before the step."""
        if step != "create":
            check(self.box.create("c", self.bundle).returncode == 0, f"create before {step}", self.box.output("c"))
        if step in ("exec", "delete"):
            check(self.box.run("start", "c").returncode == 0, f"start before {step}")

    def measure(self, step):
        self.prepare(step)
        start = time.monotonic()
        process = self.begin(step)
        process.wait(30)
        self.durations[step] = time.monotonic() - start
        self.clean(f"{step}, undisturbed")

    def clean(self, what):
        """The next commands' answers, and that nothing is left."""
        everything = [identity(pid) for pid in descendants(os.getpid())]
        state = self.box.run("state", "c")
        check(state.returncode == 0 or (state.returncode == 1 and b"container does not exist" in state.stderr),
              f"{what}: state says what there is", state.stderr)
        if state.returncode == 0 and b'"stopped"' in state.stdout:
            for command, code in ((("start", "c"), 1), (("exec", "c", "true"), 255), (("kill", "c"), 1)):
                result = self.box.run(*command)
                check(result.returncode == code and result.stderr.count(b"\n") == 1 and MESSAGE in result.stderr,
                      f"{what}: {command[0]} of what has stopped", (result.returncode, result.stderr))
        deleted = self.box.run("delete", "--force", "c")
        check(deleted.returncode == 0, f"{what}: delete --force", deleted.stderr)
        check(wait_until(lambda: reap() or not any(alive(process) for process in everything), 20),
              f"{what}: no process is left", [name_of(pid) for pid, _ in everything if alive((pid, _))])
        left = os.listdir(self.box.root) if os.path.exists(self.box.root) else []
        check(not left, f"{what}: no state is left", left)
        check(not cgroups(), f"{what}: no cgroup is left", cgroups())
        check(mounts() == self.mounts, f"{what}: no mount is left")
        again = self.box.create("c", self.bundle)
        check(again.returncode == 0, f"{what}: the id can be used again", self.box.output("c"))
        check(self.box.run("delete", "c").returncode == 0, f"{what}: and deleted")

    def strike(self, step, role, moment):
        """Kills `role` when that part of the step's usual time is over."""
        self.prepare(step)
        process = self.begin(step)
        delay = self.durations[step] * moment / self.moments
        end = time.monotonic() + delay
        while time.monotonic() < end and process.poll() is None:
            time.sleep(0.0003)
        victim = process.pid if role == "runsc" else find(role, os.getpid())
        if victim is not None and not (role == "runsc" and process.poll() is not None):
            try:
                os.kill(victim, signal.SIGKILL)
            except ProcessLookupError:
                pass
        what = f"{role} killed in {step} at {moment}/{self.moments}"
        try:
            code = process.wait(20)
        except subprocess.TimeoutExpired:
            check(False, f"{what}: the command ends")
            process.kill()
            code = process.wait()
        with open(self.box.path("stderr"), "rb") as file:
            said = file.read()
        if role != "runsc" and code not in (0, 137):
            check(said.count(b"\n") == 1 and MESSAGE in said, f"{what}: the command says what happened", (code, said))
        self.clean(what)


def main():
    arguments = sys.argv[1:]
    moments = next((int(flag.split("=")[1]) for flag in arguments if flag.startswith("--moments=")), 2)
    binary, *flags = [flag for flag in arguments if not flag.startswith("--moments=")]
    if os.geteuid() != 0:
        skip("needs root")
    busybox = container_harness.busybox()
    if busybox is None:
        skip("needs a static busybox (package busybox-static)")
    adopt_orphans()
    box = Containers([os.path.abspath(binary), *flags], busybox)
    matrix = Matrix(box, moments)
    try:
        for step in ("create", "start", "exec", "delete"):
            matrix.measure(step)
            for role in ("runsc", "monitor", "sentry", "gofer") + (("keeper",) if step == "exec" else ()):
                for moment in range(moments):
                    matrix.strike(step, role, moment)
    except (subprocess.TimeoutExpired, OSError) as error:
        traceback.print_exc()
        check(False, f"{error}")
    finally:
        for entry in os.listdir(box.root) if os.path.exists(box.root) else []:
            box.run("delete", "--force", entry)
        box.close()
    finish()


main()
