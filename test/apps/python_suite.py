#!/usr/bin/env python3
"""Runs modules of Python's own test suite (Debian's libpython3.11-testsuite) on the host and in the
sandbox and lists the tests whose outcome differs.

    test/apps/python_suite.py [--runsc build/bin/runsc] [--platform ptrace] [MODULE...]
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
MODULES = """test_os test_posix test_io test_file test_fileio test_thread test_threading test_threadsignals
test_signal test_subprocess test_mmap test_select test_selectors test_poll test_epoll test_fcntl test_socket
test_tempfile test_shutil test_pathlib test_stat test_glob test_pty test_time test_pwd test_resource test_posixpath
test_queue test_fork1 test_wait3 test_wait4 test_popen test_pipes test_eintr test_asyncio.test_subprocess
test_asyncio.test_unix_events""".split()


def run(prefix, python, module, timeout):
    """{test name: outcome}, or the reason why there is none under the key ''."""
    with tempfile.TemporaryDirectory(prefix="python-suite-") as work:
        command = prefix + [python, "-m", "test", "-v", "--tempdir", work, module]
        try:
            text = subprocess.run(command, cwd="/tmp", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, timeout=timeout).stdout
            late = False
        except subprocess.TimeoutExpired as error:
            text, late = error.stdout or b"", True
    outcomes, name = {}, None
    for line in text.decode(errors="replace").splitlines():
        start = re.match(r"^(\w+) \(([\w.<>]+)\)", line)
        if start:
            name = start[2] if start[2].endswith("." + start[1]) else f"{start[2]}.{start[1]}"
        end = re.search(r"\.\.\. .*?\b(ok|FAIL|ERROR|expected failure)\b\s*$|\.\.\. (skipped) ", line) or \
            re.match(r"^(ok|FAIL|ERROR)$", line)
        if end and name:
            outcomes[name] = next(g for g in end.groups() if g)
            name = None
    if late:
        outcomes[""] = f"not done after {timeout} s" + (f", in {name}" if name else "")
    elif not outcomes:
        outcomes[""] = text.decode(errors="replace").strip().splitlines()[-1] if text.strip() else "no output"
    return outcomes


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runsc", default=os.path.join(TOP, "build/bin/runsc"))
    parser.add_argument("--platform", default="ptrace")
    parser.add_argument("--python", default="/usr/bin/python3.11")
    parser.add_argument("--timeout", type=float, default=300)
    parser.add_argument("--show", type=int, default=12, help="differing tests to name for each module")
    parser.add_argument("modules", nargs="*")
    options = parser.parse_args()
    if subprocess.run([options.python, "-c", "import test.test_os"], capture_output=True).returncode != 0:
        print("SKIPPED: Debian's libpython3.11-testsuite is not installed")
        return 77
    inside = [options.runsc, "do", f"--platform={options.platform}", "--"]
    print(f"{'module':<34}{'host ok':>8}{'inside ok':>10}{'differ':>8}{'host s':>8}{'inside s':>10}")
    total = 0
    for module in options.modules or MODULES:
        begin = time.monotonic()
        want = run([], options.python, module, options.timeout)
        middle = time.monotonic()
        got = run(inside, options.python, module, options.timeout)
        end = time.monotonic()
        differ = [n for n in sorted(set(want) | set(got)) if want.get(n) != got.get(n)]
        worse = [n for n in differ if n == "" or want.get(n) == "ok"]
        total += len(worse)
        count = lambda outcomes: sum(o == "ok" for o in outcomes.values())
        print(f"{module:<34}{count(want):>8}{count(got):>10}{len(differ):>8}{middle - begin:>8.1f}{end - middle:>10.1f}",
              flush=True)
        for name in differ[:options.show]:
            print(f"    {name or '(module)'}: host {want.get(name, 'missing')}, inside {got.get(name, 'missing')}")
    print(f"{total} tests pass on the host and not inside")
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main())
