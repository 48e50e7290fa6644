#include "runsc/oci/mount_options.h"

#include <sys/mount.h>

#include <catch2/catch.hpp>

namespace runsc::oci {
namespace {

MountOptions Decode(std::string type, std::vector<std::string> options) {
  return DecodeMountOptions(
      {.destination = "/x", .type = std::move(type), .source = "", .options = std::move(options)});
}

TEST_CASE("mount options") {
  MountOptions tmpfs = Decode("tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k", "size=1m"});
  CHECK(tmpfs.flags == (MS_NOSUID | MS_STRICTATIME));
  CHECK(tmpfs.data == "mode=755,size=65536k,size=1m");
  std::string value;
  CHECK((tmpfs.FindData("size", &value) && value == "1m"));
  CHECK(!tmpfs.FindData("nr_inodes", &value));
  CHECK(!tmpfs.is_bind());

  MountOptions bind = Decode("none", {"rbind", "rslave", "ro"});
  CHECK(bind.flags == (MS_BIND | MS_REC | MS_RDONLY));
  CHECK(bind.propagation == (MS_SLAVE | MS_REC));
  CHECK(bind.data.empty());
  CHECK(bind.is_bind());
  CHECK(bind.is_read_only());
  CHECK(bind.recursive_flags == 0);
  CHECK(Decode("bind", {}).is_bind());

  CHECK(!Decode("bind", {"ro", "rw"}).is_read_only());
  CHECK(Decode("bind", {"ro", "rw"}).cleared == MS_RDONLY);
  CHECK(Decode("bind", {"rro"}).recursive_flags == MS_RDONLY);
  CHECK(Decode("bind", {"rro", "rw"}).is_read_only());
  CHECK(Decode("bind", {"rro", "rrw"}).is_read_only());
  CHECK(!Decode("bind", {"ro", "rrw"}).is_read_only());
  CHECK(!Decode("tmpfs", {"rro"}).is_read_only());
  CHECK(Decode("bind", {"noexec", "rexec", "rnosuid"}).EffectiveFlags() == (MS_BIND | MS_NOSUID));
  CHECK(Decode("tmpfs", {"tmpcopyup"}).copy_up);
  CHECK(Decode("bind", {"ridmap"}).id_map_below);
  CHECK(!Decode("bind", {"ridmap", "idmap"}).id_map_below);
  CHECK(IsIdMapped({.destination = "/x", .type = "bind", .source = "/", .options = {"ridmap"}}));
  CHECK(!IsIdMapped({.destination = "/x", .type = "bind", .source = "/", .options = {"rbind"}}));
}

TEST_CASE("propagation") {
  CHECK(DecodePropagation("") == 0);
  CHECK(DecodePropagation("ro") == 0);
  CHECK(DecodePropagation("rslave") == (MS_SLAVE | MS_REC));
  CHECK(DecodePropagation("unbindable") == MS_UNBINDABLE);
}

TEST_CASE("every known option is decoded, none of them left for the filesystem") {
  for (const std::string& name : KnownMountOptions()) CHECK(Decode("tmpfs", {name}).data.empty());
}

}  // namespace
}  // namespace runsc::oci
