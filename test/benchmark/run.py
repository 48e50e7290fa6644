#!/usr/bin/env python3
"""Times the same work natively, in runsc and in a peer, in one run, and prints ratios.

    test/benchmark/run.py [--runsc build/bin/runsc] [--platform systrap] [--peer 'runsc --platform=ptrace']
                          [--programs] [--only ROW] [--svg FILE] [--quick]

The machine's absolute times mean little; every row is one operation in all three places,
measured in turns, and the ratios are what to look at. `min` is the best batch of all rounds,
`median` the median over the rounds.
"""
import argparse
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from timed_run import timed_run

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))


def run_rows(command):
    """Runs what prints "name min median" lines, and gives them as a dictionary."""
    try:
        result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=900)
    except subprocess.TimeoutExpired:
        print(f"# {' '.join(command)}: not done in 900 s", file=sys.stderr)
        return {}
    rows = {}
    for line in result.stdout.splitlines():
        parts = line.split()
        if len(parts) == 3:
            rows[parts[0]] = (float(parts[1]), float(parts[2]))
    if result.returncode != 0 or "# " in result.stderr:
        print(f"# {' '.join(command)}: exit {result.returncode}: {result.stderr.strip()[:300]}", file=sys.stderr)
    return rows


def make_tree(path):
    """A git repository of 20,000 files in 400 directories, each file of some lines."""
    for i in range(20000):
        directory = f"{path}/d{i // 1000}/e{i // 50 % 20}"
        if i % 50 == 0:
            os.makedirs(directory)
        with open(f"{directory}/file{i}.txt", "w") as f:
            f.write(f"line of file {i}\n" * (i % 100))
    git = ["git", "-C", path, "-c", "gc.auto=0", "-c", "user.name=n", "-c", "user.email=e@localhost"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "tree"]):
        subprocess.run(git + command, check=True, stdout=subprocess.DEVNULL)


def start_times(prefix, rounds):
    times = []
    for _ in range(rounds):
        took, code = timed_run(prefix + ["/bin/true"])
        if code == 0:
            times.append(took)
    return times


def tree(pid):
    found = [pid]
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", encoding="latin-1") as f:
                    fields = f.read().rsplit(")", 1)[1].split()
                if int(fields[1]) in found and int(name) not in found:
                    found.append(int(name))
            except OSError:
                pass
    return found


