#!/usr/bin/env python3
"""containerd's CRI plugin with a RuntimeClass's handler, as a kubelet uses it: pods, their network, logs, exec, attach,
port-forward, figures, updates, restarts of containerd.

  cri_test.py RUNSC [--handler runsc|stock|runc] [--only PART,PART...] [-- RUNSC_FLAG...]

The handlers: runsc behind its own shim, runsc behind containerd's (stock), and runc, by which what the test asks for is
checked. Needs Debian's containerd, containernetworking-plugins, python3-grpcio, python3-protobuf, protobuf-compiler."""
import argparse
import hashlib
import io
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import tarfile

try:
    import grpc
except ImportError:
    # Debian's modules belong to Debian's interpreter.
    if sys.executable != "/usr/bin/python3" and os.path.exists("/usr/bin/python3"):
        os.execv("/usr/bin/python3", ["/usr/bin/python3", *sys.argv])
    print("skipped: python3-grpcio is not installed")
    sys.exit(77)

import engine_harness
from engine_harness import Place, busybox_tar, check, finish, parse, require, run, wait_until
from sandbox_harness import descendants
from websocket import WebSocket

IMAGE, PAUSE = "docker.io/library/busybox-test:1", "docker.io/library/pause-test:1"
READY, CREATED, RUNNING, EXITED = 0, 0, 1, 2
PAUSE_SOURCE = r"""
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
static void end(int signal) { _exit(0); }
int main() { signal(SIGTERM, end); signal(SIGINT, end); for (;;) pause(); }
"""


