// System V message queues: msgget(2), msgsnd(2), msgrcv(2), msgctl(2).
#include <limits.h>
#include <sched.h>
#include <sys/msg.h>

#include <fstream>

#include "test/syscalls/syscall_test.h"
#include "test/syscalls/waiting_child.h"

#ifndef MSG_COPY
#define MSG_COPY 040000
#endif

namespace {

struct Message {
  long type;
  char text[9000];
};

void NewNamespace() {
  if (geteuid() != 0) SKIP("needs root");
  ASSERT_OK(unshare(CLONE_NEWIPC));
}
int MakeQueue(int mode = 0600) { return msgget(IPC_PRIVATE, IPC_CREAT | mode); }
int Send(int id, long type, const std::string& text, int flags = IPC_NOWAIT) {
  Message message{type, {}};
  memcpy(message.text, text.data(), text.size());
  return msgsnd(id, &message, text.size(), flags);
}
// "type:text", or the errno's name.
std::string Receive(int id, long type, int flags = 0, size_t size = 9000) {
  Message message{-5, {}};
  ssize_t length = msgrcv(id, &message, size, type, flags | IPC_NOWAIT);
  if (length < 0) return strerrorname_np(errno);
  return std::to_string(message.type) + ":" + std::string(message.text, length);
}
msqid_ds Stat(int id) {
  msqid_ds ds{};
  EXPECT_OK(msgctl(id, IPC_STAT, &ds));
  return ds;
}
std::string Text(const char* text) { return text; }

}  // namespace

TEST(KeysAndDescription) {
  NewNamespace();
  EXPECT_ERRNO(msgget(5, 0600), ENOENT);
  int id = ASSERT_OK(msgget(5, IPC_CREAT | 0640));
  EXPECT_EQ(msgget(5, 0), id);
  EXPECT_ERRNO(msgget(5, IPC_CREAT | IPC_EXCL | 0640), EEXIST);
  msqid_ds ds = Stat(id);
  EXPECT_EQ(ds.msg_perm.__key, 5);
  EXPECT_EQ(ds.msg_perm.mode, 0640);
  EXPECT_EQ(ds.msg_qbytes, 16384);
  EXPECT_EQ(ds.msg_qnum, 0);
  EXPECT_EQ(ds.msg_stime, 0);
  EXPECT_NE(ds.msg_ctime, 0);
  EXPECT_OK(Send(id, 3, "abc"));
  ds = Stat(id);
  EXPECT_EQ(ds.msg_qnum, 1);
  EXPECT_EQ(ds.__msg_cbytes, 3);
  EXPECT_EQ(ds.msg_lspid, getpid());
  EXPECT_EQ(ds.msg_lrpid, 0);
  EXPECT_NE(ds.msg_stime, 0);
  EXPECT_EQ(Receive(id, 0), Text("3:abc"));
  ds = Stat(id);
  EXPECT_EQ(ds.msg_lrpid, getpid());
  EXPECT_NE(ds.msg_rtime, 0);
  EXPECT_EQ(ds.__msg_cbytes, 0);
  EXPECT_OK(msgctl(id, IPC_RMID, nullptr));
  EXPECT_ERRNO(msgctl(id, IPC_STAT, &ds), EINVAL);
  EXPECT_EQ(Receive(id, 0), Text("EINVAL"));
}

TEST(Selection) {
  NewNamespace();
  int id = ASSERT_OK(MakeQueue());
  EXPECT_EQ(Receive(id, 0), Text("ENOMSG"));
  for (const char* text : {"a", "b", "c"}) EXPECT_OK(Send(id, 5, text));
  EXPECT_OK(Send(id, 2, "two"));
  EXPECT_OK(Send(id, 2, "too"));
  EXPECT_OK(Send(id, 9, ""));
  EXPECT_EQ(Receive(id, 4), Text("ENOMSG"));
  EXPECT_EQ(Receive(id, -1), Text("ENOMSG"));
  EXPECT_EQ(Receive(id, 9), Text("9:"));
  EXPECT_EQ(Receive(id, 5, MSG_EXCEPT), Text("2:two"));
  EXPECT_EQ(Receive(id, LONG_MIN), Text("2:too"));
  EXPECT_EQ(Receive(id, -7), Text("5:a"));
  EXPECT_EQ(Receive(id, 5, MSG_EXCEPT), Text("ENOMSG"));
  EXPECT_EQ(Receive(id, 0, MSG_COPY), Text("5:b"));
  EXPECT_EQ(Receive(id, 1, MSG_COPY), Text("5:c"));
  EXPECT_EQ(Receive(id, 2, MSG_COPY), Text("ENOMSG"));
  EXPECT_EQ(Receive(id, 0, MSG_COPY | MSG_EXCEPT), Text("EINVAL"));
  Message message;
  EXPECT_ERRNO(msgrcv(id, &message, 10, 0, MSG_COPY), EINVAL);
  EXPECT_EQ(Receive(id, 0), Text("5:b"));
  EXPECT_EQ(Receive(id, 0), Text("5:c"));
}

