#!/usr/bin/env python3
"""dockerd driving runsc: what its users do every day.

  docker_test.py RUNSC [--runtime NAME] [--only PART,PART...] [-- RUNSC_FLAG...]

With --runtime=crun or runc the same is asked of them: what they do is right."""
import argparse
import json
import os
import shutil
import sys
import time

import engine_harness
from engine_harness import IMAGE, Place, Terminal, busybox_tar, check, finish, require, run, wait_until


class Docker:
    def __init__(self, place, runtime, binary, flags):
        self.place, self.runtime = place, runtime
        self.socket = place.path("docker.sock")
        self.client = "/usr/bin/docker" if os.path.exists("/usr/bin/docker") else shutil.which("docker")
        runtimes = {"runsc": {"path": binary, "runtimeArgs": flags}}
        if runtime == "crun":
            runtimes["crun"] = {"path": shutil.which("crun")}
        config = {
            "data-root": place.path("data"), "exec-root": place.path("exec"), "pidfile": place.path("docker.pid"),
            "hosts": ["unix://" + self.socket], "storage-driver": "overlay2", "runtimes": runtimes,
            "exec-opts": ["native.cgroupdriver=cgroupfs"], "cgroup-parent": place.cgroup_parent, "debug": True,
        }
        file = place.write("daemon.json", json.dumps(config))
        self.daemon = place.start(["dockerd", "--config-file", file], "dockerd.log")
        os.environ["DOCKER_CONFIG"] = place.path("client")
        up = wait_until(lambda: self.daemon.poll() is not None or self("version").returncode == 0, 60)
        if not up or self.daemon.poll() is not None:
            tail = place.tail("dockerd.log")
            place.close(self.daemon)
            engine_harness.skip("dockerd does not start here: " + tail[-1500:])
        imported = self("import", "-", IMAGE, input=busybox_tar())
        if imported.returncode != 0:
            print(imported)
            place.close(self.daemon)
            sys.exit(1)

    def __call__(self, *arguments, timeout=60, **options):
        return run([self.client, "-H", "unix://" + self.socket, *arguments], timeout, **options)

    def run(self, *arguments, **options):
        return self("run", "--runtime", self.runtime, *arguments, **options)

    def terminal(self, *arguments):
        return Terminal([self.client, "-H", "unix://" + self.socket, *arguments])

    def start(self, name, *arguments):
        """A container in the background; false (and a failed check) if it does not start."""
        started = self.run("-d", "--name", name, *arguments)
        return check(started.returncode == 0, f"run -d {name}", str(started))

    def remove(self, *names):
        removed = self("rm", "-f", *names)
        check(removed.returncode == 0, f"rm -f {' '.join(names)}", str(removed))

    def inspect(self, name, format_text):
        return self("inspect", "-f", format_text, name).stdout.strip()


def expect(result, code, out=None, what="", err=None):
    good = result.returncode == code and (out is None or result.stdout == out) and (err is None or err in result.stderr)
    return check(good, what, str(result))


SLEEP = (IMAGE, "sleep", "1000")


def running(docker):
    expect(docker.run("--rm", IMAGE, "echo", "hello"), 0, "hello\n", "run --rm")
    expect(docker.run("--rm", IMAGE, "sh", "-c", "echo out; echo err >&2; exit 3"), 3, "out\n", "exit code and streams", "err")
    expect(docker.run("--rm", "-i", IMAGE, "cat", input=b"through stdin"), 0, "through stdin", "run -i")
    expect(docker.run("--rm", IMAGE, "no-such-program"), 127, "", "a command that is not there")
    expect(docker.run("--rm", IMAGE, "/etc/passwd"), 126, "", "a command that cannot be executed")
    expect(docker.run("--rm", IMAGE, "sh", "-c", "kill -9 $$; sleep 5; echo alive"), 0, "alive\n", "process 1 is spared from its own SIGKILL")
    if shutil.which("docker-init"):
        expect(docker.run("--rm", "--init", IMAGE, "sh", "-c", "kill -15 $$"), 143, "", "--init")
    expect(docker.run("--rm", "-w", "/tmp", "-e", "A=b c", "--hostname", "box", IMAGE, "sh", "-c", "pwd; echo $A; hostname"), 0,
           "/tmp\nb c\nbox\n", "-w, -e, --hostname")
    expect(docker.run("--rm", IMAGE, "head", "-c", "3000000", "/dev/zero"), 0, "\0" * 3000000, "much output")


