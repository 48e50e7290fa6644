"""Many containers, several at a time, made, started, entered, paused and deleted: nothing of them is left on the host.

many_test.py RUNSC [FLAGS] [--count=N] [--parallel=N]   (default: 20 and 10; 200 and 20 is a soak)"""
import os
import sys
import threading

import container_harness
from container_harness import Containers
from sandbox_harness import adopt_orphans, check, descendants, finish, mounts, reap, skip, wait_until


def open_files():
    with open("/proc/sys/fs/file-nr", encoding="ascii") as file:
        return int(file.read().split()[0])


def cgroup_count():
    return sum(len(names) for _, names, _ in os.walk("/sys/fs/cgroup"))


class Round:
    def __init__(self, box):
        self.box = box
        self.lock = threading.Lock()
        self.failures = []

    def bundle(self):
        """One for each, and so a cgroup for each."""
        with self.lock:
            return self.box.bundle(["sleep", "1000"])

    def expect(self, name, result, code=0):
        if result.returncode != code:
            self.failures.append((name, result.args[-3:], result.returncode, result.stderr))

    def one(self, number):
        name, run = f"m{number}", self.box.run
        self.expect(name, self.box.create(name, self.bundle()))
        self.expect(name, run("start", name))
        self.expect(name, run("exec", name, "sh", "-c", "exit 7"), 7)
        if number % 3 == 0:
            self.expect(name, run("pause", name))
            self.expect(name, run("resume", name))
        if number % 2:
            self.expect(name, run("kill", name, "KILL"))
            self.box.wait_stopped(name)
            self.expect(name, run("delete", name))
        else:
            self.expect(name, run("delete", "--force", name))

    def run(self, count, parallel):
        numbers = iter(range(count))
        lock = threading.Lock()

        def work():
            while True:
                with lock:
                    number = next(numbers, None)
                if number is None:
                    return
                self.one(number)
        threads = [threading.Thread(target=work) for _ in range(parallel)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def value(arguments, name, default):
    return next((int(flag.split("=")[1]) for flag in arguments if flag.startswith(f"--{name}=")), default)


def main():
    arguments = sys.argv[1:]
    count, parallel = value(arguments, "count", 20), value(arguments, "parallel", 10)
    binary, *flags = [flag for flag in arguments if not flag.startswith(("--count=", "--parallel="))]
    if os.geteuid() != 0:
        skip("needs root")
    busybox = container_harness.busybox()
    if busybox is None:
        skip("needs a static busybox (package busybox-static)")
    adopt_orphans()
    box = Containers([os.path.abspath(binary), *flags], busybox)
    try:
        work = Round(box)
        mounted, files, groups = mounts(), open_files(), cgroup_count()
        work.run(count, parallel)
        check(not work.failures, f"{count} containers, {parallel} at a time", work.failures[:3])
        check(wait_until(lambda: reap() or not descendants(os.getpid()), 30), "no process is left",
              descendants(os.getpid()))
        check(os.listdir(box.root) == [], "no state is left", os.listdir(box.root))
        check(mounts() == mounted, "no mount is left")
        own = [name for folder, names, _ in os.walk("/sys/fs/cgroup") for name in names
               if name.startswith(f"runsc-test-{os.getpid()}-")]
        check(not own, "no cgroup is left", own)
        # Others run beside us: a leak of one descriptor a container shows in a large round only.
        slack = max(256, count // 2)
        check(wait_until(lambda: open_files() < files + slack, 10) or count < 100, "no open file is left",
              (files, open_files()))
        print(f"{count} containers; cgroups before {groups}, after {cgroup_count()}; open files before {files}, after "
              f"{open_files()}")
    finally:
        for entry in os.listdir(box.root) if os.path.exists(box.root) else []:
            box.run("delete", "--force", entry)
        box.close()
    finish()


main()
