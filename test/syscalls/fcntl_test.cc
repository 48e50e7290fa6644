// fcntl(2), flock(2), inotify(7), chmod(2), chown(2), utimensat(2), access(2), statx(2), xattr(7).
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "test/syscalls/scratch.h"
#include "test/syscalls/syscall_test.h"

namespace {

using syscall_test::Scratch;

int Touch(const char* path, mode_t mode = 0644) { return open(path, O_CREAT | O_RDWR, mode); }

mode_t ModeOf(const char* path) {
  struct stat st;
  return lstat(path, &st) == 0 ? st.st_mode & 07777 : 0xffff;
}

struct flock Range(short type, off_t start, off_t length) {
  struct flock lock = {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = start;
  lock.l_len = length;
  return lock;
}

int SetLock(int fd, struct flock lock, int command = F_SETLK) { return fcntl(fd, command, &lock); }

// Two ends of a conversation between parent and child.
struct Gate {
  int fds[2];
  Gate() { (void)!pipe(fds); }
  void Open() { (void)!write(fds[1], "x", 1); }
  void Wait() {
    char byte;
    (void)!read(fds[0], &byte, 1);
  }
};

}  // namespace

TEST(status_flags) {
  Scratch scratch;
  int fd = ASSERT_OK(open("f", O_CREAT | O_RDWR | O_APPEND, 0644));
  EXPECT_EQ(fcntl(fd, F_GETFL) & ~0100000, O_RDWR | O_APPEND);
  ASSERT_OK(fcntl(fd, F_SETFL, O_NONBLOCK | O_WRONLY));
  EXPECT_EQ(fcntl(fd, F_GETFL) & ~0100000, O_RDWR | O_NONBLOCK);
  int on = 0;
  ASSERT_OK(ioctl(fd, FIONBIO, &on));
  EXPECT_EQ(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
  ASSERT_OK(ioctl(fd, FIOCLEX));
  EXPECT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
  ASSERT_OK(write(fd, "hello", 5));
  ASSERT_OK(lseek(fd, 1, SEEK_SET));
  int left = 0;
  ASSERT_OK(ioctl(fd, FIONREAD, &left));
  EXPECT_EQ(left, 4);
  EXPECT_ERRNO(ioctl(fd, 0x5413 /* TIOCGWINSZ */, &left), ENOTTY);
  EXPECT_ERRNO(fcntl(fd, 9999), EINVAL);
  EXPECT_ERRNO(fcntl(99, F_GETFD), EBADF);
  EXPECT_ERRNO(fcntl(fd, F_GETPIPE_SZ), EBADF);
  int pipes[2];
  ASSERT_OK(pipe(pipes));
  EXPECT_EQ(fcntl(pipes[0], F_GETPIPE_SZ), 65536);
  EXPECT_EQ(fcntl(pipes[0], F_SETPIPE_SZ, 5000), 8192);
}

TEST(record_locks_between_processes) {
  Scratch scratch;
  int fd = ASSERT_OK(Touch("f"));
  ASSERT_OK(SetLock(fd, Range(F_WRLCK, 10, 20)));
  ASSERT_OK(SetLock(fd, Range(F_UNLCK, 15, 5)));
  pid_t parent = getpid();
  EXPECT_CHILD_OK([&] {
    struct flock lock = Range(F_RDLCK, 0, 0);
    ASSERT_OK(fcntl(fd, F_GETLK, &lock));
    EXPECT_EQ(lock.l_type, F_WRLCK);
    EXPECT_EQ(lock.l_start, 10);
    EXPECT_EQ(lock.l_len, 5);
    EXPECT_EQ(lock.l_pid, parent);
    EXPECT_OK(SetLock(fd, Range(F_WRLCK, 15, 5)));
    EXPECT_ERRNO(SetLock(fd, Range(F_WRLCK, 14, 2)), EAGAIN);
    EXPECT_ERRNO(SetLock(fd, Range(F_RDLCK, 29, 1)), EAGAIN);
  });
  int read_only = ASSERT_OK(open("f", O_RDONLY));
  EXPECT_ERRNO(SetLock(read_only, Range(F_WRLCK, 0, 1)), EBADF);
  EXPECT_ERRNO(SetLock(fd, Range(F_WRLCK, -1, 1)), EINVAL);
  EXPECT_ERRNO(SetLock(fd, Range(99, 0, 1)), EINVAL);
  // Closing any descriptor of the file drops the process's locks.
  ASSERT_OK(close(read_only));
  EXPECT_CHILD_OK([&] { EXPECT_OK(SetLock(fd, Range(F_WRLCK, 0, 0))); });
}

TEST(a_record_lock_is_waited_for) {
  Scratch scratch;
  int fd = ASSERT_OK(Touch("f"));
  ASSERT_OK(SetLock(fd, Range(F_WRLCK, 0, 0)));
  Gate ready;
  pid_t child = Fork([&] {
    EXPECT_ERRNO(SetLock(fd, Range(F_WRLCK, 0, 1)), EAGAIN);
    ready.Open();
    EXPECT_OK(SetLock(fd, Range(F_WRLCK, 0, 1), F_SETLKW));
  });
  ready.Wait();
  ASSERT_OK(SetLock(fd, Range(F_UNLCK, 0, 0)));
  EXPECT_EQ(WaitFor(child), 0);
}

TEST(a_circle_of_waits_is_a_deadlock) {
  Scratch scratch;
  int fd = ASSERT_OK(Touch("f"));
  ASSERT_OK(SetLock(fd, Range(F_WRLCK, 0, 1)));
  Gate locked;
  pid_t child = Fork([&] {
    ASSERT_OK(SetLock(fd, Range(F_WRLCK, 1, 1)));
    locked.Open();
    // One of the two is refused, and then lets the other have its way.
    if (SetLock(fd, Range(F_WRLCK, 0, 1), F_SETLKW) != 0) {
      EXPECT_EQ(errno, EDEADLK);
      _exit(3);
    }
  });
  locked.Wait();
  bool refused = SetLock(fd, Range(F_WRLCK, 1, 1), F_SETLKW) != 0;
  if (refused) EXPECT_EQ(errno, EDEADLK);
  ASSERT_OK(SetLock(fd, Range(F_UNLCK, 0, 0)));
  int status = WaitFor(child);
  EXPECT_EQ(WEXITSTATUS(status), refused ? 0 : 3);
}

TEST(locks_of_open_file_descriptions) {
  Scratch scratch;
  int a = ASSERT_OK(Touch("f")), b = ASSERT_OK(open("f", O_RDWR));
  ASSERT_OK(SetLock(a, Range(F_WRLCK, 0, 10), F_OFD_SETLK));
  EXPECT_ERRNO(SetLock(b, Range(F_WRLCK, 5, 1), F_OFD_SETLK), EAGAIN);
  struct flock lock = Range(F_WRLCK, 0, 0);
  ASSERT_OK(fcntl(b, F_OFD_GETLK, &lock));
  EXPECT_EQ(lock.l_pid, -1);
  int copy = ASSERT_OK(dup(a));
  ASSERT_OK(close(a));
  EXPECT_ERRNO(SetLock(b, Range(F_WRLCK, 5, 1), F_OFD_SETLK), EAGAIN);
  ASSERT_OK(close(copy));
  EXPECT_OK(SetLock(b, Range(F_WRLCK, 5, 1), F_OFD_SETLK));
}

TEST(flock_belongs_to_the_description) {
  Scratch scratch;
  int a = ASSERT_OK(Touch("f")), b = ASSERT_OK(open("f", O_RDONLY));
  ASSERT_OK(flock(a, LOCK_SH));
  ASSERT_OK(flock(b, LOCK_SH | LOCK_NB));
  EXPECT_ERRNO(flock(a, LOCK_EX | LOCK_NB), EWOULDBLOCK);
  ASSERT_OK(flock(b, LOCK_UN));
  ASSERT_OK(flock(a, LOCK_EX));
  EXPECT_ERRNO(flock(b, LOCK_SH | LOCK_NB), EWOULDBLOCK);
  EXPECT_ERRNO(flock(a, 77), EINVAL);
  ASSERT_OK(close(a));
  EXPECT_OK(flock(b, LOCK_EX | LOCK_NB));
}

TEST(modes_owners_and_their_bits) {
  if (geteuid() != 0) SKIP("has to change owners");
  Scratch scratch;
  ASSERT_OK(chmod(".", 0755));
  ASSERT_OK(Touch("f"));
  ASSERT_OK(chmod("f", 06755));
  EXPECT_EQ(ModeOf("f"), 06755u);
  ASSERT_OK(chown("f", 1000, static_cast<gid_t>(-1)));
  EXPECT_EQ(ModeOf("f"), 0755u);
  ASSERT_OK(chmod("f", 04777));
  ASSERT_OK(symlink("f", "link"));
  ASSERT_OK(lchown("link", 5, 6));
  struct stat st;
  ASSERT_OK(stat("f", &st));
  EXPECT_EQ(st.st_uid, 1000u);
  ASSERT_OK(lstat("link", &st));
  EXPECT_EQ(st.st_gid, 6u);
  EXPECT_CHILD_OK([] {
    ASSERT_OK(setgid(1001));
    ASSERT_OK(setuid(1001));
    EXPECT_ERRNO(chmod("f", 0600), EPERM);
    EXPECT_ERRNO(chown("f", 1001, 1001), EPERM);
    EXPECT_ERRNO(utimensat(AT_FDCWD, "f", nullptr, AT_SYMLINK_NOFOLLOW + 1), EINVAL);
    timespec times[2] = {{1, 0}, {2, 0}};
    EXPECT_ERRNO(utimensat(AT_FDCWD, "f", times, 0), EPERM);
    EXPECT_OK(utimensat(AT_FDCWD, "f", nullptr, 0));
    // Whoever writes takes the bits away.
    int fd = ASSERT_OK(open("f", O_WRONLY));
    ASSERT_OK(write(fd, "x", 1));
    EXPECT_EQ(ModeOf("f"), 0777u);
  });
}

TEST(times) {
  Scratch scratch;
  int fd = ASSERT_OK(Touch("f"));
  timespec times[2] = {{100, 5}, {200, 6}};
  ASSERT_OK(utimensat(AT_FDCWD, "f", times, 0));
  struct stat st;
  ASSERT_OK(fstat(fd, &st));
  EXPECT_EQ(st.st_atim.tv_sec, 100);
  EXPECT_EQ(st.st_mtim.tv_nsec, 6);
  times[0].tv_nsec = UTIME_OMIT;
  times[1].tv_nsec = UTIME_NOW;
  ASSERT_OK(futimens(fd, times));
  ASSERT_OK(fstat(fd, &st));
  EXPECT_EQ(st.st_atim.tv_sec, 100);
  EXPECT_GT(st.st_mtim.tv_sec, 1000);
  times[0].tv_nsec = 1000000000;
  EXPECT_ERRNO(futimens(fd, times), EINVAL);
  struct statx stx;
  ASSERT_OK(statx(AT_FDCWD, "f", 0, STATX_ALL, &stx));
  EXPECT_EQ(stx.stx_ino, st.st_ino);
  EXPECT_EQ(makedev(stx.stx_dev_major, stx.stx_dev_minor), st.st_dev);
  EXPECT_ERRNO(statx(AT_FDCWD, "f", 0, 0x80000000U, &stx), EINVAL);
  EXPECT_ERRNO(fstatat(AT_FDCWD, "", &st, 0), ENOENT);
  EXPECT_OK(fstatat(fd, "", &st, AT_EMPTY_PATH));
  EXPECT_ERRNO(fstatat(fd, "", &st, 1 << 20), EINVAL);
}

TEST(access_asks_for_the_real_user) {
  if (geteuid() != 0) SKIP("has to change users");
  Scratch scratch;
  ASSERT_OK(chmod(".", 0755));
  ASSERT_OK(Touch("f", 0600));
  EXPECT_OK(access("f", R_OK | W_OK));
  EXPECT_ERRNO(access("f", X_OK), EACCES);
  EXPECT_ERRNO(access("none", F_OK), ENOENT);
  EXPECT_ERRNO(access("f", 8), EINVAL);
  EXPECT_CHILD_OK([] {
    ASSERT_OK(setresuid(1000, 0, 0));
    EXPECT_ERRNO(access("f", R_OK), EACCES);
    EXPECT_OK(faccessat(AT_FDCWD, "f", R_OK, AT_EACCESS));
  });
}

TEST(extended_attributes) {
  Scratch scratch;
  int fd = ASSERT_OK(Touch("f"));
  if (setxattr("f", "user.a", "value", 5, 0) != 0 && errno == EOPNOTSUPP) SKIP("no user.* here");
  EXPECT_ERRNO(setxattr("f", "user.a", "x", 1, XATTR_CREATE), EEXIST);
  EXPECT_ERRNO(setxattr("f", "user.b", "x", 1, XATTR_REPLACE), ENODATA);
  EXPECT_ERRNO(setxattr("f", "nothing.b", "x", 1, 0), EOPNOTSUPP);
  EXPECT_ERRNO(setxattr("f", "user.b", "x", 1, 99), EINVAL);
  EXPECT_ERRNO(setxattr("f", "user.b", nullptr, 70000, 0), E2BIG);
  char value[8];
  EXPECT_EQ(fgetxattr(fd, "user.a", nullptr, 0), 5);
  EXPECT_ERRNO(fgetxattr(fd, "user.a", value, 4), ERANGE);
  EXPECT_EQ(getxattr("f", "user.a", value, sizeof(value)), 5);
  EXPECT_ERRNO(getxattr("f", "user.none", value, sizeof(value)), ENODATA);
  ASSERT_OK(fsetxattr(fd, "user.b", "", 0, 0));
  char list[64];
  EXPECT_EQ(listxattr("f", list, sizeof(list)), 14);
  ASSERT_OK(removexattr("f", "user.a"));
  EXPECT_ERRNO(removexattr("f", "user.a"), ENODATA);
}

TEST(inotify_events_in_order) {
  Scratch scratch;
  ASSERT_OK(mkdir("d", 0755));
  int fd = ASSERT_OK(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  int wd = ASSERT_OK(inotify_add_watch(fd, "d", IN_ALL_EVENTS));
  EXPECT_EQ(inotify_add_watch(fd, "d", IN_ALL_EVENTS), wd);
  EXPECT_ERRNO(inotify_add_watch(fd, "d", 0), EINVAL);
  EXPECT_ERRNO(inotify_add_watch(fd, "none", IN_CREATE), ENOENT);
  EXPECT_ERRNO(inotify_rm_watch(fd, 99), EINVAL);
  int file = ASSERT_OK(open("d/f", O_CREAT | O_RDWR, 0644));
  ASSERT_OK(write(file, "x", 1));
  ASSERT_OK(fchmod(file, 0600));
  ASSERT_OK(close(file));
  ASSERT_OK(rename("d/f", "d/g"));
  ASSERT_OK(mkdir("d/s", 0755));
  ASSERT_OK(unlink("d/g"));
  ASSERT_OK(rmdir("d/s"));
  ASSERT_OK(rmdir("d"));
  char buffer[4096];
  int available = 0;
  ASSERT_OK(ioctl(fd, FIONREAD, &available));
  EXPECT_ERRNO(read(fd, buffer, 8), EINVAL);
  ssize_t got = ASSERT_OK(read(fd, buffer, sizeof(buffer)));
  EXPECT_EQ(got, available);
  std::vector<uint32_t> masks;
  uint32_t cookies[2] = {};
  for (ssize_t at = 0; at < got;) {
    auto* event = reinterpret_cast<inotify_event*>(buffer + at);
    masks.push_back(event->mask);
    if (event->mask == IN_MOVED_FROM) cookies[0] = event->cookie;
    if (event->mask == IN_MOVED_TO) cookies[1] = event->cookie;
    at += static_cast<ssize_t>(sizeof(*event) + event->len);
  }
  std::vector<uint32_t> expected = {IN_CREATE,      IN_OPEN,
                                    IN_MODIFY,      IN_ATTRIB,
                                    IN_CLOSE_WRITE, IN_MOVED_FROM,
                                    IN_MOVED_TO,    IN_CREATE | IN_ISDIR,
                                    IN_DELETE,      IN_DELETE | IN_ISDIR,
                                    IN_DELETE_SELF, IN_IGNORED};
  EXPECT_TRUE(masks == expected);
  EXPECT_TRUE(cookies[0] != 0 && cookies[0] == cookies[1]);
  EXPECT_ERRNO(read(fd, buffer, sizeof(buffer)), EAGAIN);
}

TEST(inotify_wakes_a_reader) {
  Scratch scratch;
  int fd = ASSERT_OK(inotify_init());
  ASSERT_OK(inotify_add_watch(fd, ".", IN_CREATE));
  pid_t child = Fork([] { ASSERT_OK(Touch("late")); });
  char buffer[256];
  ssize_t got = ASSERT_OK(read(fd, buffer, sizeof(buffer)));
  EXPECT_EQ(got, 32);
  EXPECT_EQ(reinterpret_cast<inotify_event*>(buffer)->name, "late");
  EXPECT_EQ(WaitFor(child), 0);
}

TEST(proc_lists_locks) {
  char name[] = "/tmp/locksXXXXXX";
  int fd = ASSERT_OK(mkstemp(name));
  unlink(name);
  ASSERT_OK(flock(fd, LOCK_EX));
  struct flock range {};
  range.l_type = F_RDLCK;
  range.l_start = 2;
  range.l_len = 3;
  ASSERT_OK(fcntl(fd, F_SETLK, &range));
  struct stat info;
  ASSERT_OK(fstat(fd, &info));
  FILE* locks = fopen("/proc/locks", "r");
  ASSERT_TRUE(locks != nullptr);
  char line[256];
  int found = 0;
  const std::string inode = ":" + std::to_string(info.st_ino) + " ",
                    owner = " " + std::to_string(getpid()) + " ";
  while (fgets(line, sizeof(line), locks) != nullptr) {
    if (strstr(line, inode.c_str()) == nullptr || strstr(line, owner.c_str()) == nullptr) continue;
    if (strstr(line, ": FLOCK  ADVISORY  WRITE ") != nullptr && strstr(line, " 0 EOF\n") != nullptr)
      found |= 1;
    if (strstr(line, ": POSIX  ADVISORY  READ ") != nullptr && strstr(line, " 2 4\n") != nullptr) found |= 2;
  }
  fclose(locks);
  EXPECT_EQ(found, 3);
}
