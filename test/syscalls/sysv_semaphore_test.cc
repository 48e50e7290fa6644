// System V semaphores: semget(2), semop(2), semctl(2).
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/sem.h>
#include <sys/stat.h>
#include <time.h>

#include <fstream>
#include <thread>

#include "test/syscalls/syscall_test.h"

namespace {

union Argument {
  int val;
  semid_ds* buf;
  unsigned short* array;
  seminfo* info;
};

// A namespace of our own, so that nothing else is there.
void NewNamespace() {
  if (geteuid() != 0) SKIP("needs root");
  ASSERT_OK(unshare(CLONE_NEWIPC));
}
int MakeSet(int count, int mode = 0600) { return semget(IPC_PRIVATE, count, IPC_CREAT | mode); }
int Value(int id, int number) { return semctl(id, number, GETVAL); }
int SetValue(int id, int number, int value) { return semctl(id, number, SETVAL, Argument{.val = value}); }
int Op(int id, unsigned short number, short operation, short flags = 0) {
  sembuf buf{number, operation, flags};
  return semop(id, &buf, 1);
}
void WaitForCount(int id, int number, int command, int count) {
  while (semctl(id, number, command) != count) sched_yield();
}

}  // namespace

TEST(KeysAndFlags) {
  NewNamespace();
  EXPECT_ERRNO(semget(77, 1, 0600), ENOENT);
  int id = ASSERT_OK(semget(77, 3, IPC_CREAT | 0640));
  EXPECT_EQ(semget(77, 0, 0), id);
  EXPECT_EQ(semget(77, 2, IPC_CREAT | 0600), id);
  EXPECT_ERRNO(semget(77, 3, IPC_CREAT | IPC_EXCL | 0600), EEXIST);
  EXPECT_ERRNO(semget(77, 4, 0), EINVAL);
  EXPECT_ERRNO(semget(78, 0, IPC_CREAT | 0600), EINVAL);
  EXPECT_ERRNO(semget(78, -1, IPC_CREAT | 0600), EINVAL);
  EXPECT_ERRNO(semget(78, 32001, IPC_CREAT | 0600), EINVAL);
  int second = ASSERT_OK(semget(79, 1, IPC_CREAT | 0600));
  EXPECT_NE(second, id);
  EXPECT_OK(semctl(id, 0, IPC_RMID));
  EXPECT_ERRNO(semget(77, 0, 0), ENOENT);
  EXPECT_ERRNO(semctl(id, 0, GETVAL), EINVAL);
  // The index is used again in the end, the identifier is not.
  int third;
  do {
    third = ASSERT_OK(semget(IPC_PRIVATE, 1, IPC_CREAT | 0600));
    EXPECT_NE(third, id);
    EXPECT_OK(semctl(third, 0, IPC_RMID));
  } while ((third & 0x7fff) != (id & 0x7fff));
  do {
    third = ASSERT_OK(semget(77, 1, IPC_CREAT | 0600));
    if ((third & 0x7fff) != (id & 0x7fff)) EXPECT_OK(semctl(third, 0, IPC_RMID));
  } while ((third & 0x7fff) != (id & 0x7fff));
  EXPECT_ERRNO(semctl(id, 0, GETVAL), EINVAL);
  EXPECT_ERRNO(semctl(-1, 0, GETVAL), EINVAL);
}

