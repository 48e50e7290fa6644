"""The commands of runsc that need no sandbox: spec, features, list, state, and how errors are told."""
import json
import os
import re
import subprocess
import sys

from sandbox_harness import Runsc, check, finish


def text(data):
    return data.decode(errors="replace")


def errors(runsc):
    """Exit code 1; one entry on stderr, or in --log and the plain message on stderr."""
    plain = runsc.run("--root", runsc.path("state"), "state", "none")
    check(plain.returncode == 1 and not plain.stdout, "state of no container fails", text(plain.stdout))
    check(re.fullmatch(r'time="\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ" level=error msg="container does not exist: none"\n',
                       text(plain.stderr)) is not None, "an entry on stderr", text(plain.stderr))
    log = runsc.path("log.json")
    logged = runsc.run("--root", runsc.path("state"), "--log", log, "--log-format", "json", "state", "none")
    check(logged.returncode == 1 and text(logged.stderr) == 'container does not exist: none\n',
          "with --log the message alone on stderr", text(logged.stderr))
    with open(log, encoding="utf-8") as file:
        entry = json.loads(file.read())
    check(entry["level"] == "error" and entry["msg"] == 'container does not exist: none' and "time" in entry,
          "an entry in the log", str(entry))
    with_text = runsc.run("--log", log + ".txt", "state", "a/b")
    check(with_text.returncode == 1, "an id with a slash")
    with open(log + ".txt", encoding="utf-8") as file:
        line = file.read()
    check("level=error" in line and "invalid container ID format" in line, "text log", line)
    for arguments, part in ((["state"], "requires exactly 1 argument(s), not 0"), (["state", "a", "b"], "not 2"),
                            (["list", "--nope"], "flag provided but not defined: -nope"), (["list", "-f", "xml"], "invalid format option"),
                            (["state", ".."], "invalid container ID format")):
        result = runsc.run(*arguments)
        check(result.returncode == 1 and part in text(result.stderr), f"{arguments} is refused", text(result.stderr))
    for arguments in (["--root"], ["--log-format=xml", "list"], ["--nope"], ["nope"]):
        result = runsc.run(*arguments)
        check(result.returncode != 0 and result.stderr.count(b"\n") == 1, f"{arguments} is refused", text(result.stderr))


def spec(runsc):
    bundle = runsc.path("bundle")
    os.mkdir(bundle)
    check(runsc.run("spec", "--bundle", bundle).returncode == 0, "spec")
    with open(os.path.join(bundle, "config.json"), encoding="utf-8") as file:
        first = file.read()
    config = json.loads(first)
    check(config["process"]["args"] == ["sh"] and config["root"] == {"path": "rootfs", "readonly": True},
          "spec writes a config", first)
    again = runsc.run("spec", "-b", bundle)
    with open(os.path.join(bundle, "config.json"), encoding="utf-8") as file:
        check(again.returncode == 1 and file.read() == first, "spec overwrites nothing", text(again.stderr))
    os.mkdir(runsc.path("rootless"))
    check(runsc.run("spec", "--rootless", cwd=runsc.path("rootless")).returncode == 0, "spec --rootless")
    with open(runsc.path("rootless", "config.json"), encoding="utf-8") as file:
        config = json.load(file)
    check({"type": "user"} in config["linux"]["namespaces"] and "resources" not in config["linux"],
          "spec --rootless asks for no rights")
    check(config["linux"]["uidMappings"] == [{"containerID": 0, "hostID": os.geteuid(), "size": 1}], "its mapping")
    check(runsc.run("spec", "-b", runsc.path("nowhere")).returncode == 1, "spec into no directory")


def features(runsc):
    result = runsc.run("features")
    check(result.returncode == 0, "features")
    table = json.loads(result.stdout)
    check(table["ociVersionMin"] == "1.0.0" and table["ociVersionMax"].startswith("1."), "features: versions")
    check("CAP_SYS_ADMIN" in table["linux"]["capabilities"] and "rbind" in table["mountOptions"], "features: lists")
    check(table["hooks"] == ["prestart", "createRuntime", "createContainer", "startContainer", "poststart",
                              "poststop"], "features: hooks")


def listing(runsc):
    root = runsc.path("listed")
    empty = runsc.run("--root", root, "list")
    check(empty.returncode == 0 and re.fullmatch(rb"ID +PID +STATUS +BUNDLE +CREATED +OWNER\n", empty.stdout) is not None,
          "list without containers", text(empty.stdout))
    check(runsc.run("--root", root, "list", "-f", "json").stdout == b"null\n", "list -f json without containers")
    sleeper = subprocess.Popen(["sleep", "1000"])
    with open(f"/proc/{sleeper.pid}/stat", encoding="ascii") as file:
        start_time = int(file.read().rsplit(")", 1)[1].split()[19])
    for name, pid, start in (("alive", sleeper.pid, start_time), ("reused", sleeper.pid, start_time + 1)):
        os.makedirs(os.path.join(root, name))
        with open(os.path.join(root, name, "state.json"), "w", encoding="utf-8") as file:
            json.dump({"id": name, "ociVersion": "1.0.2", "status": "running", "pid": pid, "startTime": start,
                       "bundle": "/b", "rootfs": "/b/rootfs", "created": 1700000000000000000, "owner": 0,
                       "annotations": {"x": "y"}}, file)
    os.makedirs(os.path.join(root, "half-made"))
    os.makedirs(os.path.join(root, "broken"))
    with open(os.path.join(root, "broken", "state.json"), "w", encoding="utf-8") as file:
        file.write("{")
    quiet = runsc.run("--root", root, "list", "-q")
    check(quiet.stdout == b"alive\nreused\n", "list -q", text(quiet.stdout))
    check("level=warning" in text(quiet.stderr) and "broken/state.json" in text(quiet.stderr),
          "list tells of a broken state", text(quiet.stderr))
    table = json.loads(runsc.run("--root", root, "list", "--format", "json").stdout)
    check([(row["id"], row["status"], row["pid"]) for row in table]
          == [("alive", "running", sleeper.pid), ("reused", "stopped", 0)], "list -f json", str(table))
    rows = text(runsc.run("--root", root, "list").stdout).splitlines()
    check(rows[1].split() == ["alive", str(sleeper.pid), "running", "/b", "2023-11-14T22:13:20Z", "root"], "list", rows[1])
    state = json.loads(runsc.run("--root", root, "state", "alive").stdout)
    check(list(state) == ["ociVersion", "id", "pid", "status", "bundle", "rootfs", "created", "annotations", "owner"],
          "state's members", str(list(state)))
    sleeper.kill()
    sleeper.wait()
    state = json.loads(runsc.run("--root", root, "state", "alive").stdout)
    check(state["status"] == "stopped" and state["pid"] == 0, "a dead process's container is stopped", str(state))
    check(runsc.run("--root", root, "state", "half-made").returncode == 1, "a half-made directory is no container")


