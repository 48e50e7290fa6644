#include "runsc/systemd/unit.h"

#include <catch2/catch.hpp>

namespace runsc {
namespace {

std::string Parse(const std::string& path, bool user = false) {
  auto unit = ParseSystemdUnit(path, "c1", user);
  return unit.ok() ? unit->name + " in " + unit->slice : std::string(unit.status().message());
}

TEST_CASE("units of cgroupsPath") {
  CHECK(Parse("kubepods-besteffort-podX.slice:cri-containerd:c1") ==
        "cri-containerd-c1.scope in kubepods-besteffort-podX.slice");
  CHECK(Parse("machine.slice:libpod:0123") == "libpod-0123.scope in machine.slice");
  CHECK(Parse("") == "runsc-c1.scope in system.slice");
  CHECK(Parse("", true) == "runsc-c1.scope in user.slice");
  CHECK(Parse(":docker:x") == "docker-x.scope in system.slice");
  CHECK(Parse(":docker:x", true) == "docker-x.scope in user.slice");
  CHECK(Parse("-.slice:a:b") == "a-b.scope in -.slice");
  CHECK(Parse("a.slice::b") == "b.scope in a.slice");
  CHECK(Parse("a.slice:x:a-b.slice") == "a-b.slice in a.slice");
  auto unit = ParseSystemdUnit("a.slice:x:a-b.slice", "c1", false);
  CHECK(unit->is_slice());
  CHECK(unit->description == "runsc container c1");
}

TEST_CASE("paths that are no units") {
  CHECK(Parse("/kubepods/podX/c1")
            .find("expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got "
                  "\"/kubepods/podX/c1\" instead") == 0);
  CHECK(Parse("a.slice:b").find("expected cgroupsPath") == 0);
  CHECK(Parse("a.slice:b:c:d").find("expected cgroupsPath") == 0);
  CHECK(Parse("a:b:c") == "linux.cgroupsPath: invalid slice name: a: it does not end in .slice");
  CHECK(Parse("a/b.slice:b:c") ==
        "linux.cgroupsPath: invalid slice name: a/b.slice: it is no name of a unit of systemd");
  for (const char* slice : {"-a.slice", "a-.slice", "a--b.slice", ".slice", "--.slice"})
    CHECK(Parse(std::string(slice) + ":b:c") == std::string("linux.cgroupsPath: invalid slice name: ") +
                                                    slice +
                                                    ": a dash stands between the names of two slices");
  CHECK(Parse("a.slice:b:../c") == "linux.cgroupsPath: 'b-../c.scope' is no name of a unit of systemd");
  CHECK(Parse("a.slice:b:") == "linux.cgroupsPath: 'b-.scope' is no name of a unit of systemd");
  CHECK(Parse("a.slice:b:c+d") == "linux.cgroupsPath: 'b-c+d.scope' is no name of a unit of systemd");
  CHECK(Parse("a.slice:b:" + std::string(255, 'x')).find("is no name of a unit") != std::string::npos);
  CHECK(Parse("a.slice:b:-.slice") == "linux.cgroupsPath: a container cannot be the root slice");
  CHECK(Parse("a.slice:b:x--y.slice").find("linux.cgroupsPath: invalid slice name: x--y.slice") == 0);
}

TEST_CASE("whose paths they are") {
  CHECK(IsSystemdPath("a.slice:b:c"));
  CHECK(IsSystemdPath(":b:c"));
  CHECK(!IsSystemdPath(""));
  CHECK(!IsSystemdPath("/docker/c1"));
  CHECK(!IsSystemdPath("x/a:b:c"));
}

}  // namespace
}  // namespace runsc
