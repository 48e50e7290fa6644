#!/usr/bin/env python3
"""Times the life of containers with OCI runtimes, in turns and in one run, and prints ratios to the first.

    test/benchmark/containers.py [--runsc build/bin/runsc] [--rounds 30] [--peer 'gvisor-runsc --platform=systrap']

create+start+delete: three commands, of a container that runs `true`, each with a bundle of its own that is there
already; exec: `true` in a container that runs; PSS: what all processes of an idle container hold (Pss of
/proc/PID/smaps_rollup), the share of files that others map too included; of a pod: three idle containers, which share
the first one's network, IPC and UTS namespaces, by path and by Kubernetes' annotations. As root; needs busybox-static.

gVisor's runsc as a peer: --peer 'RUNSC --network=none --ignore-cgroups'.
"""
import argparse
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import time

from timed_run import timed_run

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "runsc"))
import container_harness  # noqa: E402
from sandbox_harness import adopt_orphans, descendants, reap  # noqa: E402


FAILURES = 5  # after which a runtime is not asked again
IDLE_AFTER = 1.0  # seconds, in which a runtime may put itself to rest


class Runtime:
    def __init__(self, name, command, busybox):
        self.name = name
        self.box = container_harness.Containers(command, busybox)
        self.times = {"create": [], "start": [], "delete": [], "create+start+delete": [], "run": [], "exec": []}
        self.pss = self.pod_pss = None
        self.why_not = {}  # {what was tried: [what went wrong]}

    def bundle(self, args, **changes):
        return self.box.bundle(args, ociVersion="1.0.2", **changes)

    def timed(self, *arguments):
        took, code = timed_run(self.box.command(*arguments))
        if code != 0:
            raise RuntimeError(f"{self.name} {' '.join(arguments)}: exit code {code}")
        return took

    def try_to(self, what, do, *arguments):
        """A peer may not be able to do all of it, or not every time; what went wrong is told with the table."""
        if len(self.why_not.get(what, ())) > FAILURES:
            return
        try:
            do(*arguments)
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            self.why_not.setdefault(what, []).append(str(error))
            self.end("life")

    def life(self, bundle):
        took = [self.timed("create", "--bundle", bundle, "life"), self.timed("start", "life")]
        self.wait_stopped("life")
        took.append(self.timed("delete", "life"))
        for step, time_of_step in zip(("create", "start", "delete"), took):
            self.times[step].append(time_of_step)
        self.times["create+start+delete"].append(sum(took))
        self.times["run"].append(self.timed("run", "--bundle", bundle, "life"))
        reap()

    def begin(self, name, bundle):
        if self.box.create(name, bundle).returncode != 0:
            raise RuntimeError(f"{self.name} create: {self.box.output(name).decode(errors='replace').strip()[-500:]}")
        self.timed("start", name)

    def wait_stopped(self, name):
        """To gVisor a process is there until it is reaped, which is left to us."""
        for _ in range(500):
            reap()
            if self.box.status(name) in ("stopped", None):
                break
            time.sleep(0.02)

    def end(self, name):
        self.box.run("kill", name, "KILL")
        self.wait_stopped(name)
        self.box.run("delete", "--force", name)
        reap()

    def begin_idle(self):
        before = set(descendants(os.getpid()))
        self.begin("idle", self.bundle(["sleep", "1000"]))
        time.sleep(IDLE_AFTER)
        self.pss = sum(pss(pid) for pid in set(descendants(os.getpid())) - before)

    def measure_pod(self):
        before = set(descendants(os.getpid()))
        kind, sandbox = "io.kubernetes.cri.container-type", "io.kubernetes.cri.sandbox-id"
        self.begin("pod0", self.bundle(["sleep", "1000"], annotations={kind: "sandbox", sandbox: "pod0"}))
        pid = self.box.state("pod0")["pid"]
        shared = [{"type": name, "path": f"/proc/{pid}/ns/{file}"} for name, file in (("network", "net"), ("ipc", "ipc"), ("uts", "uts"))]
        for name in ("pod1", "pod2"):
            self.begin(name, self.bundle(["sleep", "1000"], annotations={kind: "container", sandbox: "pod0"},
                                         linux={"namespaces": [{"type": "pid"}, {"type": "mount"}, *shared]}))
        time.sleep(IDLE_AFTER)
        self.pod_pss = sum(pss(pid) for pid in set(descendants(os.getpid())) - before)
        for name in ("pod2", "pod1", "pod0"):
            self.end(name)

    def execute(self):
        self.times["exec"].append(self.timed("exec", "idle", "true"))

    def close(self):
        states = self.box.run("list", "--quiet").stdout.decode().split() if os.path.exists(self.box.root) else []
        for name in reversed(states):
            self.end(name)
        self.box.close()
        reap()


def pss(pid):
    """In KiB."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
            return sum(int(line.split()[1]) for line in file if line.startswith("Pss:"))
    except OSError:
        return 0


def print_memory(runtimes, row, values):
    line = f"{row:<22}"
    base = values[0]
    for value in values:
        line += f"{value / 1024:>16.1f} " + (f"{value / base:>6.2f}x" if base else f"{'-':>7}") if value else f"{'-':>24}"
    print(line)


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
    print_memory(runtimes, "PSS idle (MiB)", [runtime.pss for runtime in runtimes])
    print_memory(runtimes, "PSS pod of 3 (MiB)", [runtime.pod_pss for runtime in runtimes])
    for runtime in runtimes:
        for what, why in runtime.why_not.items():
            print(f"{what} failed {len(why)} times, which are not counted: {why[-1]}")


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
            runtime.try_to("life", runtime.life, bundles[runtime.name])
        for runtime in runtimes:
            for times in runtime.times.values():
                times.clear()  # the first time pays for the page cache
            runtime.try_to("pod", runtime.measure_pod)
            runtime.try_to("exec", runtime.begin_idle)
        for _ in range(options.rounds):
            for runtime in runtimes:
                runtime.try_to("life", runtime.life, bundles[runtime.name])
            for runtime in runtimes:
                runtime.try_to("exec", runtime.execute)
        print("least and median; containers of a busybox, in turns")
        print_table(runtimes)
        if runtimes[0].why_not:
            sys.exit(1)
    finally:
        for runtime in runtimes:
            runtime.close()


if __name__ == "__main__":
    main()
