"""Id-mapped mounts: each file belongs inside to whom the mapping says, and what is made or given away belongs on the
host to whom it says backwards. What is right Linux decides: the same commands run on the host in a mount that is
mapped in the same way.

idmap_test.py RUNSC [FLAGS]"""
import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys

import container_harness
from container_harness import Containers
from sandbox_harness import adopt_orphans, check, finish, reap, skip

LIBC = ctypes.CDLL(None, use_errno=True)
SYS_OPEN_TREE, SYS_MOVE_MOUNT, SYS_MOUNT_SETATTR = 428, 429, 442
CLONE_NEWNS, CLONE_NEWUSER, MS_PRIVATE_REC = 0x20000, 0x10000000, 0x44000
AT_FDCWD, AT_RECURSIVE, AT_EMPTY_PATH, IDMAP = -100, 0x8000, 0x1000, 0x100000


def ids(first, host, size):
    return [{"containerID": first, "hostID": host, "size": size}]


EVERYBODY = ids(0, 1000, 10)


def call(number, *arguments):
    result = LIBC.syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), f"system call {number}")
    return result


def user_namespace(mappings):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        LIBC.unshare(CLONE_NEWUSER)
        os.write(writer, b"x")
        signal.pause()
    os.read(reader, 1)
    try:
        return mapped_namespace(child, mappings)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(reader)
        os.close(writer)


def mapped_namespace(child, mappings):
    lines = "".join(f"{m['containerID']} {m['hostID']} {m['size']}\n" for m in mappings)
    for name in ("gid_map", "uid_map"):
        with open(f"/proc/{child}/{name}", "w", encoding="ascii") as file:
            file.write(lines)
    return os.open(f"/proc/{child}/ns/user", os.O_RDONLY)


