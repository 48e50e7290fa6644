#!/usr/bin/env python3
"""Many sandboxes at once: how much ten that compute and ten that make system calls get done together, as shares of
what ten of each kind get done without the others. The sum is 1 where nothing is lost.

    test/benchmark/crowd.py [--runsc build/bin/runsc] [--crowd build/bin/benchmark/crowd] [--seconds 5]
                            [--peer 'runsc --platform=systrap']
"""
import argparse
import os
import shlex
import subprocess
import time

EACH = 10


def run(prefix, program, computing, calling, seconds):
    """What all of a kind have done in a second: computing, calling."""
    begin = time.time() + 3  # by then all have started
    processes = [(kind, subprocess.Popen(prefix + [program, kind, str(begin), str(begin + seconds)],
                                         stdout=subprocess.PIPE, text=True))
                 for kind in ["compute"] * computing + ["call"] * calling]
    done = {"compute": 0, "call": 0}
    for kind, process in processes:
        out, _ = process.communicate()
        if process.returncode != 0:
            raise RuntimeError(f"{prefix[:1]}: {kind}: exit code {process.returncode}; started too late?")
        done[kind] += int(out) / seconds
    return done["compute"], done["call"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runsc", default="build/bin/runsc")
    parser.add_argument("--crowd", default="build/bin/benchmark/crowd")
    parser.add_argument("--peer", default="", help="a peer's command line up to its `do`")
    parser.add_argument("--seconds", type=float, default=5)
    options = parser.parse_args()
    program = os.path.abspath(options.crowd)
    places = [("native", []), ("runsc", [os.path.abspath(options.runsc), "do"])]
    if options.peer:
        places.append(("peer", shlex.split(options.peer) + ["do"]))
    print(f"{'':8} {'computing':>10} {'calling':>10} {'sum':>6}")
    for name, prefix in places:
        most_computed, _ = run(prefix, program, EACH, 0, options.seconds)
        _, most_called = run(prefix, program, 0, EACH, options.seconds)
        computed, called = run(prefix, program, EACH, EACH, options.seconds)
        shares = computed / most_computed, called / most_called
        print(f"{name:8} {shares[0]:10.2f} {shares[1]:10.2f} {sum(shares):6.2f}", flush=True)


if __name__ == "__main__":
    main()
