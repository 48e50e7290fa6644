#include "runsc/oci/spec.h"

#include <sys/resource.h>

#include <catch2/catch.hpp>

#include "runsc/oci/json_reader.h"

namespace runsc::oci {
namespace {

constexpr const char* kMinimal =
    R"({"ociVersion":"1.0.2","process":{"args":["true"],"cwd":"/"},"root":{"path":"rootfs"}})";

std::string ErrorOf(const std::string& text) {
  absl::StatusOr<Spec> spec = ParseSpec(text);
  return spec.ok() ? "" : std::string(spec.status().message());
}

// A config.json with the given members of its process, or of its linux object.
std::string ProcessError(const std::string& members) {
  return ErrorOf(R"({"ociVersion":"1.0.2","root":{"path":"r"},"process":{)" + members + "}}");
}
std::string LinuxError(const std::string& members) {
  return ErrorOf(R"({"ociVersion":"1.0.2","root":{"path":"r"},"linux":{)" + members + "}}");
}

TEST_CASE("the smallest config.json") {
  absl::StatusOr<Spec> spec = ParseSpec(kMinimal);
  REQUIRE(spec.ok());
  CHECK(spec->process->args == std::vector<std::string>{"true"});
  CHECK(spec->process->user.uid == 0);
  CHECK(!spec->process->capabilities.has_value());
  CHECK(RootPath(*spec, "/b") == "/b/rootfs");
  CHECK(CheckSupported(*spec).ok());
}

TEST_CASE("a process, all of it") {
  absl::StatusOr<Process> process = ParseProcess(R"({
    "terminal": true, "consoleSize": {"height": 25, "width": 80},
    "user": {"uid": 1, "gid": 2, "umask": 63, "additionalGids": [5, 6]},
    "args": ["sh", "-c", "x"], "env": ["A=b", "C="], "cwd": "/home",
    "capabilities": {"bounding": ["CAP_CHOWN", "CAP_NOPE"], "effective": ["CAP_KILL"], "ambient": ["CAP_NOPE"],
                     "permitted": [], "inheritable": ["CAP_CHECKPOINT_RESTORE"]},
    "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1024, "hard": 18446744073709551615}],
    "noNewPrivileges": true, "oomScoreAdj": -999, "apparmorProfile": "p", "selinuxLabel": "l",
    "scheduler": {"policy": "SCHED_DEADLINE", "nice": 4, "flags": ["SCHED_FLAG_RECLAIM"], "runtime": 7},
    "ioPriority": {"class": "IOPRIO_CLASS_IDLE", "priority": 4}, "somethingNew": {"x": []}})",
                                                 "p.json");
  REQUIRE(process.ok());
  CHECK(process->terminal);
  CHECK(process->console_size->width == 80);
  CHECK(process->user.umask == 077);
  CHECK(process->user.additional_gids == std::vector<uint32_t>{5, 6});
  CHECK(process->env.size() == 2);
  CHECK(process->capabilities->bounding == 1);
  CHECK(process->capabilities->effective == 1 << 5);
  CHECK(process->capabilities->inheritable == uint64_t{1} << 40);
  CHECK(process->capabilities->unknown == std::vector<std::string>{"CAP_NOPE"});
  REQUIRE(process->rlimits.size() == 1);
  CHECK(process->rlimits[0].resource == RLIMIT_NOFILE);
  CHECK(process->rlimits[0].hard == UINT64_MAX);
  CHECK(process->oom_score_adj == -999);
  CHECK(process->scheduler->runtime == 7);
  CHECK(process->io_priority->priority == 4);
}

