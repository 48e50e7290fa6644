// unix(7): pairs, names, datagrams, descriptors and credentials on their way.
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>

#include "test/syscalls/syscall_test.h"

namespace {

struct Pair {
  int a = -1, b = -1;
  explicit Pair(int type = SOCK_STREAM) {
    int fds[2];
    if (ASSERT_OK(socketpair(AF_UNIX, type, 0, fds)) == 0) a = fds[0], b = fds[1];
  }
  ~Pair() {
    CloseA();
    CloseB();
  }
  void CloseA() {
    if (a >= 0) close(a);
    a = -1;
  }
  void CloseB() {
    if (b >= 0) close(b);
    b = -1;
  }
};

short PollNow(int fd, short events) {
  pollfd entry{fd, events, 0};
  return poll(&entry, 1, 0) >= 0 ? entry.revents : -1;
}

struct Name {
  sockaddr_un address{};
  socklen_t length = 0;
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&address); }
  static Name Abstract(const char* what) {
    Name name;
    name.address.sun_family = AF_UNIX;
    int size = snprintf(name.address.sun_path + 1, sizeof(name.address.sun_path) - 1, "runsc-test-%d-%s",
                        static_cast<int>(getpid()), what);
    name.length = offsetof(sockaddr_un, sun_path) + 1 + size;
    return name;
  }
  static Name Path(const char* what) {
    Name name;
    name.address.sun_family = AF_UNIX;
    snprintf(name.address.sun_path, sizeof(name.address.sun_path), "/tmp/runsc-test-%d-%s",
             static_cast<int>(getpid()), what);
    name.length = sizeof(name.address);
    unlink(name.address.sun_path);
    return name;
  }
};

// Sends one byte with descriptors.
ssize_t SendFds(int socket, const int* fds, size_t count, int flags = 0) {
  char byte = 'x';
  iovec block{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * 300)] = {};
  msghdr message{};
  message.msg_iov = &block;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int) * count);
  memcpy(CMSG_DATA(header), fds, sizeof(int) * count);
  return sendmsg(socket, &message, flags);
}

// Receives one message; the descriptors that came.
std::vector<int> ReceiveFds(int socket, int* flags, size_t room = 16, int receive_flags = 0) {
  char data[16];
  iovec block{data, sizeof(data)};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * 16)] = {};
  msghdr message{};
  message.msg_iov = &block;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = room == 0 ? 0 : CMSG_LEN(sizeof(int) * room);
  std::vector<int> fds;
  EXPECT_OK(recvmsg(socket, &message, receive_flags));
  *flags = message.msg_flags;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_type != SCM_RIGHTS) continue;
    size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    fds.resize(count);
    memcpy(fds.data(), CMSG_DATA(header), count * sizeof(int));
  }
  return fds;
}

TEST(stream_pair) {
  Pair pair;
  char data[16];
  EXPECT_EQ(write(pair.a, "hello", 5), 5);
  EXPECT_EQ(send(pair.a, " you", 4, 0), 4);
  EXPECT_EQ(recv(pair.b, data, 3, MSG_PEEK), 3);
  int queued = 0;
  EXPECT_OK(ioctl(pair.b, FIONREAD, &queued));
  EXPECT_EQ(queued, 9);
  // A stream has no boundaries.
  EXPECT_EQ(read(pair.b, data, sizeof(data)), 9);
  EXPECT_EQ(memcmp(data, "hello you", 9), 0);
  EXPECT_ERRNO(recv(pair.b, data, 1, MSG_DONTWAIT), EAGAIN);
  EXPECT_EQ(PollNow(pair.b, POLLIN | POLLOUT), POLLOUT);
  EXPECT_ERRNO(sendto(pair.a, "x", 1, 0, Name::Abstract("n").get(), 12), EISCONN);
  EXPECT_ERRNO(lseek(pair.a, 0, SEEK_CUR), ESPIPE);
}

