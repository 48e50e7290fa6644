// What is written, and to which file, against a directory of plain files in /proc's place; whether a kernel
// takes it shows only on a host that has AppArmor or SELinux.
#include "platform/host/security_label.h"

#include <stdlib.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace runsc {
namespace {

class Attributes {
 public:
  explicit Attributes(std::initializer_list<const char*> files) {
    char name[] = "/tmp/label-test.XXXXXX";
    path_ = ::mkdtemp(name);
    std::filesystem::create_directory(path_ + "/apparmor");
    for (const char* file : files) std::ofstream(path_ + "/" + file) << "unconfined\n";
  }
  ~Attributes() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }
  std::string operator[](const std::string& file) const {
    std::ifstream stream(path_ + "/" + file);
    return {std::istreambuf_iterator<char>(stream), {}};
  }

 private:
  std::string path_;
};

TEST_CASE("a profile goes to AppArmor's own file, and to the shared one on older kernels") {
  Attributes both{"current", "apparmor/current"};
  LabelChange change;
  REQUIRE(change.Prepare({.apparmor = "docker-default"}, both.path()).empty());
  CHECK(both["apparmor/current"] == "unconfined\n");  // nothing before it is committed
  REQUIRE(change.Commit().empty());
  CHECK(both["apparmor/current"] == "changeprofile docker-default");
  CHECK(both["current"] == "unconfined\n");

  Attributes old{"current"};
  LabelChange older;
  REQUIRE(older.Prepare({.apparmor = "p"}, old.path()).empty());
  REQUIRE(older.Commit().empty());
  CHECK(old["current"].starts_with("changeprofile p"));
}

TEST_CASE("an SELinux label is written as it is, beside a profile if there is one") {
  Attributes both{"current", "apparmor/current"};
  LabelChange change;
  REQUIRE(change.Prepare({.apparmor = "p", .selinux = "u:r:container_t:s0:c1,c2"}, both.path()).empty());
  REQUIRE(change.Commit().empty());
  CHECK(both["apparmor/current"] == "changeprofile p");
  CHECK(both["current"] == "u:r:container_t:s0:c1,c2");
}

TEST_CASE("no label opens nothing") {
  LabelChange change;
  CHECK(change.Prepare({}, "/nosuch").empty());
  CHECK(change.Commit().empty());
}

TEST_CASE("what is wrong is said with the label and the file") {
  LabelChange change;
  std::string wrong = change.Prepare({.apparmor = "p"}, "/nosuch");
  CHECK(wrong.starts_with("unable to apply apparmor profile 'p': open /nosuch/current: "));
  wrong = change.Prepare({.selinux = "l"}, "/nosuch");
  CHECK(wrong.starts_with("unable to apply selinux label 'l': open /nosuch/current: "));

  // A file that takes nothing.
  Attributes full{};
  std::filesystem::create_symlink("/dev/full", full.path() + "/current");
  REQUIRE(change.Prepare({.selinux = "l"}, full.path()).empty());
  CHECK(
      change.Commit().starts_with("unable to apply selinux label 'l': write " + full.path() + "/current: "));
}

TEST_CASE("whether AppArmor is there shows in what can be read") {
  Attributes there{"apparmor/current"};
  CHECK(HasApparmor(there.path()));
  CHECK_FALSE(HasApparmor("/nosuch"));
  CHECK_FALSE(HasSelinux("/nosuch"));
  CHECK_FALSE(HasSelinux("/proc"));  // a filesystem, but another one
}

}  // namespace
}  // namespace runsc
