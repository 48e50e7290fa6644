// POSIX access control lists: the extended attributes system.posix_acl_access and system.posix_acl_default.
// acl(5), xattr(7).
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "test/syscalls/mount_table.h"
#include "test/syscalls/syscall_test.h"

namespace {

constexpr const char* kAccess = "system.posix_acl_access";
constexpr const char* kDefault = "system.posix_acl_default";
constexpr uint32_t kNobody = UINT32_MAX;
enum Tag : uint16_t { kOwner = 1, kUser = 2, kOwningGroup = 4, kGroup = 8, kMask = 16, kOther = 32 };

struct Entry {
  uint16_t tag, permissions;
  uint32_t id = kNobody;
};
std::string Acl(const std::vector<Entry>& entries, uint32_t version = 2) {
  std::string value(reinterpret_cast<const char*>(&version), sizeof(version));
  for (const Entry& entry : entries) value.append(reinterpret_cast<const char*>(&entry), sizeof(entry));
  return value;
}
const std::string kList = Acl({{kOwner, 6}, {kUser, 7, 1000}, {kOwningGroup, 4}, {kMask, 5}, {kOther, 0}});
const std::string kMinimal = Acl({{kOwner, 6}, {kOwningGroup, 4}, {kOther, 4}});

int Set(const char* path, const char* name, const std::string& value, int flags = 0) {
  return setxattr(path, name, value.data(), value.size(), flags);
}
// The value, or the errno's name.
std::string Get(const char* path, const char* name) {
  char value[512];
  ssize_t size = getxattr(path, name, value, sizeof(value));
  return size < 0 ? syscall_test::ErrnoName(errno) : std::string(value, static_cast<size_t>(size));
}
std::string Names(const char* path) {
  char names[512];
  ssize_t size = listxattr(path, names, sizeof(names));
  if (size < 0) return syscall_test::ErrnoName(errno);
  std::string joined;
  for (const char* name = names; name < names + size; name += strlen(name) + 1) {
    if (strncmp(name, "security.", 9) != 0) joined += std::string(name) + " ";
  }
  return joined;
}
unsigned Mode(const char* path) {
  struct stat attributes {};
  EXPECT_OK(stat(path, &attributes));
  return attributes.st_mode & 07777;
}
void Make(const char* path, unsigned mode = 0644) {
  int fd = ASSERT_OK(open(path, O_CREAT | O_WRONLY, 0600));
  close(fd);
  ASSERT_OK(chmod(path, mode));
}

struct Files : Scratch {
  Files() {
    Make("f", 0640);
    if (Set("f", kAccess, kMinimal) != 0) SKIP("no access control lists");
    ASSERT_OK(chmod("f", 0640));
    ASSERT_OK(mkdir("d", 0755));
  }
};

// What access(2) grants to somebody, as the sum of R_OK, W_OK and X_OK.
int Granted(const char* path, unsigned uid, unsigned gid, std::vector<gid_t> groups = {}) {
  return WEXITSTATUS(WaitStatusOf([&] {
    ASSERT_OK(setgroups(groups.size(), groups.data()));
    ASSERT_OK(setgid(gid));
    ASSERT_OK(setuid(uid));
    int granted = 0;
    for (int right : {R_OK, W_OK, X_OK}) granted += access(path, right) == 0 ? right : 0;
    _exit(granted);
  }));
}

}  // namespace

TEST(ListsAndModesGoTogether) {
  Files files;
  EXPECT_EQ(Get("f", kAccess), "ENODATA");
  EXPECT_EQ(Names("f"), "");
  ASSERT_OK(Set("f", kAccess, kList));
  EXPECT_EQ(Mode("f"), 0650u);
  EXPECT_EQ(Get("f", kAccess), kList);
  EXPECT_EQ(Names("f"), std::string(kAccess) + " ");
  ASSERT_OK(chmod("f", 0671));
  EXPECT_EQ(Get("f", kAccess),
            Acl({{kOwner, 6}, {kUser, 7, 1000}, {kOwningGroup, 4}, {kMask, 7}, {kOther, 1}}));
  // What the mode says as well is not kept.
  ASSERT_OK(Set("f", kAccess, kMinimal));
  EXPECT_EQ(Mode("f"), 0644u);
  EXPECT_EQ(Get("f", kAccess), "ENODATA");
  ASSERT_OK(Set("f", kAccess, kList));
  ASSERT_OK(chown("f", 5, 6));
  EXPECT_EQ(Get("f", kAccess), kList);
}