def docker_archive(name, layer, command):
    """An image of one layer, as `ctr images import` takes it."""
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Cmd": command, "Env": ["PATH=/bin"]},
                         "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(layer).hexdigest()]}}).encode()
    manifest = json.dumps([{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]).encode()
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for path, content in (("manifest.json", manifest), ("config.json", config), ("layer.tar", layer)):
            info = tarfile.TarInfo(path)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return data.getvalue()


def pause_layer(place):
    source = place.write("pause.c", PAUSE_SOURCE)
    subprocess.run(["gcc", "-static", "-Os", "-s", "-o", place.path("pause"), source], check=True)
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        tar.add(place.path("pause"), "pause")
    return data.getvalue()


class Cri:
    def __init__(self, place, handler, binary, flags, systemd=False):
        self.place, self.handler, self.systemd = place, handler, systemd
        os.mkdir(place.path("bin"))
        os.symlink(binary, place.path("bin", "containerd-shim-runsc-v1"))
        os.environ["PATH"] = f"{place.path('bin')}:{os.environ['PATH']}"
        self.socket = place.path("containerd.sock")
        self.config = place.write("config.toml", self._config(binary, flags))
        os.mkdir(place.path("net.d"))
        place.write("net.d/10-test.conflist", json.dumps({"cniVersion": "0.4.0", "name": "test", "plugins": [
            {"type": "bridge", "bridge": "cni-test0", "isGateway": True,
             "ipam": {"type": "host-local", "dataDir": place.path("ipam"), "ranges": [[{"subnet": "10.199.7.0/24"}]],
                      "routes": [{"dst": "0.0.0.0/0"}]}}]}))
        self.messages = self._compile()
        self.daemon = self.channel = None

    def _config(self, binary, flags):
        place, plugin = self.place, 'plugins."io.containerd.grpc.v1.cri"'
        wrapper = binary
        if flags:
            wrapper = place.write("runsc-with-flags", f"#!/bin/sh\nexec {binary} {' '.join(flags)} \"$@\"\n")
            os.chmod(wrapper, 0o755)
        systemd = str(self.systemd).lower()
        # (Options of a shim that containerd does not know are this file only.)
        own_flags = flags + ["--systemd-cgroup"] * self.systemd
        flags_file = place.write("runsc.flags", "".join(f"{flag}\n" for flag in own_flags))
        return f"""
version = 2
root = "{place.path('root')}"
state = "{place.path('state')}"
[grpc]
  address = "{self.socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{place.path('opt')}"
[{plugin}]
  sandbox_image = "{PAUSE}"
  disable_apparmor = true
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
  [{plugin}.cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{place.path('net.d')}"
  [{plugin}.containerd.runtimes.runsc]
    runtime_type = "io.containerd.runsc.v1"
    [{plugin}.containerd.runtimes.runsc.options]
      ConfigPath = "{flags_file}"
  [{plugin}.containerd.runtimes.stock]
    runtime_type = "io.containerd.runc.v2"
    [{plugin}.containerd.runtimes.stock.options]
      BinaryName = "{wrapper}"
      SystemdCgroup = {systemd}
  [{plugin}.containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
"""

    def _compile(self):
        here = os.path.dirname(os.path.abspath(__file__))
        subprocess.run(["protoc", f"--proto_path={here}", f"--python_out={self.place.folder}", "cri.proto"], check=True)
        sys.path.insert(0, self.place.folder)
        import cri_pb2  # pylint: disable=import-outside-toplevel,import-error
        return cri_pb2

    def start(self):
        self.daemon = self.place.start(["containerd", "-c", self.config], "containerd.log")
        self.channel = grpc.insecure_channel(f"unix:{self.socket}", [("grpc.enable_http_proxy", 0)])

        def is_ready():
            try:
                status = self("Status", self.messages.StatusRequest(), self.messages.StatusResponse)
            except grpc.RpcError:
                return False
            return len(status.status.conditions) >= 2 and all(entry.status for entry in status.status.conditions)
        return wait_until(is_ready, 60)

    def __call__(self, method, request, response=None, timeout=60):
        response = response or self.messages.Empty
        call = self.channel.unary_unary(f"/runtime.v1.RuntimeService/{method}", request_serializer=lambda message: message.SerializeToString(),
                                        response_deserializer=response.FromString)
        return call(request, timeout=timeout)

    def import_image(self, name, layer, command):
        archive = self.place.write_bytes("image.tar", docker_archive(name, layer, command))
        done = run(["ctr", "-a", self.socket, "-n", "k8s.io", "images", "import", archive], 120)
        return check(done.returncode == 0, f"import of {name}", done)


class Pod:
    def __init__(self, cri, name, pid_mode="CONTAINER", network="POD"):
        self.cri, self.name, pb = cri, name, cri.messages
        self.spaces = pb.NamespaceOption(pid=pb.NamespaceMode.Value(pid_mode), network=pb.NamespaceMode.Value(network))
        self.logs = cri.place.path("logs", name)
        os.makedirs(self.logs)
        self.config = pb.PodSandboxConfig(
            metadata=pb.PodSandboxMetadata(name=name, uid=name, namespace="default"), log_directory=self.logs,
            hostname=name if network == "POD" else "",  # in the host's network the host's name, as a kubelet has it
            linux=pb.LinuxPodSandboxConfig(cgroup_parent=cri.place.cgroup_parent,
                                           security_context=pb.LinuxSandboxSecurityContext(namespace_options=self.spaces)))
        self.id = cri("RunPodSandbox", pb.RunPodSandboxRequest(config=self.config, runtime_handler=cri.handler),
                      pb.PodSandboxId).pod_sandbox_id
        self.containers = []

    def status(self):
        pb = self.cri.messages
        return self.cri("PodSandboxStatus", pb.PodSandboxId(pod_sandbox_id=self.id), pb.PodSandboxStatusResponse).status

    def start(self, name, command, memory=0, **fields):
        pb = self.cri.messages
        config = pb.ContainerConfig(
            metadata=pb.ContainerMetadata(name=name), image=pb.ImageSpec(image=IMAGE), command=command, log_path=f"{name}.log",
            linux=pb.LinuxContainerConfig(resources=pb.LinuxContainerResources(memory_limit_in_bytes=memory),
                                          security_context=pb.LinuxContainerSecurityContext(namespace_options=self.spaces)), **fields)
        container = Container(self, name, self.cri("CreateContainer", pb.CreateContainerRequest(
            pod_sandbox_id=self.id, config=config, sandbox_config=self.config), pb.ContainerId).container_id)
        self.containers.append(container)
        self.cri("StartContainer", pb.ContainerId(container_id=container.id))
        return container

    def remove(self):
        pb = self.cri.messages
        for container in self.containers:
            container.stop(0)
            self.cri("RemoveContainer", pb.ContainerId(container_id=container.id))
        for method in ("StopPodSandbox", "RemovePodSandbox"):
            self.cri(method, pb.PodSandboxId(pod_sandbox_id=self.id))


class Container:
    def __init__(self, pod, name, container_id):
        self.pod, self.cri, self.name, self.id = pod, pod.cri, name, container_id

    def status(self):
        pb = self.cri.messages
        return self.cri("ContainerStatus", pb.ContainerId(container_id=self.id), pb.ContainerStatusResponse).status

    def wait_exited(self):
        return wait_until(lambda: self.status().state == EXITED, 30)

    def exec(self, *command, timeout=0):
        pb = self.cri.messages
        return self.cri("ExecSync", pb.ExecSyncRequest(container_id=self.id, cmd=command, timeout=timeout), pb.ExecSyncResponse)

    def stream(self, *command, tty=False):
        pb = self.cri.messages
        request = pb.ExecRequest(container_id=self.id, cmd=command, tty=tty, stdin=True, stdout=True, stderr=not tty)
        return WebSocket(self.cri("Exec", request, pb.Url).url)

    def stop(self, timeout):
        pb = self.cri.messages
        self.cri("StopContainer", pb.StopContainerRequest(container_id=self.id, timeout=timeout))

    def log(self):
        """[(stream, line)]"""
        path = os.path.join(self.pod.logs, f"{self.name}.log")
        if not os.path.exists(path):
            return []
        with open(path, encoding="utf-8") as file:
            return [tuple(line.rstrip("\n").split(" ", 3)[1::2]) for line in file]


def failure(call, *arguments, **options):
    """(code, details) of a call that has to fail."""
    try:
        call(*arguments, **options)
    except grpc.RpcError as error:
        return error.code(), error.details()
    return None, "it did not fail"


def pods(cri):
    pod = Pod(cri, "web")
    status = pod.status()
    check(status.state == READY and status.network.ip.startswith("10.199.7."), "a pod with an address", status)
    check(status.runtime_handler == cri.handler, "its handler", status)
    share = cri.place.path("share")
    os.makedirs(share, exist_ok=True)
    cri.place.write("share/page", "of the volume\n")
    pb = cri.messages
    server = pod.start("server", ["sh", "-c", "echo out; echo err >&2; exec httpd -f -p 8080 -h /www"],
                       mounts=[pb.Mount(container_path="/www", host_path=share, readonly=True)],
                       envs=[pb.KeyValue(key="KEY", value="value")])
    client = pod.start("client", ["sh", "-c", "trap 'exit 3' TERM; while :; do sleep 0.1; done"], memory=256 << 20)
    check(server.status().state == RUNNING and client.status().state == RUNNING, "two containers")
    check(wait_until(lambda: sorted(server.log()) == [("stderr", "err"), ("stdout", "out")], 20), "the log", server.log())
    got = client.exec("wget", "-qO-", "http://127.0.0.1:8080/page")
    check(got.stdout == b"of the volume\n", "one reaches the other at the loopback interface", got)
    got = run(["busybox", "wget", "-qO-", f"http://{status.network.ip}:8080/page"], 30)
    check(got.stdout == "of the volume\n", "the host reaches it at the pod's address", got)
    done = client.exec("sh", "-c", "hostname; echo wrong >&2; exit 5")
    check((done.stdout, done.stderr, done.exit_code) == (b"web\n", b"wrong\n", 5), "ExecSync", done)
    check(server.exec("sh", "-c", "echo $KEY").stdout == b"value\n", "environment")
    code, details = failure(client.exec, "sleep", "100", timeout=1)
    check(code == grpc.StatusCode.DEADLINE_EXCEEDED or "deadline" in details, "ExecSync's timeout", f"{code} {details}")
    code, details = failure(client.exec, "/bin/nothing")
    check("nothing" in details, "ExecSync of no such program", f"{code} {details}")
    names = [_comm(pid) for pid in descendants(os.getpid())]
    if cri.handler != "runc":
        monitors = names.count("runsc-monitor")
        check(monitors == 3, "a monitor for each container and the pause container", names)
        shares = [_cpu_shares(pid) for pid in descendants(os.getpid()) if _comm(pid) == "runsc-sentry"]
        check(all(share is None or share >= 1000 for share in shares), "the Sentry has more than a pause container's CPU time", shares)
    check(names.count("containerd-shim") == 1, "one shim for the pod", names)
    stats = cri("ContainerStats", pb.ContainerId(container_id=client.id), pb.ContainerStatsResponse).stats
    check(stats.cpu.usage_core_nano_seconds.value > 0 and stats.memory.working_set_bytes.value > 0, "figures", stats)
    cri("UpdateContainerResources", pb.UpdateContainerResourcesRequest(
        container_id=client.id, linux=pb.LinuxContainerResources(memory_limit_in_bytes=128 << 20)))
    client.stop(20)
    check(client.status().state == EXITED and client.status().exit_code == 3, "a container that ends when it is asked to",
          client.status())
    again = pod.start("again", ["sh", "-c", "exit 7"])
    check(again.wait_exited() and again.status().exit_code == 7, "another one, which ends by itself", again.status())
    # As process 1 it has no handler for SIGTERM.
    deaf = pod.start("deaf", ["sleep", "1000"])
    deaf.stop(1)
    check(deaf.status().exit_code == 137, "one that has to be killed", deaf.status())
    code, details = failure(pod.start, "bad", ["/bin/nothing"])
    check("nothing" in details, "a container of no such program", f"{code} {details}")
    pod.remove()


def _comm(pid):
    try:
        with open(f"/proc/{pid}/comm", encoding="ascii", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""


def _cpu_shares(pid):
    """Of its control group, where that is of version 1."""
    try:
        with open(f"/proc/{pid}/cgroup", encoding="ascii") as file:
            for line in file:
                _, controllers, path = line.strip().split(":", 2)
                if "cpu" in controllers.split(","):
                    with open(f"/sys/fs/cgroup/{controllers}{path}/cpu.shares", encoding="ascii") as shares:
                        return int(shares.read())
    except OSError:
        pass
    return None


def streams(cri):
    pod = Pod(cri, "streams")
    box = pod.start("box", ["sleep", "1000"])
    stream = box.stream("sh", "-c", "read line; echo got $line; echo wrong >&2; exit 4")
    stream.send(0, b"typed\n")
    channels = stream.rest()
    check(channels.get(1) == b"got typed\n" and channels.get(2) == b"wrong\n", "exec's streams", channels)
    check(b'"4"' in channels.get(3, b""), "exec's exit code", channels)
    stream = box.stream("sh", tty=True)
    stream.send(4, json.dumps({"Width": 99, "Height": 33}).encode())
    stream.send(0, b"until stty size | grep 33; do sleep 0.1; done\n")
    check(stream.expect(1, b"33 99"), "exec on a terminal, and its size", stream.channels)
    stream.send(0, b"exit 6\n")
    check(b'"6"' in stream.rest().get(3, b""), "its exit code", stream.channels)

    pb = cri.messages
    echo = pod.start("echo", ["sh", "-c", "while read line; do echo got $line; done; echo over; sleep 1000"], stdin=True)
    url = cri("Attach", pb.AttachRequest(container_id=echo.id, stdin=True, stdout=True, stderr=True), pb.Url).url
    for word in (b"one", b"two"):  # one client after the other
        attached = WebSocket(url if word == b"one" else cri("Attach", pb.AttachRequest(
            container_id=echo.id, stdin=True, stdout=True, stderr=True), pb.Url).url)
        attached.send(0, word + b"\n")
        check(attached.expect(1, b"got " + word), "attach", attached.channels)
        attached.close()
    check(wait_until(lambda: ("stdout", "got two") in echo.log(), 10), "what is said while attached is logged too", echo.log())

    server = pod.start("server", ["sh", "-c", "while :; do echo hello there | nc -l -p 9999; done"])
    check(wait_until(lambda: box.exec("nc", "127.0.0.1", "9999").stdout == b"hello there\n", 20), "a server")
    wait_until(lambda: box.exec("nc", "-z", "127.0.0.1", "1").exit_code == 0, 0.5)  # until it listens again
    forward = WebSocket(cri("PortForward", pb.PortForwardRequest(pod_sandbox_id=pod.id, port=[9999]), pb.Url).url + "?port=9999")
    port = struct.pack("<H", 9999)
    check(forward.expect(0, port + b"hello there\n"), "port-forward", forward.channels)
    forward.close()
    pod.remove()


def restart(cri):
    """containerd is killed while a pod runs."""
    pod = Pod(cri, "lasting")
    script = "n=0; while :; do n=$((n+1)); echo line $n; sleep 0.05; done"
    box = pod.start("box", ["sh", "-c", script])
    check(wait_until(lambda: len(box.log()) > 3, 20), "it writes")
    cri.daemon.kill()
    cri.daemon.wait()
    wait_until(lambda: False, 1)
    cri.channel.close()
    check(cri.start(), "containerd starts again", cri.place.tail("containerd.log"))
    check(pod.status().state == READY and box.status().state == RUNNING, "pod and container run on", box.status())
    before = len(box.log())
    check(wait_until(lambda: len(box.log()) > before + 3, 20), "its log goes on", box.log()[-3:])
    numbers = [int(line.split()[1]) for _, line in box.log()]
    # What containerd had read and not yet written when it was killed is lost with any shim.
    check(numbers == sorted(set(numbers)) and numbers[-1] - numbers[0] - len(numbers) < 5, "without gaps", numbers)
    check(box.exec("echo", "well").stdout == b"well\n", "exec")
    pod.remove()


def shared_processes(cri):
    pod = Pod(cri, "shared", pid_mode="POD")
    box = pod.start("box", ["sleep", "1000"])
    listed = box.exec("ps").stdout
    check(b"/pause" in listed and b"sleep 1000" in listed, "a pod may share its processes", listed)
    pod.remove()


def shim_death(cri):
    """The pod's shim is killed, and all of the pod with it."""
    pod = Pod(cri, "orphaned")
    boxes = [pod.start(name, ["sleep", "1000"]) for name in ("one", "two")]
    for pid in descendants(os.getpid()):
        if _comm(pid) == "containerd-shim":
            os.kill(pid, signal.SIGKILL)
    check(wait_until(lambda: all(box.status().state == EXITED for box in boxes) and pod.status().state != READY, 30),
          "containerd notices", [box.status() for box in boxes])
    check(all(box.status().exit_code == 255 for box in boxes), "containerd does not know their codes", [box.status() for box in boxes])
    pod.remove()


PARTS = {"pods": pods, "streams": streams, "restart": restart, "shared_processes": shared_processes, "shim_death": shim_death}


def nothing_left(cri):
    pb = cri.messages
    check(len(cri("ListContainers", pb.Empty(), pb.ListContainersResponse).containers) == 0, "no container left")
    check(len(cri("ListPodSandbox", pb.Empty(), pb.ListPodSandboxResponse).items) == 0, "no pod left")

    def processes():
        engine_harness.sandbox_harness.reap(cri.daemon.pid)
        return [_comm(pid) for pid in descendants(os.getpid()) if pid != cri.daemon.pid]
    check(wait_until(lambda: processes() == [], 10), "no process left", processes())
    with open("/proc/self/mounts", encoding="utf-8") as mounts:
        left = [line for line in mounts if line.split()[1].startswith(cri.place.path("state"))]
    check(left == [], "no mount left", left)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("runsc")
    parser.add_argument("--handler", choices=("runsc", "stock", "runc"), default="runsc")
    parser.add_argument("--only", default=",".join(PARTS))
    arguments, flags = parse(parser)
    require("containerd", "ctr", "protoc", "gcc")
    if not os.path.exists("/usr/lib/cni/bridge"):
        engine_harness.skip("containernetworking-plugins is not installed")
    if arguments.handler == "runc" and shutil.which("runc") is None:
        engine_harness.skip("runc is not installed")
    place = Place()
    cri = None
    try:
        cri = Cri(place, arguments.handler, os.path.abspath(arguments.runsc), flags)
        if not cri.start():
            engine_harness.skip(f"containerd's CRI plugin does not start here: {place.tail('containerd.log')}")
        cri.import_image(PAUSE, pause_layer(place), ["/pause"])
        cri.import_image(IMAGE, busybox_tar(), ["/bin/sh"])
        for part in arguments.only.split(","):
            print(f"--- {part}, {arguments.handler}", flush=True)
            try:
                PARTS[part](cri)
            except grpc.RpcError as error:
                check(False, part, f"{error.code()} {error.details()}")
                break
            nothing_left(cri)
    finally:
        place.close(cri.daemon if cri else None)
    finish()


if __name__ == "__main__":
    main()