TEST(SizesAndErrors) {
  NewNamespace();
  int id = ASSERT_OK(MakeQueue());
  EXPECT_ERRNO(Send(id, 0, "a"), EINVAL);
  EXPECT_ERRNO(Send(id, -1, "a"), EINVAL);
  EXPECT_ERRNO(Send(-1, 1, "a"), EINVAL);
  EXPECT_ERRNO(msgsnd(id, nullptr, 1, 0), EFAULT);
  EXPECT_ERRNO(Send(id, 1, std::string(8193, 'x')), EINVAL);
  EXPECT_OK(Send(id, 1, std::string(8192, 'x')));
  EXPECT_OK(Send(id, 1, std::string(8192, 'y')));
  EXPECT_ERRNO(Send(id, 1, "z"), EAGAIN);
  EXPECT_EQ(Receive(id, 0, 0, 3), Text("E2BIG"));
  EXPECT_EQ(Receive(id, 0, MSG_NOERROR, 3), Text("1:xxx"));
  Message message;
  EXPECT_ERRNO(msgrcv(id, &message, ~0ul, 0, IPC_NOWAIT), EINVAL);
  EXPECT_ERRNO(msgrcv(id, nullptr, 9000, 0, IPC_NOWAIT), EFAULT);
  EXPECT_EQ(Stat(id).msg_qnum, 0);  // it is gone nevertheless
}

TEST(ReceiversWait) {
  NewNamespace();
  int id = ASSERT_OK(MakeQueue());
  pid_t child = ForkWaiting([&] {
    Message message;
    Ready();
    EXPECT_EQ(msgrcv(id, &message, 100, 7, 0), 5);
    EXPECT_EQ(message.type, 7);
    EXPECT_EQ(std::string(message.text, 5), Text("hello"));
    EXPECT_ERRNO(msgrcv(id, &message, 1, 0, 0), E2BIG);
    EXPECT_EQ(msgrcv(id, &message, 100, 0, 0), 4);
  });
  EXPECT_OK(Send(id, 6, "other"));
  EXPECT_EQ(Receive(id, 6), Text("6:other"));
  EXPECT_OK(Send(id, 7, "hello"));
  EXPECT_OK(Send(id, 1, "long"));
  EXPECT_EQ(WaitFor(child), 0);
  EXPECT_EQ(Stat(id).msg_lrpid, child);
}

TEST(SendersWait) {
  NewNamespace();
  int id = ASSERT_OK(MakeQueue());
  EXPECT_OK(Send(id, 1, std::string(8192, 'x')));
  EXPECT_OK(Send(id, 1, std::string(8192, 'y')));
  pid_t child = ForkWaiting([&] {
    Ready();
    EXPECT_OK(Send(id, 2, "waits", 0));
  });
  EXPECT_EQ(Receive(id, 0, MSG_NOERROR, 1), Text("1:x"));
  EXPECT_EQ(WaitFor(child), 0);
  EXPECT_EQ(Receive(id, 2), Text("2:waits"));
  // msgctl may make room.
  msqid_ds ds = Stat(id);
  ds.msg_qbytes = 8192;
  EXPECT_OK(msgctl(id, IPC_SET, &ds));
  child = ForkWaiting([&] {
    Ready();
    EXPECT_OK(Send(id, 3, "waits", 0));
  });
  ds.msg_qbytes = 16384;
  EXPECT_OK(msgctl(id, IPC_SET, &ds));
  EXPECT_EQ(WaitFor(child), 0);
}