TEST(ValuesAndDescription) {
  NewNamespace();
  int id = ASSERT_OK(semget(0x123, 3, IPC_CREAT | 0640));
  semid_ds ds;
  memset(&ds, 0x55, sizeof(ds));
  EXPECT_OK(semctl(id, 0, IPC_STAT, Argument{.buf = &ds}));
  EXPECT_EQ(ds.sem_perm.__key, 0x123);
  EXPECT_EQ(ds.sem_perm.mode, 0640);
  EXPECT_EQ(ds.sem_perm.uid, geteuid());
  EXPECT_EQ(ds.sem_perm.cgid, getegid());
  EXPECT_EQ(ds.sem_nsems, 3);
  EXPECT_EQ(ds.sem_otime, 0);
  EXPECT_NE(ds.sem_ctime, 0);
  EXPECT_EQ(Value(id, 2), 0);
  EXPECT_EQ(semctl(id, 0, GETPID), 0);
  EXPECT_OK(SetValue(id, 1, 7));
  EXPECT_EQ(Value(id, 1), 7);
  EXPECT_EQ(semctl(id, 1, GETPID), getpid());
  EXPECT_ERRNO(SetValue(id, 1, -1), ERANGE);
  EXPECT_ERRNO(SetValue(id, 1, 32768), ERANGE);
  EXPECT_ERRNO(SetValue(id, 3, 1), EINVAL);
  EXPECT_ERRNO(semctl(id, 3, GETVAL), EINVAL);
  EXPECT_ERRNO(semctl(id, 0, 77), EINVAL);
  unsigned short values[3] = {4, 5, 32768};
  EXPECT_ERRNO(semctl(id, 0, SETALL, Argument{.array = values}), ERANGE);
  values[2] = 32767;
  EXPECT_OK(semctl(id, 0, SETALL, Argument{.array = values}));
  unsigned short got[3] = {};
  EXPECT_OK(semctl(id, 0, GETALL, Argument{.array = got}));
  EXPECT_EQ(got[0], 4);
  EXPECT_EQ(got[2], 32767);
  EXPECT_ERRNO(semctl(id, 0, GETALL, Argument{.array = nullptr}), EFAULT);
  ds.sem_perm.mode = 0604;
  EXPECT_OK(semctl(id, 0, IPC_SET, Argument{.buf = &ds}));
  EXPECT_OK(semctl(id, 0, IPC_STAT, Argument{.buf = &ds}));
  EXPECT_EQ(ds.sem_perm.mode, 0604);
  EXPECT_OK(Op(id, 0, 1));
  EXPECT_OK(semctl(id, 0, IPC_STAT, Argument{.buf = &ds}));
  EXPECT_NE(ds.sem_otime, 0);
  EXPECT_EQ(semctl(id & 0x7fff, 0, SEM_STAT, Argument{.buf = &ds}), id);
  EXPECT_ERRNO(semctl(9, 0, SEM_STAT, Argument{.buf = &ds}), EINVAL);
}

TEST(InformationAndLimits) {
  NewNamespace();
  EXPECT_OK(MakeSet(2));
  EXPECT_OK(MakeSet(3));
  seminfo info{};
  EXPECT_EQ(semctl(0, 0, IPC_INFO, Argument{.info = &info}), 1);
  EXPECT_EQ(info.semmni, 32000);
  EXPECT_EQ(info.semmns, 1024000000);
  EXPECT_EQ(info.semmsl, 32000);
  EXPECT_EQ(info.semopm, 500);
  EXPECT_EQ(info.semvmx, 32767);
  EXPECT_EQ(info.semaem, 32767);
  EXPECT_EQ(info.semusz, 20);
  EXPECT_EQ(semctl(0, 0, SEM_INFO, Argument{.info = &info}), 1);
  EXPECT_EQ(info.semusz, 2);
  EXPECT_EQ(info.semaem, 5);
  // A limit that is set holds.
  {
    std::ofstream file("/proc/sys/kernel/sem");
    file << "4 100 2 3";
  }
  std::ifstream back("/proc/sys/kernel/sem");
  std::string line;
  std::getline(back, line);
  EXPECT_EQ(line, std::string("4\t100\t2\t3"));
  EXPECT_ERRNO(MakeSet(5), EINVAL);
  int third = ASSERT_OK(MakeSet(1));
  EXPECT_ERRNO(MakeSet(1), ENOSPC);
  sembuf three[3] = {{0, 1, 0}, {0, 1, 0}, {0, 1, 0}};
  EXPECT_ERRNO(semop(third, three, 3), E2BIG);
  EXPECT_OK(semop(third, three, 2));
}

TEST(ErrorsOfOperations) {
  NewNamespace();
  int id = ASSERT_OK(MakeSet(2));
  sembuf one{0, 1, 0};
  EXPECT_ERRNO(semop(id, &one, 0), EINVAL);
  EXPECT_ERRNO(semop(-1, &one, 1), EINVAL);
  EXPECT_ERRNO(semop(id + 5, &one, 1), EINVAL);
  EXPECT_ERRNO(semop(id, nullptr, 1), EFAULT);
  EXPECT_ERRNO(semop(id, &one, 501), E2BIG);
  EXPECT_ERRNO(Op(id, 2, 1), EFBIG);
  EXPECT_ERRNO(Op(id, 0, -1, IPC_NOWAIT), EAGAIN);
  EXPECT_OK(SetValue(id, 0, 32767));
  EXPECT_ERRNO(Op(id, 0, 1), ERANGE);
  EXPECT_ERRNO(Op(id, 0, 0, IPC_NOWAIT), EAGAIN);
  timespec wrong{0, 1000000000};
  EXPECT_ERRNO(semtimedop(id, &one, 1, &wrong), EINVAL);
  sembuf take{1, -1, 0};
  timespec little{0, 3000000};
  EXPECT_ERRNO(semtimedop(id, &take, 1, &little), EAGAIN);
}

