#!/usr/bin/env python3
"""containerd driving runsc behind its own shim (io.containerd.runc.v2): tasks, exec, and the pods of its CRI plugin by
the annotations that it gives.

  containerd_test.py RUNSC [--runtime NAME] [--only PART,PART...] [-- RUNSC_FLAG...]

With --runtime=runc or crun the parts but pods are asked of it: what it does is right."""
import argparse
import io
import os
import shutil
import tarfile

import engine_harness
from engine_harness import Place, busybox_tar, check, finish, require, run, wait_until

TYPE, SANDBOX = "io.kubernetes.cri.container-type", "io.kubernetes.cri.sandbox-id"


class Containerd:
    def __init__(self, place, runtime, binary, flags):
        self.place = place
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
        self.daemon = place.start(["containerd", "-c", config], "containerd.log")
        if not wait_until(lambda: self("version").returncode == 0, 60):
            log = place.tail("containerd.log")
            place.close(self.daemon)
            engine_harness.skip(f"containerd does not start here: {log}")
        self.rootfs = place.path("rootfs")
        with tarfile.open(fileobj=io.BytesIO(busybox_tar())) as tar:
            tar.extractall(self.rootfs)

    def __call__(self, *arguments, timeout=60, **options):
        return run(["ctr", "-a", self.socket, *arguments], timeout, **options)

    def run(self, name, *command, flags=(), **options):
        return self("run", "--runtime", "io.containerd.runc.v2", "--runc-binary", self.binary, *flags, "--rootfs",
                    self.rootfs, name, *command, **options)

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


PARTS = {"tasks": tasks, "pods": pods}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("runsc")
    parser.add_argument("--runtime", default="runsc")
    parser.add_argument("--only", default=",".join(PARTS))
    parser.add_argument("flags", nargs="*")
    arguments = parser.parse_args()
    require("containerd", "ctr")
    place = Place()
    engine = None
    try:
        engine = Containerd(place, arguments.runtime, os.path.abspath(arguments.runsc), arguments.flags)
        for part in arguments.only.split(","):
            print(f"--- {part}", flush=True)
            PARTS[part](engine)
        check(engine("container", "ls", "-q").stdout == "", "no container left", engine("container", "ls").stdout)
    finally:
        place.close(engine.daemon if engine else None)
    finish()


if __name__ == "__main__":
    main()
