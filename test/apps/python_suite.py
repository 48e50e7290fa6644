#!/usr/bin/env python3
"""Runs modules of Python's own test suite (Debian's libpython3.11-testsuite) on the host and in the
sandbox and lists the tests that pass on the host and not inside.

    test/apps/python_suite.py [--platform ptrace]... [--markdown FILE] [MODULE...]

A module runs once on the host and once on each platform (all of them, unless --platform says otherwise).
A difference is explained if EXPLAINED gives its reason. Exit code: 1 if there is a difference without
one, 77 if the test suite is not installed.
"""
import argparse
import os
import platform
import re
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
PLATFORMS = ["ptrace", "systrap"]

# Files, processes, threads, signals, memory, waiting and sockets: what asks the most of a kernel.
MODULES = """
test_os test_posix test_posixpath test_genericpath test_stat test_glob test_pathlib test_shutil test_tempfile
test_threadedtempfile test_io test_file test_fileio test_bufio test_largefile test_filecmp test_fileinput test_mmap
test_fcntl test_tarfile test_zipfile test_mailbox test_dbm test_dbm_dumb
test_thread test_threading test_threading_local test_threadsignals test_queue test_sched test_concurrent_futures
test_signal test_eintr test_file_eintr test_faulthandler test_time
test_subprocess test_fork1 test_wait3 test_wait4 test_popen test_pipes test_resource test_atexit test_cmd_line
test_cmd_line_script test_pty test_openpty test_multiprocessing_fork test_multiprocessing_forkserver
test_multiprocessing_spawn test_multiprocessing_main_handling
test_select test_selectors test_poll test_epoll test_socket test_socketserver test_asyncore test_asynchat test_httpservers
test_asyncio.test_events test_asyncio.test_base_events test_asyncio.test_selector_events test_asyncio.test_streams
test_asyncio.test_server test_asyncio.test_sock_lowlevel test_asyncio.test_sendfile test_asyncio.test_subprocess
test_asyncio.test_unix_events test_asyncio.test_waitfor test_asyncio.test_threads
test_pwd test_grp test_uuid test_platform test_sys test_sysconfig test_locale test_logging test_import test_ctypes
""".split()

# What a module is told besides: -u allows what it does not do unasked, -i leaves tests out.
ARGUMENTS = {
    "test_socket": ["-i", "*VSOCK*"],  # sockets to the hypervisor: they hang where it does not answer
    "test_socketserver": ["-u", "network"],  # (127.0.0.1 only)
}

# Why a test that passes on the host does not pass inside: (pattern for the whole of its name, reason).
EXPLAINED = [
    (r"test\.test_shutil\.TestMisc\.test_disk_usage",
     "statfs of the root is that of the overlay's upper layer, as in Linux: an empty file system in memory, of which "
     "nothing is used yet."),
    (r"test\.test_time\.TimeTestCase\.test_monotonic_settime",
     "The test sets the machine's clock. A sandbox may not: clock_settime gives EPERM, and the test skips itself."),
]


def outcomes_in_report(path):
    """{test name: outcome} from a JUnit report, None if the run did not get as far as writing one."""
    try:
        root = xml.etree.ElementTree.parse(path).getroot()
    except (OSError, xml.etree.ElementTree.ParseError):
        return None
    outcomes = {}
    for case in root.iter("testcase"):
        if "name" not in case.attrib:
            continue  # what a test with a failed sub-test leaves
        kinds = {child.tag for child in case}
        outcomes[case.get("name")] = ("ERROR" if "error" in kinds else "FAIL" if "failure" in kinds else
                                      "skipped" if "skipped" in kinds else "ok")
    return outcomes