TEST(AnOperationIsDoneAsAWhole) {
  NewNamespace();
  int id = ASSERT_OK(MakeSet(2));
  sembuf both[2] = {{0, 1, 0}, {1, -1, IPC_NOWAIT}};
  EXPECT_ERRNO(semop(id, both, 2), EAGAIN);
  EXPECT_EQ(Value(id, 0), 0);
  EXPECT_OK(SetValue(id, 1, 1));
  EXPECT_OK(semop(id, both, 2));
  EXPECT_EQ(Value(id, 0), 1);
  EXPECT_EQ(Value(id, 1), 0);
  // The same semaphore several times, one after the other.
  sembuf up_down[3] = {{1, 2, 0}, {1, -1, 0}, {1, -1, 0}};
  EXPECT_OK(semop(id, up_down, 3));
  EXPECT_EQ(Value(id, 1), 0);
}

TEST(WaitersAreWoken) {
  NewNamespace();
  int id = ASSERT_OK(MakeSet(2));
  pid_t child = Fork([&] {
    EXPECT_OK(Op(id, 0, -2));
    EXPECT_OK(Op(id, 1, 0));
  });
  WaitForCount(id, 0, GETNCNT, 1);
  EXPECT_EQ(semctl(id, 0, GETZCNT), 0);
  EXPECT_EQ(semctl(id, 1, GETNCNT), 0);
  EXPECT_OK(SetValue(id, 1, 1));
  EXPECT_OK(Op(id, 0, 1));
  EXPECT_EQ(Value(id, 0), 1);  // not enough for it
  EXPECT_OK(Op(id, 0, 1));
  EXPECT_EQ(Value(id, 0), 0);  // done for the child at once
  EXPECT_EQ(semctl(id, 0, GETPID), child);
  WaitForCount(id, 1, GETZCNT, 1);
  EXPECT_OK(Op(id, 1, -1));
  EXPECT_EQ(WaitFor(child), 0);
}

TEST(RemovalEndsTheWaiting) {
  NewNamespace();
  int id = ASSERT_OK(MakeSet(1));
  pid_t child = Fork([&] { EXPECT_ERRNO(Op(id, 0, -1), EIDRM); });
  WaitForCount(id, 0, GETNCNT, 1);
  EXPECT_OK(semctl(id, 0, IPC_RMID));
  EXPECT_EQ(WaitFor(child), 0);
}

TEST(ASignalInterruptsWithoutRestart) {
  NewNamespace();
  int id = ASSERT_OK(MakeSet(1));
  pid_t child = Fork([&] {
    struct sigaction action = {};
    action.sa_handler = [](int) {};
    action.sa_flags = SA_RESTART;
    sigaction(SIGUSR1, &action, nullptr);
    EXPECT_ERRNO(Op(id, 0, -1), EINTR);
  });
  WaitForCount(id, 0, GETNCNT, 1);
  kill(child, SIGUSR1);
  EXPECT_EQ(WaitFor(child), 0);
  EXPECT_EQ(semctl(id, 0, GETNCNT), 0);
}

TEST(UndoAtExit) {
  NewNamespace();
  int id = ASSERT_OK(MakeSet(2));
  EXPECT_OK(SetValue(id, 0, 5));
  EXPECT_CHILD_OK([&] {
    EXPECT_OK(Op(id, 0, -3, SEM_UNDO));
    EXPECT_OK(Op(id, 1, 4, SEM_UNDO));
    EXPECT_OK(Op(id, 0, 1, SEM_UNDO));
    EXPECT_EQ(Value(id, 0), 3);
  });
  EXPECT_EQ(Value(id, 0), 5);
  EXPECT_EQ(Value(id, 1), 0);
  // SETVAL forgets what was to be undone.
  EXPECT_CHILD_OK([&] {
    EXPECT_OK(Op(id, 0, -3, SEM_UNDO));
    EXPECT_OK(SetValue(id, 0, 1));
  });
  EXPECT_EQ(Value(id, 0), 1);
  // Never below zero.
  EXPECT_CHILD_OK([&] {
    EXPECT_OK(Op(id, 1, 4, SEM_UNDO));
    EXPECT_OK(Op(id, 1, -3));
  });
  EXPECT_EQ(Value(id, 1), 0);
  // What is undone wakes.
  EXPECT_OK(SetValue(id, 0, 1));
  pid_t holder = Fork([&] {
    EXPECT_OK(Op(id, 0, -1, SEM_UNDO));
    WaitForCount(id, 0, GETNCNT, 1);
  });
  while (Value(id, 0) != 0) sched_yield();
  EXPECT_OK(Op(id, 0, -1));
  EXPECT_EQ(WaitFor(holder), 0);
}

TEST(ThreadsShareTheirUndoListAndProcessesDoNot) {
  NewNamespace();
  int id = ASSERT_OK(MakeSet(1));
  EXPECT_OK(SetValue(id, 0, 5));
  EXPECT_CHILD_OK([&] {
    std::thread([&] { EXPECT_OK(Op(id, 0, -2, SEM_UNDO)); }).join();
    EXPECT_EQ(Value(id, 0), 3);  // the thread is gone, its process is not
    EXPECT_CHILD_OK([&] { EXPECT_EQ(Value(id, 0), 3); });
    EXPECT_EQ(Value(id, 0), 3);
    EXPECT_OK(unshare(CLONE_SYSVSEM));
    EXPECT_EQ(Value(id, 0), 5);
  });
}

