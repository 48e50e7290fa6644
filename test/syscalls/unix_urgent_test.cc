// MSG_OOB and SIOCATMARK on unix(7) stream sockets.
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "test/syscalls/syscall_test.h"

namespace {

struct Pair {
  int a = -1, b = -1;
  explicit Pair(int type = SOCK_STREAM) {
    int fds[2];
    ASSERT_OK(socketpair(AF_UNIX, type, 0, fds));
    a = fds[0], b = fds[1];
    int probe[2];
    ASSERT_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, probe));
    if (send(probe[0], "x", 1, MSG_OOB) < 0 && errno == EOPNOTSUPP) SKIP("a kernel without AF_UNIX_OOB");
    close(probe[0]);
    close(probe[1]);
  }
  ~Pair() {
    close(a);
    close(b);
  }
  ssize_t Send(const std::string& text) const { return send(a, text.data(), text.size(), MSG_DONTWAIT); }
  ssize_t SendUrgent(const std::string& text) const {
    return send(a, text.data(), text.size(), MSG_DONTWAIT | MSG_OOB);
  }
  bool AtMark() const {
    int at_mark = -1;
    EXPECT_OK(ioctl(b, SIOCATMARK, &at_mark));
    return at_mark == 1;
  }
  int Unread() const {
    int bytes = -1;
    EXPECT_OK(ioctl(b, FIONREAD, &bytes));
    return bytes;
  }
  bool IsUrgent() const {
    pollfd entry{b, POLLIN | POLLPRI, 0};
    EXPECT_OK(poll(&entry, 1, 0));
    return (entry.revents & POLLPRI) != 0;
  }
};

// What was received, or the errno's name.
std::string Receive(int fd, int flags = 0, size_t size = 10) {
  char bytes[16];
  ssize_t got = recv(fd, bytes, size, flags | MSG_DONTWAIT);
  return got < 0 ? syscall_test::ErrnoName(errno) : std::string(bytes, static_cast<size_t>(got));
}
std::string Urgent(int fd, int flags = 0) { return Receive(fd, flags | MSG_OOB); }

TEST(NothingUrgent) {
  Pair pair;
  EXPECT_FALSE(pair.AtMark());
  EXPECT_EQ(Urgent(pair.b), "EINVAL");
  EXPECT_EQ(pair.Send("x"), 1);
  EXPECT_EQ(Urgent(pair.b), "EINVAL");
  EXPECT_ERRNO(pair.SendUrgent(""), EOPNOTSUPP);
}

TEST(TheLastByteIsUrgent) {
  Pair pair;
  EXPECT_EQ(pair.SendUrgent("hello"), 5);
  EXPECT_FALSE(pair.AtMark());
  EXPECT_TRUE(pair.IsUrgent());
  EXPECT_EQ(pair.Unread(), 5);
  EXPECT_EQ(Urgent(pair.b, MSG_PEEK), "o");
  EXPECT_EQ(Urgent(pair.b), "o");
  EXPECT_EQ(Urgent(pair.b), "EINVAL");
  EXPECT_FALSE(pair.IsUrgent());
  EXPECT_EQ(pair.Unread(), 4);
  EXPECT_FALSE(pair.AtMark());
  EXPECT_EQ(Receive(pair.b), "hell");
  EXPECT_TRUE(pair.AtMark());
  EXPECT_EQ(Receive(pair.b), "EAGAIN");
  EXPECT_FALSE(pair.AtMark());
}

TEST(ItIsFlagged) {
  Pair pair;
  EXPECT_EQ(pair.SendUrgent("x"), 1);
  char byte;
  iovec vector{&byte, 1};
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  EXPECT_EQ(recvmsg(pair.b, &message, MSG_OOB), 1);
  EXPECT_EQ(message.msg_flags, MSG_OOB);
}

TEST(ReadsEndBeforeTheMark) {
  Pair pair;
  EXPECT_EQ(pair.SendUrgent("ab"), 2);
  EXPECT_EQ(pair.Send("cd"), 2);
  EXPECT_EQ(Receive(pair.b), "a");
  EXPECT_TRUE(pair.AtMark());
  EXPECT_EQ(pair.Unread(), 3);
  // Who reads on loses the byte.
  EXPECT_EQ(Receive(pair.b), "cd");
  EXPECT_FALSE(pair.AtMark());
  EXPECT_EQ(Urgent(pair.b), "EINVAL");
}

TEST(ReadsEndWhereItWas) {
  Pair pair;
  EXPECT_EQ(pair.SendUrgent("ab"), 2);
  EXPECT_EQ(pair.Send("cd"), 2);
  EXPECT_EQ(Urgent(pair.b), "b");
  EXPECT_EQ(Receive(pair.b), "a");
  EXPECT_TRUE(pair.AtMark());
  EXPECT_EQ(Receive(pair.b), "cd");
  EXPECT_EQ(Receive(pair.b), "EAGAIN");
}

