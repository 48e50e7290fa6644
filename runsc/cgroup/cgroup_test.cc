#include "runsc/cgroup/cgroup.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include "absl/strings/str_split.h"
#include "runsc/cgroup/cgroup_v1.h"
#include "runsc/cgroup/cgroup_v2.h"

namespace runsc {
namespace {

std::string Contents(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// A directory with plain files where a cgroup has its own: what is written stays, nothing is checked.
class FakeDirectory {
 public:
  explicit FakeDirectory(const std::vector<std::string>& files) {
    char path[] = "/tmp/cgroup-test-XXXXXX";
    path_ = ::mkdtemp(path);
    for (const std::string& file : files) Put(file, "");
  }
  ~FakeDirectory() { std::filesystem::remove_all(path_); }
  void Put(const std::string& file, const std::string& text) { std::ofstream(path_ + "/" + file) << text; }
  std::string operator[](const std::string& file) const { return Contents(path_ + "/" + file); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

constexpr const char* kHybridMounts =
    "30 23 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
    "31 30 0:27 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw\n"
    "32 30 0:28 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
    "33 30 0:29 /docker/x /sys/fs/cgroup/me\\040mory rw - cgroup cgroup rw,memory\n"
    "34 30 0:30 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n";
constexpr const char* kHybridOwn =
    "4:memory:/docker/x/y\n3:cpu,cpuacct:/a:b\n2:name=systemd:/\n0::/user.slice\n";

TEST_CASE("the layout of a hybrid machine") {
  CgroupLayout layout = ParseCgroupLayout(kHybridMounts, kHybridOwn);
  CHECK(!layout.is_unified());
  CHECK(layout.v1.size() == 4);
  CHECK(layout.v1["cpuacct"].mount_point == "/sys/fs/cgroup/cpu,cpuacct");
  CHECK(layout.v1["cpu"].own == "/a:b");
  CHECK(layout.v1["memory"].mount_point == "/sys/fs/cgroup/me mory");
  CHECK(layout.v1["memory"].own == "/y");
  CHECK(layout.v1["name=systemd"].own == "/");
  CHECK(layout.v2.own == "/user.slice");
  CHECK(ParseCgroupLayout("x\n- - -\n", "nonsense").is_absent());
}

TEST_CASE("the layout of version 2") {
  CgroupLayout layout =
      ParseCgroupLayout("31 30 0:27 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n", "0::/x\n");
  CHECK(layout.is_unified());
  CHECK(layout.v2.own == "/x");
}

TEST_CASE("where a container's cgroup is") {
  CgroupLayout layout = ParseCgroupLayout(kHybridMounts, kHybridOwn);
  auto path = [&](const std::string& cgroups_path) -> std::string {
    auto cgroup = NewCgroup(layout, {.cgroups_path = cgroups_path, .id = "c1"});
    return cgroup.ok() ? (*cgroup)->paths().at("cpu") : std::string(cgroup.status().message());
  };
  CHECK(path("") == "/sys/fs/cgroup/cpu,cpuacct/a:b/c1");
  CHECK(path("/docker/c1") == "/sys/fs/cgroup/cpu,cpuacct/docker/c1");
  CHECK(path("x/y") == "/sys/fs/cgroup/cpu,cpuacct/a:b/x/y");
  CHECK(path("/../../etc/./x//") == "/sys/fs/cgroup/cpu,cpuacct/etc/x");
  CHECK(path("/") == "linux.cgroupsPath: '/' is the cgroup of runsc itself, or above it");
  CHECK(path("../a:b") == "linux.cgroupsPath: '../a:b' is the cgroup of runsc itself, or above it");
  CgroupLayout v2 = ParseCgroupLayout("1 0 0:27 / /cg rw - cgroup2 cgroup2 rw\n", "0::/x\n");
  auto unified = NewCgroup(v2, {.id = "c1"});
  REQUIRE(unified.ok());
  CHECK((*unified)->paths() == Cgroup::Paths{{"", "/cg/x/c1"}});
  // Without rights, one that holds nothing.
  auto rootless = NewCgroup(v2, {.id = "c1", .rootless = true});
  REQUIRE(rootless.ok());
  CHECK((*rootless)->paths().empty());
  CHECK((*rootless)->Create().ok());
  CHECK((*rootless)->Apply({}).ok());
  CHECK((*rootless)->Apply({.pids_limit = 5}).message() ==
        "linux.resources.pids.limit: there is no pids controller of cgroups that could set it");
  CHECK((*rootless)->Delete().ok());
}

TEST_CASE("where the cgroup of a unit of systemd is") {
  CgroupLayout layout = ParseCgroupLayout(kHybridMounts, kHybridOwn);
  auto hybrid = CgroupOfUnit(layout, "/docker/x/system.slice/a.scope");
  CHECK(hybrid->paths() ==
        Cgroup::Paths{{"cpu", "/sys/fs/cgroup/cpu,cpuacct/docker/x/system.slice/a.scope"},
                      {"cpuacct", "/sys/fs/cgroup/cpu,cpuacct/docker/x/system.slice/a.scope"},
                      {"memory", "/sys/fs/cgroup/me mory/system.slice/a.scope"},
                      {"name=systemd", "/sys/fs/cgroup/systemd/docker/x/system.slice/a.scope"},
                      {"unified", "/sys/fs/cgroup/unified/docker/x/system.slice/a.scope"}});
  CgroupLayout v2 = ParseCgroupLayout("1 0 0:27 / /cg rw - cgroup2 cgroup2 rw\n", "0::/x\n");
  CHECK(CgroupOfUnit(v2, "/system.slice/../../a.scope")->paths() == Cgroup::Paths{{"", "/cg/a.scope"}});
}

oci::Resources ManyLimits() {
  auto resources = oci::ParseResources(R"({
    "devices": [{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 10, "minor": -1, "access": "r"}],
    "memory": {"limit": 1000, "reservation": 500, "swap": 3000},
    "cpu": {"shares": 1024, "quota": 50000, "period": 100000, "cpus": "0", "mems": "0"},
    "pids": {"limit": 7},
    "blockIO": {"weight": 10, "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 600}]},
    "hugepageLimits": [{"pageSize": "2MB", "limit": 42}],
    "rdma": {"mlx": {"hcaHandles": 3}}})",
                                       "r.json");
  REQUIRE(resources.ok());
  return *resources;
}

TEST_CASE("limits as version 1 writes them") {
  FakeDirectory fake({"memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.soft_limit_in_bytes",
                      "cpu.shares", "cpu.cfs_quota_us", "cpu.cfs_period_us", "cpuset.cpus", "cpuset.mems",
                      "pids.max", "blkio.weight", "blkio.throttle.read_bps_device",
                      "hugetlb.2MB.limit_in_bytes", "rdma.max", "devices.allow", "devices.deny"});
  Cgroup::Paths paths;
  for (const char* name : {"memory", "cpu", "cpuset", "pids", "blkio", "hugetlb", "rdma", "devices"})
    paths[name] = fake.path();
  CgroupV1 cgroup(paths, {});
  CHECK(cgroup.Apply(ManyLimits()).message() == "");
  CHECK(fake["memory.limit_in_bytes"] == "1000");
  CHECK(fake["memory.memsw.limit_in_bytes"] == "3000");
  CHECK(fake["memory.soft_limit_in_bytes"] == "500");
  CHECK(fake["cpu.shares"] == "1024");
  CHECK(fake["cpu.cfs_quota_us"] == "50000");
  CHECK(fake["cpu.cfs_period_us"] == "100000");
  CHECK(fake["cpuset.cpus"] == "0");
  CHECK(fake["pids.max"] == "7");
  CHECK(fake["blkio.weight"] == "10");
  CHECK(fake["blkio.throttle.read_bps_device"] == "8:0 600");
  CHECK(fake["hugetlb.2MB.limit_in_bytes"] == "42");
  CHECK(fake["rdma.max"] == "mlx hca_handle=3");
  CHECK(fake["devices.deny"] == "a *:* rwm");

  CHECK(cgroup.Apply({.pids_limit = -1}).ok());
  CHECK(fake["pids.max"] == "max");
  fake.Put("memory.usage_in_bytes", "5000\n");
  oci::MemoryResources checked{.limit = 4000, .check_before_update = true};
  CHECK(cgroup.Apply({.memory = checked}).message() ==
        "linux.resources.memory.limit: 4000 is less than the 5000 that are in use");
  std::filesystem::remove(fake.path() + "/pids.max");
  CHECK(cgroup.Apply({.pids_limit = 5}).message() ==
        "linux.resources.pids.limit: " + fake.path() +
            "/pids.max: cannot write '5': no such file or directory");
  CHECK(cgroup.Apply({.unified = {{"memory.high", "1"}}}).message() ==
        "linux.resources.unified: needs version 2 of cgroups, and this machine has version 1");
}

TEST_CASE("limits as version 2 writes them") {
  FakeDirectory fake({"memory.max", "memory.swap.max", "memory.low", "memory.high", "cpu.weight", "cpu.max",
                      "cpuset.cpus", "cpuset.mems", "pids.max", "io.weight", "io.max", "hugetlb.2MB.max",
                      "rdma.max"});
  CgroupV2 cgroup({{"", fake.path()}}, {});
  CHECK(cgroup.Apply(ManyLimits()).message() == "");
  CHECK(fake["memory.max"] == "1000");
  CHECK(fake["memory.swap.max"] == "2000");
  CHECK(fake["memory.low"] == "500");
  CHECK(fake["cpu.weight"] == "39");
  CHECK(fake["cpu.max"] == "50000 100000");
  CHECK(fake["pids.max"] == "7");
  CHECK(fake["io.weight"] == "1");
  CHECK(fake["io.max"] == "8:0 rbps=600");
  CHECK(fake["hugetlb.2MB.max"] == "42");
  CHECK(cgroup.Apply({.unified = {{"memory.high", "12"}}}).ok());
  CHECK(fake["memory.high"] == "12");
  CHECK(cgroup.Apply({.unified = {{"../x", "12"}}}).message() ==
        "linux.resources.unified: '../x' is no limit");
  oci::MemoryResources no_oom{.disable_oom_killer = true};
  CHECK(cgroup.Apply({.memory = no_oom}).message() ==
        "linux.resources.memory.disableOOMKiller: version 2 of cgroups has no such limit");
  oci::MemoryResources unlimited{.limit = -1};
  CHECK(cgroup.Apply({.memory = unlimited}).ok());
  CHECK(fake["memory.max"] == "max");
  CHECK(fake["memory.swap.max"] == "max");
  CHECK(CpuWeight(2) == 1);
  CHECK(CpuWeight(262144) == 10000);
  CHECK(IoWeight(1000) == 10000);
}

TEST_CASE("figures") {
  FakeDirectory fake({});
  fake.Put("cpu.stat", "usage_usec 5\nuser_usec 3\nsystem_usec 2\nnr_throttled 1\n");
  fake.Put("memory.current", "4096\n");
  fake.Put("memory.max", "max\n");
  fake.Put("memory.stat", "anon 1\nfile 2\n");
  fake.Put("memory.events", "low 0\nmax 6\noom_kill 4\n");
  fake.Put("pids.current", "3\n");
  fake.Put("pids.max", "max\n");
  fake.Put("io.stat", "8:0 rbytes=10 wbytes=20 rios=1 wios=2 dbytes=0 dios=0\n");
  CgroupV2 cgroup({{"", fake.path()}}, {});
  CHECK(cgroup.OomKills() == 4);
  CgroupStats stats = cgroup.Stats();
  CHECK(stats.io_service_bytes.size() == 2);
  stats.memory.limit = 100;
  CHECK(
      StatsReport("c1", stats) ==
      R"({"type":"stats","id":"c1","data":{"cpu":{"usage":{"total":5000,"kernel":2000,"user":3000},)"
      R"("throttling":{"throttledPeriods":1}},"cpuset":{},"memory":{)"
      R"("usage":{"limit":100,"failcnt":6,"usage":4096},"swap":{"limit":0,"failcnt":0},)"
      R"("kernel":{"limit":0,"failcnt":0},"kernelTCP":{"limit":0,"failcnt":0},)"
      R"("raw":{"anon":1,"file":2},"cache":2},"pids":{"current":3},"blkio":{"ioServiceBytesRecursive":[)"
      R"({"major":8,"minor":0,"op":"Read","value":10},{"major":8,"minor":0,"op":"Write","value":20}],)"
      R"("ioServicedRecursive":[{"major":8,"minor":0,"op":"Read","value":1},)"
      R"({"major":8,"minor":0,"op":"Write","value":2}]},"hugetlb":{},"intel_rdt":{},"network_interfaces":null}})"
      "\n");
}

TEST_CASE("what the host is asked for") {
  CHECK(HostLimits({.pids_limit = 10}).pids_limit == 94);
  CHECK(HostLimits({.pids_limit = -1}).pids_limit == -1);
  CHECK(HostLimits({.pids_limit = INT64_MAX}).pids_limit > INT32_MAX);
}

// The machine's own cgroups, if we may make some.
class RealCgroup {
 public:
  RealCgroup() {
    auto layout = FindCgroupLayout();
    if (!layout.ok()) return;
    // Where the controllers are version 1's, a hierarchy of version 2 can still hold processes.
    layout_ = *layout;
    auto made = NewCgroup(layout_, {.cgroups_path = Name(), .id = "x"});
    if (!made.ok() || (*made)->paths().empty()) return;
    absl::Status status = (*made)->Create();
    if (!status.ok()) {
      why_not_ = std::string(status.message());
      return;
    }
    cgroup_ = *std::move(made);
    why_not_.clear();
  }
  ~RealCgroup() {
    if (cgroup_ != nullptr) CHECK(cgroup_->Delete().message() == "");
  }
  static std::string Name() { return "/runsc-test-" + std::to_string(::getpid()) + "/inner"; }
  bool there() const { return cgroup_ != nullptr; }
  const std::string& why_not() const { return why_not_; }
  Cgroup* operator->() { return cgroup_.get(); }
  Cgroup& operator*() { return *cgroup_; }
  const CgroupLayout& layout() const { return layout_; }

 private:
  CgroupLayout layout_;
  std::unique_ptr<Cgroup> cgroup_;
  std::string why_not_ = "this machine has no control groups";
};

// A child that joins, then runs on until it is killed.
pid_t StartMember(Cgroup& cgroup) {
  int ready[2];
  REQUIRE(::pipe(ready) == 0);
  pid_t child = ::fork();
  if (child == 0) {
    bool joined = cgroup.AddProcess(0).ok();
    (void)!::write(ready[1], joined ? "y" : "n", 1);
    while (true) ::pause();
  }
  char answer = 0;
  REQUIRE(::read(ready[0], &answer, 1) == 1);
  CHECK(answer == 'y');
  ::close(ready[0]);
  ::close(ready[1]);
  return child;
}

void CheckLifecycle(Cgroup& cgroup, const CgroupOptions& options, const CgroupLayout& layout) {
  CHECK(cgroup.Processes().empty());
  pid_t child = StartMember(cgroup);
  CHECK(cgroup.Processes() == std::vector<pid_t>{child});
  // Somebody else's container can't move in.
  auto second = NewCgroup(layout, options);
  REQUIRE(second.ok());
  CHECK(absl::IsAlreadyExists((*second)->Create()));
  CHECK(cgroup.Freeze().message() == "");
  CHECK(cgroup.Thaw().message() == "");
  CHECK(cgroup.Freeze().message() == "");
  // The child is reaped as soon as it is killed: until then its group cannot be removed.
  struct sigaction ignore {
  }, before{};
  ignore.sa_handler = SIG_IGN;
  ignore.sa_flags = SA_NOCLDWAIT;
  ::sigaction(SIGCHLD, &ignore, &before);
  CHECK(OpenCgroup(cgroup.paths())->Delete().message() == "");
  ::sigaction(SIGCHLD, &before, nullptr);
  for (const auto& [controller, path] : cgroup.paths()) CHECK(!std::filesystem::exists(path));
  CHECK(cgroup.Delete().message() == "");
}

TEST_CASE("a real cgroup: made, joined, frozen, removed") {
  RealCgroup cgroup;
  if (!cgroup.there()) {
    WARN("SKIPPED: " << cgroup.why_not());
    return;
  }
  CheckLifecycle(*cgroup, {.cgroups_path = RealCgroup::Name(), .id = "x"}, cgroup.layout());
  std::filesystem::path outer("/");
  for (const auto& [controller, path] : cgroup->paths())
    ::rmdir(std::filesystem::path(path).parent_path().c_str());
}

TEST_CASE("a real cgroup of version 2 beside version 1") {
  auto layout = FindCgroupLayout();
  REQUIRE(layout.ok());
  layout->v1.clear();
  CgroupOptions options{.cgroups_path = RealCgroup::Name(), .id = "x"};
  auto cgroup = NewCgroup(*layout, options);
  REQUIRE(cgroup.ok());
  absl::Status made = (*cgroup)->Create();
  if ((*cgroup)->paths().empty() || !made.ok()) {
    WARN("SKIPPED: no writable hierarchy of version 2 " << std::string(made.message()));
    return;
  }
  CheckLifecycle(**cgroup, options, *layout);
  ::rmdir(std::filesystem::path((*cgroup)->paths().at("")).parent_path().c_str());
}

// What a child in the cgroup returns, or 128+n if signal n ended it.
int InCgroup(Cgroup& cgroup, int (*function)()) {
  pid_t child = ::fork();
  if (child == 0) ::_exit(cgroup.AddProcess(0).ok() ? function() : 100);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

TEST_CASE("real limits hold") {
  RealCgroup cgroup;
  if (!cgroup.there()) {
    WARN("SKIPPED: " << cgroup.why_not());
    return;
  }
  oci::MemoryResources memory{.limit = 64 << 20};
  bool counts_swap = cgroup->Stats().swap.limit != 0;  // or the machine has none to speak of
  if (counts_swap) memory.swap = 64 << 20;
  oci::CpuResources cpu{.shares = 512, .quota = 50000, .period = 100000};
  absl::Status status = cgroup->Apply({.memory = memory, .cpu = cpu, .pids_limit = 3});
  CHECK(status.message() == "");
  CgroupStats stats = cgroup->Stats();
  CHECK(stats.memory.limit == 64 << 20);
  CHECK(stats.pids_limit == 3);
  // A smaller period than the quota allows, and back: the order of the two matters.
  cpu = {.quota = 1000, .period = 2000};
  CHECK(cgroup->Apply({.cpu = cpu}).message() == "");
  cpu = {.quota = 900000, .period = 1000000};
  CHECK(cgroup->Apply({.cpu = cpu}).message() == "");

  CHECK(InCgroup(*cgroup, [] {
          int born = 0;
          while (born < 10) {
            pid_t pid = ::fork();
            if (pid == 0) {
              ::pause();
              ::_exit(0);
            }
            if (pid < 0) break;
            ++born;
          }
          return born;
        }) == 2);
  CHECK(cgroup->KillAll().message() == "");
  CHECK(cgroup->OomKills() == 0);
  int killed = InCgroup(*cgroup, [] {
    constexpr size_t kSize = 256 << 20;
    auto* memory = static_cast<volatile char*>(::malloc(kSize));
    for (size_t i = 0; i < kSize; i += 4096) memory[i] = 1;
    return 0;
  });
  CHECK(killed == 128 + SIGKILL);
  CHECK(cgroup->OomKills() > 0);
  CHECK(cgroup->Delete().message() == "");
  for (const auto& [controller, path] : cgroup->paths())
    ::rmdir(std::filesystem::path(path).parent_path().c_str());
}

}  // namespace
}  // namespace runsc
