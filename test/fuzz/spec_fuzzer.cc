// What engines write: config.json, and the files and lists of the host that are read beside it.
#include "runsc/cgroup/layout.h"
#include "runsc/container/state.h"
#include "runsc/oci/mount_options.h"
#include "runsc/oci/seccomp.h"
#include "runsc/oci/spec.h"
#include "test/fuzz/fuzz_target.h"

namespace runsc::fuzz {

std::vector<std::string> Seeds() {
  return {
      R"({"ociVersion":"1.0.2","process":{"args":["sh"],"cwd":"/","user":{"uid":1,"additionalGids":[2]},)"
      R"("rlimits":[{"type":"RLIMIT_AS","soft":1,"hard":2}],"capabilities":{"bounding":["CAP_CHOWN"]}},)"
      R"("root":{"path":"r"},"mounts":[{"destination":"/x","type":"tmpfs","options":["ro","size=1m"]}],)"
      R"("hooks":{"poststop":[{"path":"/x","timeout":1}]},"linux":{"namespaces":[{"type":"pid"}],)"
      R"("resources":{"memory":{"limit":1},"devices":[{"allow":true,"access":"rwm","major":1}]},)"
      R"("seccomp":{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["dup"],"action":"SCMP_ACT_ERRNO",)"
      R"("args":[{"index":0,"value":1,"op":"SCMP_CMP_EQ"}]}]}}})",
      R"({"id":"c","ociVersion":"1","status":"running","pid":1,"startTime":2,"bundle":"/","rootfs":"/",)"
      R"("created":1,"owner":0,"hooks":{"poststop":[]}})",
      "31 30 0:27 / /sys/fs/cgroup/un\\040fied rw shared:9 - cgroup2 cgroup2 rw\n"
      "32 30 0:28 /a /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"};
}

}  // namespace runsc::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace runsc;
  std::string_view input(reinterpret_cast<const char*>(data), size);
  if (auto spec = oci::ParseSpec(input); spec.ok()) {
    (void)oci::CheckSupported(*spec);
    for (const oci::Mount& mount : spec->mounts) (void)oci::DecodeMountOptions(mount);
    if (spec->linux.seccomp.has_value()) (void)oci::CompileSeccomp(*spec->linux.seccomp);
    for (const oci::Rlimit& limit :
         spec->process.has_value() ? spec->process->rlimits : std::vector<oci::Rlimit>())
      CHECK(limit.soft <= limit.hard);
  } else {
    CHECK(spec.status().message().find('\n') == absl::string_view::npos);
  }
  if (auto state = ParseState(input, "state.json"); state.ok()) {
    auto again = ParseState(SerializeState(*state), "state.json");
    CHECK(again.ok());
    CHECK(SerializeState(*again) == SerializeState(*state));
    (void)StateReport(*state);
  }
  CgroupLayout layout = ParseCgroupLayout(input, "4:cpu:/a/b\n0::/x\n");
  CHECK(layout.v1.size() <= 1);
  return 0;
}
