#!/usr/bin/env python3
"""Podman driving runsc: containers, exec, pods.

  podman_test.py RUNSC [--runtime NAME] [--only PART,PART...] [-- RUNSC_FLAG...]

With --runtime=crun the same is asked of it: what it does is right."""
import argparse
import os
import shutil
import sys

import engine_harness
from engine_harness import IMAGE, Place, Terminal, busybox_tar, check, finish, require, run, wait_until


class Podman:
    def __init__(self, place, runtime, binary, flags):
        self.place, self.tested = place, (runtime, binary, flags)
        path = binary
        if runtime != "runsc":
            path = shutil.which(runtime)
        # Podman has a list of flags for all runtimes alike only, so that a script has to add ours.
        if flags and runtime == "runsc":
            path = place.write("runsc-with-flags", f"#!/bin/sh\nexec {binary} {' '.join(flags)} \"$@\"\n")
            os.chmod(path, 0o755)
        config = place.write("containers.conf", f"""
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
cgroupns = "private"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
network_cmd_path = ""
[engine.runtimes]
tested = ["{path}"]
[network]
network_backend = "cni"
cni_plugin_dirs = ["/usr/lib/cni"]
""")
        os.environ["CONTAINERS_CONF"] = config
        os.environ["CONTAINERS_REGISTRIES_CONF"] = place.write("registries.conf", "")
        self.command = ["podman", "--root", place.path("root"), "--runroot", place.path("run"), "--tmpdir", place.path("tmp"),
                        "--cgroup-manager", "cgroupfs", "--runtime", path, "--network-config-dir", place.path("cni")]
        os.makedirs(place.path("cni"), exist_ok=True)
        imported = self("import", place.write_bytes("image.tar", busybox_tar()), IMAGE)
        if imported.returncode != 0:
            place.close()
            engine_harness.skip(f"podman does not work here: {imported}")

    def __call__(self, *arguments, timeout=60, **options):
        return run([*self.command, *arguments], timeout, **options)

    def run(self, *arguments, **options):
        return self("run", "--cgroup-parent", self.place.cgroup_parent, *arguments, **options)

    def terminal(self, *arguments):
        return Terminal([*self.command, *arguments])

    def inspect(self, name, format_text):
        return self("inspect", "-f", format_text, name).stdout.strip()


def expect(result, code, out=None, what="", err=None):
    good = result.returncode == code and (out is None or result.stdout == out) and (err is None or err in result.stderr)
    return check(good, what, str(result))


def running(podman):
    expect(podman.run("--rm", IMAGE, "echo", "hello"), 0, "hello\n", "run --rm")
    expect(podman.run("--rm", IMAGE, "sh", "-c", "echo out; echo err >&2; exit 3"), 3, "out\n", "exit code and streams", "err")
    expect(podman.run("--rm", "-i", IMAGE, "cat", input=b"through stdin"), 0, "through stdin", "run -i")
    expect(podman.run("--rm", IMAGE, "no-such-program"), 127, "", "a command that is not there")
    expect(podman.run("--rm", IMAGE, "/etc/passwd"), 126, "", "a command that cannot be executed")
    expect(podman.run("--rm", "--user", "user", "-w", "/tmp", "-e", "A=b", IMAGE, "sh", "-c", "id -u; pwd; echo $A"), 0,
           "1000\n/tmp\nb\n", "--user -w -e")
    expect(podman.run("--rm", "--read-only", "--tmpfs", "/t", IMAGE, "sh", "-c", "touch /t/x && ! touch /root/x"), 0, None, "--read-only --tmpfs")
    expect(podman.run("--rm", "--cap-drop", "all", IMAGE, "chown", "user", "/tmp"), 1, "", "--cap-drop", "Operation not permitted")
    expect(podman.run("--rm", "--network", "none", IMAGE, "sh", "-c", "ip -o link | cut -d: -f2"), 0, " lo\n", "--network none")
    terminal = podman.terminal("run", "-it", "--rm", "--cgroup-parent", podman.place.cgroup_parent, IMAGE, "sh")
    ok = terminal.expect("# ")
    terminal.send("tty; exit 4\n")
    check(ok and terminal.end() == 4 and "/dev/" in terminal.output, "run -it", terminal.output)