TEST(ANewOneReplacesTheOld) {
  Pair pair;
  EXPECT_EQ(pair.Send("1"), 1);
  EXPECT_EQ(pair.SendUrgent("2"), 1);
  EXPECT_EQ(pair.Send("3"), 1);
  EXPECT_EQ(pair.SendUrgent("4"), 1);
  EXPECT_EQ(pair.Send("5"), 1);
  EXPECT_EQ(pair.Unread(), 5);
  EXPECT_EQ(Receive(pair.b), "123");
  EXPECT_TRUE(pair.AtMark());
  EXPECT_EQ(Receive(pair.b), "5");
  EXPECT_EQ(Urgent(pair.b), "EINVAL");
  EXPECT_EQ(pair.SendUrgent("6"), 1);
  EXPECT_EQ(Urgent(pair.b), "6");
  EXPECT_EQ(pair.SendUrgent("7"), 1);
  EXPECT_TRUE(pair.AtMark());
  EXPECT_EQ(Urgent(pair.b), "7");
  EXPECT_EQ(pair.Send("8"), 1);
  EXPECT_EQ(Receive(pair.b), "8");
}

TEST(InlineItIsAByteLikeOthers) {
  Pair pair;
  int on = 1;
  ASSERT_OK(setsockopt(pair.b, SOL_SOCKET, SO_OOBINLINE, &on, sizeof(on)));
  EXPECT_EQ(pair.SendUrgent("ab"), 2);
  EXPECT_EQ(pair.Send("cd"), 2);
  EXPECT_EQ(Urgent(pair.b), "EINVAL");
  EXPECT_EQ(Receive(pair.b), "a");
  EXPECT_TRUE(pair.AtMark());
  EXPECT_EQ(Receive(pair.b), "bcd");
  EXPECT_FALSE(pair.AtMark());
}

TEST(PeekingChangesNothing) {
  Pair pair;
  EXPECT_EQ(pair.SendUrgent("ab"), 2);
  EXPECT_EQ(pair.Send("cd"), 2);
  EXPECT_EQ(Receive(pair.b, MSG_PEEK), "a");
  EXPECT_EQ(Receive(pair.b, MSG_PEEK), "a");
  EXPECT_EQ(Receive(pair.b), "a");
  EXPECT_EQ(Receive(pair.b, MSG_PEEK), "cd");
  EXPECT_EQ(Urgent(pair.b, MSG_PEEK), "b");
  EXPECT_TRUE(pair.AtMark());
  EXPECT_EQ(Receive(pair.b), "cd");
}

TEST(OneAloneIsLostToAReader) {
  Pair pair;
  EXPECT_EQ(pair.SendUrgent("x"), 1);
  EXPECT_TRUE(pair.AtMark());
  EXPECT_EQ(Receive(pair.b), "EAGAIN");
  EXPECT_EQ(Urgent(pair.b), "EINVAL");
  EXPECT_FALSE(pair.IsUrgent());
}

TEST(ClosingWithOneUnread) {
  for (bool read_it : {false, true}) {
    Pair pair;
    EXPECT_EQ(pair.SendUrgent("x"), 1);
    if (read_it) EXPECT_EQ(Urgent(pair.b), "x");
    close(pair.b);
    pair.b = -1;
    EXPECT_EQ(Receive(pair.a), read_it ? "" : "ECONNRESET");
  }
  Pair pair;
  EXPECT_EQ(pair.SendUrgent("x"), 1);
  close(pair.a);
  pair.a = -1;
  EXPECT_EQ(Receive(pair.b), "");
}

volatile sig_atomic_t urgent_signals;

TEST(TheOwnerGetsASignal) {
  Pair pair;
  signal(SIGURG, [](int) { urgent_signals = urgent_signals + 1; });
  EXPECT_EQ(pair.SendUrgent("x"), 1);
  EXPECT_EQ(urgent_signals, 0);
  ASSERT_OK(fcntl(pair.b, F_SETOWN, getpid()));
  EXPECT_EQ(pair.SendUrgent("x"), 1);
  EXPECT_EQ(urgent_signals, 1);
  EXPECT_EQ(pair.Send("x"), 1);
  EXPECT_EQ(urgent_signals, 1);
}

TEST(PacketsKnowNoUrgency) {
  for (int type : {SOCK_DGRAM, SOCK_SEQPACKET}) {
    Pair pair(type);
    EXPECT_ERRNO(pair.SendUrgent("x"), EOPNOTSUPP);
    EXPECT_EQ(Urgent(pair.b), "EOPNOTSUPP");
    int at_mark;
    EXPECT_ERRNO(ioctl(pair.b, SIOCATMARK, &at_mark), EOPNOTSUPP);
  }
}

TEST(NobodyToSendTo) {
  signal(SIGPIPE, SIG_IGN);
  int alone = socket(AF_UNIX, SOCK_STREAM, 0);
  EXPECT_ERRNO(send(alone, "x", 1, MSG_OOB), ENOTCONN);
  EXPECT_EQ(Urgent(alone), "EINVAL");
  Pair pair;
  ASSERT_OK(shutdown(pair.b, SHUT_RD));
  EXPECT_ERRNO(pair.SendUrgent("x"), EPIPE);
}

}  // namespace