def terminals(docker):
    terminal = docker.terminal("run", "--runtime", docker.runtime, "-it", "--rm", IMAGE, "sh")
    ok = terminal.expect("# ")
    terminal.send("tty; stty size; echo co''lor\n")
    ok = ok and terminal.expect("color")
    check(ok and "/dev/pts/0" in terminal.output or "/dev/console" in terminal.output, "run -it: a terminal", terminal.output)
    check(wait_size(terminal, "33 99"), "run -it: its size", terminal.output)
    # The shell takes single characters while it edits a line; ^C is a signal once a command runs.
    terminal.send("echo st''arted; sleep 100\n")
    check(terminal.expect("started"), "run -it: a command", terminal.output)
    # Between its fork and its exec a child still has the shell's handler, which takes a signal without a trace.
    time.sleep(0.3)
    terminal.send("\x03")
    terminal.send("echo after''wards $?\n")
    check(terminal.expect("afterwards 130"), "run -it: ^C", terminal.output)
    terminal.send("exit 4\n")
    check(terminal.end() == 4, "run -it: exit code", terminal.output)
    if docker.start("term", *SLEEP):
        terminal = docker.terminal("exec", "-it", "term", "sh")
        ok = terminal.expect("# ")
        terminal.send("tty; exit 5\n")
        check(ok and terminal.end() == 5 and "/dev/pts/" in terminal.output, "exec -it", terminal.output)
        docker.remove("term")


def wait_size(terminal, size):
    for _ in range(50):
        terminal.send("stty size\n")
        if terminal.expect(size, 0.3):
            return True
    return False


def background(docker):
    if not docker.start("back", IMAGE, "sh", "-c", "trap 'echo got term; exit 7' TERM; echo started; while :; do sleep 0.1; done"):
        return
    check(wait_until(lambda: "started" in docker("logs", "back").stdout, 20), "logs", str(docker("logs", "back")))
    expect(docker("exec", "back", "sh", "-c", "echo in; exit 6"), 6, "in\n", "exec")
    expect(docker("exec", "-e", "X=y", "-w", "/tmp", "-u", "user", "back", "sh", "-c", "echo $X; pwd; id -u"), 0,
           "y\n/tmp\n1000\n", "exec -e -w -u")
    expect(docker("exec", "-i", "back", "cat", input=b"abc"), 0, "abc", "exec -i")
    missing = docker("exec", "back", "no-such-program")
    check(missing.returncode in (126, 127) and "not found" in missing.stdout + missing.stderr, "exec of no program", str(missing))
    expect(docker("exec", "-d", "back", "touch", "/tmp/made"), 0, "", "exec -d")
    check(wait_until(lambda: docker("exec", "back", "test", "-e", "/tmp/made").returncode == 0, 20), "exec -d ran")
    top = docker("top", "back")
    check(top.returncode == 0 and "sh" in top.stdout, "top", str(top))
    stats = docker("stats", "--no-stream", "--format", "{{.MemUsage}} {{.PIDs}}", "back")
    check(stats.returncode == 0 and not stats.stdout.startswith("0B"), "stats", str(stats))
    expect(docker("pause", "back"), 0, None, "pause")
    check(docker.inspect("back", "{{.State.Status}}") == "paused", "paused")
    expect(docker("unpause", "back"), 0, None, "unpause")
    expect(docker("stop", "-t", "20", "back"), 0, None, "stop")
    check(docker.inspect("back", "{{.State.ExitCode}}") == "7", "stop lets it end by itself", str(docker("logs", "back")))
    expect(docker("start", "back"), 0, None, "start again")
    expect(docker("kill", "back"), 0, None, "kill")
    check(docker.inspect("back", "{{.State.ExitCode}}") == "137", "kill's exit code", docker.inspect("back", "{{.State.ExitCode}}"))
    expect(docker("restart", "-t", "1", "back"), 0, None, "restart")
    check(docker.inspect("back", "{{.State.Running}}") == "true", "restarted")
    docker.remove("back")
    if docker.start("noterm", *SLEEP):
        expect(docker("stop", "-t", "1", "noterm"), 0, None, "stop of one that ignores TERM")
        check(docker.inspect("noterm", "{{.State.ExitCode}}") == "137", "its exit code", docker.inspect("noterm", "{{.State.ExitCode}}"))
        docker.remove("noterm")
    if docker.start("attached", "-i", IMAGE, "sh", "-c", "read line; echo got $line; exit 9"):
        expect(docker("attach", "attached", input=b"words\n"), 9, None, "attach")
        check(docker("logs", "attached").stdout == "got words\n", "attach: stdin", str(docker("logs", "attached")))
        docker.remove("attached")