def idle(prefix, seconds):
    """Proportional set size (KiB) and CPU ticks over `seconds` of a sandbox that sleeps."""
    process = subprocess.Popen(prefix + ["/bin/sleep", "inf"], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        time.sleep(1.5)

        def sample():
            pss = ticks = 0
            for pid in tree(process.pid):
                try:
                    with open(f"/proc/{pid}/smaps_rollup") as f:
                        pss += sum(int(line.split()[1]) for line in f if line.startswith("Pss:"))
                except OSError:
                    pass
                try:
                    with open(f"/proc/{pid}/stat", encoding="latin-1") as f:
                        fields = f.read().rsplit(")", 1)[1].split()
                    ticks += int(fields[11]) + int(fields[12])
                except OSError:
                    pass
            return pss, ticks

        _, before = sample()
        time.sleep(seconds)
        pss, after = sample()
        return pss, after - before
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def svg(path, rows, peer_name):
    """Horizontal bars: how many times native each operation takes, logarithmic."""
    import math
    names = [name for name in rows if rows[name][0] and rows[name][1]]
    height, left, width = 26, 170, 520
    biggest = max(max(v / rows[n][0] for v in rows[n][1:] if v) for n in names)
    scale = width / math.log10(max(biggest, 10))
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 90}" height="{height * len(names) + 60}" '
           'font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>',
           f'<text x="10" y="18" font-weight="bold">Time an operation, as a multiple of native (logarithmic)</text>',
           f'<rect x="{left}" y="26" width="10" height="10" fill="#2563a8"/><text x="{left + 14}" y="35">runsc</text>',
           f'<rect x="{left + 80}" y="26" width="10" height="10" fill="#bbb"/><text x="{left + 94}" y="35">{peer_name}</text>']
    for i, name in enumerate(names):
        y = 46 + i * height
        out.append(f'<text x="{left - 6}" y="{y + 14}" text-anchor="end">{name}</text>')
        for j, (value, colour) in enumerate(zip(rows[name][1:], ("#2563a8", "#bbb"))):
            if not value:
                continue
            ratio = value / rows[name][0]
            length = max(2, math.log10(max(ratio, 1.0)) * scale)
            out.append(f'<rect x="{left}" y="{y + j * 10}" width="{length:.0f}" height="9" fill="{colour}"/>'
                       f'<text x="{left + length + 4:.0f}" y="{y + 8 + j * 10}" font-size="9">{ratio:.1f}</text>')
    out.append("</svg>")
    with open(path, "w") as f:
        f.write("\n".join(out) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runsc", default=os.path.join(TOP, "build/bin/runsc"))
    parser.add_argument("--micro", default=os.path.join(TOP, "build/bin/benchmark/micro"))
    parser.add_argument("--platform", default="systrap")
    parser.add_argument("--peer", default="/usr/bin/runsc --platform=ptrace --network=none",
                        help="a peer's command line up to its `do`; empty: none")
    parser.add_argument("--programs", action="store_true", help="real programs, in place of single operations")
    parser.add_argument("--svg")
    parser.add_argument("--only", default="", help="rows whose name contains this")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one round, no idle sandbox")
    options = parser.parse_args()
    rounds = 1 if options.quick else options.rounds

    shared = tempfile.mkdtemp(prefix="runsc-benchmark.", dir="/var/tmp")  # what the sandboxes have as a volume
    tmpfs = tempfile.mkdtemp(prefix="runsc-benchmark.", dir="/dev/shm")
    os.chmod(shared, 0o755)
    ours = [options.runsc, "do", f"--platform={options.platform}"]
    peer = shlex.split(options.peer)
    # Each place with what has the volume writable in it.
    places = [("native", [], []), ("ours", ours + ["--"], ours + [f"--volume={shared}:{shared}", "--"])]
    if peer and shutil.which(peer[0]):
        places.append(("peer", peer + ["do"], peer + ["do", "-force-overlay=false"]))
    results = {name: {} for name, _, _ in places}

    def add(name, rows):
        for row, value in rows.items():
            results[name].setdefault(row, []).append(value)

    try:
        if options.programs:
            make_tree(f"{shared}/tree")
        for _ in range(rounds):
            for name, prefix, volume in places:
                if options.programs:
                    add(name, run_rows(prefix + [f"{HERE}/programs.sh", f"{shared}/tree", options.only]))
                    continue
                if not options.only.startswith("volume:"):
                    here = tempfile.mkdtemp(dir=shared)
                    places_of_files = [f"tmpfs={'/dev/shm' if prefix else tmpfs}", f"overlay={here}"]
                    add(name, run_rows(prefix + [options.micro, options.only] + places_of_files))
                if not options.only or "volume:" in options.only:
                    here = tempfile.mkdtemp(dir=shared)
                    add(name, run_rows(volume + [options.micro, options.only or "volume:", f"volume={here}"]))
                if not options.only or options.only in "do true":
                    for took in start_times(prefix, 5 if options.quick else 15):
                        results[name].setdefault("do true", []).append((took, took))
    finally:
        shutil.rmtree(shared)
        shutil.rmtree(tmpfs)

    print(f"{'operation':<22}{'native min':>12}{'median':>12}{'ours min':>12}{'median':>12}{'peer min':>12}{'median':>12}"
          f"{'ours/native':>13}{'ours/peer':>11}")
    plot = {}
    for row in results["native"]:
        cells, mins = "", {}
        for name in ("native", "ours", "peer"):
            values = results.get(name, {}).get(row)
            if values:
                mins[name] = min(v[0] for v in values)
                cells += f"{mins[name]:>12.0f}{statistics.median(v[1] for v in values):>12.0f}"
            else:
                cells += f"{'-':>12}{'-':>12}"
        ratio = lambda a, b: f"{mins[a] / mins[b]:.2f}" if a in mins and b in mins else "-"
        print(f"{row:<22}{cells}{ratio('ours', 'native'):>13}{ratio('ours', 'peer'):>11}")
        plot[row] = (mins.get("native"), mins.get("ours"), mins.get("peer"))
    if not options.quick and not options.only and not options.programs:
        for name, prefix, _ in places[1:]:
            pss, ticks = idle(prefix, 20)
            print(f"idle {name}: {pss / 1024:.1f} MB proportional set size, {ticks} CPU ticks in 20 s")
    if options.svg:
        svg(options.svg, plot, "gVisor")
    return 0 if results["ours"] else 1


if __name__ == "__main__":
    sys.exit(main())
