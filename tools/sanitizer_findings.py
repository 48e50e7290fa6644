#!/usr/bin/env python3
"""Makes sanitizers' reports readable: function and line for each address, the same finding only once.

Prints what no suppression explains, and ends with 1 if that is anything. A suppression is a line
`KIND FUNCTION...`: every FUNCTION must be in the stacks of a report of that KIND (data-race,
heap-use-after-free, runtime-error, ...). Above it stands the reason.
"""
import argparse
import collections
import pathlib
import re
import subprocess
import sys

FRAME = re.compile(r"^(\s*#\d+ 0x[0-9a-f]+)\s+(?:\S.* )?\((\S+)\+(0x[0-9a-f]+)\)")
START = re.compile(r"^(==\d+==\s*ERROR: |WARNING: ThreadSanitizer: |.*: runtime error: |.*==ERROR: )")
KIND = re.compile(r"(?:AddressSanitizer|ThreadSanitizer): ([\w-]+(?: race)?)")


class Symbols:
    """addr2line, asked once for all addresses of a program."""

    def __init__(self, reports):
        wanted = collections.defaultdict(set)
        for text in reports:
            for line in text.splitlines():
                if match := FRAME.match(line):
                    wanted[match[2]].add(match[3])
        self.names = {}
        for program, addresses in wanted.items():
            addresses = sorted(addresses)
            # A return address is that of the next instruction, which may belong to another line.
            asked = [hex(int(address, 16) - 1) for address in addresses]
            done = subprocess.run(["addr2line", "-aCfipe", program], input="\n".join(asked), text=True,
                                  capture_output=True)
            answers = re.split(r"^0x[0-9a-f]+: ", done.stdout, flags=re.M)[1:]
            for address, answer in zip(addresses, answers):
                self.names[program, address] = answer.strip().replace("\n", "\n        ")

    def resolve(self, line):
        match = FRAME.match(line)
        if not match:
            return line
        return match[1] + " " + self.names.get((match[2], match[3]), f"{match[2]}+{match[3]}")


def split(text):
    """The reports in what one sandbox's processes have written."""
    report = []
    for line in text.splitlines():
        if set(line) == {"="}:
            continue
        if START.match(line) and report:
            yield report
            report = []
        report.append(line)
    if report:
        yield report


def kind_of(report):
    head = " ".join(report[:3])
    if ": runtime error: " in head:
        return "runtime-error"
    match = KIND.search(head)
    return match[1].replace(" ", "-") if match else "other"


def identity(report, resolve):
    """What two reports of one finding share: kind, source line of UBSan, and our functions."""
    frames = [re.sub(r"^\s*#\d+ 0x\w+ ", "", resolve(line)) for line in report if FRAME.match(line)]
    first = re.sub(r"0x[0-9a-f]+|==\d+==|pid=\d+|T\d+|-?\d{3,}", "", report[0])
    return (kind_of(report), first if kind_of(report) == "runtime-error" else "", tuple(frames[:8]))


def read_suppressions(path):
    rules = []
    for line in pathlib.Path(path).read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            kind, *functions = line.split()
            rules.append((kind, functions))
    return rules


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--suppressions")
    parser.add_argument("directory", type=pathlib.Path)
    options = parser.parse_args()
    rules = read_suppressions(options.suppressions) if options.suppressions else []
    texts = [path.read_text(errors="replace") for path in sorted(options.directory.iterdir()) if path.stat().st_size]
    resolve = Symbols(texts).resolve

    found, suppressed = {}, 0
    for text in texts:
        for report in split(text):
            lines = [resolve(line) for line in report]
            whole = "\n".join(lines)
            if any(kind_of(report) == kind and all(name in whole for name in names) for kind, names in rules):
                suppressed += 1
                continue
            key = identity(report, resolve)
            count, kept = found.get(key, (0, whole))
            found[key] = (count + 1, kept)
    for count, whole in sorted(found.values(), key=lambda item: -item[0]):
        print(f"=== seen {count} times\n{whole}\n")
    print(f"{len(found)} findings, {suppressed} reports explained by suppressions")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