def restarts(docker):
    started = docker.run("-d", "--name", "again", "--restart", "on-failure:2", IMAGE, "false")
    check(started.returncode == 0, "run --restart", str(started))
    check(wait_until(lambda: docker.inspect("again", "{{.State.Status}} {{.RestartCount}}") == "exited 2", 60),
          "restarted twice", docker.inspect("again", "{{.State.Status}} {{.RestartCount}}"))
    docker.remove("again")


def files(docker):
    folder = docker.place.path("volume")
    os.makedirs(folder, exist_ok=True)
    docker.place.write("volume/file", "from outside\n")
    expect(docker.run("--rm", "-v", f"{folder}:/v", IMAGE, "sh", "-c", "cat /v/file; echo inside >/v/new"), 0, "from outside\n", "-v")
    with open(docker.place.path("volume", "new"), encoding="utf-8") as file:
        check(file.read() == "inside\n", "-v: written outside")
    expect(docker.run("--rm", "-v", f"{folder}:/v:ro", IMAGE, "touch", "/v/x"), 1, "", "-v ro", "Read-only file system")
    expect(docker.run("--rm", "-v", f"{folder}/file:/etc/motd", IMAGE, "cat", "/etc/motd"), 0, "from outside\n", "-v of a file")
    expect(docker.run("--rm", "--tmpfs", "/t:size=1m", IMAGE, "sh", "-c", "mount | grep ' /t '; dd if=/dev/zero of=/t/x bs=1M count=2 2>/dev/null"),
           1, None, "--tmpfs with a size")
    expect(docker.run("--rm", "--read-only", IMAGE, "touch", "/x"), 1, "", "--read-only", "Read-only file system")
    expect(docker.run("--rm", "--read-only", "--tmpfs", "/run", IMAGE, "touch", "/run/x"), 0, "", "--read-only with --tmpfs")
    expect(docker.run("--rm", "--shm-size", "2m", IMAGE, "sh", "-c", "df -k /dev/shm | tail -1 | awk '{print $2}'"), 0, "2048\n", "--shm-size")
    expect(docker.run("--rm", IMAGE, "sh", "-c", "echo x >/proc/sys/kernel/hostname; cat /proc/kcore | head -c 1; ls /sys/firmware"), 0, "",
           "masked and read-only paths")
    expect(docker.run("--rm", IMAGE, "sh", "-c", "grep -c nameserver /etc/resolv.conf >/dev/null; cat /etc/hostname | wc -c"), 0, "13\n",
           "docker's own files in /etc")
    if docker.start("copied", *SLEEP):
        expect(docker("exec", "copied", "sh", "-c", "echo written >/root/file"), 0, "", "write in the root")
        expect(docker("cp", "copied:/root/file", docker.place.path("copy")), 0, None, "cp out")
        if os.path.exists(docker.place.path("copy")):
            with open(docker.place.path("copy"), encoding="utf-8") as file:
                check(file.read() == "written\n", "cp out: what was written")
        expect(docker("cp", docker.place.path("volume", "file"), "copied:/root/in"), 0, None, "cp in")
        expect(docker("exec", "copied", "cat", "/root/in"), 0, "from outside\n", "cp in: seen inside")
        check("A /root/file" in docker("diff", "copied").stdout, "diff", docker("diff", "copied").stdout)
        expect(docker("commit", "copied", "committed"), 0, None, "commit")
        expect(docker.run("--rm", "committed", "cat", "/root/file"), 0, "written\n", "what was committed")
        docker.remove("copied")
    expect(docker("volume", "create", "named"), 0, None, "volume create")
    expect(docker.run("--rm", "-v", "named:/n", IMAGE, "sh", "-c", "echo kept >/n/f"), 0, "", "a named volume")
    expect(docker.run("--rm", "-v", "named:/n", IMAGE, "cat", "/n/f"), 0, "kept\n", "a named volume, again")


