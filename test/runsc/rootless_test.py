"""Containers of an ordinary user, with no help of root: `runsc spec --rootless`, run, create, exec, kill, delete."""
import json
import os
import shutil
import subprocess
import sys
import traceback

import container_harness
from container_harness import Containers
from sandbox_harness import adopt_orphans, check, descendants, finish, reap, skip, wait_until

USER = 54321


class Rootless(Containers):
    """Everything is run as USER, with a state directory of his."""

    def __init__(self, binary, flags, busybox_path):
        super().__init__([binary, *flags], busybox_path)
        copy = self.path("runsc")
        shutil.copy(binary, copy)
        os.chmod(copy, 0o755)
        self.runtime = [copy, *flags]
        self.runtime_folder = self.path("run")
        os.mkdir(self.runtime_folder)
        os.chown(self.runtime_folder, USER, USER)
        self.root = self.runtime_folder + "/runsc"
        self.as_user = {"user": USER, "group": USER, "extra_groups": [], "env": {
            "XDG_RUNTIME_DIR": self.runtime_folder, "PATH": os.environ["PATH"], "HOME": self.runtime_folder}}

    def command(self, *arguments):
        return [*self.runtime, *arguments]  # the state directory is the default one

    def run(self, *arguments, **options):
        return super().run(*arguments, **{**self.as_user, **options})

    def start(self, *arguments, **options):
        return super().start(*arguments, **{**self.as_user, **options})

    def rootless_bundle(self, args, **changes):
        bundle = self.bundle(args)
        os.unlink(f"{bundle}/config.json")
        for folder, _, names in os.walk(bundle):
            for entry in (folder, *(os.path.join(folder, name) for name in names)):
                os.chown(entry, USER, USER, follow_symlinks=False)
        made = self.run("spec", "--rootless", "--bundle", bundle)
        check(made.returncode == 0, "spec --rootless", made.stderr)
        with open(f"{bundle}/config.json", encoding="utf-8") as file:
            document = json.load(file)
        document["process"]["args"] = args
        document["process"]["terminal"] = False
        document["root"]["readonly"] = False
        document.update(changes)
        self.write_config(bundle, document)
        return bundle


def check_run(box):
    bundle = box.rootless_bundle(["sh", "-c", "id -u; uname -n; touch /made; ls /sys | wc -l; cat /sys/fs/cgroup/pids.max; "
                                              "cat; exit 5"])
    result = box.run("run", "--bundle", bundle, "r", input=b"typed", stdin=None)
    lines = result.stdout.decode().splitlines()
    check(result.returncode == 5 and lines[:2] == ["0", "runsc"] and int(lines[2]) > 3 and lines[3:] == ["max", "typed"],
          "run", result)
    check(os.stat(f"{bundle}/rootfs/made").st_uid == USER, "what root inside makes is the user's outside")
    check(os.path.isdir(box.root) and os.listdir(box.root) == [], "its state was in $XDG_RUNTIME_DIR", os.listdir(box.root))


def check_life(box):
    hooks = {"poststart": [{"path": "/bin/touch", "args": ["touch", box.runtime_folder + "/poststart"]}],
             "startContainer": [{"path": "/bin/sh", "args": ["sh", "-c", "echo hook > /tmp/hook"]}]}
    bundle = box.rootless_bundle(["sh", "-c", "cat /tmp/hook; sleep 1000"], hooks=hooks)
    created = box.create("l", bundle, "--pid-file", box.runtime_folder + "/pid")
    check(created.returncode == 0, "create", box.output("l"))
    check(box.run("start", "l").returncode == 0, "start")
    check(wait_until(lambda: box.output("l") == b"hook\n", 20) and os.path.exists(box.runtime_folder + "/poststart"),
          "its hooks", box.output("l"))
    for pid in descendants(os.getpid()):
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
            fields = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
        check(fields["Uid"].split() == [str(USER)] * 4, f"{fields['Name']}: is the user's", fields["Uid"])
    result = box.run("exec", "--env", "A=b", "l", "sh", "-c", "id -u; echo $A; exit 3")
    check(result.returncode == 3 and result.stdout == b"0\nb\n", "exec", result)
    check(box.run("pause", "l").returncode == 0 and box.status("l") == "paused", "pause")
    check(box.run("resume", "l").returncode == 0 and box.status("l") == "running", "resume")
    stats = box.run("events", "--stats", "l")
    check(json.loads(stats.stdout)["data"]["memory"]["usage"]["usage"] > 0, "events --stats", stats)
    check(b"sleep 1000" in box.run("ps", "l").stdout, "ps")
    check(json.loads(box.run("ps", "-f", "json", "l").stdout) == [box.state("l")["pid"]], "ps -f json")
    tasks = box.run("debug", "l")
    check(tasks.returncode == 0 and b"sleep" in tasks.stdout, "debug", tasks)
    check(box.run("list", "-q").stdout == b"l\n", "list")
    check(box.run("kill", "l", "KILL").returncode == 0 and box.wait_stopped("l"), "kill")
    check(box.run("delete", "l").returncode == 0, "delete")


