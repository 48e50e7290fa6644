"""dockerd and containerd's CRI plugin as services of a machine with systemd, which makes the control groups of their
containers: parts of systemd_test.py."""
import json
import os
import shutil
import sys

from engine_harness import IMAGE, busybox_tar, check, wait_until

MIB = 1 << 20


def _has_controllers(test, who):
    if test.is_v1:
        return True
    with open(test.machine.group("", "cgroup.controllers"), encoding="ascii") as file:
        if "cpu" in file.read().split():
            return True
    print(f"SKIPPED: {who}: it sets shares of the CPUs, and version 2 has no controller for them here")
    return False


def docker(test):
    """native.cgroupdriver=systemd. No networks: they are docker_test.py's."""
    if shutil.which("dockerd") is None or not os.path.exists("/usr/bin/docker"):
        print("SKIPPED: docker: it is not installed")
        return
    if not _has_controllers(test, "docker"):
        return
    folder = f"{test.machine.folder}/docker-{test.machine.mode}"
    os.makedirs(folder)
    socket = f"unix://{folder}/sock"
    config = {"data-root": f"{folder}/data", "exec-root": f"{folder}/exec", "pidfile": f"{folder}/pid", "hosts": [socket], "storage-driver": "vfs",
              "runtimes": {"runsc": {"path": test.binary, "runtimeArgs": test.flags}}, "exec-opts": ["native.cgroupdriver=systemd"],
              "bridge": "none", "iptables": False, "ip6tables": False, "ip-forward": False}
    with open(f"{folder}/daemon.json", "w", encoding="utf-8") as file:
        json.dump(config, file)
    with open(f"{folder}/image.tar", "wb") as file:
        file.write(busybox_tar())
    started = test.machine.run("systemd-run", "--unit=engine-docker", "-p", "KillMode=process", "-p", "Delegate=yes", f"--setenv=HOME={folder}",
                               "--setenv=PATH=/usr/sbin:/usr/bin:/sbin:/bin", f"--property=StandardError=append:{folder}/log", shutil.which("dockerd"),
                               "--config-file", f"{folder}/daemon.json")

    def run(*arguments, **options):
        return test.machine.run("env", f"DOCKER_CONFIG={folder}/client", "/usr/bin/docker", "-H", socket, *arguments, **options)

    def new(*arguments):
        # Of any other network docker sets a sysctl, and /proc/sys can only be read here.
        return run("run", "--runtime", "runsc", "--network", "host", *arguments)

    up = wait_until(lambda: run("version").returncode == 0 or not test.machine.has("engine-docker.service"), 60)
    if not up or run("version").returncode != 0:
        with open(f"{folder}/log", encoding="utf-8", errors="replace") as log:
            print(f"SKIPPED: docker: dockerd does not start here: {started} {log.read()[-1500:]}")
        test.machine.run("systemctl", "stop", "engine-docker")
        return
    check(run("info", "-f", "{{.CgroupDriver}}").stdout.strip() == "systemd", "docker info: the driver")
    imported = run("import", f"{folder}/image.tar", IMAGE)
    check(imported.returncode == 0, "docker import", str(imported))
    ran = new("--rm", IMAGE, "sh", "-c", "echo out; exit 3")
    check(ran.returncode == 3 and ran.stdout == "out\n", "docker run", str(ran))
    made = new("-d", "--name", "back", "--memory", "64m", "--cpus", "0.5", "--pids-limit", "50", IMAGE, "sh", "-c",
               "trap 'exit 7' TERM; while :; do sleep 0.1; done")
    if check(made.returncode == 0, "docker run -d", str(made)):
        unit = f"docker-{made.stdout.strip()}.scope"
        shown = test.machine.show(unit, "ActiveState", "Slice", "Delegate", "MemoryLimit", "MemoryMax", "CPUQuotaPerSecUSec", "TasksMax", "ControlGroup")
        check(shown.get("ActiveState") == "active" and shown.get("Slice") == "system.slice" and shown.get("Delegate") == "yes", "docker: its scope", str(shown))
        check(shown["MemoryLimit" if test.is_v1 else "MemoryMax"] == str(64 * MIB) and shown["CPUQuotaPerSecUSec"] == "500ms", "docker: its limits", str(shown))
        members = test.members(shown["ControlGroup"])
        check(len(members) >= 3, "docker: monitor, Sentry and Gofer are in it", str(members))
        ran = run("exec", "back", "sh", "-c", "echo in; exit 6")
        check(ran.returncode == 6 and ran.stdout == "in\n", "docker exec", str(ran))
        updated = run("update", "--memory", "96m", "--memory-swap", "192m", "back")
        shown = test.machine.show(unit, "MemoryLimit", "MemoryMax")
        check(updated.returncode == 0 and shown["MemoryLimit" if test.is_v1 else "MemoryMax"] == str(96 * MIB), "docker update", f"{updated} {shown}")
        test.machine.run("systemctl", "daemon-reload")
        limit = test.machine.group("memory" if test.is_v1 else "", test.machine.show(unit, "ControlGroup")["ControlGroup"])
        with open(f"{limit}/{'memory.limit_in_bytes' if test.is_v1 else 'memory.max'}", encoding="ascii") as file:
            check(file.read().strip() == str(96 * MIB), "docker: a reload of systemd leaves it")
        check(run("pause", "back").returncode == 0 and run("unpause", "back").returncode == 0, "docker pause and unpause")
        stopped = run("stop", "-t", "20", "back")
        check(stopped.returncode == 0 and run("inspect", "-f", "{{.State.ExitCode}}", "back").stdout.strip() == "7", "docker stop", str(stopped))
        check(test.gone(unit), "docker stop: the scope is gone", str(test.machine.find_groups(unit)))
        again = run("start", "back")
        check(again.returncode == 0 and test.machine.has(unit), "docker start again: the same name", str(again))
        check(run("rm", "-f", "back").returncode == 0 and test.gone(unit), "docker rm -f")
    made = new("-d", "--name", "placed", "--cgroup-parent", "runsc-docker.slice", IMAGE, "sleep", "1000")
    if check(made.returncode == 0, "docker run --cgroup-parent", str(made)):
        unit = f"docker-{made.stdout.strip()}.scope"
        shown = test.machine.show(unit, "ActiveState", "Slice", "ControlGroup")
        check(shown == {"ActiveState": "active", "Slice": "runsc-docker.slice", "ControlGroup": f"/runsc.slice/runsc-docker.slice/{unit}"},
              "docker: a slice of the caller's", str(shown))
        check(run("rm", "-f", "placed").returncode == 0 and test.gone(unit), "docker rm -f of it")
    bad = new("--rm", "--cgroup-parent", "/no/slice", IMAGE, "true")
    check(bad.returncode == 125 and "slice" in bad.stderr, "docker: no slice", str(bad))
    test.machine.run("systemctl", "stop", "engine-docker")