def users(docker):
    expect(docker.run("--rm", "--user", "user", IMAGE, "id"), 0, "uid=1000(user) gid=1000(user) groups=1000(user),2000(extra)\n", "--user NAME")
    expect(docker.run("--rm", "--user", "12:34", "--group-add", "56", IMAGE, "sh", "-c", "id -u; id -g; id -G"), 0, "12\n34\n34 56\n", "--user UID:GID")
    capabilities = "grep Cap /proc/self/status | cut -f2"
    expect(docker.run("--rm", IMAGE, "sh", "-c", capabilities), 0,
           "0000000000000000\n00000000a80425fb\n00000000a80425fb\n00000000a80425fb\n0000000000000000\n", "capabilities")
    expect(docker.run("--rm", "--cap-drop", "ALL", "--cap-add", "CHOWN", IMAGE, "sh", "-c", capabilities), 0,
           "0000000000000000\n" + "0000000000000001\n" * 3 + "0000000000000000\n", "--cap-drop --cap-add")
    expect(docker.run("--rm", "--cap-drop", "CHOWN", IMAGE, "chown", "user", "/tmp"), 1, "", "--cap-drop", "Operation not permitted")
    expect(docker.run("--rm", "--security-opt", "no-new-privileges", IMAGE, "grep", "NoNewPrivs", "/proc/self/status"), 0,
           "NoNewPrivs:\t1\n", "no-new-privileges")
    expect(docker.run("--rm", "--ulimit", "nofile=100:200", IMAGE, "sh", "-c", "ulimit -n; ulimit -Hn"), 0, "100\n200\n", "--ulimit")
    expect(docker.run("--rm", IMAGE, "grep", "Seccomp:", "/proc/self/status"), 0, "Seccomp:\t2\n", "a seccomp filter")
    expect(docker.run("--rm", "--security-opt", "seccomp=unconfined", IMAGE, "grep", "Seccomp:", "/proc/self/status"), 0, "Seccomp:\t0\n",
           "no seccomp filter")
    profile = docker.place.write("seccomp.json", json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}]}))
    expect(docker.run("--rm", "--security-opt", "seccomp=" + profile, IMAGE, "mkdir", "/x"), 1, "", "a seccomp profile", "No space left")
    expect(docker.run("--rm", "--sysctl", "net.ipv4.ip_unprivileged_port_start=80", IMAGE, "cat",
                      "/proc/sys/net/ipv4/ip_unprivileged_port_start"), 0, "80\n", "--sysctl")


def limits(docker):
    hog = docker.run("--name", "hog", "--memory", "64m", IMAGE, "sh", "-c", "x=$(head -c 300000000 /dev/zero | tr '\\0' x); echo survived")
    check(hog.returncode == 137, "--memory kills", str(hog))
    check(docker.inspect("hog", "{{.State.OOMKilled}}") == "true", "OOMKilled", docker.inspect("hog", "{{json .State}}"))
    docker.remove("hog")
    forks = docker.run("--rm", "--pids-limit", "10", IMAGE, "sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 3 & done; wait")
    check("an't fork" in forks.stderr, "--pids-limit", str(forks))
    expect(docker.run("--rm", "--pids-limit", "50", IMAGE, "sh", "-c", "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 0.1 & done; wait; echo fine"),
           0, "fine\n", "--pids-limit lets live")
    if docker.start("limited", "--memory", "256m", "--cpus", "0.5", *SLEEP):
        expect(docker("exec", "limited", "sh", "-c", "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null | head -1"), 0,
               "268435456\n", "the limit seen inside")
        expect(docker("update", "--memory", "128m", "--memory-swap", "256m", "limited"), 0, None, "update")
        stats = docker("stats", "--no-stream", "--format", "{{.MemUsage}}", "limited")
        check("/ 128MiB" in stats.stdout, "the new limit", str(stats))
        docker.remove("limited")


