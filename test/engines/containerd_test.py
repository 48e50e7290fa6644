#!/usr/bin/env python3
"""containerd driving runsc, behind runsc's shim (io.containerd.runsc.v1) and behind containerd's own
(io.containerd.runc.v2): tasks, exec, and the pods of its CRI plugin by the annotations that it gives.

  containerd_test.py RUNSC [--runtime NAME] [--shim runsc|stock] [--only PART,PART...] [-- RUNSC_FLAG...]

With --runtime=runc or crun the parts but pods are asked of it, behind the stock shim: what it does is right."""
import argparse
import io
import os
import shutil
import signal
import tarfile

import engine_harness
from engine_harness import Place, Terminal, busybox_tar, check, finish, parse, require, run, wait_until

TYPE, SANDBOX = "io.kubernetes.cri.container-type", "io.kubernetes.cri.sandbox-id"


class Containerd:
    """`shim`: "runsc" or "stock"."""

    def __init__(self, place, runtime, shim, binary, flags):
        self.place = place
        self.shim = shim
        os.mkdir(place.path("bin"))
        os.symlink(binary, place.path("bin", "containerd-shim-runsc-v1"))
        os.environ["PATH"] = f"{place.path('bin')}:{os.environ['PATH']}"
        self.flags_file = place.write("runsc.flags", "# as ConfigPath names it\n" + "".join(f"{flag}\n" for flag in flags))
        path = binary if runtime == "runsc" else shutil.which(runtime)
        if flags and runtime == "runsc":
            path = place.write("runsc-with-flags", f"#!/bin/sh\nexec {binary} {' '.join(flags)} \"$@\"\n")
            os.chmod(path, 0o755)
        self.binary = path
        self.socket = place.path("containerd.sock")
        config = place.write("config.toml", f"""
version = 2
root = "{place.path('root')}"
state = "{place.path('state')}"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "{self.socket}"
""")
        self.config = config
        self.daemon = None
        if not self.start():
            log = place.tail("containerd.log")
            place.close(self.daemon)
            engine_harness.skip(f"containerd does not start here: {log}")
        self.rootfs = place.path("rootfs")
        with tarfile.open(fileobj=io.BytesIO(busybox_tar())) as tar:
            tar.extractall(self.rootfs)

    def start(self):
        self.daemon = self.place.start(["containerd", "-c", self.config], "containerd.log")
        return wait_until(lambda: self("version").returncode == 0, 60)

    def __call__(self, *arguments, timeout=60, **options):
        return run(["ctr", "-a", self.socket, *arguments], timeout, **options)

    def run_arguments(self, name, *command, flags=()):
        shim = ("--runtime", "io.containerd.runc.v2", "--runc-binary", self.binary)
        if self.shim == "runsc":
            shim = ("--runtime", "io.containerd.runsc.v1", "--runtime-config-path", self.flags_file)
        return ("run", *shim, *flags, "--rootfs", self.rootfs, name, *command)

    def run(self, name, *command, flags=(), **options):
        return self(*self.run_arguments(name, *command, flags=flags), **options)

    def running(self):
        return {line.split()[0]: line.split()[2] for line in self("task", "ls").stdout.splitlines()[1:]}

    def remove(self, *names):
        for name in names:
            self("task", "kill", "-s", "KILL", name)
            check(wait_until(lambda: self.running().get(name) in (None, "STOPPED"), 30), f"{name} ends", self.running())
            self("task", "rm", "--force", name)
            check(self("container", "rm", name).returncode == 0, f"{name} is removed")