TEST_CASE("linux and the rest") {
  absl::StatusOr<Spec> spec = ParseSpec(R"({
    "ociVersion": "1.2.0", "root": {"path": "/abs", "readonly": true}, "hostname": "h", "domainname": "d",
    "mounts": [{"destination": "/m", "type": "bind", "source": "/s", "options": ["rbind", "ro"],
                "uidMappings": [{"containerID": 0, "hostID": 1000, "size": 10}]}],
    "hooks": {"prestart": [{"path": "/h"}], "poststop": [{"path": "/p", "args": ["p", "q"], "env": ["E=1"], "timeout": 3}]},
    "annotations": {"a": "b"},
    "linux": {
      "namespaces": [{"type": "pid"}, {"type": "network", "path": "/proc/1/ns/net"}, {"type": "time"}],
      "uidMappings": [{"containerID": 0, "hostID": 1000, "size": 65536}],
      "devices": [{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 438, "uid": 0}],
      "cgroupsPath": "/x/y", "sysctl": {"net.ipv4.ip_forward": "1"},
      "resources": {
        "devices": [{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rw"}],
        "memory": {"limit": 1048576, "swap": -1, "disableOOMKiller": false, "swappiness": 60},
        "cpu": {"shares": 1024, "quota": -1, "period": 100000, "cpus": "0-1"},
        "pids": {"limit": 100},
        "blockIO": {"weight": 10, "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 600}]},
        "hugepageLimits": [{"pageSize": "2MB", "limit": 9223372036854772000}],
        "network": {"classID": 1048577, "priorities": [{"name": "eth0", "priority": 500}]},
        "rdma": {"mlx5_1": {"hcaHandles": 3}}, "unified": {"memory.high": "max"}},
      "seccomp": {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1, "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW",
                      "args": [{"index": 0, "value": 2, "valueTwo": 3, "op": "SCMP_CMP_MASKED_EQ"}]}]},
      "maskedPaths": ["/proc/kcore"], "readonlyPaths": ["/proc/sys"], "rootfsPropagation": "rslave",
      "mountLabel": "m", "personality": {"domain": "LINUX32"}, "intelRdt": {"closID": "g"},
      "timeOffsets": {"monotonic": {"secs": -5, "nanosecs": 3}}}})");
  REQUIRE(spec.status().message() == "");
  CHECK(!spec->process.has_value());
  CHECK(RootPath(*spec, "/b") == "/abs");
  REQUIRE(spec->mounts.size() == 1);
  CHECK(spec->mounts[0].uid_mappings[0].host_id == 1000);
  CHECK(spec->hooks.prestart[0].path == "/h");
  CHECK(spec->hooks.poststop[0].timeout == 3);
  const Linux& part = spec->linux;
  CHECK(part.FindNamespace(NamespaceType::kNetwork)->path == "/proc/1/ns/net");
  CHECK(part.FindNamespace(NamespaceType::kUser) == nullptr);
  CHECK(part.devices[0].file_mode == 0666);
  CHECK(!part.devices[0].gid.has_value());
  const Resources& resources = part.resources;
  CHECK(resources.devices.size() == 2);
  CHECK(!resources.devices[0].major.has_value());
  CHECK(resources.memory->swap == -1);
  CHECK(resources.memory->disable_oom_killer == false);
  CHECK(resources.cpu->quota == -1);
  CHECK(resources.pids_limit == 100);
  CHECK(resources.block_io->read_bps[0].rate == 600);
  CHECK(resources.network->priorities[0].priority == 500);
  CHECK(resources.rdma.at("mlx5_1").hca_handles == 3u);
  CHECK(resources.unified.at("memory.high") == "max");
  CHECK(part.seccomp->syscalls[0].args[0].value_two == 3);
  CHECK(part.time_offsets.at("monotonic").secs == -5);

  CHECK(CheckSupported(*spec).message() ==
        "config.json: mounts[0]: id-mapped mounts must have both uid and gid mappings specified");
  spec->mounts.clear();
  CHECK(CheckSupported(*spec).message() ==
        "config.json: hostname: unable to set hostname without a private UTS namespace");
}

TEST_CASE("id-mapped mounts") {
  auto wrong = [](const std::string& mount, const std::string& namespaces = "") {
    absl::StatusOr<Spec> spec = ParseSpec(
        R"({"ociVersion":"1.2.0","root":{"path":"r"},"mounts":[{"destination":"/m","source":"/s",)" + mount +
        R"(}],"linux":{"uidMappings":[{"containerID":0,"hostID":9,"size":1}],)" +
        R"("gidMappings":[{"containerID":0,"hostID":9,"size":1}],"namespaces":[)" + namespaces + "]}}");
    REQUIRE(spec.ok());
    return std::string(CheckSupported(*spec).message());
  };
  auto maps = [](const std::string& users) {
    return R"("type":"bind","options":["bind","idmap"],"gidMappings":[{"containerID":0,"hostID":0,"size":5}],)"
           R"("uidMappings":[)" +
           users + "]";
  };
  CHECK(wrong(maps(R"({"containerID":0,"hostID":100,"size":4294967195})")).empty());
  CHECK(
      wrong(maps(R"({"containerID":0,"hostID":1,"size":5},{"containerID":5,"hostID":6,"size":5})")).empty());
  CHECK(wrong(R"("options":["bind","ridmap"])", R"({"type":"user"})").empty());
  CHECK(
      wrong(R"("options":["bind","ridmap"])") ==
      "config.json: mounts[0]: an id-mapped mount needs uidMappings and gidMappings, or a user namespace of "
      "the container");
  CHECK(wrong(R"("type":"tmpfs","options":["idmap"])", R"({"type":"user"})") ==
        "config.json: mounts[0]: id-mapped mounts are only supported for bind-mounts");
  CHECK(wrong(maps("")) ==
        "config.json: mounts[0]: id-mapped mounts must have both uid and gid mappings specified");
  CHECK(wrong(R"("options":["bind","idmap=uids=0-1-10"])") ==
        "config.json: mounts[0].options[1]: mappings are for uidMappings and gidMappings");
  CHECK(wrong(maps(R"({"containerID":0,"hostID":1,"size":0})")) ==
        "config.json: mounts[0].uidMappings[0].size: must not be 0");
  CHECK(wrong(maps(R"({"containerID":0,"hostID":101,"size":4294967195})")) ==
        "config.json: mounts[0].uidMappings[0]: goes beyond the largest id there can be");
  CHECK(wrong(maps(R"({"containerID":0,"hostID":1,"size":5},{"containerID":4,"hostID":60,"size":5})")) ==
        "config.json: mounts[0].uidMappings[1]: overlaps with item 0");
  CHECK(wrong(maps(R"({"containerID":10,"hostID":8,"size":5},{"containerID":0,"hostID":4,"size":5})")) ==
        "config.json: mounts[0].uidMappings[1]: overlaps with item 0");
}