def networks(docker):
    expect(docker.run("--rm", "--network", "none", IMAGE, "sh", "-c", "ip -o link | cut -d: -f2"), 0, " lo\n", "--network none")
    serve = "mkdir -p /w; echo served >/w/index.html; exec httpd -f -p 8080 -h /w"
    if docker.start("web", "--network", "host", IMAGE, "sh", "-c", serve):
        got = wait_until(lambda: run(["busybox", "wget", "-qO-", "http://127.0.0.1:8080/"]).stdout == "served\n", 20)
        check(got, "--network host serves", str(docker("logs", "web")))
        docker.remove("web")
    if docker.start("web", "-p", "127.0.0.1:8081:8080", IMAGE, "sh", "-c", serve):
        address = docker.inspect("web", "{{.NetworkSettings.IPAddress}}")
        shown = docker("exec", "web", "ip", "-o", "-4", "addr")
        check(f"inet {address}/" in shown.stdout and "eth0" in shown.stdout, "bridge: ip addr inside", str(shown))
        listening = docker("exec", "web", "netstat", "-tln")
        check(":8080 " in listening.stdout, "bridge: netstat inside", str(listening))
        got = wait_until(lambda: run(["busybox", "wget", "-qO-", f"http://{address}:8080/"]).stdout == "served\n", 20)
        check(got, "bridge: reached by address", str(docker("logs", "web")))
        check(run(["busybox", "wget", "-qO-", "http://127.0.0.1:8081/"]).stdout == "served\n", "bridge: published port")
        expect(docker.run("--rm", IMAGE, "wget", "-qO-", f"http://{address}:8080/"), 0, "served\n", "bridge: from another container")
        docker.remove("web")


def health(docker):
    if docker.start("healthy", "--health-cmd", "test -e /tmp/ok", "--health-interval", "1s", "--health-retries", "1",
                    IMAGE, "sh", "-c", "touch /tmp/ok; sleep 1000"):
        check(wait_until(lambda: docker.inspect("healthy", "{{.State.Health.Status}}") == "healthy", 40), "healthcheck",
              docker.inspect("healthy", "{{json .State.Health}}"))
        docker("exec", "healthy", "rm", "/tmp/ok")
        check(wait_until(lambda: docker.inspect("healthy", "{{.State.Health.Status}}") == "unhealthy", 40), "healthcheck fails",
              docker.inspect("healthy", "{{json .State.Health}}"))
        docker.remove("healthy")


def sharing(docker):
    if docker.start("first", *SLEEP):
        joined = docker.run("--rm", "--network", "container:first", IMAGE, "hostname")
        check(joined.returncode == 0, "--network container:NAME", str(joined))
        docker.remove("first")
    if docker.start("first", IMAGE, "sleep", "1234"):
        seen = docker.run("--rm", "--pid", "container:first", IMAGE, "sh", "-c", "ps; hostname; ip -o addr | grep -c 'inet 127'")
        check(seen.returncode == 0 and "sleep 1234" in seen.stdout, "--pid container:NAME: its processes are seen", str(seen))
        if docker.start("second", "--pid", "container:first", IMAGE, "sleep", "4321"):
            for name in ("first", "second"):
                ps = docker("exec", name, "ps").stdout
                check("sleep 1234" in ps and "sleep 4321" in ps, f"--pid container:NAME: exec in the {name}", ps)
            top = docker("top", "second").stdout
            check("sleep 4321" in top and "sleep 1234" not in top, "--pid container:NAME: top", top)
            expect(docker("stop", "-t", "1", "second"), 0, None, "--pid container:NAME: stop")
            expect(docker("exec", "first", "echo", "up"), 0, "up\n", "--pid container:NAME: the other runs on")
            expect(docker("start", "second"), 0, None, "--pid container:NAME: start again")
            docker("kill", "first")
            check(wait_until(lambda: docker.inspect("second", "{{.State.Status}} {{.State.ExitCode}}") == "exited 137", 20),
                  "--pid container:NAME: the end of its process 1 ends both", docker.inspect("second", "{{json .State}}"))
            docker.remove("second")
        docker.remove("first")
    segments = segment_program(docker)
    if segments is None:
        print("SKIPPED: --ipc container:NAME: gcc cannot make a static program here")
    elif docker.start("first", "--ipc", "shareable", "-v", f"{segments}:/segment", IMAGE, "sh", "-c",
                      "/segment 4711 make; echo here > /dev/shm/file; exec sleep 1000"):
        check(wait_until(lambda: "made" in docker("logs", "first").stdout, 20), "a segment", str(docker("logs", "first")))
        find = ("-v", f"{segments}:/segment", IMAGE, "sh", "-c", "/segment 4711; cat /dev/shm/file")
        expect(docker.run("--rm", "--ipc", "container:first", *find), 0, "found: written\nhere\n", "--ipc container:NAME")
        expect(docker.run("--rm", *find), 1, "none\n", "without it")
        docker.remove("first")


