#!/usr/bin/env python3
"""Fails on an #include that points up, or sideways where the design keeps two folders apart.

ALLOWED names for each folder the folders that it may include; a group is spelled out once
and added to. A folder may always include itself. Tests of a folder keep to the same list.
"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

BASE = {"platform/base", "platform/abi"}
HOST = BASE | {"platform/host", "platform/seccomp"}
PLATFORM = BASE | {"platform", "platform/host"}
BACKEND = PLATFORM | {"platform/seccomp", "platform/stub"}
LEAVES = {"sentry/wait", "sentry/time", "sentry/auth", "sentry/arch", "sentry/usermem",
          "sentry/memory", "sentry/futex"}
GOFER_CLIENT = {"gofer/protocol"}
KERNEL = PLATFORM | LEAVES | {"sentry/mm", "sentry/ipc", "sentry/keys", "sentry/vfs"}
ABOVE_KERNEL = KERNEL | {"sentry/kernel"}
SYSCALLS = ABOVE_KERNEL | GOFER_CLIENT | {"sentry/loader", "sentry/fsimpl", "sentry/socket"}
BOOT = SYSCALLS | HOST | {"sentry/syscalls", "sentry/control", "platform/stub", "platform/ptrace",
                          "platform/systrap", "platform/kvm"}

ALLOWED = {
    "platform/base": set(),
    "platform/abi": {"platform/base"},
    "platform/host": BASE,
    "platform/seccomp": BASE,
    "platform/seccomp/generator": BASE | {"platform/seccomp"},
    "platform": BASE,
    "platform/stub": BACKEND,
    "platform/ptrace": BACKEND,
    "platform/systrap": BACKEND,
    "platform/kvm": BACKEND,
    "gofer/protocol": BASE | {"platform/host"},
    "gofer/server": HOST | GOFER_CLIENT,
    "sentry/wait": BASE,
    "sentry/time": BASE | {"platform/host", "sentry/wait", "sentry/auth"},
    "sentry/auth": BASE,
    "sentry/arch": PLATFORM | {"sentry/usermem"},
    "sentry/usermem": BASE | {"platform/host"},
    "sentry/memory": PLATFORM | {"sentry/usermem"},
    "sentry/futex": PLATFORM | {"sentry/usermem", "sentry/memory", "sentry/wait", "sentry/time"},
    "sentry/mm": PLATFORM | LEAVES,
    "sentry/ipc": PLATFORM | LEAVES | {"sentry/mm"},
    "sentry/keys": BASE | {"sentry/auth", "sentry/ipc", "sentry/time"},
    "sentry/vfs": BASE | {"platform/host"} | LEAVES,
    "sentry/net": BASE | {"platform/host", "sentry/time", "sentry/wait"},
    "sentry/kernel": KERNEL,
    "sentry/loader": ABOVE_KERNEL,
    "sentry/socket": ABOVE_KERNEL | {"sentry/net"},
    "sentry/fsimpl": ABOVE_KERNEL | GOFER_CLIENT,
    "sentry/syscalls": SYSCALLS,
    "sentry/control": ABOVE_KERNEL | GOFER_CLIENT | {"sentry/loader", "sentry/fsimpl"},
    "sentry/boot": BOOT,
    "runsc/oci": BASE,
    "runsc/cgroup": BASE | {"runsc/oci"},
    "runsc/dbus": BASE | {"runsc/oci"},
    "runsc/systemd": BASE | {"runsc/oci", "runsc/cgroup", "runsc/dbus"},
    "runsc/container": BASE | {"runsc/oci", "runsc/cgroup", "runsc/systemd"},
    "runsc/sandbox": HOST | {"gofer/server", "sentry/boot", "sentry/control"},
    "runsc/lifecycle": HOST | {"runsc/oci", "runsc/container", "runsc/cgroup", "runsc/systemd", "runsc/sandbox",
                               "sentry/boot", "sentry/control"},
    "runsc/shim": BASE | {"runsc/oci", "runsc/container", "runsc/cgroup"},
    "runsc/cmd": None,  # the top
    "runsc": None,
    "test": None,
}
TOP = ("platform", "gofer", "sentry", "runsc", "test")
INCLUDE = re.compile(r'^\s*#\s*include\s+"((?:%s)/[^"]+)"' % "|".join(TOP))


def folder_of(path, known):
    """The longest known folder that holds the file."""
    parts = pathlib.PurePosixPath(path).parent.parts
    for end in range(len(parts), 0, -1):
        candidate = "/".join(parts[:end])
        if candidate in known:
            return candidate
    return None


def main():
    files = subprocess.run(["git", "ls-files", "-co", "--exclude-standard", "*.h", "*.cc", "*.S"], cwd=ROOT,
                           check=True, capture_output=True, text=True).stdout.split()
    bad = 0
    for name in files:
        if not name.startswith(TOP) or not (ROOT / name).exists():
            continue
        folder = folder_of(name, ALLOWED)
        if folder is None:
            print(f"{name}: its folder is not in tools/check_layers.py's list")
            bad += 1
            continue
        allowed = ALLOWED[folder]
        if allowed is None:
            continue
        for number, line in enumerate((ROOT / name).read_text().splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            target = folder_of(match.group(1), ALLOWED)
            if target != folder and target not in allowed:
                print(f"{name}:{number}: {folder} may not include {match.group(1)}")
                bad += 1
    if bad:
        print(f"{bad} includes break the layers (see ARCHITECTURE.md)")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