def background(podman):
    started = podman.run("-d", "--name", "back", IMAGE, "sh", "-c",
                         "trap 'exit 7' TERM; echo started; while :; do sleep 0.1; done")
    if not check(started.returncode == 0, "run -d", str(started)):
        return
    check(wait_until(lambda: "started" in podman("logs", "back").stdout, 20), "logs", str(podman("logs", "back")))
    expect(podman("exec", "back", "sh", "-c", "echo in; exit 6"), 6, "in\n", "exec")
    expect(podman("exec", "-i", "-u", "user", "back", "sh", "-c", "id -u; cat", input=b"x"), 0, "1000\nx", "exec -i -u")
    missing = podman("exec", "back", "no-such-program")
    check(missing.returncode == 127, "exec of no program", str(missing))
    terminal = podman.terminal("exec", "-it", "back", "sh")
    ok = terminal.expect("# ")
    terminal.send("tty; exit 5\n")
    check(ok and terminal.end() == 5 and "/dev/pts/" in terminal.output, "exec -it", terminal.output)
    top = podman("top", "back")
    # It looks in the mount namespace of the process that it knows, where there is none of ours.
    seen = top.stdout.count("\n") == 1 if podman.tested[0] == "runsc" else "sh" in top.stdout
    check(top.returncode == 0 and seen, "top", str(top))
    inside = podman("top", "back", "-o", "pid,args")
    check(inside.returncode == 0 and "1 sh -c trap" in inside.stdout, "top with options of ps: of the container's ps", str(inside))
    expect(podman("pause", "back"), 0, None, "pause")
    expect(podman("unpause", "back"), 0, None, "unpause")
    stats = podman("stats", "--no-stream", "--format", "{{.PIDS}}", "back")
    check(stats.returncode == 0 and stats.stdout.strip() not in ("", "0", "--"), "stats", str(stats))
    expect(podman("stop", "-t", "20", "back"), 0, None, "stop")
    check(podman.inspect("back", "{{.State.ExitCode}}") == "7", "stop lets it end by itself", podman.inspect("back", "{{json .State}}"))
    expect(podman("start", "back"), 0, None, "start again")
    expect(podman("kill", "back"), 0, None, "kill")
    check(wait_until(lambda: podman.inspect("back", "{{.State.ExitCode}}") == "137", 20), "kill's exit code",
          podman.inspect("back", "{{json .State}}"))
    expect(podman("rm", "-f", "back"), 0, None, "rm")


def files(podman):
    folder = podman.place.path("volume")
    os.makedirs(folder, exist_ok=True)
    podman.place.write("volume/file", "from outside\n")
    expect(podman.run("--rm", "-v", f"{folder}:/v", IMAGE, "sh", "-c", "cat /v/file; echo inside >/v/new"), 0, "from outside\n", "-v")
    with open(podman.place.path("volume", "new"), encoding="utf-8") as file:
        check(file.read() == "inside\n", "-v: written outside")
    expect(podman.run("--rm", "-v", f"{folder}:/v:ro", IMAGE, "touch", "/v/x"), 1, "", "-v ro", "Read-only file system")
    created = podman.run("-d", "--name", "copied", IMAGE, "sleep", "1000")
    if check(created.returncode == 0, "run -d", str(created)):
        expect(podman("cp", podman.place.path("volume", "file"), "copied:/root/in"), 0, None, "cp in")
        expect(podman("exec", "copied", "cat", "/root/in"), 0, "from outside\n", "cp in: seen inside")
        expect(podman("exec", "copied", "sh", "-c", "echo written >/root/out"), 0, "", "write in the root")
        expect(podman("cp", "copied:/root/out", podman.place.path("copy")), 0, None, "cp out")
        expect(podman("rm", "-f", "copied"), 0, None, "rm")


def limits(podman):
    hog = podman.run("--name", "hog", "--memory", "64m", IMAGE, "sh", "-c", "x=$(head -c 300000000 /dev/zero | tr '\\0' x); echo survived")
    check(hog.returncode == 137, "--memory kills", str(hog))
    expect(podman("rm", "-f", "hog"), 0, None, "rm")
    forks = podman.run("--rm", "--pids-limit", "10", IMAGE, "sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 3 & done; wait")
    check("an't fork" in forks.stderr, "--pids-limit", str(forks))