def outcomes_in_text(text):
    """The same from what is printed: less exact, as the output of child processes stands in between."""
    outcomes, name = {}, None
    for line in text.splitlines():
        start = re.match(r"^(\w+) \(([\w.<>]+)\)", line)
        if start:
            name = start[2] if start[2].endswith("." + start[1]) else f"{start[2]}.{start[1]}"
        end = re.search(r"\.\.\. .*?\b(ok|FAIL|ERROR|expected failure)\b\s*$|\.\.\. (skipped) ", line) or \
            re.match(r"^(ok|FAIL|ERROR)$", line)
        if end and name:
            outcomes[name] = next(g for g in end.groups() if g).replace("expected failure", "ok")
            name = None
    return outcomes, name


def run(prefix, options, module, log):
    """{test name: outcome}; under the key "" what kept the module from being done."""
    with tempfile.TemporaryDirectory(prefix="python-suite-") as report:
        name = os.path.join(report, "report.xml")
        if prefix:
            prefix = prefix + [f"--volume={report}:{report}", "--"]
        work = os.path.join("/tmp", os.path.basename(report) + "-work")
        # The directory is made where the tests run: inside, it is in the sandbox's own tree.
        script = 'work=$1; mkdir "$work" && shift && "$@"; status=$?; rm -rf "$work"; exit $status'
        command = prefix + ["sh", "-c", script, "sh", work, options.python, "-m", "test", "-v", "--tempdir", work,
                            "--junit-xml", name] + ARGUMENTS.get(module, []) + [module]
        process = subprocess.Popen(command, cwd="/tmp", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, start_new_session=True)
        late = False
        try:
            text = process.communicate(timeout=options.timeout)[0]
        except subprocess.TimeoutExpired:
            late = True
            os.killpg(process.pid, signal.SIGKILL)
            text = process.communicate()[0]
        text = text.decode(errors="replace")
        if log:
            with open(log, "w") as file:
                file.write(text)
        outcomes = outcomes_in_report(name)
    last = None
    if outcomes is None:
        outcomes, last = outcomes_in_text(text)
    lines = text.strip().splitlines() or ["no output"]
    skip = re.search(rf"^{re.escape(module)} skipped -- (.*)$", text, re.M)
    where = f", in {last}" if last else ""
    if late:
        outcomes[""] = f"not done after {options.timeout:.0f} s{where}"
    elif skip:
        outcomes[""] = f"skipped: {skip[1]}"
    elif process.returncode < 0 or process.returncode > 100 or not outcomes:
        outcomes[""] = f"exit code {process.returncode}{where}: {lines[-1]}"
    return outcomes


def count(outcomes):
    return sum(outcome == "ok" for name, outcome in outcomes.items() if name)


def reason_of(name):
    return next((reason for pattern, reason in EXPLAINED if re.fullmatch(pattern, name)), None)


class Row:
    """One module: what the host and each platform gave."""

    def __init__(self, module, host):
        self.module, self.host = module, host
        self.inside, self.seconds = {}, {}

    def worse(self, where):
        """[(test, outcome inside)] of what is right on the host only. The module as a whole is the test ""."""
        got = self.inside[where]
        names = [n for n, outcome in self.host.items() if n and outcome == "ok" and got.get(n) != "ok"]
        if "" in got and "" not in self.host:
            names.append("")
        return [(n, got.get(n, "missing")) for n in sorted(names)]

    def label(self, name):
        return name or self.module