TEST(stream_close) {
  Pair pair;
  char data[16];
  EXPECT_EQ(write(pair.a, "bye", 3), 3);
  pair.CloseA();
  EXPECT_EQ(PollNow(pair.b, POLLIN | POLLOUT | POLLRDHUP), POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
  EXPECT_EQ(read(pair.b, data, sizeof(data)), 3);
  EXPECT_EQ(read(pair.b, data, sizeof(data)), 0);
  signal(SIGPIPE, SIG_IGN);
  EXPECT_ERRNO(write(pair.b, "x", 1), EPIPE);
  EXPECT_KILLED(
      [&] {
        signal(SIGPIPE, SIG_DFL);
        send(pair.b, "x", 1, 0);
      },
      SIGPIPE);
  EXPECT_CHILD_OK([&] {
    signal(SIGPIPE, SIG_DFL);
    EXPECT_ERRNO(send(pair.b, "x", 1, MSG_NOSIGNAL), EPIPE);
  });
}

TEST(stream_reset_when_unread) {
  Pair pair;
  char data[16];
  EXPECT_EQ(write(pair.a, "lost", 4), 4);
  pair.CloseB();
  EXPECT_ERRNO(read(pair.a, data, sizeof(data)), ECONNRESET);
  EXPECT_EQ(read(pair.a, data, sizeof(data)), 0);
}

TEST(shutdown) {
  Pair pair;
  char data[4];
  EXPECT_OK(shutdown(pair.a, SHUT_WR));
  EXPECT_EQ(read(pair.b, data, 4), 0);
  EXPECT_EQ(PollNow(pair.b, POLLIN | POLLRDHUP), POLLIN | POLLRDHUP);
  EXPECT_ERRNO(send(pair.a, "x", 1, MSG_NOSIGNAL), EPIPE);
  EXPECT_EQ(write(pair.b, "y", 1), 1);
  EXPECT_EQ(read(pair.a, data, 4), 1);
  EXPECT_OK(shutdown(pair.a, SHUT_RD));
  EXPECT_ERRNO(send(pair.b, "x", 1, MSG_NOSIGNAL), EPIPE);
  EXPECT_ERRNO(shutdown(pair.a, 3), EINVAL);
}

TEST(stream_flow_control) {
  Pair pair;
  EXPECT_OK(fcntl(pair.a, F_SETFL, O_NONBLOCK));
  char block[4096] = {};
  size_t sent = 0;
  for (;;) {
    ssize_t done = write(pair.a, block, sizeof(block));
    if (done < 0) break;
    sent += done;
    if (sent > 64 << 20) break;
  }
  EXPECT_EQ(errno, EAGAIN);
  EXPECT_GT(sent, 65536u);
  EXPECT_EQ(PollNow(pair.a, POLLOUT), 0);
  pid_t child = Fork([&] {
    size_t got = 0;
    while (got < sent) {
      ssize_t done = read(pair.b, block, sizeof(block));
      if (done <= 0) break;
      got += done;
    }
    EXPECT_EQ(got, sent);
  });
  pollfd entry{pair.a, POLLOUT, 0};
  EXPECT_EQ(poll(&entry, 1, 10000), 1);
  EXPECT_EQ(WaitFor(child), 0);
}

TEST(blocking_write_takes_all) {
  Pair pair;
  constexpr size_t kSize = 4 << 20;
  pid_t child = Fork([&] {
    std::string data(kSize, 'd');
    EXPECT_EQ(write(pair.a, data.data(), data.size()), static_cast<ssize_t>(kSize));
  });
  std::string data(kSize, '\0');
  EXPECT_EQ(recv(pair.b, data.data(), kSize, MSG_WAITALL), static_cast<ssize_t>(kSize));
  EXPECT_EQ(data, std::string(kSize, 'd'));
  EXPECT_EQ(WaitFor(child), 0);
}

TEST(seqpacket_keeps_boundaries) {
  Pair pair(SOCK_SEQPACKET);
  char data[8];
  EXPECT_EQ(send(pair.a, "one", 3, 0), 3);
  EXPECT_EQ(send(pair.a, "longer", 6, 0), 6);
  EXPECT_EQ(recv(pair.b, data, 8, 0), 3);
  EXPECT_EQ(recv(pair.b, data, 2, MSG_TRUNC), 6);
  EXPECT_ERRNO(recv(pair.b, data, 8, MSG_DONTWAIT), EAGAIN);
  pair.CloseA();
  EXPECT_EQ(recv(pair.b, data, 8, 0), 0);
}

TEST(datagram) {
  Name server_name = Name::Abstract("server"), client_name = Name::Abstract("client");
  int server = ASSERT_OK(socket(AF_UNIX, SOCK_DGRAM, 0));
  int client = ASSERT_OK(socket(AF_UNIX, SOCK_DGRAM, 0));
  EXPECT_ERRNO(send(client, "x", 1, 0), ENOTCONN);
  EXPECT_ERRNO(sendto(client, "x", 1, 0, server_name.get(), server_name.length), ECONNREFUSED);
  EXPECT_OK(bind(server, server_name.get(), server_name.length));
  EXPECT_EQ(sendto(client, "anon", 4, 0, server_name.get(), server_name.length), 4);
  EXPECT_OK(bind(client, client_name.get(), client_name.length));
  EXPECT_OK(connect(client, server_name.get(), server_name.length));
  EXPECT_EQ(send(client, "", 0, 0), 0);
  EXPECT_EQ(send(client, "four", 4, 0), 4);
  char data[8];
  sockaddr_un from;
  socklen_t length = sizeof(from);
  // A socket without a name had one by the time of the receive.
  EXPECT_EQ(recvfrom(server, data, 8, 0, reinterpret_cast<sockaddr*>(&from), &length), 4);
  EXPECT_EQ(recv(server, data, 8, 0), 0);
  length = sizeof(from);
  EXPECT_EQ(recvfrom(server, data, 2, MSG_TRUNC, reinterpret_cast<sockaddr*>(&from), &length), 4);
  EXPECT_EQ(length, client_name.length);
  EXPECT_EQ(memcmp(&from, &client_name.address, length), 0);
  EXPECT_ERRNO(listen(server, 1), EOPNOTSUPP);
  // The server is connected to somebody else: the client may not send.
  int other = ASSERT_OK(socket(AF_UNIX, SOCK_DGRAM, 0));
  EXPECT_OK(connect(server, client_name.get(), client_name.length));
  EXPECT_ERRNO(sendto(other, "x", 1, 0, server_name.get(), server_name.length), EPERM);
  close(server);
  EXPECT_ERRNO(send(client, "x", 1, 0), ECONNREFUSED);
  close(client);
  close(other);
}

TEST(datagram_queue_is_limited) {
  Name name = Name::Abstract("full");
  int server = ASSERT_OK(socket(AF_UNIX, SOCK_DGRAM, 0));
  int client = ASSERT_OK(socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0));
  EXPECT_OK(bind(server, name.get(), name.length));
  EXPECT_OK(connect(client, name.get(), name.length));
  int sent = 0;
  while (sent < 100000 && send(client, "x", 1, 0) == 1) ++sent;
  EXPECT_EQ(errno, EAGAIN);
  EXPECT_EQ(PollNow(client, POLLOUT), 0);
  char byte;
  for (int i = 0; i < sent; ++i) EXPECT_EQ(recv(server, &byte, 1, 0), 1);
  EXPECT_EQ(PollNow(client, POLLOUT), POLLOUT);
  EXPECT_EQ(send(client, "x", 1, 0), 1);
  std::string big(1 << 20, 'x');
  EXPECT_ERRNO(send(client, big.data(), big.size(), 0), EMSGSIZE);
  close(server);
  close(client);
}