def natively(source, target, script, user, mappings, below=False):
    """What the script says in an id-mapped clone of `source` at `target`, in a mount namespace of its own."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.dup2(writer, 1)
            os.dup2(writer, 2)
            if LIBC.unshare(CLONE_NEWNS) or LIBC.mount(b"", b"/", None, MS_PRIVATE_REC, None):
                raise OSError("no mount namespace")
            tree = call(SYS_OPEN_TREE, AT_FDCWD, source.encode(), 1 | AT_RECURSIVE)
            attributes = (ctypes.c_uint64 * 4)(IDMAP, 0, 0, user_namespace(mappings))
            call(SYS_MOUNT_SETATTR, tree, b"", AT_EMPTY_PATH | (AT_RECURSIVE if below else 0),
                 ctypes.byref(attributes), 32)
            call(SYS_MOVE_MOUNT, tree, b"", AT_FDCWD, target.encode(), 4)
            os.chdir(target)
            os.setgroups([])
            os.setresgid(user, user, user)
            os.setresuid(user, user, user)
            os.umask(0o22)
            os.execv(container_harness.busybox(), ["sh", "-c", script])
        except BaseException as error:
            os.write(2, f"{error!r}\n".encode())
        finally:
            os._exit(99)
    os.close(writer)
    with os.fdopen(reader, encoding="utf-8") as file:
        said = file.read()
    os.waitpid(child, 0)
    return said.splitlines()


def fill(volume, files):
    shutil.rmtree(volume, ignore_errors=True)
    os.mkdir(volume)
    for name, owner, mode in (("", 0, 0o777), *files):
        path = f"{volume}/{name}"
        if name.endswith("/"):
            os.mkdir(path)
        elif name:
            with open(path, "w", encoding="ascii") as file:
                file.write(f"in {name}\n")
        os.chown(path, owner, owner)
        os.chmod(path, mode)


def owners(volume):
    return {name: (os.lstat(f"{volume}/{name}").st_uid, os.lstat(f"{volume}/{name}").st_gid)
            for name in os.listdir(volume)}


CAPABILITIES = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_MKNOD"]


def inside(box, volume, script, user, mappings, option="idmap"):
    caps = {kind: CAPABILITIES for kind in ("bounding", "effective", "permitted")}
    bundle = box.bundle(["sh", "-c", f"exec 2>&1; {script}"], mounts=[
        {"destination": "/v", "type": "bind", "source": volume, "options": ["rbind", option],
         "uidMappings": mappings, "gidMappings": mappings}],
        process={"user": {"uid": user, "gid": user}, "capabilities": caps, "cwd": "/v", "noNewPrivileges": False})
    result = box.run("run", "--bundle", bundle, f"idmap{box.bundles}")
    if result.stderr:
        check(False, "no warning", result)
    return result.stdout.decode().splitlines()


SHOW = "for f in *; do stat -c '%n %u %g' $f; done"
MAKE = "echo x > new; mkdir dir; ln -s a link; mkfifo pipe"
LINK = f"ln a hard; ln c hard_c; ln g hard_g; mv g new; mv h a; mv d new_d; mv i new_i; {SHOW}"
FILES = [("a", 0, 0o644), ("b", 3, 0o600), ("c", 50, 0o644), ("d/", 1, 0o700), ("e/", 50, 0o777), ("f", 50, 0o606),
         ("g", 1, 0o666), ("h", 2, 0o666), ("i/", 1, 0o777)]
# {label: (user, mapping, script)}
CASES = {
    "owners": (1001, EVERYBODY, SHOW),
    "made by somebody mapped": (1001, EVERYBODY, f"{MAKE}; ln a hard; {SHOW}"),
    "made by somebody who is not": (1050, EVERYBODY, f"{MAKE}; ln a hard; {SHOW}"),
    "made by the root that is not mapped": (0, EVERYBODY, f"{MAKE}; {SHOW}"),
    "made by the root that is": (0, ids(0, 0, 10), f"{MAKE}; ln a hard; {SHOW}"),
    "a root that is somebody else": (0, ids(5, 0, 10), f"{MAKE}; {SHOW}"),
    "in other's directories": (1001, EVERYBODY, "cat a b c; echo x > d/x; echo x > e/x; ls d; rm c; mv b d/b; ls"),
    "given away": (0, EVERYBODY, "chown 1003:1004 a; chown 0 a; chown 2000 a; chgrp 0 a; chown 1009 b; chgrp 1001 b; "
                                 f"chown 1000 c; chmod 640 b; touch b; {SHOW}"),
    "given away by its owner": (1000, EVERYBODY, f"chown 1001 a; chgrp 1001 a; chmod 600 a; chmod 600 b; {SHOW}"),
    "what is nobody's": (0, EVERYBODY, "cat c; echo x >> c; chmod 600 c; touch c; rm c; echo x > e/x; cat f; ls"),
    "linked and renamed by the root that is not mapped": (0, EVERYBODY, LINK),
    "linked and renamed by somebody who is not": (1050, EVERYBODY, LINK),
    "linked and renamed by somebody mapped": (1001, EVERYBODY, LINK),
    "linked and renamed by the root that is": (0, ids(0, 0, 10), LINK),
    "renamed and removed": (1001, EVERYBODY, f"mkdir x; echo y > x/y; mv x z; mv z/y y; rmdir z; rm a; {SHOW}"),
    "ranges": (7, ids(0, 100, 1) + ids(3, 7, 1) + ids(50, 200, 100), f"{MAKE}; ln a hard; {SHOW}; chown 200 a b; cat b"),
    "swapped": (3, ids(0, 3, 1) + ids(3, 0, 1), f"{MAKE}; ln a hard; {SHOW}; cat b a"),
}


def compared(box):
    volume, place = box.path("volume"), box.path("place")
    os.mkdir(place)
    for label, (user, mappings, script) in CASES.items():
        fill(volume, FILES)
        right = natively(volume, place, script, user, mappings), owners(volume)
        fill(volume, FILES)
        seen = inside(box, volume, script, user, mappings), owners(volume)
        check(right == seen and right[0] and "Error" not in str(right), label, (right, seen))


def user_namespaces(box):
    """A container whose ids are others on the host uses a volume as if they were not."""
    volume = box.path("volume")
    spaces = [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount", "user")]
    linux = {"namespaces": spaces, "uidMappings": ids(0, 100000, 1000), "gidMappings": ids(0, 100000, 1000)}
    for label, maps in (("of its own mappings", {}), ("of the same by name", {
            "uidMappings": ids(0, 100000, 1000), "gidMappings": ids(0, 100000, 1000)})):
        fill(volume, FILES)
        bundle = box.bundle(["sh", "-c", f"cd /v; {SHOW}; echo x > new; chown 5:6 b"], linux=json.loads(json.dumps(linux)),
                            mounts=[{"destination": "/v", "type": "bind", "source": volume,
                                     "options": ["bind", "idmap"], **maps}])
        for folder, _, names in os.walk(f"{bundle}/rootfs"):
            for path in (folder, *(os.path.join(folder, name) for name in names)):
                os.chown(path, 100000, 100000, follow_symlinks=False)
        result = box.run("run", "--bundle", bundle, "users")
        made = owners(volume)
        check(result.returncode == 0 and result.stdout.decode().splitlines() == ["a 0 0", "b 3 3", "c 50 50", "d 1 1", "e 50 50", "f 50 50",
                                                                                    "g 1 1", "h 2 2", "i 1 1"],
              f"a mount {label}", result)
        check(made["b"] == (5, 6) and made["new"] == (0, 0), f"and on the host, {label}", made)


def mounts_below(box):
    """Mapped as well with ridmap, and not with idmap."""
    volume, place = box.path("volume"), box.path("place")
    os.mkdir(place)
    os.makedirs(f"{volume}/below")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "uid=5,gid=5", "below", f"{volume}/below"], check=True)
    try:
        for option in ("idmap", "ridmap"):
            script = "stat -c %u . below"
            right = natively(volume, place, script, 0, EVERYBODY, option == "ridmap")
            seen = inside(box, volume, script, 0, EVERYBODY, option)
            check(right == seen == ["1000", "5" if option == "idmap" else "1005"], option, (right, seen))
    finally:
        subprocess.run(["umount", f"{volume}/below"], check=True)


def refused(box):
    for label, mount, word in (
            ("a filesystem that has none", {"type": "bind", "source": "/proc", "options": ["bind", "idmap"]}, b"/proc"),
            ("a tmpfs", {"type": "tmpfs", "source": "tmpfs", "options": ["idmap"]}, b"bind-mounts"),
            ("a device", {"type": "bind", "source": "/dev/null", "options": ["bind", "idmap"]}, b"device"),
            ("one mapping", {"type": "bind", "source": "/tmp", "options": ["idmap"], "gidMappings": []}, b"both"),
            ("an overlap", {"type": "bind", "source": "/tmp", "options": ["idmap"],
                            "uidMappings": ids(0, 0, 2) + ids(1, 5, 1)}, b"uidMappings[1]: overlaps")):
        result = box.run("run", "--bundle", box.bundle(["true"], mounts=[
            {"destination": "/v", "uidMappings": EVERYBODY, "gidMappings": EVERYBODY, **mount}]), "refused")
        check(result.returncode == 1 and word in result.stderr and result.stderr.count(b"\n") == 1, label, result)


def main():
    binary, flags = os.path.abspath(sys.argv[1]), sys.argv[2:]
    if os.geteuid() != 0:
        skip("needs root")
    busybox = container_harness.busybox()
    if busybox is None:
        skip("needs a static busybox (package busybox-static)")
    adopt_orphans()
    for part in (compared, user_namespaces, mounts_below, refused):
        box = Containers([binary, *flags], busybox)
        try:
            part(box)
        finally:
            for entry in os.listdir(box.root) if os.path.exists(box.root) else []:
                box.run("delete", "--force", entry)
            box.close()
            reap()
    finish()


main()