TEST(RemovalAndSignalsEndTheWaiting) {
  NewNamespace();
  int id = ASSERT_OK(MakeQueue());
  pid_t child = ForkWaiting([&] {
    struct sigaction action = {};
    action.sa_handler = [](int) {};
    action.sa_flags = SA_RESTART;
    sigaction(SIGUSR1, &action, nullptr);
    Message message;
    Ready();
    EXPECT_ERRNO(msgrcv(id, &message, 100, 0, 0), EINTR);
    Ready();
    EXPECT_EQ(msgrcv(id, &message, 100, 0, 0), 1);
  });
  kill(child, SIGUSR1);
  WaitUntilReady(child);
  EXPECT_OK(Send(id, 1, "x"));
  EXPECT_EQ(WaitFor(child), 0);
  child = ForkWaiting([&] {
    Message message;
    Ready();
    EXPECT_ERRNO(msgrcv(id, &message, 100, 0, 0), EIDRM);
  });
  EXPECT_OK(msgctl(id, IPC_RMID, nullptr));
  EXPECT_EQ(WaitFor(child), 0);
  id = ASSERT_OK(MakeQueue());
  EXPECT_OK(Send(id, 1, std::string(8192, 'x')));
  EXPECT_OK(Send(id, 1, std::string(8192, 'x')));
  child = ForkWaiting([&] {
    Ready();
    EXPECT_ERRNO(Send(id, 1, "waits", 0), EIDRM);
  });
  EXPECT_OK(msgctl(id, IPC_RMID, nullptr));
  EXPECT_EQ(WaitFor(child), 0);
}

TEST(PermissionsAreChecked) {
  NewNamespace();
  if (geteuid() != 0) SKIP("needs root");
  int id = ASSERT_OK(MakeQueue(0602));
  EXPECT_CHILD_OK([&] {
    ASSERT_OK(setgid(1234));
    ASSERT_OK(setuid(1234));
    EXPECT_OK(Send(id, 1, "a"));
    EXPECT_EQ(Receive(id, 0), Text("EACCES"));
    EXPECT_ERRNO(msgctl(id, IPC_RMID, nullptr), EPERM);
    msqid_ds ds{};
    EXPECT_ERRNO(msgctl(id, IPC_STAT, &ds), EACCES);
    int own = ASSERT_OK(MakeQueue());
    ds = Stat(own);
    ds.msg_qbytes = 16385;
    EXPECT_ERRNO(msgctl(own, IPC_SET, &ds), EPERM);
    ds.msg_qbytes = 100;
    EXPECT_OK(msgctl(own, IPC_SET, &ds));
    EXPECT_ERRNO(Send(own, 1, std::string(101, 'x')), EAGAIN);
  });
}

TEST(InformationAndLimits) {
  NewNamespace();
  int first = ASSERT_OK(MakeQueue());
  int second = ASSERT_OK(MakeQueue());
  EXPECT_OK(Send(first, 1, "abc"));
  EXPECT_OK(Send(second, 1, "de"));
  msginfo info{};
  EXPECT_EQ(msgctl(0, IPC_INFO, reinterpret_cast<msqid_ds*>(&info)), second & 0x7fff);
  EXPECT_EQ(info.msgmni, 32000);
  EXPECT_EQ(info.msgmax, 8192);
  EXPECT_EQ(info.msgmnb, 16384);
  EXPECT_EQ(info.msgssz, 16);
  EXPECT_EQ(info.msgpool, 512000);
  EXPECT_OK(msgctl(0, MSG_INFO, reinterpret_cast<msqid_ds*>(&info)));
  EXPECT_EQ(info.msgpool, 2);
  EXPECT_EQ(info.msgmap, 2);
  EXPECT_EQ(info.msgtql, 5);
  msqid_ds ds{};
  EXPECT_EQ(msgctl(second & 0x7fff, MSG_STAT, &ds), second);
  EXPECT_EQ(ds.__msg_cbytes, 2);
  std::ofstream("/proc/sys/kernel/msgmax") << 10;
  EXPECT_ERRNO(Send(first, 1, "12345678901"), EINVAL);
  std::ofstream("/proc/sys/kernel/msgmni") << 2;
  EXPECT_ERRNO(MakeQueue(), ENOSPC);
  std::ofstream("/proc/sys/kernel/msgmnb") << 77;
  EXPECT_OK(msgctl(first, IPC_RMID, nullptr));
  EXPECT_EQ(Stat(ASSERT_OK(MakeQueue())).msg_qbytes, 77);
}

TEST(ProcShowsThem) {
  NewNamespace();
  int id = ASSERT_OK(msgget(0xfd, IPC_CREAT | 0660));
  EXPECT_OK(Send(id, 1, "abc"));
  std::ifstream file("/proc/sysvipc/msg");
  std::string heading, line;
  std::getline(file, heading);
  EXPECT_EQ(heading,
            Text("       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid  cgid    "
                 "  stime      rtime      ctime"));
  std::getline(file, line);
  char start[128];
  snprintf(start, sizeof(start), "%10d %10d  %4o  %10lu %10lu %5u %5u %5u ", 0xfd, id, 0660, 3ul, 1ul,
           getpid(), 0, geteuid());
  EXPECT_EQ(line.substr(0, strlen(start)), std::string(start));
}
