"""What compare_test.py compares, as far as it is data: bad input and which field a refusal names, and every difference
from runc (1.1) that is meant to be, with its reason. A difference that goes away fails the test, so that this list is
what there is."""

# {part: label of the step: why it is not as with runc}
_OWNER = "runc 1.1's state leaves the owner empty, although its list has it"
_WORDS = "our message names what was wrong with the value instead of the library that said so"
_PLACE = "our message names the file, or the file and the field"
_CHECK = "runc goes on with what is left of it"
_ONE_LINE = "one line instead of a warning about runc's state.json and an error"
_PS = "PIDs and commands are those inside; the columns are runc's"
_HELP = "usage errors are one line: runc prints the whole help on stdout"

DIFFERENCES = {
    "life: state created": _OWNER,
    "life: state paused created": _OWNER,
    "life: state resumed created": _OWNER,
    "life: state running": _OWNER,
    "life: state paused": _OWNER,
    "life: state stopped": _OWNER,
    "life: kill c1 RTMIN": "names of real-time signals are taken, as by kill(1) and by crun",
    "life: ps stopped": _PS,
    "life: events --stats": "lists without entries are there too",
    "ids: id of 300": _WORDS,
    "ids: id of 1025": _WORDS,
    "execs: --user root | id": _WORDS,
    "execs: --user 1:2:3 | id": _WORDS,
    "execs: --env BAD | true": "said before a process is started for it",
    "execs: --additional-gids x | true": _HELP,
    "execs: -- behind the id": "runc-exec(8) has it: exec ID [--] COMMAND",
    "execs: --console-socket /nosuch --tty --detach | true": "said with the words for what keeps a process from starting",
    "execs: --preserve-fds 3 | true": "descriptors that the caller does not have are refused: runc would hand on its own",
    "execs: --cgroup /nosuch | true": "there are no cgroups of the host below a container's",
    "execs: --pid-file /nosuch/pid | true": _WORDS,
    "execs: --nosuch | true": _HELP,
    "execs: process": "process.user.umask is honoured; runc 1.1's exec forgets it",
    "execs: process without args": _PLACE,
    "execs: process without cwd": _PLACE,
    "execs: process in a relative cwd": _PLACE,
    "execs: process and flags": _PLACE,
    "updates: update --memory abc up": _WORDS,
    "updates: update --memory 10000 up": _ONE_LINE,
    "updates: update --cpu-period 5 up": _ONE_LINE,
    "updates: update --cpuset-cpus 77 up": _ONE_LINE,
    "updates: update -r - 1": _PLACE,
    "updates: update -r - 2": _PLACE,
    "logs: list --nosuch": _HELP,
    "logs: events --interval abc x": _HELP,
    "logs: delete": "delete takes several ids",
    "options: run -b BOX/bundle1 --pid-file /nosuch/pid c": "the container is not started then",
    "options: run -b BOX/bundle1 --preserve-fds 9 c": "runc counts from descriptors of its own",
    "options: features: namespaces": "Debian's runc is older than its time namespaces (1.2)",
    "options: features: mountOptions": "Debian's runc is older than id-mapped mounts (1.2)",
    "options: spec --rootless: mounts": "/sys is the Sentry's own: there is no need to bind the host's",
    "inside: tmpfs": "the mode that was asked for; runc gives the tmpfs that of the directory below it",
    "inside: streams": "the caller's own stream; runc run puts a pipe between",
    "inside: personality": "runc 1.1 ignores linux.personality",
    "inside: cgroup": "version 2 inside, whatever the host has",
    "inside: user namespace": "ids are mapped where files are opened, outside of the guest",
    "hooks: state of poststart": "runtime.md: the container runs by then",
}


def _mount(**fields):
    return {"mounts": [{"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", **fields}]}


def _set(place, value):
    return {"set": {place: value}}


def _hook(kind, **fields):
    return _set("hooks", {kind: [{"path": "/bin/true", **fields}]})