def check_mounts(box):
    source = box.path("source")
    os.mkdir(source)
    os.chown(source, USER, USER)
    bundle = box.rootless_bundle(["sh", "-c", "echo x > /mnt/file; cat /mnt/file; touch /ro/x; ls -ld /tmp | cut -c1-10"])
    with open(f"{bundle}/config.json", encoding="utf-8") as file:
        document = json.load(file)
    document["mounts"] += [{"destination": "/mnt", "source": source, "type": "bind", "options": ["rbind"]},
                           {"destination": "/ro", "source": source, "type": "none", "options": ["bind", "ro"]},
                           {"destination": "/tmp", "source": "tmpfs", "type": "tmpfs", "options": ["mode=1777"]}]
    box.write_config(bundle, document)
    result = box.run("run", "--bundle", bundle, "m")
    check(result.stdout == b"x\ndrwxrwxrwt\n" and b"Read-only" in result.stderr, "mounts", result)
    check(os.stat(source + "/file").st_uid == USER, "and who owns what")


def check_refused(box):
    """What needs root's rights is refused, or left out with a warning."""
    bundle = box.rootless_bundle(["true"])
    with open(f"{bundle}/config.json", encoding="utf-8") as file:
        document = json.load(file)
    document["linux"]["cgroupsPath"] = "/runsc-rootless"
    document["linux"]["resources"] = {"memory": {"limit": 100 << 20}}
    box.write_config(bundle, document)
    result = box.run("run", "--bundle", bundle, "f")
    check(result.stderr.count(b"\n") <= 1 and result.returncode in (0, 1), "a cgroup", result)
    closed = box.rootless_bundle(["true"])
    os.chmod(f"{closed}/rootfs", 0o700)
    os.chown(f"{closed}/rootfs", 0, 0)
    result = box.run("run", "--bundle", closed, "f")
    check(result.returncode == 1 and result.stderr.count(b"\n") == 1, "a root that is not his", result)
    check(box.run("state", "nosuch").returncode == 1, "state of no container")


def main():
    binary, flags = os.path.abspath(sys.argv[1]), sys.argv[2:]
    if os.geteuid() != 0:
        skip("needs root, to become an ordinary user")
    busybox = container_harness.busybox()
    if busybox is None:
        skip("needs a static busybox (package busybox-static)")
    if subprocess.run(["unshare", "-U", "true"], user=USER, check=False, capture_output=True).returncode != 0:
        skip("this host lets no ordinary user make user namespaces")
    adopt_orphans()
    box = Rootless(binary, flags, busybox)
    try:
        for part in (check_run, check_life, check_mounts, check_refused):
            part(box)
        check(wait_until(lambda: reap() or not descendants(os.getpid()), 30), "no process is left")
        check(not os.path.exists(box.root) or os.listdir(box.root) == [], "no state is left")
    except (subprocess.TimeoutExpired, OSError, ValueError, KeyError, IndexError, TypeError) as error:
        traceback.print_exc()
        check(False, f"{error!r}")
    finally:
        for entry in os.listdir(box.root) if os.path.exists(box.root) else []:
            box.run("delete", "--force", entry)
        box.close()
    finish()


main()