TEST(ListsAreRemoved) {
  Files files;
  EXPECT_OK(removexattr("f", kAccess));
  EXPECT_OK(removexattr("f", kDefault));
  for (bool by_value : {true, false}) {
    ASSERT_OK(Set("f", kAccess, kList));
    EXPECT_OK(by_value ? Set("f", kAccess, "") : removexattr("f", kAccess));
    EXPECT_EQ(Get("f", kAccess), "ENODATA");
    EXPECT_EQ(Mode("f"), 0650u);
  }
  // Flags do not matter.
  EXPECT_OK(Set("f", kAccess, kList, XATTR_REPLACE));
  EXPECT_OK(Set("f", kAccess, kList, XATTR_CREATE));
  EXPECT_OK(Set("f", kAccess, Acl({})));
  EXPECT_EQ(Get("f", kAccess), "ENODATA");
}

TEST(WrongListsAreRefused) {
  Files files;
  EXPECT_ERRNO(Set("f", kAccess, "ab"), EINVAL);
  EXPECT_ERRNO(Set("f", kAccess, kList + "x"), EINVAL);
  EXPECT_ERRNO(Set("f", kAccess, Acl({{kOwner, 6}, {kOwningGroup, 4}, {kOther, 0}}, 1)), EOPNOTSUPP);
  for (const auto& entries : std::vector<std::vector<Entry>>{
           {{3, 6}},
           {{kOwner, 8}, {kOwningGroup, 4}, {kOther, 4}},
           {{kOwner, 6}, {kUser, 7, 5}, {kOwningGroup, 4}, {kOther, 0}},
           {{kOwningGroup, 4}, {kOwner, 6}, {kOther, 4}},
           {{kOwner, 6}, {kOwningGroup, 4}},
           {{kOwner, 6}, {kOther, 4}},
           {{kOwner, 6}, {kMask, 4}, {kOther, 4}},
           {{kOwner, 6}, {kGroup, 4, 5}, {kMask, 4}, {kOther, 4}},
           {{kOwningGroup, 6}, {kOther, 4}},
           {{kOwner, 6}, {kOwner, 6}, {kOwningGroup, 4}, {kOther, 4}},
           {{kOwner, 6}, {kOwningGroup, 4}, {kOther, 4}, {kOther, 4}},
           {{kOwner, 6}, {kOwningGroup, 4}, {kMask, 4}, {kMask, 4}, {kOther, 4}},
           {{kOwner, 6}, {kUser, 7, kNobody}, {kOwningGroup, 4}, {kMask, 7}, {kOther, 0}},
       }) {
    EXPECT_ERRNO(Set("f", kAccess, Acl(entries)), EINVAL);
  }
  EXPECT_EQ(Get("f", kAccess), "ENODATA");
  EXPECT_EQ(Mode("f"), 0640u);
  // Entries need not be sorted, nor differ; the ids of those that name nobody do not matter.
  const std::string odd = Acl(
      {{kOwner, 6}, {kUser, 7, 9}, {kUser, 7, 5}, {kUser, 4, 5}, {kOwningGroup, 4}, {kMask, 7}, {kOther, 0}});
  EXPECT_OK(Set("f", kAccess, odd));
  EXPECT_EQ(Get("f", kAccess), odd);
  EXPECT_OK(Set("f", kAccess, Acl({{kOwner, 6, 5}, {kOwningGroup, 4, 6}, {kMask, 1, 7}, {kOther, 4, 8}})));
  EXPECT_EQ(Get("f", kAccess), Acl({{kOwner, 6}, {kOwningGroup, 4}, {kMask, 1}, {kOther, 4}}));
  EXPECT_EQ(Mode("f"), 0614u);
}