_SPACES = [{"type": kind} for kind in ("pid", "network", "ipc", "uts", "mount")]


def _spaces(*more, without=()):
    return _set("linux.namespaces", [space for space in _SPACES if space["type"] not in without] + list(more))


def _process(field, value):
    return _set(f"process.{field}", value)


def _linux(field, value):
    return _set(f"linux.{field}", value)


# {label: (what of a good config.json is changed, what the refusal names; None: it is taken)}
BAD_INPUT = {
    "no JSON": ({"text": "{"}, r"config\.json"),
    "an empty file": ({"text": "\n"}, r"config\.json"),
    "a list": ({"text": "[]"}, r"config\.json"),
    "null": ({"text": "null"}, r"config\.json"),
    "an unknown field": (_set("nosuch", 1), None),
    "no ociVersion": (_set("ociVersion", None), "ociVersion"),
    "ociVersion 2": (_set("ociVersion", "2.0.0"), "ociVersion"),
    "ociVersion x": (_set("ociVersion", "x"), "ociVersion"),
    "ociVersion a number": (_set("ociVersion", 1), "ociVersion"),
    "no process": (_set("process", None), "process"),
    "process a list": (_set("process", []), "process"),
    "no args": (_process("args", None), r"process\.args"),
    "args empty": (_process("args", []), r"process\.args"),
    "args a string": (_process("args", "true"), r"process\.args"),
    "args of numbers": (_process("args", [1]), r"process\.args\[0\]"),
    "no cwd": (_process("cwd", None), r"process\.cwd"),
    "cwd relative": (_process("cwd", "tmp"), r"process\.cwd"),
    "cwd a file": (_process("cwd", "/etc/passwd"), "cwd"),
    "env a string": (_process("env", "A=1"), r"process\.env"),
    "env without =": (_process("env", ["A"]), r"process\.env"),
    "env with NUL": (_process("env", ["A=\0"]), r"process\.env"),
    "terminal a string": (_process("terminal", "yes"), r"process\.terminal"),
    "consoleSize negative": (_process("consoleSize", {"height": -1, "width": 1}), r"process\.consoleSize\.height"),
    "user a string": (_process("user", "root"), r"process\.user"),
    "uid negative": (_process("user", {"uid": -1, "gid": 0}), r"process\.user\.uid"),
    "uid too large": (_process("user", {"uid": 1 << 32, "gid": 0}), r"process\.user\.uid"),
    "no user": (_process("user", None), None),
    "umask too large": (_process("user", {"uid": 0, "gid": 0, "umask": 4096}), r"process\.user\.umask"),
    "an unknown capability": (_process("capabilities", {"bounding": ["CAP_NOSUCH"]}), None),
    "capabilities a list": (_process("capabilities", ["CAP_KILL"]), r"process\.capabilities"),
    "an unknown rlimit": (_process("rlimits", [{"type": "RLIMIT_X", "soft": 1, "hard": 1}]), r"rlimits\[0\]\.type"),
    "an rlimit twice": (_process("rlimits", [{"type": "RLIMIT_NOFILE", "soft": 9, "hard": 9}] * 2), "rlimits"),
    "rlimit soft above hard": (_process("rlimits", [{"type": "RLIMIT_NOFILE", "soft": 9, "hard": 8}]), "rlimits"),
    "oomScoreAdj 5000": (_process("oomScoreAdj", 5000), r"process\.oomScoreAdj"),
    "noNewPrivileges a string": (_process("noNewPrivileges", "true"), r"process\.noNewPrivileges"),
    "no root": (_set("root", None), "root"),
    "root.path empty": (_set("root.path", ""), r"root\.path"),
    "root.path missing": (_set("root", {}), r"root\.path"),
    "root.path nowhere": (_set("root.path", "nosuch"), r"root\.path"),
    "root.path a file": (_set("root.path", "config.json"), r"root\.path"),
    "root.path a symlink": ({**_set("root.path", "link"), "links": {"link": "rootfs"}}, None),
    "root.path a symlink to a file": ({**_set("root.path", "link"), "links": {"link": "config.json"}}, r"root\.path"),
    "root.readonly a string": (_set("root.readonly", "no"), r"root\.readonly"),
    "hostname a number": (_set("hostname", 5), "hostname"),
    "hostname without a UTS namespace": (_spaces(without=("uts",)), "hostname"),
    "annotations of numbers": (_set("annotations", {"x": 5}), "annotations"),
    "mounts an object": (_set("mounts", {}), "mounts"),
    "no destination": ({"mounts": [{"type": "tmpfs"}]}, r"mounts\[3\]\.destination"),
    "a relative destination": (_mount(destination="tmp/x"), None),
    "an empty destination": (_mount(destination=""), r"mounts\[3\]\.destination"),
    "the root as destination": (_mount(destination="/"), r"mounts\[3\]\.destination"),
    "a destination above the root": (_mount(destination="/../../tmp"), None),
    "a destination that leads out": ({**_mount(destination="/link/x", type="bind", source="/usr/share", options=["bind"]),
                                      "links": {"rootfs/link": "/../../../../tmp"}}, None),
    "an unknown type": (_mount(type="nosuch"), r"mounts\[3\]\.type"),
    "no type": ({"mounts": [{"destination": "/tmp"}]}, r"mounts\[3\]\.type"),
    "an unknown option": (_mount(options=["nosuch"]), r"mounts\[3\]|/tmp"),
    "a bad size": (_mount(options=["size=abc"]), r"mounts\[3\]|/tmp"),
    "options a string": (_mount(options="ro"), r"mounts\[3\]\.options"),
    "a source nowhere": (_mount(type="bind", source="/nosuch", options=["bind"]), r"mounts\[3\]\.source"),
    "a directory on a file": (_mount(destination="/etc/passwd", type="bind", source="/usr/share", options=["bind"]),
                              "/etc/passwd"),
    "a file on a directory": (_mount(destination="/etc", type="bind", source="/etc/hostname", options=["bind"]), "/etc"),
    "type bind without an option": (_mount(type="bind", source="/usr/share", options=[]), None),
    "hooks a list": (_set("hooks", []), "hooks"),
    "a hook without path": (_set("hooks", {"prestart": [{}]}), r"hooks\.prestart\[0\]\.path"),
    "a hook of a relative path": (_hook("prestart", path="true"), r"hooks\.prestart\[0\]\.path"),
    "a hook's timeout negative": (_hook("createRuntime", timeout=-1), r"hooks\.createRuntime\[0\]\.timeout"),
    "a hook's args a string": (_hook("poststart", args="true"), r"hooks\.poststart\[0\]\.args"),
    "linux a string": (_set("linux", "x"), "linux"),
    "a namespace twice": (_spaces({"type": "pid"}), r"linux\.namespaces"),
    "an unknown namespace": (_spaces({"type": "nosuch"}), r"linux\.namespaces\[5\]\.type"),
    "a namespace without type": (_spaces({}), r"linux\.namespaces\[5\]\.type"),
    "a namespace's path relative": (_spaces({"type": "network", "path": "x"}, without=("network",)), "path"),
    "a namespace's path nowhere": (_spaces({"type": "network", "path": "/nosuch"}, without=("network",)), "/nosuch"),
    "a namespace's path of another type": (_spaces({"type": "network", "path": "/proc/self/ns/pid"},
                                                   without=("network",)), "network namespace"),
    "mappings without a user namespace": (_linux("uidMappings", [{"containerID": 0, "hostID": 1000, "size": 10}]), None),
    "a user namespace without mappings": (_spaces({"type": "user"}), r"linux\.uidMappings"),
    "a mapping without size": ({"set": {"linux.namespaces": _SPACES + [{"type": "user"}],
                                        "linux.uidMappings": [{"containerID": 0, "hostID": 0}],
                                        "linux.gidMappings": [{"containerID": 0, "hostID": 0, "size": 1}]}},
                               r"linux\.uidMappings\[0\]\.size"),
    "a device of type z": (_linux("devices", [{"path": "/dev/x", "type": "z", "major": 1, "minor": 3}]),
                           r"linux\.devices\[0\]\.type"),
    "devices an object": (_linux("devices", {}), r"linux\.devices"),
    "cgroupsPath a number": (_linux("cgroupsPath", 5), r"linux\.cgroupsPath"),
    "a sysctl of the whole host": (_linux("sysctl", {"vm.swappiness": "1"}), r"vm\.swappiness"),
    "an unknown sysctl": (_linux("sysctl", {"net.nosuch": "1"}), r"net\.nosuch"),
    "a sysctl's value": (_linux("sysctl", {"kernel.shmmax": "abc"}), r"kernel\.shmmax"),
    "a sysctl beside hostname": (_linux("sysctl", {"kernel.hostname": "x"}), r"kernel\.hostname"),
    "an unknown seccomp action": (_linux("seccomp", {"defaultAction": "X"}), r"linux\.seccomp\.defaultAction"),
    "an unknown architecture": (_linux("seccomp", {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["X"]}),
                                r"linux\.seccomp\.architectures"),
    "an unknown system call": (_linux("seccomp", {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["nosuch"], "action": "SCMP_ACT_ERRNO"}]}), None),
    "an unknown operator": (_linux("seccomp", {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["read"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": 1, "op": "X"}]}]}),
        r"linux\.seccomp\.syscalls\[0\]\.args\[0\]\.op"),
    "an unknown seccomp flag": (_linux("seccomp", {"defaultAction": "SCMP_ACT_ALLOW", "flags": ["X"]}),
                                r"linux\.seccomp\.flags"),
    "an unknown propagation": (_linux("rootfsPropagation", "nosuch"), r"linux\.rootfsPropagation"),
    "maskedPaths a string": (_linux("maskedPaths", "/x"), r"linux\.maskedPaths"),
    "a read-only path nowhere": (_linux("readonlyPaths", ["/nosuch"]), None),
    "a memory limit as text": (_linux("resources", {"memory": {"limit": "x"}}), r"linux\.resources\.memory\.limit"),
    "a negative memory limit": (_linux("resources", {"memory": {"limit": -5}}), "memory"),
    "an unknown personality": (_linux("personality", {"domain": "NOSUCH"}), r"linux\.personality\.domain"),
    "an AppArmor profile": (_process("apparmorProfile", "nosuch"), r"process\.apparmorProfile"),
    "an SELinux label": (_process("selinuxLabel", "x"), r"process\.selinuxLabel"),
    "a label of mounts": (_linux("mountLabel", "x"), r"linux\.mountLabel"),
    "Intel RDT's caches": (_linux("intelRdt", {"l3CacheSchema": "L3:0=f"}), r"linux\.intelRdt\.l3CacheSchema"),
    "Intel RDT's bandwidth": (_linux("intelRdt", {"memBwSchema": "MB:0=50"}), r"linux\.intelRdt\.memBwSchema"),
    "Intel RDT without a wish": (_linux("intelRdt", {}), None),
    "notification without a listener": (_linux("seccomp", {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]}), "listenerPath"),
    "notification": (_linux("seccomp", {"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/nosuch", "syscalls": [
        {"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]}), r"linux\.seccomp\.syscalls\[0\]\.action"),
    "notification by default": (_linux("seccomp", {"defaultAction": "SCMP_ACT_NOTIFY", "listenerPath": "/nosuch"}),
                                r"linux\.seccomp\.defaultAction"),
    "a listener for nothing": (_linux("seccomp", {"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/nosuch"}), None),
}

# {label: why runsc alone takes or refuses it}
ACCEPTED = {
    "umask too large": "umask(2) has nine bits: more is a mistake",
    "type bind without an option": "what is meant is clear",
}
