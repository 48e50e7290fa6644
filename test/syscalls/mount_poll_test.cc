// poll(2), select(2) and epoll(7) on /proc/self/mounts and mountinfo tell of changes. proc_pid_mountinfo(5).
#include <poll.h>
#include <sys/epoll.h>
#include <sys/select.h>

#include <thread>

#include "test/syscalls/mount_table.h"

namespace {

constexpr short kChanged = POLLPRI | POLLERR;

short PollNow(int fd, short events = POLLIN | POLLPRI) {
  pollfd entry{fd, events, 0};
  EXPECT_OK(poll(&entry, 1, 0));
  return entry.revents;
}

}  // namespace

TEST(each_change_is_told_once) {
  Scratch s;
  MakeDirs({"a", "b"});
  for (const char* file : {"/proc/self/mounts", "/proc/self/mountinfo"}) {
    int fd = ASSERT_OK(open(file, O_RDONLY));
    auto expect_change = [fd](bool changed) {
      EXPECT_EQ(PollNow(fd), changed ? POLLIN | kChanged : POLLIN);
      EXPECT_EQ(PollNow(fd), POLLIN);
    };
    expect_change(false);
    ASSERT_OK(Tmpfs("a"));
    expect_change(true);
    ASSERT_OK(Mount("a", "b", MS_BIND));
    expect_change(true);
    ASSERT_OK(Mount(nullptr, "b", MS_REMOUNT | MS_BIND | MS_RDONLY));
    expect_change(true);
    ASSERT_OK(Mount("none", "a", MS_REMOUNT | MS_NOEXEC));
    expect_change(true);
    ASSERT_OK(Share("a", MS_SHARED));
    expect_change(false);
    ASSERT_OK(umount2("b", MNT_DETACH));
    expect_change(true);
    ASSERT_OK(umount("a"));
    // Nobody has to ask for it.
    EXPECT_EQ(PollNow(fd, 0), POLLERR);
    EXPECT_EQ(PollNow(fd, 0), 0);
    close(fd);
  }
}

TEST(other_namespaces_do_not_matter) {
  Scratch s;
  MakeDirs({"a"});
  int fd = ASSERT_OK(open("/proc/self/mountinfo", O_RDONLY));
  EXPECT_CHILD_OK([fd] {
    ASSERT_OK(unshare(CLONE_NEWNS));
    ASSERT_OK(Tmpfs("a"));
    // The file is of the namespace that it was opened in.
    EXPECT_EQ(PollNow(fd), POLLIN);
  });
  EXPECT_EQ(PollNow(fd), POLLIN);
}

TEST(waiters_are_woken) {
  Scratch s;
  MakeDirs({"a"});
  int fd = ASSERT_OK(open("/proc/self/mountinfo", O_RDONLY));
  std::thread changer([] {
    usleep(20000);
    EXPECT_OK(Tmpfs("a"));
  });
  pollfd entry{fd, POLLPRI, 0};
  EXPECT_EQ(poll(&entry, 1, 5000), 1);
  EXPECT_EQ(entry.revents, kChanged);
  changer.join();
  (void)PollNow(fd);
  ASSERT_OK(umount("a"));
  fd_set exceptional;
  FD_ZERO(&exceptional);
  FD_SET(fd, &exceptional);
  timeval now{};
  EXPECT_EQ(select(fd + 1, nullptr, nullptr, &exceptional, &now), 1);
  EXPECT_TRUE(FD_ISSET(fd, &exceptional));
  EXPECT_EQ(select(fd + 1, nullptr, nullptr, &exceptional, &now), 0);
}

TEST(epoll_tells_too) {
  Scratch s;
  MakeDirs({"a"});
  int fd = ASSERT_OK(open("/proc/self/mountinfo", O_RDONLY));
  for (uint32_t mode : {EPOLLPRI | 0u, EPOLLPRI | EPOLLET}) {
    int epoll = epoll_create1(0);
    epoll_event event{};
    event.events = mode;
    ASSERT_OK(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
    EXPECT_EQ(epoll_wait(epoll, &event, 1, 0), 0);
    ASSERT_OK(Tmpfs("a"));
    EXPECT_EQ(epoll_wait(epoll, &event, 1, 5000), 1);
    EXPECT_EQ(event.events, EPOLLPRI | EPOLLERR);
    EXPECT_EQ(epoll_wait(epoll, &event, 1, 0), 0);
    ASSERT_OK(umount("a"));
    EXPECT_EQ(epoll_wait(epoll, &event, 1, 5000), 1);
    close(epoll);
  }
}

TEST(mountstats_cannot_be_polled) {
  int fd = ASSERT_OK(open("/proc/self/mountstats", O_RDONLY));
  int epoll = epoll_create1(0);
  epoll_event event{};
  EXPECT_ERRNO(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), EPERM);
}