TEST(OnlySomeFilesHaveThem) {
  Files files;
  EXPECT_ERRNO(Set("f", kDefault, kList), EACCES);
  EXPECT_OK(Set("f", kDefault, ""));
  ASSERT_OK(symlink("f", "l"));
  EXPECT_ERRNO(lsetxattr("l", kAccess, kList.data(), kList.size(), 0), EOPNOTSUPP);
  EXPECT_ERRNO(lgetxattr("l", kAccess, nullptr, 0), EOPNOTSUPP);
  EXPECT_ERRNO(lremovexattr("l", kAccess), EOPNOTSUPP);
  ASSERT_OK(mkfifo("p", 0600));
  EXPECT_OK(Set("p", kAccess, kList));
  EXPECT_EQ(Get("p", kAccess), kList);
  EXPECT_EQ(Get("f", "system.nosuch"), "EOPNOTSUPP");
  EXPECT_ERRNO(Set("f", "system.nosuch", "x"), EOPNOTSUPP);
}

TEST(TheOwnerSetsThem) {
  Files files;
  ASSERT_OK(chown("f", 1000, 3000));
  ASSERT_OK(chmod("f", 02755));
  EXPECT_CHILD_OK([] {
    ASSERT_OK(setgroups(0, nullptr));
    ASSERT_OK(setgid(5));
    ASSERT_OK(setuid(1005));
    EXPECT_ERRNO(Set("f", kAccess, kList), EPERM);
    EXPECT_ERRNO(removexattr("f", kAccess), EPERM);
    EXPECT_ERRNO(Set("f", kDefault, kList), EACCES);
    EXPECT_ERRNO(Set("f", kAccess, "ab"), EINVAL);
    EXPECT_EQ(Get("f", kAccess), "ENODATA");
  });
  EXPECT_CHILD_OK([] {
    ASSERT_OK(setgroups(0, nullptr));
    ASSERT_OK(setgid(5));
    ASSERT_OK(setuid(1000));
    EXPECT_OK(Set("f", kAccess, kList));
    EXPECT_EQ(Mode("f"), 0650u);  // as chmod(2) does it
  });
}

TEST(RightsAreThoseOfTheList) {
  Files files;
  Make("q");
  ASSERT_OK(chown("q", 7, 3000));
  ASSERT_OK(Set(
      "q", kAccess,
      Acl({{kOwner, 6}, {kUser, 4, 1000}, {kOwningGroup, 2}, {kGroup, 1, 2000}, {kMask, 7}, {kOther, 0}})));
  EXPECT_EQ(Granted("q", 7, 1), R_OK | W_OK);
  EXPECT_EQ(Granted("q", 1000, 1), R_OK);
  EXPECT_EQ(Granted("q", 1000, 3000), R_OK);
  EXPECT_EQ(Granted("q", 1001, 3000), W_OK);
  EXPECT_EQ(Granted("q", 1001, 2000), X_OK);
  EXPECT_EQ(Granted("q", 1001, 2000, {3000}), W_OK | X_OK);
  EXPECT_EQ(Granted("q", 1001, 1), 0);
  // The mask limits all but the owner and others.
  ASSERT_OK(chmod("q", 0617));
  EXPECT_EQ(Granted("q", 7, 1), R_OK | W_OK);
  EXPECT_EQ(Granted("q", 1000, 1), 0);
  EXPECT_EQ(Granted("q", 1001, 3000), 0);
  EXPECT_EQ(Granted("q", 1001, 2000), X_OK);
  EXPECT_EQ(Granted("q", 1001, 1), R_OK | W_OK | X_OK);
  // Without any group bits the list is not looked at (acl_permission_check()).
  ASSERT_OK(chmod("q", 0607));
  EXPECT_EQ(Granted("q", 1000, 1), R_OK | W_OK | X_OK);
  EXPECT_EQ(Granted("q", 1001, 3000), 0);
}