TEST(connect_and_accept) {
  Name name = Name::Abstract("listener");
  int listener = ASSERT_OK(socket(AF_UNIX, SOCK_STREAM, 0));
  EXPECT_ERRNO(listen(listener, 1), EINVAL);
  EXPECT_OK(bind(listener, name.get(), name.length));
  EXPECT_ERRNO(bind(listener, name.get(), name.length), EINVAL);
  int client = ASSERT_OK(socket(AF_UNIX, SOCK_STREAM, 0));
  EXPECT_EQ(PollNow(client, POLLIN | POLLOUT), POLLOUT | POLLHUP);
  EXPECT_ERRNO(connect(client, name.get(), name.length), ECONNREFUSED);
  EXPECT_OK(listen(listener, 1));
  EXPECT_ERRNO(accept4(listener, nullptr, nullptr, 1), EINVAL);
  EXPECT_EQ(PollNow(listener, POLLIN), 0);
  EXPECT_OK(connect(client, name.get(), name.length));
  EXPECT_ERRNO(connect(client, name.get(), name.length), EISCONN);
  EXPECT_EQ(PollNow(listener, POLLIN), POLLIN);
  EXPECT_EQ(write(client, "early", 5), 5);
  sockaddr_un from;
  socklen_t length = sizeof(from);
  int server = ASSERT_OK(accept4(listener, reinterpret_cast<sockaddr*>(&from), &length, SOCK_CLOEXEC));
  EXPECT_EQ(length, sizeof(sa_family_t));
  EXPECT_EQ(fcntl(server, F_GETFD), FD_CLOEXEC);
  char data[8];
  EXPECT_EQ(read(server, data, 8), 5);
  length = sizeof(from);
  EXPECT_OK(getsockname(server, reinterpret_cast<sockaddr*>(&from), &length));
  EXPECT_EQ(length, name.length);
  length = sizeof(from);
  EXPECT_OK(getpeername(client, reinterpret_cast<sockaddr*>(&from), &length));
  EXPECT_EQ(length, name.length);
  ucred peer{};
  length = sizeof(peer);
  EXPECT_OK(getsockopt(server, SOL_SOCKET, SO_PEERCRED, &peer, &length));
  EXPECT_EQ(peer.pid, getpid());
  EXPECT_EQ(peer.uid, geteuid());
  int datagram = ASSERT_OK(socket(AF_UNIX, SOCK_DGRAM, 0));
  // Abstract names are apart for each type.
  EXPECT_ERRNO(connect(datagram, name.get(), name.length), ECONNREFUSED);
  close(listener);
  int late = ASSERT_OK(socket(AF_UNIX, SOCK_STREAM, 0));
  EXPECT_ERRNO(connect(late, name.get(), name.length), ECONNREFUSED);
  close(server);
  close(client);
  close(datagram);
  close(late);
}