def pods(podman):
    made = podman("pod", "create", "--name", "pod", "--infra=false", "--cgroup-parent", podman.place.cgroup_parent)
    if not check(made.returncode == 0, "pod create", str(made)):
        return
    for name in ("one", "two"):
        started = podman("run", "-d", "--pod", "pod", "--name", name, IMAGE, "sleep", "1000")
        check(started.returncode == 0, f"run --pod: {name}", str(started))
    check(podman("ps", "-q", "--filter", "pod=pod").stdout.count("\n") == 2, "two containers in the pod")
    expect(podman("exec", "two", "echo", "x"), 0, "x\n", "exec in a pod")
    expect(podman("rm", "-f", "one"), 0, None, "one container is removed")
    expect(podman("exec", "two", "echo", "y"), 0, "y\n", "the other lives on")
    expect(podman("pod", "rm", "-f", "pod"), 0, None, "pod rm")


def sharing(podman):
    """One container in another one's namespaces, without a pod."""
    started = podman.run("-d", "--name", "first", "--hostname", "the-first", IMAGE, "sleep", "1234")
    if not check(started.returncode == 0, "run -d", str(started)):
        return
    seen = podman.run("--rm", "--pid", "container:first", IMAGE, "sh", "-c", "ps; hostname")
    check(seen.returncode == 0 and "sleep 1234" in seen.stdout and "the-first" not in seen.stdout, "--pid container:NAME", str(seen))
    expect(podman.run("--rm", "--uts", "container:first", IMAGE, "hostname"), 0, "the-first\n", "--uts container:NAME")
    expect(podman("exec", "first", "sh", "-c", "echo here >/dev/shm/file"), 0, "", "write in /dev/shm")
    expect(podman.run("--rm", "--ipc", "container:first", IMAGE, "cat", "/dev/shm/file"), 0, "here\n", "--ipc container:NAME")
    expect(podman("rm", "-f", "-t", "0", "first"), 0, None, "rm")


class RootlessPodman:
    """Everything as an ordinary user, with ids of his own by newuidmap(1) and files by the driver vfs."""
    USER = 54321

    def __init__(self, podman, runtime, binary, flags):
        place = self.place = podman.place
        home, run_folder = place.path("home"), place.path("user-run")
        # In this test's mount namespace alone.
        for file, line in (("passwd", f"tester:x:{self.USER}:{self.USER}::{home}:/bin/sh\n"), ("group", f"tester:x:{self.USER}:\n"),
                           ("subuid", "tester:200000:65536\n"), ("subgid", "tester:200000:65536\n")):
            content = ""
            if os.path.exists(f"/etc/{file}"):
                with open(f"/etc/{file}", encoding="utf-8") as original:
                    content = original.read()
            else:
                with open(f"/etc/{file}", "w", encoding="utf-8"):
                    pass
            run(["mount", "--bind", place.write(f"etc-{file}", content + line), f"/etc/{file}"])
        self.has_tap = os.path.exists("/dev/net/tun")
        if self.has_tap:
            node = place.path("tun")
            os.mknod(node, 0o600 | 0o020000, os.makedev(10, 200))
            os.chmod(node, 0o666)
            run(["mount", "--bind", node, "/dev/net/tun"])
        for folder in (home, run_folder):
            os.mkdir(folder, 0o700)
            os.chown(folder, self.USER, self.USER)
        path = shutil.which(runtime)
        if runtime == "runsc":
            path = place.path("runsc-of-user")
            shutil.copy(binary, path)
            os.chmod(path, 0o755)
            if flags:
                path = place.write("runsc-of-user-with-flags", f"#!/bin/sh\nexec {path} {' '.join(flags)} \"$@\"\n")
                os.chmod(path, 0o755)
        config = place.write("user.conf", """
[containers]
default_ulimits = ["nofile=1024:1024"]
cgroupns = "private"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "cni"
""")
        os.chmod(place.path("image.tar"), 0o644)
        self.environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": home, "XDG_RUNTIME_DIR": run_folder,
                            "CONTAINERS_CONF": config, "CONTAINERS_REGISTRIES_CONF": place.path("registries.conf")}
        self.command = ["podman", "--storage-driver", "vfs", "--cgroup-manager", "cgroupfs", "--runtime", path]
        self.imported = self("import", place.path("image.tar"), IMAGE)

    def __call__(self, *arguments, timeout=60, **options):
        return run([*self.command, *arguments], timeout, user=self.USER, group=self.USER, extra_groups=[], cwd=self.environment["HOME"],
                   env=self.environment, **options)