TEST(DirectoriesAreSearchedByTheirLists) {
  Files files;
  Make("d/f", 0644);
  ASSERT_OK(
      Set("d", kAccess, Acl({{kOwner, 7}, {kUser, 1, 1000}, {kOwningGroup, 0}, {kMask, 7}, {kOther, 0}})));
  EXPECT_EQ(Granted("d/f", 1000, 1), R_OK);
  EXPECT_EQ(Granted("d/f", 1001, 1), 0);
  EXPECT_CHILD_OK([] {
    ASSERT_OK(setgroups(0, nullptr));
    ASSERT_OK(setuid(1000));
    EXPECT_ERRNO(open("d", O_RDONLY), EACCES);
    EXPECT_ERRNO(open("d/new", O_CREAT | O_WRONLY, 0600), EACCES);
  });
}

TEST(NewFilesBeginWithTheDefault) {
  Files files;
  ASSERT_OK(Set("d", kDefault, kList));
  EXPECT_EQ(Mode("d"), 0755u);
  EXPECT_EQ(Names("d"), std::string(kDefault) + " ");
  umask(077);  // which does not count here
  int fd = ASSERT_OK(open("d/f", O_CREAT | O_WRONLY, 0666));
  EXPECT_EQ(Mode("d/f"), 0640u);
  EXPECT_EQ(Get("d/f", kAccess),
            Acl({{kOwner, 6}, {kUser, 7, 1000}, {kOwningGroup, 4}, {kMask, 4}, {kOther, 0}}));
  close(fd);
  ASSERT_OK(mkdir("d/s", 0777));
  EXPECT_EQ(Mode("d/s"), 0650u);
  EXPECT_EQ(Get("d/s", kAccess), kList);
  EXPECT_EQ(Get("d/s", kDefault), kList);
  ASSERT_OK(mkfifo("d/p", 0600));
  EXPECT_EQ(Mode("d/p"), 0600u);
  EXPECT_EQ(Get("d/p", kAccess),
            Acl({{kOwner, 6}, {kUser, 7, 1000}, {kOwningGroup, 4}, {kMask, 0}, {kOther, 0}}));
  ASSERT_OK(symlink("x", "d/l"));
  // A list that a mode can say makes a mode.
  ASSERT_OK(Set("d", kDefault, kMinimal));
  fd = ASSERT_OK(open("d/m", O_CREAT | O_WRONLY, 0666));
  EXPECT_EQ(Mode("d/m"), 0644u);
  EXPECT_EQ(Get("d/m", kAccess), "ENODATA");
  close(fd);
  ASSERT_OK(mkdir("d/t", 0777));
  EXPECT_EQ(Mode("d/t"), 0644u);
  EXPECT_EQ(Get("d/t", kDefault), kMinimal);
  fd = ASSERT_OK(open("d", O_TMPFILE | O_WRONLY, 0666));
  struct stat attributes {};
  ASSERT_OK(fstat(fd, &attributes));
  EXPECT_EQ(attributes.st_mode & 0777, 0644u);
  close(fd);
  ASSERT_OK(removexattr("d", kDefault));
  fd = ASSERT_OK(open("d/u", O_CREAT | O_WRONLY, 0666));
  EXPECT_EQ(Mode("d/u"), 0600u);
  close(fd);
}

// In an overlay, if there is one: the root of a container.
TEST(TheRootFilesystemHasThem) {
  char path[] = "/tmp/acl_rootXXXXXX";
  int fd = ASSERT_OK(mkstemp(path));
  close(fd);
  if (Set(path, kAccess, kList) == 0) {
    EXPECT_EQ(Get(path, kAccess), kList);
    EXPECT_EQ(Mode(path), 0650u);
    ASSERT_OK(chmod(path, 0600));
    EXPECT_EQ(Get(path, kAccess),
              Acl({{kOwner, 6}, {kUser, 7, 1000}, {kOwningGroup, 4}, {kMask, 0}, {kOther, 0}}));
    EXPECT_OK(removexattr(path, kAccess));
  } else {
    EXPECT_EQ(errno, EOPNOTSUPP);
  }
  unlink(path);
}
