// What tests of user namespaces share: files of /proc, dropped users, namespaces with maps.
#ifndef TEST_SYSCALLS_USER_NAMESPACE_H_
#define TEST_SYSCALLS_USER_NAMESPACE_H_

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "test/syscalls/syscall_test.h"

namespace syscall_test {

// One write(2) of all of it; the result of that, or of the open(2) that failed.
inline ssize_t WriteTo(const std::string& path, const std::string& text) {
  const int fd = open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  const ssize_t written = write(fd, text.data(), text.size());
  const int error = errno;
  close(fd);
  errno = error;
  return written;
}

inline std::string ReadAll(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return "cannot be opened";
  std::string text(1 << 16, '\0');
  const ssize_t got = read(fd, text.data(), text.size());
  close(fd);
  text.resize(got > 0 ? static_cast<size_t>(got) : 0);
  return text;
}

// White space is one space each.
inline std::string Squeezed(const std::string& text) {
  std::string out;
  for (char c : text) {
    const bool space = c == ' ' || c == '\t';
    if (space && (out.empty() || out.back() == ' ' || out.back() == '\n')) continue;
    out += space ? ' ' : c;
  }
  return out;
}

inline std::string LinkOf(const std::string& path) {
  char text[4096] = {};
  EXPECT_OK(readlink(path.c_str(), text, sizeof(text) - 1));
  return text;
}

inline void NeedRoot() {
  if (geteuid() != 0) throw SkipTest{"not root"};
}

// For the rest of this process. A dropped process would not own its files in /proc (they are root's).
inline void BecomeUser(uid_t uid, gid_t gid) {
  ASSERT_OK(setgroups(0, nullptr));
  ASSERT_OK(setresgid(gid, gid, gid));
  ASSERT_OK(setresuid(uid, uid, uid));
  ASSERT_OK(prctl(PR_SET_DUMPABLE, 1));
}

// In a namespace whose maps have been written: its root.
inline void BecomeRootInside() {
  ASSERT_OK(setresgid(0, 0, 0));
  ASSERT_OK(setresuid(0, 0, 0));
  ASSERT_OK(prctl(PR_SET_DUMPABLE, 1));
}

// Maps its own user and group into the namespace that it has just made.
inline void MapSelf(uid_t inside, gid_t inside_group, uid_t uid, gid_t gid) {
  ASSERT_OK(WriteTo("/proc/self/uid_map", std::to_string(inside) + " " + std::to_string(uid) + " 1"));
  ASSERT_OK(WriteTo("/proc/self/setgroups", "deny"));
  ASSERT_OK(WriteTo("/proc/self/gid_map", std::to_string(inside_group) + " " + std::to_string(gid) + " 1"));
}

// Two ends of a wait for each other.
class Gate {
 public:
  Gate() { ASSERT_OK(pipe(ends_)); }
  void Open() { ASSERT_EQ(write(ends_[1], "", 1), 1); }
  void Pass() {
    char byte;
    ASSERT_EQ(read(ends_[0], &byte, 1), 1);
  }

 private:
  int ends_[2];
};

// A child in a user namespace of its own (and what else `flags` say), whose maps are written from outside;
// `body` runs after that.
template <typename Prepare, typename Body>
int RunInNamespace(int flags, Prepare prepare, Body body) {
  Gate made, mapped;
  const pid_t child = Fork([&] {
    ASSERT_OK(unshare(CLONE_NEWUSER | flags));
    made.Open();
    mapped.Pass();
    body();
  });
  made.Pass();
  prepare(child);
  mapped.Open();
  return WaitFor(child);
}

}  // namespace syscall_test

#endif  // TEST_SYSCALLS_USER_NAMESPACE_H_
