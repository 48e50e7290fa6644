#!/usr/bin/env python3
"""What others do to a volume's files is seen by the very next call inside: random changes on the host in strict
turns with questions inside, whose answers are compared with the host's own.

volume_test.py RUNSC [FLAG…]"""
import json
import os
import random
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from sandbox_harness import Runsc, check, end, finish  # noqa: E402

TURNS = 2500

# The guest answers each line, a list of paths, with what it sees there.
GUEST = r"""
import json, os, stat, sys
def look(path):
    try:
        s = os.lstat(path)
        seen = [s.st_mode, s.st_nlink, s.st_size, s.st_uid, s.st_ino, s.st_mtime_ns, s.st_ctime_ns]
        if stat.S_ISLNK(s.st_mode):
            seen.append(os.readlink(path))
        elif stat.S_ISDIR(s.st_mode):
            seen.append(sorted(os.listdir(path)))
        else:
            with open(path, encoding="ascii") as file:
                seen.append(file.read())
        return seen
    except OSError as error:
        return [error.errno]
top = sys.argv[1]
for line in sys.stdin:
    print(json.dumps([look(top + path) for path in json.loads(line)]), flush=True)
"""


def some_path(rng):
    return "".join("/" + rng.choice("abcd") for _ in range(rng.randint(1, 3)))


def change(rng, top, elsewhere):
    """One change of somebody else; what cannot be done is not done."""
    path = top + some_path(rng)
    other = rng.choice([top, top, top, elsewhere]) + some_path(rng)

    def write(mode):
        with open(path, mode, encoding="ascii") as file:
            file.write("x" * rng.randint(0, 50))

    def replace_symlink():
        os.unlink(path)
        os.symlink(rng.choice(["a", "b/c"]), path)

    def make_anew():
        shutil.rmtree(path)
        os.mkdir(path)

    kinds = [lambda: write("w"), lambda: write("a"), lambda: os.mkdir(path), lambda: os.mkdir(path),
             lambda: os.unlink(path), lambda: os.rmdir(path), lambda: os.rename(path, other),
             lambda: os.rename(path, other), lambda: os.chmod(path, 0o600 + rng.randint(0, 63)),
             lambda: os.truncate(path, rng.randint(0, 99)), lambda: os.link(path, other, follow_symlinks=False),
             replace_symlink, make_anew, lambda: os.utime(path, (1, rng.randint(0, 999)), follow_symlinks=False),
             lambda: os.chown(path, rng.randint(0, 3), -1, follow_symlinks=False) if os.getuid() == 0 else None]
    try:
        rng.choice(kinds)()
    except OSError:
        pass


def main():
    runsc, flags = Runsc(sys.argv[1]), sys.argv[2:]
    try:
        runsc.require()
        top, elsewhere = runsc.path("top"), runsc.path("elsewhere")
        os.mkdir(top)
        os.mkdir(elsewhere)
        # The same questions on the host: the model.
        model = {}
        exec(GUEST.split("top = ")[0], model)  # pylint: disable=exec-used
        guest = runsc.start("do", *flags, f"--volume={top}:/volume", "--", "python3", "-c", GUEST, "/volume",
                            stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
        rng = random.Random(7)
        wrong = 0
        for turn in range(TURNS):
            change(rng, top, elsewhere)
            paths = [some_path(rng) for _ in range(6)]
            guest.stdin.write(json.dumps(paths).encode() + b"\n")
            guest.stdin.flush()
            seen = json.loads(guest.stdout.readline() or b"[]")
            for path, inside in zip(paths, seen):
                outside = model["look"](top + path)
                if inside != outside:
                    wrong += 1
                    check(False, f"turn {turn}: {path} inside", f"{inside}, not {outside}")
            if len(seen) != len(paths) or wrong > 5:
                check(False, f"turn {turn}: the guest answers")
                break
        else:
            check(wrong == 0, f"{TURNS} turns")
        guest.stdin.close()
        end(guest)
    finally:
        runsc.close()
    finish()


if __name__ == "__main__":
    main()