def tasks(engine):
    ran = engine.run("one", "/bin/sh", "-c", "echo out; id -u; exit 3", flags=("--rm",))
    check((ran.returncode, ran.stdout) == (3, "out\n0\n"), "run", ran)
    missing = engine.run("two", "/bin/nothing", flags=("--rm",))
    check(missing.returncode != 0 and "nothing" in missing.stderr, "no such program", missing)
    check(engine.run("three", "/bin/sleep", "300", flags=("-d",)).returncode == 0, "run -d")
    check(engine.running().get("three") == "RUNNING", "it runs", engine.running())
    done = engine("task", "exec", "--exec-id", "e1", "three", "/bin/sh", "-c", "echo in; exit 4")
    check((done.returncode, done.stdout) == (4, "in\n"), "exec", done)
    check("memory.usage_in_bytes" in engine("task", "metrics", "three").stdout, "metrics")
    check(engine("task", "pause", "three").returncode == 0 and engine.running()["three"] == "PAUSED", "pause")
    check(engine("task", "resume", "three").returncode == 0 and engine.running()["three"] == "RUNNING", "resume")
    engine.remove("three")


def pods(engine):
    def role(kind):
        return ("--annotation", f"{TYPE}={kind}", "--annotation", f"{SANDBOX}=pod")
    check(engine.run("pod", "/bin/sleep", "300", flags=("-d", *role("sandbox"))).returncode == 0, "the pod's first")
    ran = engine.run("one", "/bin/sh", "-c", "echo $$; exit 5", flags=("--rm", *role("container")))
    check((ran.returncode, ran.stdout) == (5, "1\n"), "run in the pod", ran)
    check(engine.run("two", "/bin/sleep", "300", flags=("-d", *role("container"))).returncode == 0, "run -d in the pod")
    done = engine("task", "exec", "--exec-id", "e1", "two", "/bin/sh", "-c", "cat /proc/1/cmdline")
    check(done.stdout == "/bin/sleep\x00300\x00", "exec finds the container's own processes", done)
    engine.remove("two")
    check(engine.running().get("pod") == "RUNNING", "the pod runs on", engine.running())
    engine.remove("pod")


def streams(engine):
    """What goes in and out, by pipes and by a terminal."""
    if engine.shim == "runsc":  # behind the stock shim of containerd 1.6 this hangs, with runc too
        ran = engine.run("one", "/bin/sh", "-c", "cat; echo end; echo wrong >&2", flags=("--rm",), input=b"typed\n" * 20000)
        check((ran.returncode, ran.stdout, ran.stderr) == (0, "typed\n" * 20000 + "end\n", "wrong\n"), "stdin to its end", ran)
    script = "trap 'seq 1 3000; exit 6' INT; until stty size 2>&1 | grep 33; do sleep 0.1; done; tty; while :; do sleep 1; done"
    terminal = Terminal(["ctr", "-a", engine.socket, *engine.run_arguments("two", "/bin/sh", "-c", script, flags=("--rm", "-t"))])
    check(terminal.expect("33 99") and terminal.expect("/dev/"), "a terminal of the caller's size", terminal.output)
    terminal.send("\x03")
    code = terminal.end()
    check(code == 6 and "\n2999\n3000\n" in terminal.output.replace("\r", ""), "^C, output and exit code", f"{code}, {terminal.output[-30:]!r}")
    log = engine.place.path("container.log")
    check(engine.run("three", "/bin/sh", "-c", "echo kept; sleep 300", flags=("-d", "--log-uri", f"file://{log}")).returncode == 0,
          "run -d with a log file")

    def logged():
        with open(log, encoding="utf-8") as file:
            return file.read() == "kept\n"
    check(wait_until(lambda: os.path.exists(log) and logged(), 10), "what it logs")
    terminal = Terminal(["ctr", "-a", engine.socket, "task", "exec", "-t", "--exec-id", "e1", "three", "/bin/sh"])
    terminal.send("echo in $((6*7)); exit 5\n")
    check(terminal.expect("in 42") and terminal.end() == 5, "exec -t", terminal.output)
    engine.remove("three")


