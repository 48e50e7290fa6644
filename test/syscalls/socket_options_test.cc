// socket(7): options of SOL_SOCKET, as far as they are the same for unix sockets everywhere.
#include <fcntl.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "test/syscalls/syscall_test.h"

namespace {

int GetInt(int fd, int name) {
  int value = -1;
  socklen_t length = sizeof(value);
  EXPECT_OK(getsockopt(fd, SOL_SOCKET, name, &value, &length));
  EXPECT_EQ(length, sizeof(value));
  return value;
}

TEST(what_it_is) {
  int fd = ASSERT_OK(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  EXPECT_EQ(GetInt(fd, SO_TYPE), SOCK_SEQPACKET);
  EXPECT_EQ(GetInt(fd, SO_DOMAIN), AF_UNIX);
  EXPECT_EQ(GetInt(fd, SO_PROTOCOL), 0);
  EXPECT_EQ(GetInt(fd, SO_ERROR), 0);
  EXPECT_EQ(GetInt(fd, SO_ACCEPTCONN), 0);
  EXPECT_EQ(fcntl(fd, F_GETFL), O_RDWR | O_NONBLOCK);
  EXPECT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  EXPECT_OK(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(sa_family_t)));
  EXPECT_OK(listen(fd, 1));
  EXPECT_EQ(GetInt(fd, SO_ACCEPTCONN), 1);
  int type = SOCK_STREAM;
  EXPECT_ERRNO(setsockopt(fd, SOL_SOCKET, SO_TYPE, &type, sizeof(type)), ENOPROTOOPT);
}

TEST(switches) {
  int fd = ASSERT_OK(socket(AF_UNIX, SOCK_STREAM, 0));
  for (int name : {SO_REUSEADDR, SO_KEEPALIVE, SO_BROADCAST, SO_OOBINLINE, SO_PASSCRED, SO_TIMESTAMP}) {
    EXPECT_EQ(GetInt(fd, name), 0);
    int on = 5;
    EXPECT_OK(setsockopt(fd, SOL_SOCKET, name, &on, sizeof(on)));
    EXPECT_EQ(GetInt(fd, name), 1);
  }
  int value = 1;
  EXPECT_ERRNO(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, 2), EINVAL);
  EXPECT_ERRNO(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, nullptr, sizeof(value)), EFAULT);
  EXPECT_ERRNO(setsockopt(fd, SOL_SOCKET, 9999, &value, sizeof(value)), ENOPROTOOPT);
  socklen_t length = sizeof(value);
  EXPECT_ERRNO(getsockopt(fd, SOL_SOCKET, 9999, &value, &length), ENOPROTOOPT);
  EXPECT_ERRNO(getsockopt(fd, 77, 1, &value, &length), EOPNOTSUPP);
  length = -1;
  EXPECT_ERRNO(getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &length), EINVAL);
  EXPECT_ERRNO(getsockopt(STDIN_FILENO, SOL_SOCKET, SO_TYPE, &value, &length), ENOTSOCK);
}

TEST(short_answer) {
  int fd = ASSERT_OK(socket(AF_UNIX, SOCK_STREAM, 0));
  unsigned char bytes[4] = {9, 9, 9, 9};
  socklen_t length = 1;
  EXPECT_OK(getsockopt(fd, SOL_SOCKET, SO_TYPE, bytes, &length));
  EXPECT_EQ(length, 1u);
  EXPECT_EQ(bytes[0], SOCK_STREAM);
  EXPECT_EQ(bytes[1], 9);
}

TEST(buffers) {
  int fd = ASSERT_OK(socket(AF_UNIX, SOCK_STREAM, 0));
  int size = 10000;
  EXPECT_OK(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)));
  EXPECT_EQ(GetInt(fd, SO_SNDBUF), 20000);
  EXPECT_OK(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)));
  EXPECT_EQ(GetInt(fd, SO_RCVBUF), 20000);
  size = 1;
  EXPECT_OK(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)));
  EXPECT_EQ(GetInt(fd, SO_SNDBUF), 4608);
  EXPECT_OK(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)));
  EXPECT_EQ(GetInt(fd, SO_RCVBUF), 2304);
}

TEST(times_and_linger) {
  int fd = ASSERT_OK(socket(AF_UNIX, SOCK_STREAM, 0));
  timeval time{3, 500000}, got{};
  socklen_t length = sizeof(got);
  EXPECT_OK(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof(time)));
  EXPECT_OK(getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &got, &length));
  EXPECT_EQ(got.tv_sec, 3);
  EXPECT_EQ(got.tv_usec, 500000);
  time.tv_usec = 1000000;
  EXPECT_ERRNO(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time)), EDOM);
  EXPECT_ERRNO(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, 4), EINVAL);
  linger value{1, 7};
  EXPECT_OK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &value, sizeof(value)));
  linger back{};
  length = sizeof(back);
  EXPECT_OK(getsockopt(fd, SOL_SOCKET, SO_LINGER, &back, &length));
  EXPECT_EQ(back.l_onoff, 1);
  EXPECT_EQ(back.l_linger, 7);
}

TEST(peer_of_a_pair) {
  int fds[2];
  ASSERT_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds));
  ucred peer{};
  socklen_t length = sizeof(peer);
  EXPECT_OK(getsockopt(fds[0], SOL_SOCKET, SO_PEERCRED, &peer, &length));
  EXPECT_EQ(peer.pid, getpid());
  EXPECT_EQ(peer.uid, geteuid());
  EXPECT_EQ(peer.gid, getegid());
  int alone = ASSERT_OK(socket(AF_UNIX, SOCK_STREAM, 0));
  EXPECT_OK(getsockopt(alone, SOL_SOCKET, SO_PEERCRED, &peer, &length));
  EXPECT_EQ(peer.pid, 0);
  EXPECT_EQ(peer.uid, static_cast<uid_t>(-1));
}

TEST(loopback_interface) {
  EXPECT_EQ(if_nametoindex("lo"), 1u);
  char name[IF_NAMESIZE];
  ASSERT_TRUE(if_indextoname(1, name) != nullptr);
  EXPECT_EQ(std::string(name), "lo");
  int fd = ASSERT_OK(socket(AF_UNIX, SOCK_DGRAM, 0));
  ifreq request{};
  strcpy(request.ifr_name, "nothing0");
  EXPECT_ERRNO(ioctl(fd, SIOCGIFINDEX, &request), ENODEV);
}

}  // namespace
