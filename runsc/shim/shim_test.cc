// The parts of the shim that are words in and words out.
#include "runsc/shim/shim.h"

#include <sys/mount.h>

#include <catch2/catch.hpp>

#include "runsc/shim/logger_uri.h"
#include "runsc/shim/metrics.h"
#include "runsc/shim/options.h"
#include "runsc/shim/proto/metrics.pb.h"
#include "runsc/shim/proto/ttrpc.pb.h"
#include "runsc/shim/rootfs_mounts.h"

using namespace runsc;        // NOLINT
using namespace runsc::shim;  // NOLINT

TEST_CASE("start answers by what containerd knows") {
  CHECK(StartAnswer("unix:///a", nullptr) == "unix:///a");
  CHECK(StartAnswer("unix:///a", "1") == "unix:///a");
  CHECK(StartAnswer("unix:///a", "2") == R"({"version":2,"address":"unix:///a","protocol":"ttrpc"})");
  CHECK(StartAnswer("unix:///a", "3") == R"({"version":2,"address":"unix:///a","protocol":"ttrpc"})");
}

TEST_CASE("messages have the field numbers of ttrpc") {
  ttrpc::Request request;
  request.set_service("s");
  request.set_method("m");
  request.set_payload("p");
  request.set_timeout_nano(5);
  CHECK(request.SerializeAsString() == "\x0a\1s\x12\1m\x1a\1p\x20\5");
  ttrpc::Response response;
  response.mutable_status()->set_code(5);
  response.mutable_status()->set_message("m");
  CHECK(response.SerializeAsString() == "\x0a\5\x08\5\x12\1m");
}

TEST_CASE("a logger's URI is a program and its arguments") {
  using Words = std::vector<std::string>;
  CHECK(ParseLoggerUri("binary:///bin/log") == Words{"/bin/log"});
  CHECK(ParseLoggerUri("binary:///bin/a%20b?id=x&flag&n=%41+%2b%zz") ==
        Words{"/bin/a b", "id", "x", "flag", "n", "A +%zz"});
  CHECK(ParseLoggerUri("binary:///b?x=%4") == Words{"/b", "x", "%4"});
  CHECK(ParseLoggerUri("") == Words{""});
}

TEST_CASE("mount options are flags and what is left") {
  MountArguments arguments = ToMountArguments({"ro", "lowerdir=/a:/b", "nosuid", "index=off", "rw"});
  CHECK(arguments.flags == MS_NOSUID);
  CHECK(arguments.data == "lowerdir=/a:/b,index=off");
  CHECK(ToMountArguments({"rbind", "ro"}).flags == (MS_BIND | MS_REC | MS_RDONLY));
}

TEST_CASE("an overlay's options can be said relative to a directory") {
  std::string directory;
  CHECK(ShortenOverlay("lowerdir=/s/12/fs:/s/1/fs,index=off,upperdir=/s/3/fs,workdir=/s/3/work",
                       &directory) == "lowerdir=12/fs:1/fs,index=off,upperdir=3/fs,workdir=3/work");
  CHECK(directory == "/s/");
  directory.clear();
  CHECK(ShortenOverlay("lowerdir=/a/b:/c/d", &directory).empty());
  CHECK(ShortenOverlay("lowerdir=a:b", &directory).empty());
  CHECK(ShortenOverlay("index=off", &directory).empty());
  CHECK(directory.empty());
}

TEST_CASE("options say how runsc is called") {
  api::Any any;
  absl::StatusOr<shim::RuntimeOptions> defaults = ReadOptions(any, "/root");
  REQUIRE(defaults.ok());
  CHECK(defaults->global_flags == std::vector<std::string>{"--root=/root"});

  api::RuncOptions runc;
  runc.set_root("/other");
  runc.set_binary_name("/bin/runsc");
  any.set_type_url("containerd.runc.v1.Options");
  any.set_value(runc.SerializeAsString());
  absl::StatusOr<shim::RuntimeOptions> options = ReadOptions(any, "/root");
  REQUIRE(options.ok());
  CHECK(options->program == "/bin/runsc");
  CHECK(options->global_flags == std::vector<std::string>{"--root=/other"});

  api::RuntimeOptions own;
  own.set_config_body("# comment\n\n  --platform=ptrace \n--strace\n");
  any.set_type_url("type.googleapis.com/runtimeoptions.v1.Options");
  any.set_value(own.SerializeAsString());
  options = ReadOptions(any, "/root");
  REQUIRE(options.ok());
  CHECK(options->global_flags == std::vector<std::string>{"--root=/root", "--platform=ptrace", "--strace"});

  any.set_value("\xff");
  CHECK_FALSE(ReadOptions(any, "/root").ok());
  CHECK(std::string(ParseFlagsFile("--a\nb\n", "x.conf").status().message()).starts_with("x.conf: line 2: "));
}

TEST_CASE("figures go into the message of the control groups' version") {
  CgroupStats stats;
  stats.cpu.total = 5'000'000;
  stats.memory.usage = 4096;
  stats.memory_raw = {{"rss", 7}, {"anon", 8}, {"no such field", 9}};
  stats.io_service_bytes = {{8, 1, "Read", 10}, {8, 1, "Write", 11}};
  stats.io_serviced = {{8, 1, "Read", 2}};
  api::Any any = ToMetrics(stats, 3, false);
  CHECK(any.type_url() == "io.containerd.cgroups.v1.Metrics");
  api::MetricsV1 one;
  REQUIRE(one.ParseFromString(any.value()));
  CHECK(one.cpu().usage().total() == 5'000'000);
  CHECK(one.memory().usage().usage() == 4096);
  CHECK(one.memory().rss() == 7);
  CHECK(one.memory_oom_control().oom_kill() == 3);
  CHECK(one.blkio().io_service_bytes_recursive_size() == 2);
  any = ToMetrics(stats, 3, true);
  CHECK(any.type_url() == "io.containerd.cgroups.v2.Metrics");
  api::MetricsV2 two;
  REQUIRE(two.ParseFromString(any.value()));
  CHECK(two.cpu().usage_usec() == 5000);
  CHECK(two.memory().anon() == 8);
  REQUIRE(two.io().usage_size() == 1);
  CHECK(two.io().usage(0).wbytes() == 11);
  CHECK(two.io().usage(0).rios() == 2);
}
