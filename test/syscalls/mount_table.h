// For tests of mounts: a mount namespace and a tmpfs of the test's own, and /proc/self/mountinfo.
#ifndef TEST_SYSCALLS_MOUNT_TABLE_H_
#define TEST_SYSCALLS_MOUNT_TABLE_H_

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include <fstream>
#include <optional>

#include "test/syscalls/syscall_test.h"

// The working directory is an empty private tmpfs; nothing that is mounted reaches the outside, nor is
// anything left there.
struct Scratch {
  static constexpr char path[] = "/mnt";
  explicit Scratch(const char* options = "mode=755") {
    if (geteuid() != 0 || unshare(CLONE_NEWNS) != 0) SKIP("may not mount here");
    if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) SKIP("may not mount here");
    if (mount("scratch", path, "tmpfs", 0, options) != 0 || chdir(path) != 0) SKIP("may not mount here");
  }
  std::string operator/(const std::string& name) const { return std::string(path) + "/" + name; }
};

struct MountEntry {
  int id = 0, parent = 0;
  std::string root, point, options, type, source, super_options;
  int shared = 0, master = 0, propagate_from = 0;
  bool unbindable = false;
  bool Has(const std::string& option) const {
    return ("," + options + ",").find("," + option + ",") != std::string::npos;
  }
};

inline std::vector<MountEntry> MountTable(const char* file = "/proc/self/mountinfo") {
  std::vector<MountEntry> table;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    std::istringstream words(line);
    MountEntry entry;
    std::string device, word;
    words >> entry.id >> entry.parent >> device >> entry.root >> entry.point >> entry.options;
    while (words >> word && word != "-") {
      sscanf(word.c_str(), "shared:%d", &entry.shared);
      sscanf(word.c_str(), "master:%d", &entry.master);
      sscanf(word.c_str(), "propagate_from:%d", &entry.propagate_from);
      if (word == "unbindable") entry.unbindable = true;
    }
    words >> entry.type >> entry.source >> entry.super_options;
    table.push_back(entry);
  }
  return table;
}

// The mounts on a path, in the table's order.
inline std::vector<MountEntry> MountsOn(const std::string& point) {
  std::vector<MountEntry> found;
  for (MountEntry& entry : MountTable()) {
    if (entry.point == point) found.push_back(entry);
  }
  return found;
}

// The only mount there; fails the test if there is none or more than one.
inline MountEntry MountOn(const std::string& point) {
  std::vector<MountEntry> found = MountsOn(point);
  ASSERT_EQ(found.size(), 1u);
  return found[0];
}

inline int Mount(const char* source, const char* target, unsigned long flags) {
  return mount(source, target, nullptr, flags, nullptr);
}
inline int Share(const char* target, unsigned long flags) { return Mount(nullptr, target, flags); }
inline int Tmpfs(const char* target, const char* options = nullptr) {
  return mount("t", target, "tmpfs", 0, options);
}
inline void MakeDirs(std::initializer_list<const char*> paths) {
  for (const char* path : paths) ASSERT_OK(mkdir(path, 0755));
}
inline int Touch(const char* path) {
  int fd = open(path, O_CREAT | O_RDWR, 0755);
  if (fd >= 0) close(fd);
  return fd;
}

#endif  // TEST_SYSCALLS_MOUNT_TABLE_H_