TEST(PermissionsAreChecked) {
  NewNamespace();
  if (geteuid() != 0) SKIP("needs root");
  int owner_only = ASSERT_OK(MakeSet(1, 0600));
  int readable = ASSERT_OK(semget(0x9, 1, IPC_CREAT | 0604));
  EXPECT_CHILD_OK([&] {
    ASSERT_OK(setgid(1234));
    ASSERT_OK(setuid(1234));
    EXPECT_ERRNO(Op(owner_only, 0, 1), EACCES);
    EXPECT_ERRNO(Value(owner_only, 0), EACCES);
    EXPECT_EQ(Value(readable, 0), 0);
    EXPECT_OK(Op(readable, 0, 0));
    EXPECT_ERRNO(Op(readable, 0, 1), EACCES);
    EXPECT_ERRNO(SetValue(readable, 0, 1), EACCES);
    EXPECT_EQ(semget(0x9, 1, 0004), readable);
    EXPECT_ERRNO(semget(0x9, 1, 0006), EACCES);
    EXPECT_ERRNO(semctl(readable, 0, IPC_RMID), EPERM);
    semid_ds ds{};
    EXPECT_ERRNO(semctl(readable, 0, IPC_SET, Argument{.buf = &ds}), EPERM);
    EXPECT_ERRNO(semctl(owner_only, 0, IPC_STAT, Argument{.buf = &ds}), EACCES);
    EXPECT_ERRNO(semctl(owner_only & 0x7fff, 0, SEM_STAT, Argument{.buf = &ds}), EACCES);
    EXPECT_EQ(semctl(owner_only & 0x7fff, 0, 20 /* SEM_STAT_ANY */, Argument{.buf = &ds}), owner_only);
  });
  // Its owner may; its creator still may.
  semid_ds ds;
  EXPECT_OK(semctl(owner_only, 0, IPC_STAT, Argument{.buf = &ds}));
  ds.sem_perm.uid = 1234;
  EXPECT_OK(semctl(owner_only, 0, IPC_SET, Argument{.buf = &ds}));
  EXPECT_CHILD_OK([&] {
    ASSERT_OK(setuid(1234));
    EXPECT_OK(Op(owner_only, 0, 1));
    EXPECT_OK(semctl(owner_only, 0, IPC_RMID));
  });
}

TEST(ProcShowsThem) {
  NewNamespace();
  int id = ASSERT_OK(semget(0xff, 2, IPC_CREAT | 0660));
  std::ifstream file("/proc/sysvipc/sem");
  std::string heading, line;
  std::getline(file, heading);
  EXPECT_EQ(
      heading,
      std::string("       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime"));
  std::getline(file, line);
  char start[64];
  snprintf(start, sizeof(start), "%10d %10d  %4o %10u %5u ", 0xff, id, 0660, 2, geteuid());
  EXPECT_EQ(line.substr(0, strlen(start)), std::string(start));
  EXPECT_FALSE(std::getline(file, line));
}

TEST(NamespacesAreApart) {
  NewNamespace();
  int id = ASSERT_OK(semget(0xabc, 1, IPC_CREAT | 0600));
  EXPECT_OK(SetValue(id, 0, 3));
  int own = ASSERT_OK(open("/proc/self/ns/ipc", O_RDONLY | O_CLOEXEC));
  struct stat before, after;
  fstat(own, &before);
  EXPECT_CHILD_OK([&] {
    ASSERT_OK(Op(id, 0, -1, SEM_UNDO));
    ASSERT_OK(unshare(CLONE_NEWIPC));
    ASSERT_OK(stat("/proc/self/ns/ipc", &after));
    EXPECT_NE(after.st_ino, before.st_ino);
    EXPECT_ERRNO(semget(0xabc, 1, 0600), ENOENT);
    EXPECT_ERRNO(setns(own, CLONE_NEWUTS), EINVAL);
    ASSERT_OK(setns(own, CLONE_NEWIPC));
    ASSERT_OK(stat("/proc/self/ns/ipc", &after));
    EXPECT_EQ(after.st_ino, before.st_ino);
    EXPECT_EQ(semget(0xabc, 1, 0600), id);
    EXPECT_EQ(Value(id, 0), 3);  // undone when it left
  });
  EXPECT_ERRNO(syscall(SYS_clone, CLONE_NEWIPC | CLONE_SYSVSEM | SIGCHLD, 0, 0, 0, 0), EINVAL);
}