class _MachinePlace:
    """What cri_test.py's Cri asks of a Place, in the machine."""
    cgroup_parent = "kubepods-besteffort-podcri.slice"

    def __init__(self, test, folder):
        self.test, self.folder = test, folder

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def write(self, name, content):
        return self.write_bytes(name, content.encode())

    def write_bytes(self, name, content):
        with open(self.path(name), "wb") as file:
            file.write(content)
        return self.path(name)

    def start(self, arguments, log):
        return self.test.machine.run("systemd-run", "--unit=engine-cri", "-p", "KillMode=process", "-p", "Delegate=yes",
                                     f"--setenv=PATH={self.path('bin')}:/usr/sbin:/usr/bin:/sbin:/bin", f"--property=StandardError=append:{self.path(log)}",
                                     shutil.which(arguments[0]), *arguments[1:])


def cri(test):
    """SystemdCgroup = true for a RuntimeClass's handler: of our own shim, and of the stock one with our binary. Pods are in
    the machine's network: others are cri_test.py's."""
    if "/usr/lib/python3/dist-packages" not in sys.path:  # Debian's modules, with another interpreter of the same version
        sys.path.append("/usr/lib/python3/dist-packages")
    try:
        import grpc  # pylint: disable=import-outside-toplevel,unused-import
        import google.protobuf  # pylint: disable=import-outside-toplevel,unused-import
    except ImportError:
        print("SKIPPED: cri: python3-grpcio and python3-protobuf are not installed")
        return
    for program in ("containerd", "ctr", "protoc", "gcc"):
        if shutil.which(program) is None:
            print(f"SKIPPED: cri: {program} is not installed")
            return
    if not os.path.exists("/usr/lib/cni/bridge"):
        print("SKIPPED: cri: containernetworking-plugins is not installed")
        return
    if not _has_controllers(test, "cri"):
        return
    import cri_test  # pylint: disable=import-outside-toplevel
    folder = f"{test.machine.folder}/cri-{test.machine.mode}"
    os.makedirs(folder)
    place = _MachinePlace(test, folder)
    plugin = cri_test.Cri(place, "runsc", test.binary, test.flags, systemd=True)
    try:
        if not plugin.start():
            print(f"SKIPPED: cri: containerd's CRI plugin does not start here: {plugin.daemon}")
            return
        plugin.import_image(cri_test.PAUSE, cri_test.pause_layer(place), ["/pause"])
        plugin.import_image(cri_test.IMAGE, busybox_tar(), ["/bin/sh"])
        for handler in ("runsc", "stock"):
            plugin.handler = handler
            try:
                _pod(test, cri_test, plugin)
            except grpc.RpcError as error:
                check(False, f"cri, {handler}", f"{error.code()} {error.details()}")
    finally:
        test.machine.run("systemctl", "stop", "engine-cri")