SEGMENT = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/shm.h>
int main(int argc, char** argv) {
  int id = shmget(atoi(argv[1]), 4096, argc > 2 ? IPC_CREAT | 0600 : 0);
  if (id < 0) return puts("none"), 1;
  char* text = shmat(id, 0, 0);
  if (argc > 2) return strcpy(text, "written"), puts("made"), 0;
  return printf("found: %s\n", text), 0;
}
"""


def segment_program(docker):
    """A static program: busybox makes no System V segments."""
    source, program = docker.place.write("segment.c", SEGMENT), docker.place.path("segment")
    made = run(["gcc", "-static", "-o", program, source]) if shutil.which("gcc") else None
    return program if made is not None and made.returncode == 0 else None


def compose(docker):
    """Two services by docker-compose, one in the other's namespaces."""
    if shutil.which("docker-compose") is None:
        print("SKIPPED: compose: docker-compose is not installed")
        return
    docker.place.write("compose.json", json.dumps({"version": "2.4", "services": {
        "web": {"image": IMAGE, "runtime": docker.runtime, "cgroup_parent": docker.place.cgroup_parent,
                "command": ["sh", "-c", "mkdir -p /w; echo served >/w/index.html; exec httpd -f -p 8080 -h /w"]},
        "client": {"image": IMAGE, "runtime": docker.runtime, "cgroup_parent": docker.place.cgroup_parent, "depends_on": ["web"],
                   "command": ["sh", "-c", "until wget -qO- http://web:8080/; do sleep 0.2; done; exec sleep 1000"]},
        "beside": {"image": IMAGE, "runtime": docker.runtime, "cgroup_parent": docker.place.cgroup_parent, "depends_on": ["web"],
                   "pid": "service:web", "network_mode": "service:web",
                   "command": ["sh", "-c", "ps | grep -c 'http[d]'; until wget -qO- http://127.0.0.1:8080/; do sleep 0.2; done"]}}}))

    def call(*arguments, **options):
        return run(["docker-compose", "-H", "unix://" + docker.socket, "-p", "both", "-f", docker.place.path("compose.json"),
                    *arguments], **options)
    up = call("up", "-d", timeout=120)
    if not check(up.returncode == 0, "compose up", str(up)):
        print(call("down"))
        return
    check(wait_until(lambda: "served" in call("logs", "client").stdout, 30), "compose: one reaches the other by name",
          str(call("logs", "client")))
    check(wait_until(lambda: "served" in call("logs", "beside").stdout, 30), "compose: one in the other's namespaces",
          str(call("logs", "beside")))
    listed = call("ps")
    check(listed.stdout.count(" Up ") == 2, "compose ps", str(listed))
    expect(call("exec", "-T", "web", "echo", "inside"), 0, "inside\n", "compose exec")
    expect(call("restart", "-t", "1", "client"), 0, None, "compose restart")
    down = call("down", "-t", "1", timeout=120)
    check(down.returncode == 0 and docker("ps", "-aq").stdout == "", "compose down", str(down))


PARTS = {"running": running, "terminals": terminals, "background": background, "restarts": restarts, "files": files, "users": users,
         "limits": limits, "networks": networks, "health": health, "sharing": sharing, "compose": compose}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("runsc")
    parser.add_argument("--runtime", default="runsc")
    parser.add_argument("--only", default=",".join(PARTS))
    arguments, flags = engine_harness.parse(parser)
    require("dockerd", "docker", "containerd", "iptables")
    place = Place()
    docker = None
    try:
        docker = Docker(place, arguments.runtime, os.path.abspath(arguments.runsc), flags)
        for part in arguments.only.split(","):
            print(f"--- {part}", flush=True)
            PARTS[part](docker)
        left = docker("ps", "-aq").stdout
        check(left == "", "no container left", left)
    finally:
        place.close(docker.daemon if docker else None)
    finish()


if __name__ == "__main__":
    main()
