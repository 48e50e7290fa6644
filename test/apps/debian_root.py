#!/usr/bin/env python3
"""Everyday work in a Debian root of its own: `runsc do --rootfs`, compared with a chroot on the host.

    test/apps/debian_root.py [--runsc build/bin/runsc] [--platform ptrace] [--root DIR] [NAME...]

Makes a minimal Debian 12 with debootstrap (or takes the one that --root names, and leaves it as it is). SKIPPED without root,
debootstrap or a mirror, which is the one that apt is set up with. Exit code 1 if anything differs.
"""
import argparse
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile

SKIPPED = 77
HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
PACKAGES = "adduser,perl-base,python3-minimal,procps"

# A local package, made with nothing but what a minimal root has.
MAKE_DEB = r"""
    mkdir -p /build/p/DEBIAN /build/p/usr/bin; cd /build
    printf 'Package: hello-local\nVersion: 1.0\nArchitecture: all\nMaintainer: N <n@example.org>\nDescription: a test\n' > p/DEBIAN/control
    printf '#!/bin/sh\necho configured\n' > p/DEBIAN/postinst; chmod 755 p/DEBIAN/postinst
    printf '#!/bin/sh\necho hello from a package\n' > p/usr/bin/hello-local; chmod 755 p/usr/bin/hello-local
    dpkg-deb --root-owner-group -b p hello-local.deb
"""

# name: script; what differs by nature (times, process numbers) stays out of the output.
CASES = {
    "dpkg": MAKE_DEB + "dpkg -i hello-local.deb 2>&1; hello-local; dpkg -s hello-local | head -2; dpkg -L hello-local; dpkg -r hello-local 2>&1; dpkg -l | wc -l",
    "apt": MAKE_DEB + "apt-get install -y ./hello-local.deb >log 2>&1 || cat log; hello-local; apt-get remove -y hello-local >/dev/null 2>&1; apt-cache policy hello-local | head -2",
    "users": r"""
        adduser --disabled-password --gecos '' someone >/dev/null 2>&1; echo $?; id someone; stat -c '%A %U %G' /home/someone; ls -A /home/someone
        su someone -c 'id -un; pwd; echo x > ~/f; cat /etc/shadow' 2>&1; su - someone -c 'echo $HOME; umask'
        echo someone:secret | chpasswd; echo $?; passwd -S someone | cut -d' ' -f1,2; usermod -aG games someone; id -nG someone; userdel -r someone 2>/dev/null; id someone 2>&1
    """,
    "perl": r"""perl -e 'print join(",", map { $_ * 2 } 1..5), "\n"; open F, "<", "/etc/debian_version"; print <F>; printf "%s\n", -d "/etc"'""",
    "python": r"""python3 -c 'import os, sys; print(sys.version_info[:2], os.getuid(), sorted(os.listdir("/etc"))[:5]); print(sum(1 for _ in os.walk("/usr/share")))'""",
    "find": "find / -xdev -path /proc -prune -o -path /sys -prune -o -path /dev -prune -o -path /tmp -prune -o -print | wc -l; find /usr -name '*.so*' | sort | md5sum; find /etc -newer /no 2>&1; find / -xdev -perm -4000 -type f | sort",
    "tar": "cd /tmp; tar cf t.tar -C / etc 2>/dev/null; tar tf t.tar | sort | md5sum; mkdir x; tar xf t.tar -C x; diff -r --no-dereference /etc x/etc && echo same; rm -rf x t.tar; ls -A /tmp",
    "ps": "ps -o args= -p $$ | cut -c1-5; top -b -n1 | head -1 | cut -c1-5; top -b -n1 | grep -c COMMAND; ps -e -o comm= | grep -c ps; free | wc -l; pgrep -x nothing; echo $?",
    "files": "mv /etc/hostname /etc/h2; rm -rf /usr/share/doc; ls /usr/share/doc 2>&1; echo x >> /etc/passwd; tail -1 /etc/passwd; ln -s /etc /e; ls -d /e/apt; cp -a /etc /etc2; diff -r --no-dereference /etc /etc2 && echo same; df / >/dev/null; echo $?",
    "identity": "cat /etc/debian_version; pwd; id; umask; ls / | grep -v build; getent passwd root; hostname >/dev/null; echo $?",
    "gcc": "command -v gcc >/dev/null || { echo none; exit; }; echo 'int main(){return 3;}' > /tmp/a.c; gcc -o /tmp/a /tmp/a.c; /tmp/a; echo $?",
}


def skip(why):
    print(f"SKIPPED: {why}")
    sys.exit(SKIPPED)


def mirror():
    for name in glob.glob("/etc/apt/sources.list.d/*") + ["/etc/apt/sources.list"]:
        try:
            with open(name, encoding="utf-8") as file:
                found = re.search(r"^(?:URIs:|deb(?: \[.*?\])?)\s+(http\S+)", file.read(), re.M)
        except OSError:
            continue
        if found and "security" not in found[1]:
            return found[1]
    return None


def make_root(folder):
    if not shutil.which("debootstrap"):
        skip("debootstrap is not installed")
    source = mirror()
    if source is None:
        skip("apt has no mirror")
    root = os.path.join(folder, "root")
    made = subprocess.run(["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", root, source],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=1500)
    if made.returncode != 0:
        skip("debootstrap failed: " + made.stdout.decode(errors="replace").strip().splitlines()[-1])
    return root


def run(command, environment):
    result = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, cwd="/", timeout=300, check=False)
    return result.returncode, result.stdout.decode(errors="replace")


def compare(options, root, folder):
    environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C", "HOME": "/root",
                   "DEBIAN_FRONTEND": "noninteractive"}
    failed = []
    for name, script in CASES.items():
        if options.names and name not in options.names:
            continue
        copy = os.path.join(folder, "copy")
        subprocess.run(["cp", "-a", root, copy], check=True)
        # Of the device nodes a chroot here only needs what a sandbox always has.
        inside = f"mount -t proc proc {copy}/proc && mount --bind /dev {copy}/dev && exec chroot {copy} sh -c \"$1\""
        native = run(["unshare", "--mount", "--pid", "--fork", "sh", "-c", inside, "sh", script], environment)
        shutil.rmtree(copy)
        ours = run([options.runsc, "do", f"--platform={options.platform}", f"--rootfs={root}", "--", "sh", "-c", script],
                   environment)
        same = native == ours
        print(f"{'same' if same else 'DIFFERS':8} {name}", flush=True)
        if not same:
            failed.append(name)
            print(f"--- chroot: code {native[0]}\n{native[1]}--- runsc: code {ours[0]}\n{ours[1]}---", flush=True)
    return failed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--runsc", default=os.path.join(TOP, "build/bin/runsc"))
    parser.add_argument("--platform", default="ptrace")
    parser.add_argument("--root")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    options.runsc = os.path.abspath(options.runsc)
    if os.geteuid() != 0:
        skip("a chroot to compare with needs root")
    folder = tempfile.mkdtemp(prefix="runsc-debian-")
    try:
        failed = compare(options, options.root or make_root(folder), folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print("all the same" if not failed else f"differ: {' '.join(failed)}")
    sys.exit(1 if failed else 0)


main()