def installing(runsc):
    """The entry comes and goes; nothing else in the file changes, its mode and order included."""
    file = runsc.path("daemon.json")
    before = {"log-level": "warn", "runtimes": {"other": {"path": "/o"}}, "a": [1, {"b": None}]}
    with open(file, "w", encoding="utf-8") as stream:
        json.dump(before, stream, indent=4)
        stream.write("\n")
    os.chmod(file, 0o640)
    with open(file, encoding="utf-8") as stream:
        text_before = stream.read()
    added = runsc.run("install", "--config-file", file, "--", "--platform=ptrace", "--debug")
    check(added.returncode == 0 and "dockerd" in text(added.stdout), "install", text(added.stdout + added.stderr))
    with open(file, encoding="utf-8") as stream:
        after = json.load(stream)
    entry = after["runtimes"].pop("runsc")
    check(after == before and list(after) == list(before), "install leaves the rest", str(after))
    check(entry == {"path": os.path.realpath(runsc.binary), "runtimeArgs": ["--platform=ptrace", "--debug"]},
          "install's entry", str(entry))
    check(os.stat(file).st_mode & 0o7777 == 0o640, "install keeps the mode")
    removed = runsc.run("uninstall", "--config-file", file)
    with open(file, encoding="utf-8") as stream:
        check(removed.returncode == 0 and stream.read() == text_before, "uninstall leaves what was before")
    check(runsc.run("uninstall", "--config-file", file).returncode == 0, "uninstall twice")
    fresh = runsc.path("etc", "docker.json")
    check(runsc.run("install", "--config-file", fresh, "--runtime", "r2").returncode == 0, "install without a file")
    with open(fresh, encoding="utf-8") as stream:
        check(list(json.load(stream)["runtimes"]) == ["r2"], "a new file")
    with open(fresh, "w", encoding="utf-8") as stream:
        stream.write('{"default-runtime": "runsc", "runtimes": {"runsc": {}}}')
    check(runsc.run("uninstall", "--config-file", fresh).returncode == 1, "the default runtime is not taken away")
    for broken in ("{", "[]", '{"runtimes": 1}'):
        with open(fresh, "w", encoding="utf-8") as stream:
            stream.write(broken)
        result = runsc.run("install", "--config-file", fresh)
        with open(fresh, encoding="utf-8") as stream:
            check(result.returncode == 1 and fresh in text(result.stderr) and stream.read() == broken,
                  f"{broken} is left alone", text(result.stderr))
    check(runsc.run("install", "--config-file", fresh, "--", "--nope").returncode == 1, "only global flags are added")
    check(os.listdir(runsc.path("etc")) == ["docker.json"], "no temporary files", str(os.listdir(runsc.path("etc"))))


def completion(runsc):
    script = runsc.run("completion", "bash")
    check(script.returncode == 0, "completion bash")
    folder = os.path.dirname(runsc.binary)
    probe = text(script.stdout) + """
try() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _runsc; echo "${COMPREPLY[*]}"; }
try runsc sta; try runsc --root /x li; try runsc list --f; try runsc completion z
"""
    result = subprocess.run(["bash", "-c", probe], env={**os.environ, "PATH": folder + ":" + os.environ["PATH"]},
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=20, check=False)
    lines = text(result.stdout).splitlines()
    check("state" in lines[0].split() and lines[1:] == ["list", "--format", "zsh"], "bash completes",
          text(result.stdout + result.stderr))
    for shell in ("zsh", "fish"):
        check("state" in text(runsc.run("completion", shell).stdout), f"completion {shell}")
    check(runsc.run("completion", "csh").returncode == 1, "no other shell")


def update(runsc):
    for arguments, part in ((["--memory", "x", "c"], "--memory: invalid size: 'x' is no size"),
                            (["--cpu-share=-1", "c"], "--cpu-share"), (["none"], "does not exist"),
                            (["-r", runsc.path("missing"), "c"], "no such file")):
        result = runsc.run("--root", runsc.path("state"), "update", *arguments)
        check(result.returncode == 1 and part in text(result.stderr), f"update {arguments}", text(result.stderr))
    result = runsc.run("update", "-r", "-", "c", input=b'{"memory": {"limit": "1G"}}')
    check(result.returncode == 1 and "stdin: memory.limit: must be a number, not a string" in text(result.stderr),
          "update from stdin", text(result.stderr))


def main():
    runsc = Runsc(os.path.abspath(sys.argv[1]))
    try:
        for part in (errors, spec, features, listing, installing, completion, update):
            part(runsc)
    finally:
        runsc.close()
    finish()


if __name__ == "__main__":
    main()