def rootless(podman):
    for program in ("newuidmap", "newgidmap", "slirp4netns"):
        if shutil.which(program) is None:
            print(f"SKIPPED: rootless: {program} is not installed")
            return
    user = RootlessPodman(podman, *podman.tested)
    if user.imported.returncode != 0:
        print(f"SKIPPED: rootless: podman does not work here for an ordinary user: {user.imported}")
        return
    expect(user("run", "--rm", IMAGE, "sh", "-c", "id -u; hostname | wc -l; touch /x && echo written"), 0, "0\n1\nwritten\n", "rootless: run") \
        if user.has_tap else print("SKIPPED: rootless: the default network: there is no /dev/net/tun")
    alone = ("run", "--rm", "--network", "none")
    expect(user(*alone, IMAGE, "sh", "-c", "echo out; echo err >&2; exit 3"), 3, "out\n", "rootless: exit code and streams", "err")
    expect(user(*alone, "--user", "user", IMAGE, "id", "-u"), 0, "1000\n", "rootless: --user")
    expect(user(*alone, IMAGE, "sh", "-c", "touch /tmp/x; chown user /tmp/x; stat -c %u /tmp/x"), 0, "1000\n", "rootless: ids of its own")
    expect(user(*alone, "-i", IMAGE, "cat", input=b"through stdin"), 0, "through stdin", "rootless: run -i")
    volume = os.path.join(user.environment["HOME"], "volume")
    os.mkdir(volume)
    os.chown(volume, user.USER, user.USER)
    expect(user(*alone, "-v", f"{volume}:/v", IMAGE, "sh", "-c", "echo inside >/v/new"), 0, "", "rootless: -v")
    made = os.path.join(volume, "new")
    check(os.path.exists(made) and os.stat(made).st_uid == user.USER, "rootless: what root inside makes is the user's")
    started = user("run", "-d", "--network", "none", "--name", "back", IMAGE, "sleep", "1234")
    if check(started.returncode == 0, "rootless: run -d", str(started)):
        expect(user("exec", "back", "sh", "-c", "echo in; exit 6"), 6, "in\n", "rootless: exec")
        seen = user(*alone, "--pid", "container:back", IMAGE, "ps")
        check("sleep 1234" in seen.stdout, "rootless: --pid container:NAME", str(seen))
        expect(user("stop", "-t", "1", "back"), 0, None, "rootless: stop")
        check(user("inspect", "-f", "{{.State.ExitCode}}", "back").stdout.strip() == "137", "rootless: its exit code")
        expect(user("start", "back"), 0, None, "rootless: start again")
        expect(user("rm", "-f", "-t", "0", "back"), 0, None, "rootless: rm")
    if user.has_tap:
        served = user("run", "-d", "-p", "127.0.0.1:8082:8080", "--name", "web", IMAGE, "sh", "-c",
                      "mkdir -p /w; echo served >/w/index.html; exec httpd -f -p 8080 -h /w")
        check(served.returncode == 0, "rootless: run -p", str(served))
        check(wait_until(lambda: run(["busybox", "wget", "-qO-", "http://127.0.0.1:8082/"]).stdout == "served\n", 20),
              "rootless: a published port", str(user("logs", "web")))
        expect(user("rm", "-f", "-t", "0", "web"), 0, None, "rootless: rm")
    left = user("ps", "-aq").stdout
    check(left == "", "rootless: no container left", left)


PARTS = {"running": running, "background": background, "files": files, "limits": limits, "pods": pods, "sharing": sharing,
         "rootless": rootless}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("runsc")
    parser.add_argument("--runtime", default="runsc")
    parser.add_argument("--only", default=",".join(PARTS))
    arguments, flags = engine_harness.parse(parser)
    require("podman", "conmon", "iptables")
    place = Place()
    try:
        podman = Podman(place, arguments.runtime, os.path.abspath(arguments.runsc), flags)
        os.chdir(place.folder)  # conmon leaves a file "oom" where it was started
        for part in arguments.only.split(","):
            print(f"--- {part}", flush=True)
            PARTS[part](podman)
        left = podman("ps", "-aq").stdout
        check(left == "", "no container left", left)
    finally:
        place.close()
    finish()


if __name__ == "__main__":
    main()