def write_markdown(path, rows, platforms, options):
    reasons = {}
    cells = []
    for row in rows:
        marks = []
        line = [row.module, str(count(row.host))]
        for where in platforms:
            line += [str(count(row.inside[where])), str(len(row.worse(where)))]
            for name, outcome in row.worse(where):
                reason = reason_of(row.label(name)) or "unexplained"
                reasons.setdefault(reason, {}).setdefault(row.label(name), {})[where] = outcome
                marks.append(reason)
        numbers = [str(list(reasons).index(r) + 1) for r in dict.fromkeys(marks)]
        cells.append(line + [", ".join(numbers)])
    total = ["**all**", str(sum(count(r.host) for r in rows))]
    for where in platforms:
        total += [str(sum(count(r.inside[where]) for r in rows)), str(sum(len(r.worse(where)) for r in rows))]
    cells.append(total + [""])
    head = ["module", "host ok"] + [h for where in platforms for h in (f"{where} ok", f"{where} differs")] + ["why"]
    version = subprocess.run([options.python, "-V"], capture_output=True, text=True).stdout.strip()
    with open(path, "w") as file:
        file.write("# Python's test suite inside\n\n"
                   f"Written by `test/apps/python_suite.py --markdown FILE`: the test suite of {version} as Debian packages it "
                   f"(libpython3.11-testsuite), on the host (Linux {platform.release().split('-')[0]}) and in the sandbox "
                   f"(`runsc do --network={options.network}`). "
                   "*ok* counts tests that passed (skipped ones don't count); *differs* those that pass on the host and not inside; "
                   "*why* refers to the list below.\n\n")
        file.write("| " + " | ".join(head) + " |\n|" + "---|" + "--:|" * (len(head) - 2) + "---|\n")
        for line in cells:
            file.write("| " + " | ".join(line) + " |\n")
        if reasons:
            file.write("\n## What differs, and why\n\n")
        for number, (reason, tests) in enumerate(reasons.items(), 1):
            file.write(f"{number}. {reason}\n")
            for name, outcome in tests.items():
                file.write(f"   - `{name}`: " + ", ".join(f"{o} ({w})" for w, o in outcome.items()) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runsc", default=os.path.join(TOP, "build/bin/runsc"))
    parser.add_argument("--platform", action="append", choices=PLATFORMS, help="may be repeated (default: all)")
    parser.add_argument("--network", default="host", help="the sandbox's network: the tests use sockets on 127.0.0.1")
    parser.add_argument("--python", default="/usr/bin/python3.11")
    parser.add_argument("--timeout", type=float, default=400, help="seconds for a module")
    parser.add_argument("--markdown", metavar="FILE", help="write the table there")
    parser.add_argument("--logs", metavar="DIR", help="keep what the tests print there")
    parser.add_argument("modules", nargs="*")
    options = parser.parse_args()
    if subprocess.run([options.python, "-c", "import test.test_os"], capture_output=True).returncode != 0:
        print("SKIPPED: Debian's libpython3.11-testsuite is not installed")
        return 77
    if options.logs:
        os.makedirs(options.logs, exist_ok=True)
    log = lambda module, where: os.path.join(options.logs, f"{module}.{where}.txt") if options.logs else None
    platforms = options.platform or PLATFORMS
    print(f"{'module':<36}{'host ok':>8}{'s':>6}" + "".join(f"{p + ' ok':>12}{'differ':>7}{'s':>6}" for p in platforms))
    rows, unexplained = [], 0
    for module in options.modules or MODULES:
        begin = time.monotonic()
        row = Row(module, run([], options, module, log(module, "host")))
        print(f"{module:<36}{count(row.host):>8}{time.monotonic() - begin:>6.0f}", end="", flush=True)
        for where in platforms:
            begin = time.monotonic()
            inside = [options.runsc, "do", f"--platform={where}", f"--network={options.network}"]
            row.inside[where] = run(inside, options, module, log(module, where))
            print(f"{count(row.inside[where]):>12}{len(row.worse(where)):>7}{time.monotonic() - begin:>6.0f}", end="", flush=True)
        print()
        rows.append(row)
        if "" in row.host:
            print(f"    on the host: {row.host['']}")
        for where in platforms:
            for name, outcome in row.worse(where):
                reason = reason_of(row.label(name))
                unexplained += reason is None
                print(f"    {where} {row.label(name)}: {outcome}" + (f" (explained: {reason})" if reason else ""))
        sys.stdout.flush()
    print(f"host: {sum(count(r.host) for r in rows)} tests ok", end="")
    for where in platforms:
        print(f"; {where}: {sum(count(r.inside[where]) for r in rows)} ok, "
              f"{sum(len(r.worse(where)) for r in rows)} differ", end="")
    print(f"; {unexplained} differences unexplained")
    if options.markdown:
        write_markdown(options.markdown, rows, platforms, options)
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
