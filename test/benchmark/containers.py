#!/usr/bin/env python3
"""Times the life of containers with OCI runtimes, in turns and in one run, and prints ratios to the first.

    test/benchmark/containers.py [--runsc build/bin/runsc] [--rounds 30] [--peer 'gvisor-runsc --platform=systrap']

create+start+delete: three commands, of a container that runs `true`, each with a bundle of its own that is there
already; exec: `true` in a container that runs; PSS: what all processes of an idle container hold (Pss of
/proc/PID/smaps_rollup), the share of files that others map too included. As root; needs busybox-static.
"""
import argparse
import os
import shlex
import shutil
import statistics
import sys
import time

from timed_run import timed_run

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "runsc"))
import container_harness  # noqa: E402
from sandbox_harness import adopt_orphans, descendants, reap  # noqa: E402


class Runtime:
    def __init__(self, name, command, busybox):
        self.name = name
        self.box = container_harness.Containers(command, busybox)
        self.times = {"create": [], "start": [], "delete": [], "create+start+delete": [], "run": [], "exec": []}
        self.pss = None

    def bundle(self, args):
        return self.box.bundle(args, ociVersion="1.0.2")

    def timed(self, *arguments):
        took, code = timed_run(self.box.command(*arguments))
        if code != 0:
            raise RuntimeError(f"{self.name} {' '.join(arguments)}: exit code {code}")
        return took

    def life(self, bundle):
        took = []
        for step in (("create", "--bundle", bundle, "life"), ("start", "life")):
            took.append(self.timed(*step))
            self.times[step[0]].append(took[-1])
        self.box.wait_stopped("life")
        took.append(self.timed("delete", "life"))
        self.times["delete"].append(took[-1])
        self.times["create+start+delete"].append(sum(took))
        self.times["run"].append(self.timed("run", "--bundle", bundle, "life"))
        reap()

    def begin_idle(self):
        before = set(descendants(os.getpid()))
        self.box.create("idle", self.bundle(["sleep", "1000"]))
        self.timed("start", "idle")
        time.sleep(0.5)
        self.pss = sum(pss(pid) for pid in set(descendants(os.getpid())) - before)

    def execute(self):
        self.times["exec"].append(self.timed("exec", "idle", "true"))

    def close(self):
        for entry in os.listdir(self.box.root) if os.path.exists(self.box.root) else []:
            self.box.run("delete", "--force", entry)
        self.box.close()
        reap()


def pss(pid):
    """In KiB."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            return sum(int(line.split()[1]) for line in file if line.startswith("Pss:"))
    except OSError:
        return 0


def print_table(runtimes):
    first = runtimes[0]
    print(f"{'':<22}" + "".join(f"{runtime.name:>24}" for runtime in runtimes) + "   (ratio to " + first.name + ")")
    for row in first.times:
        line = f"{row + ' (ms)':<22}"
        base = statistics.median(first.times[row]) if first.times[row] else None
        for runtime in runtimes:
            times = runtime.times[row]
            if not times:
                line += f"{'-':>24}"
                continue
            median = statistics.median(times)
            line += f"{min(times) / 1e6:>8.1f} {median / 1e6:>7.1f} {median / base:>6.2f}x"
        print(line)
    line = f"{'PSS idle (MiB)':<22}"
    for runtime in runtimes:
        line += f"{runtime.pss / 1024:>16.1f} {runtime.pss / first.pss:>6.2f}x" if runtime.pss else f"{'-':>24}"
    print(line)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--runsc", default=os.path.join(os.path.dirname(os.path.dirname(HERE)), "build/bin/runsc"))
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--peer", action="append", default=[], help="a further runtime's command")
    options = parser.parse_args()
    busybox = container_harness.busybox()
    if os.geteuid() != 0 or busybox is None:
        sys.exit("containers.py: has to be root, and needs a static busybox (package busybox-static)")
    if os.environ.get("RUNSC_BENCHMARK_INSIDE") is None:
        # crun refuses to run beside a version 2 hierarchy without controllers.
        os.environ["RUNSC_BENCHMARK_INSIDE"] = "1"
        os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", "sh", "-c",
                              "umount /sys/fs/cgroup/unified 2>/dev/null; exec \"$@\"", "sh", sys.executable, *sys.argv])
    adopt_orphans()
    commands = [("runsc", [os.path.abspath(options.runsc)])]
    commands += [(name, [name]) for name in ("runc", "crun") if shutil.which(name)]
    commands += [(os.path.basename(shlex.split(peer)[0]) + "*", shlex.split(peer)) for peer in options.peer]
    runtimes = [Runtime(name, command, busybox) for name, command in commands]
    try:
        bundles = {runtime.name: runtime.bundle(["true"]) for runtime in runtimes}
        for runtime in runtimes:
            runtime.life(bundles[runtime.name])
        for runtime in runtimes:
            for times in runtime.times.values():
                times.clear()  # the first time pays for the page cache
            runtime.begin_idle()
        for _ in range(options.rounds):
            for runtime in runtimes:
                runtime.life(bundles[runtime.name])
            for runtime in runtimes:
                runtime.execute()
        print("least and median; containers of a busybox, in turns")
        print_table(runtimes)
    finally:
        for runtime in runtimes:
            runtime.close()


if __name__ == "__main__":
    main()