def signals(engine):
    script = "trap 'exit 9' TERM; echo x >/ready; while :; do sleep 0.1; done"
    check(engine.run("one", "/bin/sh", "-c", script, flags=("-d", "--null-io")).returncode == 0, "run -d")
    check(wait_until(lambda: "x" in engine("task", "exec", "--exec-id", "e1", "one", "/bin/cat", "/ready").stdout, 30), "it runs")
    check(engine("task", "kill", "-s", "TERM", "one").returncode == 0, "kill")
    check(wait_until(lambda: engine.running().get("one") == "STOPPED", 30), "it ends", engine.running())
    deleted = engine("task", "rm", "one")
    check(deleted.returncode == 9 or "9" in deleted.stderr, "with its own exit code", deleted)
    check(engine("container", "rm", "one").returncode == 0, "it is removed")
    events = engine.place.start(["ctr", "-a", engine.socket, "events"], "events.log")
    wait_until(lambda: False, 0.5)
    hog = "x=$(head -c 300000000 /dev/zero | tr '\\0' x); echo survived"
    ran = engine.run("hog", "/bin/sh", "-c", hog, flags=("--rm", "--memory-limit", str(64 << 20)))
    check(ran.returncode == 137, "too little memory", ran)
    wait_until(lambda: "/tasks/delete" in engine.place.tail("events.log", 100), 10)
    events.terminate()
    events.wait(10)
    said = engine.place.tail("events.log", 100)
    order = [said.find(topic) for topic in ("/tasks/create", "/tasks/start", "/tasks/oom", "/tasks/exit", "/tasks/delete")]
    check(-1 not in order and order == sorted(order), "events, in order", said)


def shim_pids(engine):
    found = []
    for pid in engine_harness.sandbox_harness.descendants(os.getpid()):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                words = file.read().split(b"\0")
        except OSError:
            continue
        if b"containerd-shim-" in words[0]:
            found.append(pid)
    return found


def deaths(engine):
    """The shim is killed; containerd is, while a container runs."""
    check(engine.run("one", "/bin/sleep", "300", flags=("-d", "--null-io")).returncode == 0, "run -d")
    shims = shim_pids(engine)
    check(len(shims) == 1, "one shim", shims)
    for pid in shims:
        os.kill(pid, signal.SIGKILL)
    check(wait_until(lambda: "one" not in engine.running(), 30), "containerd has what a dead shim left deleted", engine.running())
    check(engine("container", "rm", "one").returncode == 0, "it is removed")
    sleeping = [pid for pid in engine_harness.sandbox_harness.descendants(os.getpid()) if pid != engine.daemon.pid]
    check(sleeping == [], "no process is left", sleeping)

    check(engine.run("two", "/bin/sleep", "300", flags=("-d", "--null-io")).returncode == 0, "run -d")
    engine.daemon.kill()
    engine.daemon.wait()
    check(engine.start(), "containerd starts again", engine.place.tail("containerd.log"))
    check(engine.running().get("two") == "RUNNING", "the container has run on", engine.running())
    done = engine("task", "exec", "--exec-id", "e1", "two", "/bin/echo", "well")
    check(done.stdout == "well\n", "exec in it", done)
    engine.remove("two")


PARTS = {"tasks": tasks, "streams": streams, "signals": signals, "pods": pods, "deaths": deaths}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("runsc")
    parser.add_argument("--runtime", default="runsc")
    parser.add_argument("--shim", choices=("runsc", "stock"))
    parser.add_argument("--only", default=",".join(PARTS))
    arguments, flags = parse(parser)
    require("containerd", "ctr")
    shims = [arguments.shim] if arguments.shim else ["runsc", "stock"] if arguments.runtime == "runsc" else ["stock"]
    for shim in shims:
        place = Place()
        engine = None
        try:
            engine = Containerd(place, arguments.runtime, shim, os.path.abspath(arguments.runsc), flags)
            for part in arguments.only.split(","):
                print(f"--- {part}, {shim} shim", flush=True)
                PARTS[part](engine)
            check(engine("container", "ls", "-q").stdout == "", "no container left", engine("container", "ls").stdout)
            left = [pid for pid in engine_harness.sandbox_harness.descendants(os.getpid()) if pid != engine.daemon.pid]
            check(wait_until(lambda: shim_pids(engine) == [], 10), "no shim is left", left)
        finally:
            place.close(engine.daemon if engine else None)
    finish()


if __name__ == "__main__":
    main()