TEST(backlog_is_limited) {
  Name name = Name::Abstract("backlog");
  int listener = ASSERT_OK(socket(AF_UNIX, SOCK_STREAM, 0));
  EXPECT_OK(bind(listener, name.get(), name.length));
  EXPECT_OK(listen(listener, 1));
  int clients[3];
  for (int& client : clients) client = ASSERT_OK(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
  EXPECT_OK(connect(clients[0], name.get(), name.length));
  EXPECT_OK(connect(clients[1], name.get(), name.length));
  EXPECT_ERRNO(connect(clients[2], name.get(), name.length), EAGAIN);
  pid_t child = Fork([&] {
    EXPECT_OK(fcntl(clients[2], F_SETFL, 0));
    EXPECT_OK(connect(clients[2], name.get(), name.length));
  });
  EXPECT_OK(accept(listener, nullptr, nullptr));
  EXPECT_EQ(WaitFor(child), 0);
  close(listener);
  char byte;
  EXPECT_ERRNO(read(clients[1], &byte, 1), ECONNRESET);
}

TEST(path_names) {
  Name name = Name::Path("socket");
  int listener = ASSERT_OK(socket(AF_UNIX, SOCK_STREAM, 0));
  mode_t old = umask(027);
  EXPECT_OK(bind(listener, name.get(), name.length));
  umask(old);
  struct stat stat;
  EXPECT_OK(lstat(name.address.sun_path, &stat));
  EXPECT_EQ(stat.st_mode, S_IFSOCK | 0750);
  sockaddr_un got;
  socklen_t length = sizeof(got);
  EXPECT_OK(getsockname(listener, reinterpret_cast<sockaddr*>(&got), &length));
  EXPECT_EQ(length, offsetof(sockaddr_un, sun_path) + strlen(name.address.sun_path) + 1);
  int other = ASSERT_OK(socket(AF_UNIX, SOCK_STREAM, 0));
  EXPECT_ERRNO(bind(other, name.get(), name.length), EADDRINUSE);
  EXPECT_ERRNO(open(name.address.sun_path, O_RDWR), ENXIO);
  EXPECT_OK(listen(listener, 5));
  EXPECT_OK(connect(other, name.get(), name.length));
  int datagram = ASSERT_OK(socket(AF_UNIX, SOCK_DGRAM, 0));
  EXPECT_ERRNO(connect(datagram, name.get(), name.length), EPROTOTYPE);
  close(datagram);
  close(listener);
  int late = ASSERT_OK(socket(AF_UNIX, SOCK_STREAM, 0));
  EXPECT_ERRNO(connect(late, name.get(), name.length), ECONNREFUSED);
  EXPECT_OK(unlink(name.address.sun_path));
  EXPECT_ERRNO(connect(late, name.get(), name.length), ENOENT);
  close(other);
  close(late);
}

TEST(addresses_that_are_wrong) {
  int fd = ASSERT_OK(socket(AF_UNIX, SOCK_STREAM, 0));
  sockaddr_un address{};
  address.sun_family = AF_INET;
  EXPECT_ERRNO(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), EINVAL);
  address.sun_family = AF_UNIX;
  EXPECT_ERRNO(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address) + 1), EINVAL);
  EXPECT_ERRNO(bind(fd, nullptr, sizeof(address)), EFAULT);
  EXPECT_ERRNO(connect(fd, reinterpret_cast<sockaddr*>(&address), 2), EINVAL);
  // Only the family: any free abstract name.
  EXPECT_OK(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(sa_family_t)));
  socklen_t length = sizeof(address);
  EXPECT_OK(getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length));
  EXPECT_EQ(length, sizeof(sa_family_t) + 6);
  EXPECT_EQ(address.sun_path[0], '\0');
  EXPECT_ERRNO(getpeername(fd, reinterpret_cast<sockaddr*>(&address), &length), ENOTCONN);
  EXPECT_ERRNO(bind(STDIN_FILENO, reinterpret_cast<sockaddr*>(&address), 2), ENOTSOCK);
  EXPECT_ERRNO(bind(-1, reinterpret_cast<sockaddr*>(&address), 2), EBADF);
  close(fd);
  EXPECT_ERRNO(socket(AF_UNIX, 77, 0), EINVAL);
  EXPECT_ERRNO(socket(AF_UNIX, SOCK_RDM, 0), ESOCKTNOSUPPORT);
  EXPECT_ERRNO(socket(AF_UNIX, SOCK_STREAM, 5), EPROTONOSUPPORT);
  EXPECT_ERRNO(socket(999, SOCK_STREAM, 0), EAFNOSUPPORT);
}