TEST_CASE("an error names the file and the field") {
  CHECK(ErrorOf("") == "config.json: is not valid JSON at line 1, column 1");
  CHECK(ErrorOf("{\n \"a\": nope}") == "config.json: is not valid JSON at line 2, column 8");
  CHECK(ErrorOf("[]") == "config.json: must be an object, not an array");
  CHECK(ErrorOf("null") == "config.json: must not be null");
  CHECK(ErrorOf("{}") == "config.json: ociVersion: is missing");
  CHECK(ErrorOf(R"({"ociVersion":"1.0.2"})") == "config.json: root: is missing");
  CHECK(ErrorOf(R"({"ociVersion":2,"root":{"path":"r"}})") ==
        "config.json: ociVersion: must be a string, not a number");
  CHECK(ErrorOf(R"({"ociVersion":"2.0","root":{"path":"r"}})") ==
        "config.json: ociVersion: '2.0' is not a version that is known here (1.0.0 to 1.2.0)");
  CHECK(ProcessError("") == "config.json: process.args: is missing");
  CHECK(ProcessError(R"("args":[])") == "config.json: process.args: must not be empty");
  CHECK(ProcessError(R"("args":[1])") == "config.json: process.args[0]: must be a string, not a number");
  CHECK(ProcessError(R"("args":["a",null])") == "config.json: process.args[1]: must not be null");
  CHECK(ProcessError(R"("args":["a\u0000b"])") ==
        "config.json: process.args[0]: must not contain a NUL character");
  CHECK(ProcessError(R"("args":["a"],"cwd":"x")") ==
        "config.json: process.cwd: must be an absolute path, not 'x'");
  CHECK(ProcessError(R"("args":["a"],"cwd":"/","user":{"uid":-1})") ==
        "config.json: process.user.uid: must be a whole number from 0 to 4294967295, not -1");
  CHECK(ProcessError(R"("args":["a"],"cwd":"/","user":{"gid":1.5})") ==
        "config.json: process.user.gid: must be a whole number from 0 to 4294967295, not 1.5");
  CHECK(ProcessError(R"("args":["a"],"cwd":"/","user":{"umask":512})") ==
        "config.json: process.user.umask: must not be more than 0777 (511)");
  CHECK(ProcessError(R"("args":["a"],"cwd":"/","rlimits":[{"type":"RLIMIT_X","soft":1,"hard":1}])") ==
        "config.json: process.rlimits[0].type: there is no limit 'RLIMIT_X'");
  CHECK(ProcessError(R"("args":["a"],"cwd":"/","rlimits":[{"type":"RLIMIT_AS","soft":2,"hard":1}])") ==
        "config.json: process.rlimits[0].soft: must not be more than hard (1)");
  CHECK(ProcessError(R"("args":["a"],"cwd":"/","rlimits":[{"type":"RLIMIT_AS","soft":1,"hard":1},)"
                     R"({"type":"RLIMIT_AS","soft":1,"hard":1}])") ==
        "config.json: process.rlimits: items 0 and 1 are the same limit");
  CHECK(ProcessError(R"("args":["a"],"cwd":"x\ny")") ==
        "config.json: process.cwd: must be an absolute path, not 'x\\x0ay'");
  auto scheduler_error = [](const std::string& members) {
    return ProcessError(R"("args":["a"],"cwd":"/","scheduler":{)" + members + "}");
  };
  CHECK(scheduler_error("") == "config.json: process.scheduler.policy: is missing");
  CHECK(scheduler_error(R"("policy":"SCHED_X")") ==
        "config.json: process.scheduler.policy: there is no policy 'SCHED_X'");
  CHECK(scheduler_error(R"("policy":"SCHED_OTHER","nice":20)") ==
        "config.json: process.scheduler.nice: must be from -20 to 19");
  CHECK(scheduler_error(R"("policy":"SCHED_BATCH","priority":1)") ==
        "config.json: process.scheduler.priority: can only be specified for the policies SCHED_FIFO and "
        "SCHED_RR");
  CHECK(scheduler_error(R"("policy":"SCHED_RR")") ==
        "config.json: process.scheduler.policy: SCHED_RR needs a priority from 1 to 99");
  CHECK(scheduler_error(R"("policy":"SCHED_FIFO","priority":100)") ==
        "config.json: process.scheduler.priority: SCHED_FIFO needs a priority from 1 to 99");
  CHECK(scheduler_error(R"("policy":"SCHED_FIFO","priority":1,"deadline":9)") ==
        "config.json: process.scheduler.deadline: can only be specified for the policy SCHED_DEADLINE");
  CHECK(scheduler_error(R"("policy":"SCHED_IDLE","flags":["RESET"])") ==
        "config.json: process.scheduler.flags: there is no flag 'RESET'");
  CHECK(scheduler_error(R"("policy":"SCHED_RR","priority":99,"runtime":0)").empty());
  CHECK(LinuxError(R"("namespaces":[{"type":"pid"},{"type":"pid"}])") ==
        "config.json: linux.namespaces: names the pid namespace twice");
  CHECK(LinuxError(R"("namespaces":[{"type":"nope"}])") ==
        "config.json: linux.namespaces[0].type: there is no namespace 'nope'");
  CHECK(LinuxError(R"("namespaces":[{"type":"pid","path":"x"}])") ==
        "config.json: linux.namespaces[0].path: must be an absolute path, not 'x'");
  CHECK(LinuxError(R"("sysctl":{"a.b":1})") ==
        "config.json: linux.sysctl.a.b: must be a string, not a number");
  CHECK(LinuxError(R"("resources":{"memory":{"limit":"1G"}})") ==
        "config.json: linux.resources.memory.limit: must be a number, not a string");
  CHECK(LinuxError(R"("resources":{"devices":[{"allow":true,"access":"x"}]})") ==
        "config.json: linux.resources.devices[0].access: must be made of r, w and m, not 'x'");
}