def _pod(test, cri_test, plugin):
    handler = plugin.handler
    slice_name, slice_path = "kubepods-besteffort-podcri.slice", "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podcri.slice"
    pod = cri_test.Pod(plugin, f"{handler}-{test.machine.mode}", network="NODE")
    first = pod.start("first", ["sh", "-c", "trap 'exit 3' TERM; while :; do sleep 0.1; done"], memory=128 * MIB)
    second = pod.start("second", ["sleep", "1000"])
    units = [f"cri-containerd-{one}.scope" for one in (pod.id, first.id, second.id)]
    for unit in units:
        shown = test.machine.show(unit, "ActiveState", "Slice", "ControlGroup")
        check(shown == {"ActiveState": "active", "Slice": slice_name, "ControlGroup": f"{slice_path}/{unit}"}, f"cri, {handler}: a scope in the pod's slice",
              str(shown))
        check(test.members(f"{slice_path}/{unit}"), f"cri, {handler}: with processes", unit)
    shown = test.machine.show(units[1], "MemoryLimit", "MemoryMax")
    check(shown["MemoryLimit" if test.is_v1 else "MemoryMax"] == str(128 * MIB), f"cri, {handler}: a limit", str(shown))
    done = first.exec("sh", "-c", "echo in; exit 5")
    check((done.stdout, done.exit_code) == (b"in\n", 5), f"cri, {handler}: exec", done)
    stats = plugin("ContainerStats", plugin.messages.ContainerId(container_id=first.id), plugin.messages.ContainerStatsResponse).stats
    check(stats.memory.working_set_bytes.value > 0, f"cri, {handler}: figures", stats)
    first.stop(20)
    check(first.status().exit_code == 3 and test.gone(units[1]), f"cri, {handler}: stopped, and its scope is gone", str(first.status()))
    pod.remove()
    for unit in units:
        check(test.gone(unit), f"cri, {handler}: its scopes are gone", unit)