TEST(descriptors) {
  Pair pair;
  int pipe_fds[2];
  ASSERT_OK(pipe(pipe_fds));
  EXPECT_EQ(SendFds(pair.a, pipe_fds, 2), 1);
  close(pipe_fds[0]);
  close(pipe_fds[1]);
  int flags = 0;
  std::vector<int> fds = ReceiveFds(pair.b, &flags, 16, MSG_CMSG_CLOEXEC);
  ASSERT_EQ(fds.size(), 2u);
  EXPECT_EQ(flags & MSG_CTRUNC, 0);
  EXPECT_EQ(fcntl(fds[0], F_GETFD), FD_CLOEXEC);
  char byte = 0;
  EXPECT_EQ(write(fds[1], "p", 1), 1);
  EXPECT_EQ(read(fds[0], &byte, 1), 1);
  EXPECT_EQ(byte, 'p');
  // Room for one only: the other is closed.
  EXPECT_EQ(SendFds(pair.a, fds.data(), 2), 1);
  std::vector<int> one = ReceiveFds(pair.b, &flags, 1);
  EXPECT_EQ(one.size(), 1u);
  EXPECT_EQ(flags & MSG_CTRUNC, MSG_CTRUNC);
  EXPECT_EQ(SendFds(pair.a, fds.data(), 2), 1);
  EXPECT_EQ(ReceiveFds(pair.b, &flags, 0).size(), 0u);
  EXPECT_EQ(flags & MSG_CTRUNC, MSG_CTRUNC);
  int bad = 999;
  EXPECT_ERRNO(SendFds(pair.a, &bad, 1), EBADF);
  std::vector<int> many(254, fds[0]);
  EXPECT_ERRNO(SendFds(pair.a, many.data(), many.size()), EINVAL);
  for (int fd : {fds[0], fds[1], one[0]}) close(fd);
}

TEST(descriptors_end_a_read) {
  Pair pair;
  EXPECT_EQ(write(pair.a, "ab", 2), 2);
  EXPECT_EQ(SendFds(pair.a, &pair.a, 1), 1);
  EXPECT_EQ(write(pair.a, "cd", 2), 2);
  char data[16];
  // What was sent before goes with them, what was sent behind does not.
  EXPECT_EQ(read(pair.b, data, sizeof(data)), 3);
  EXPECT_EQ(read(pair.b, data, sizeof(data)), 2);
}

TEST(descriptor_arrives_though_sender_has_gone) {
  Pair pair;
  int file = ASSERT_OK(open("/dev/null", O_RDONLY));
  EXPECT_EQ(SendFds(pair.a, &file, 1), 1);
  close(file);
  pair.CloseA();
  int flags;
  std::vector<int> fds = ReceiveFds(pair.b, &flags);
  ASSERT_EQ(fds.size(), 1u);
  EXPECT_OK(fcntl(fds[0], F_GETFD));
  close(fds[0]);
}