TEST_CASE("every field of every wrong type is an error or ignored, never more") {
  const std::string values[] = {"1", "-1", "1.5", "\"x\"", "true", "[]", "{}", "null", "[[]]", "[{}]", "[1]"};
  const std::string process_fields[] = {"terminal",
                                        "consoleSize",
                                        "user",
                                        "args",
                                        "env",
                                        "cwd",
                                        "capabilities",
                                        "rlimits",
                                        "noNewPrivileges",
                                        "oomScoreAdj",
                                        "apparmorProfile",
                                        "selinuxLabel",
                                        "scheduler",
                                        "ioPriority"};
  const std::string linux_fields[] = {
      "namespaces",        "uidMappings", "gidMappings", "devices",     "cgroupsPath",
      "resources",         "sysctl",      "seccomp",     "maskedPaths", "readonlyPaths",
      "rootfsPropagation", "mountLabel",  "intelRdt",    "personality", "timeOffsets"};
  for (const std::string& value : values) {
    for (const std::string& field : process_fields) {
      std::string error = ProcessError("\"" + field + "\":" + value);
      CHECK(error.starts_with("config.json: process."));
    }
    for (const std::string& field : linux_fields) {
      std::string error = LinuxError("\"" + field + "\":" + value);
      CHECK((error.empty() || error.starts_with("config.json: linux." + field)));
    }
  }
}

TEST_CASE("size and depth are bounded") {
  CHECK(ErrorOf(std::string(1000, '[')) == "config.json: has more than 64 levels");
  CHECK(ErrorOf(std::string(kMaxJsonSize + 1, ' ')) == "config.json: is longer than 16777216 bytes");
  CHECK(ErrorOf(R"({"x":"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["})") ==
        "config.json: ociVersion: is missing");
}

TEST_CASE("a bundle without config.json") {
  absl::StatusOr<Spec> spec = LoadSpec("/nonexistent");
  CHECK(spec.status().message() == "open /nonexistent/config.json: no such file or directory");
  CHECK(LoadProcess("/dev/null").status().message() == "/dev/null: is not a regular file");
}

TEST_CASE("names") {
  CHECK(CapabilityNumber("CAP_SYS_ADMIN") == 21);
  CHECK(CapabilityNumber("net_raw") == 13);
  CHECK(!CapabilityNumber("CAP_X").has_value());
  CHECK(CapabilityName(0) == "CAP_CHOWN");
  CHECK(CapabilityName(41) == "");
}

}  // namespace
}  // namespace runsc::oci
