// Against plain files in the place of a resctrl filesystem: what is written stays, nothing is checked.
#include "runsc/cgroup/resctrl.h"

#include <stdlib.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace runsc {
namespace {

class FakeResctrl {
 public:
  FakeResctrl() {
    char path[] = "/tmp/resctrl-test-XXXXXX";
    path_ = ::mkdtemp(path);
    for (const char* directory : {"info/L3", "info/MB", "info/L3_MON", "mon_groups"})
      std::filesystem::create_directories(path_ + "/" + directory);
    Put("info/L3_MON/mon_features", "llc_occupancy\nmbm_total_bytes\nmbm_local_bytes\n");
    Put("tasks", "");
  }
  ~FakeResctrl() { std::filesystem::remove_all(path_); }
  void AddClass(const std::string& name, const std::string& schemata) {
    std::filesystem::create_directories(path_ + "/" + name + "/mon_groups");
    Fill(name, schemata);
  }
  // What the kernel puts into a new directory.
  void Fill(const std::string& directory, const std::string& schemata) {
    Put(directory + "/schemata", schemata);
    Put(directory + "/tasks", "");
  }
  void Put(const std::string& file, const std::string& text) { std::ofstream(path_ + "/" + file) << text; }
  void Remove(const std::string& what) { std::filesystem::remove_all(path_ + "/" + what); }
  bool Has(const std::string& what) const { return std::filesystem::exists(path_ + "/" + what); }
  std::string operator[](const std::string& file) const {
    std::ifstream stream(path_ + "/" + file);
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::string WhyNot(const oci::IntelRdt& rdt, const std::string& mount_point) {
  auto group = ResctrlGroup::Plan(rdt, "c1", mount_point);
  return group.ok() ? "" : std::string(group.status().message());
}

TEST_CASE("resctrl is found by its type") {
  CHECK(FindResctrl("31 30 0:27 / /sys/fs/resctrl rw,relatime shared:9 - resctrl resctrl rw,mba_MBps\n") ==
        "/sys/fs/resctrl");
  CHECK(FindResctrl("31 30 0:27 / /sys/fs/resctrl rw - tmpfs resctrl rw\nx\n\n- - -\n").empty());
}

TEST_CASE("shares alone make a class of the container's own") {
  FakeResctrl host;
  oci::IntelRdt rdt;
  rdt.l3_cache_schema = "L3:0=f;1=f0\nMB:0=10";
  rdt.mem_bw_schema = "MB:0=50;1=50";
  rdt.enable_mbm = true;  // which such a class has anyway
  auto group = ResctrlGroup::Plan(rdt, "c1", host.path());
  REQUIRE(group.ok());
  CHECK(group->state().group == host.path() + "/c1");
  CHECK(group->state().made == group->state().group);
  CHECK_FALSE(host.Has("c1"));
  REQUIRE(group->Create().ok());
  host.Fill("c1", "");
  REQUIRE(group->Apply().ok());
  REQUIRE(group->Add(77).ok());
  CHECK(host["c1/schemata"] == "L3:0=f;1=f0\nMB:0=50;1=50\n");
  CHECK(host["c1/tasks"] == "77");
  REQUIRE(UpdateResctrl(group->state(), "L3:0=3", "").ok());
  CHECK(host["c1/schemata"] == "L3:0=3\n");
  CHECK(ResctrlGroup::Plan(rdt, "c1", host.path()).status().message().find("exists already") !=
        absl::string_view::npos);
  host.Remove("c1/schemata");
  host.Remove("c1/tasks");
  CHECK(RemoveResctrl(group->state()).ok());
  CHECK_FALSE(host.Has("c1"));
  CHECK(RemoveResctrl(group->state()).ok());  // again
}

TEST_CASE("a class that is there is joined if its shares are those asked for, and stays") {
  FakeResctrl host;
  host.AddClass("gold", "    L3:0=0ff;1=00f\n    MB:0=100;1= 50\n");
  oci::IntelRdt rdt;
  rdt.clos_id = "gold";
  rdt.schemata = {"L3:0=ff", "MB:1=50"};
  auto group = ResctrlGroup::Plan(rdt, "c1", host.path());
  REQUIRE(group.ok());
  CHECK(group->state().made.empty());
  REQUIRE(group->Create().ok());
  REQUIRE(group->Apply().ok());
  REQUIRE(group->Add(77).ok());
  CHECK(host["gold/schemata"] == "    L3:0=0ff;1=00f\n    MB:0=100;1= 50\n");
  CHECK(host["gold/tasks"] == "77");
  CHECK(UpdateResctrl(group->state(), "L3:0=1", "").message() ==
        "Intel RDT: the container has no class of its own");
  CHECK(RemoveResctrl(group->state()).ok());
  CHECK(host.Has("gold"));

  rdt.schemata = {"L3:0=fe"};
  CHECK(
      WhyNot(rdt, host.path())
          .starts_with("config.json: linux.intelRdt.closID: the class 'gold' is there with other shares: "));
  rdt.schemata = {"L3:2=1"};
  CHECK_FALSE(WhyNot(rdt, host.path()).empty());
}

TEST_CASE("a class by name alone has to be there") {
  FakeResctrl host;
  oci::IntelRdt rdt;
  rdt.clos_id = "silver";
  CHECK(WhyNot(rdt, host.path()) ==
        "config.json: linux.intelRdt.closID: there is no class 'silver' in " + host.path());
  rdt.l3_cache_schema = "L3:0=f";  // with shares it is made, and is the container's
  auto group = ResctrlGroup::Plan(rdt, "c1", host.path());
  REQUIRE(group.ok());
  CHECK(group->state().made == host.path() + "/silver");
  for (const char* name : {"..", "a/b", "mon_groups", "info"}) {
    rdt.clos_id = name;
    CHECK(WhyNot(rdt, host.path()).find("is no name of a class") != std::string::npos);
  }
}

TEST_CASE("counters in a class that others are in are a directory of their own") {
  FakeResctrl host;
  host.AddClass("gold", "L3:0=f\n");
  oci::IntelRdt rdt;
  rdt.enable_cmt = true;
  for (const char* name : {"", "gold"}) {
    rdt.clos_id = name;
    auto group = ResctrlGroup::Plan(rdt, "c1", host.path());
    REQUIRE(group.ok());
    const std::string directory = (*name == '\0' ? "" : std::string(name) + "/") + "mon_groups/c1";
    CHECK(group->state().made == host.path() + "/" + directory);
    REQUIRE(group->Create().ok());
    host.Put(directory + "/tasks", "");
    REQUIRE(group->Add(78).ok());
    CHECK(host[directory + "/tasks"] == "78");
    host.Remove(directory + "/tasks");
    CHECK(RemoveResctrl(group->state()).ok());
    CHECK_FALSE(host.Has(directory));
  }
}

TEST_CASE("what the host does not have is refused by name, and nothing asked for needs nothing") {
  oci::IntelRdt nothing, cat, mba, cmt, mbm, clos, lines;
  cat.l3_cache_schema = "L3:0=f";
  mba.mem_bw_schema = "MB:0=50";
  cmt.enable_cmt = true;
  mbm.enable_mbm = true;
  clos.clos_id = "gold";
  lines.schemata = {"L2:0=f"};
  const std::string field = "config.json: linux.intelRdt.";
  CHECK(WhyNot(nothing, "").empty());
  CHECK(WhyNot(cat, "") == field + "l3CacheSchema: is specified in config, but Intel RDT/CAT is not enabled");
  CHECK(WhyNot(mba, "") == field + "memBwSchema: is specified in config, but Intel RDT/MBA is not enabled");
  CHECK(WhyNot(cmt, "") == field + "enableCMT: is specified in config, but Intel RDT/CMT is not enabled");
  CHECK(WhyNot(mbm, "") == field + "enableMBM: is specified in config, but Intel RDT/MBM is not enabled");
  CHECK(WhyNot(clos, "").starts_with(field + "closID: "));
  CHECK(WhyNot(lines, "").starts_with(field + "schemata: "));
  FakeResctrl host;
  host.Put("info/L3_MON/mon_features", "llc_occupancy\n");
  CHECK(WhyNot(cmt, host.path()).empty());
  CHECK_FALSE(WhyNot(mbm, host.path()).empty());
  host.Remove("info/L3");
  CHECK_FALSE(WhyNot(cat, host.path()).empty());
}

TEST_CASE("what the kernel says of shares that it does not like is told, in one line") {
  FakeResctrl host;
  host.Put("info/last_cmd_status", "Mask f00 out of range\n");
  oci::IntelRdt rdt;
  rdt.l3_cache_schema = "L3:0=f00";
  auto group = ResctrlGroup::Plan(rdt, "c1", host.path());
  REQUIRE(group.ok());
  REQUIRE(group->Create().ok());  // and without a file to write to
  std::string message(group->Apply().message());
  CHECK(message.ends_with("(Mask f00 out of range)"));
  CHECK(message.find('\n') == std::string::npos);
}

}  // namespace
}  // namespace runsc