TEST(sockets_in_each_other_are_collected) {
  // Each holds the other's only descriptor; a pipe's end that one of them carries shows when they go.
  int pipe_fds[2];
  ASSERT_OK(pipe(pipe_fds));
  {
    Pair pair;
    EXPECT_EQ(SendFds(pair.a, &pipe_fds[1], 1), 1);
    EXPECT_EQ(SendFds(pair.a, &pair.a, 1), 1);
    EXPECT_EQ(SendFds(pair.b, &pair.b, 1), 1);
  }
  close(pipe_fds[1]);
  Pair trigger;
  EXPECT_EQ(SendFds(trigger.a, &trigger.b, 1), 1);
  trigger.CloseA();
  trigger.CloseB();
  pollfd entry{pipe_fds[0], POLLIN, 0};
  EXPECT_EQ(poll(&entry, 1, 10000), 1);
  EXPECT_EQ(entry.revents, POLLHUP);
}

TEST(credentials) {
  Pair pair(SOCK_DGRAM);
  int on = 1;
  EXPECT_OK(setsockopt(pair.b, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)));
  EXPECT_EQ(send(pair.a, "x", 1, 0), 1);
  char byte;
  iovec block{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(ucred))] = {};
  msghdr message{};
  message.msg_iov = &block;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  EXPECT_EQ(recvmsg(pair.b, &message, 0), 1);
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  ASSERT_TRUE(header != nullptr);
  EXPECT_EQ(header->cmsg_type, SCM_CREDENTIALS);
  ucred sender;
  memcpy(&sender, CMSG_DATA(header), sizeof(sender));
  EXPECT_EQ(sender.pid, getpid());
  EXPECT_EQ(sender.uid, getuid());
  EXPECT_EQ(sender.gid, getgid());
}

TEST(receive_timeout) {
  Pair pair;
  timeval time{0, 20000};
  EXPECT_OK(setsockopt(pair.a, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time)));
  char byte;
  timespec start, end;
  clock_gettime(CLOCK_MONOTONIC, &start);
  EXPECT_ERRNO(recv(pair.a, &byte, 1, 0), EAGAIN);
  EXPECT_ERRNO(read(pair.a, &byte, 1), EAGAIN);
  clock_gettime(CLOCK_MONOTONIC, &end);
  EXPECT_GE((end.tv_sec - start.tv_sec) * 1000000000 + end.tv_nsec - start.tv_nsec, 39000000);
}

TEST(many_messages) {
  Pair pair(SOCK_DGRAM);
  char texts[3][4] = {"a", "bb", "ccc"};
  iovec blocks[3];
  mmsghdr messages[3] = {};
  for (int i = 0; i < 3; ++i) {
    blocks[i] = {texts[i], strlen(texts[i])};
    messages[i].msg_hdr.msg_iov = &blocks[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  EXPECT_EQ(sendmmsg(pair.a, messages, 3, 0), 3);
  EXPECT_EQ(messages[2].msg_len, 3u);
  for (iovec& block : blocks) block.iov_len = 4;
  EXPECT_EQ(recvmmsg(pair.b, messages, 3, MSG_WAITFORONE, nullptr), 3);
  EXPECT_EQ(messages[1].msg_len, 2u);
  EXPECT_ERRNO(recvmmsg(pair.b, messages, 3, MSG_DONTWAIT, nullptr), EAGAIN);
}

TEST(epoll_sees_edges) {
  Pair pair;
  int epoll = ASSERT_OK(epoll_create1(0));
  epoll_event event{};
  event.events = EPOLLIN | EPOLLRDHUP | EPOLLET;
  EXPECT_OK(epoll_ctl(epoll, EPOLL_CTL_ADD, pair.b, &event));
  EXPECT_EQ(epoll_wait(epoll, &event, 1, 0), 0);
  EXPECT_EQ(write(pair.a, "x", 1), 1);
  EXPECT_EQ(epoll_wait(epoll, &event, 1, 1000), 1);
  EXPECT_EQ(epoll_wait(epoll, &event, 1, 0), 0);
  EXPECT_EQ(write(pair.a, "y", 1), 1);
  EXPECT_EQ(epoll_wait(epoll, &event, 1, 1000), 1);
  EXPECT_OK(shutdown(pair.a, SHUT_WR));
  EXPECT_EQ(epoll_wait(epoll, &event, 1, 1000), 1);
  EXPECT_EQ(event.events, EPOLLIN | EPOLLRDHUP);
  close(epoll);
}

}  // namespace

TEST(an_address_has_a_family) {
  for (int type : {SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET}) {
    int socket_fd = socket(AF_UNIX, type, 0);
    sockaddr_un address{};
    EXPECT_ERRNO(connect(socket_fd, reinterpret_cast<sockaddr*>(&address), 1), EINVAL);
    close(socket_fd);
  }
}
