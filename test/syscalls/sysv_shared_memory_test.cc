// System V shared memory: shmget(2), shmat(2), shmdt(2), shmctl(2).
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/shm.h>

#include <fstream>

#include "test/syscalls/syscall_test.h"

#ifndef SHM_REMAP
#define SHM_REMAP 040000
#endif

namespace {

constexpr size_t kPage = 4096;

void NewNamespace() {
  if (geteuid() != 0) SKIP("needs root");
  ASSERT_OK(unshare(CLONE_NEWIPC));
}
int MakeSegment(size_t size, int mode = 0600) { return shmget(IPC_PRIVATE, size, IPC_CREAT | mode); }
shmid_ds Stat(int id) {
  shmid_ds ds{};
  EXPECT_OK(shmctl(id, IPC_STAT, &ds));
  return ds;
}
unsigned long Attached(int id) { return Stat(id).shm_nattch; }
char* Attach(int id, const void* at = nullptr, int flags = 0) {
  return static_cast<char*>(shmat(id, at, flags));
}
unsigned long Address(const void* at) { return reinterpret_cast<unsigned long>(at); }
std::string Setting(const char* name, const char* value = nullptr) {
  std::string path = std::string("/proc/sys/kernel/") + name;
  if (value != nullptr) std::ofstream(path) << value;
  std::string line;
  std::ifstream file(path);
  std::getline(file, line);
  return line;
}

}  // namespace

TEST(KeysAndSizes) {
  NewNamespace();
  EXPECT_ERRNO(shmget(5, 100, 0600), ENOENT);
  EXPECT_ERRNO(shmget(5, 0, IPC_CREAT | 0600), EINVAL);
  int id = ASSERT_OK(shmget(5, 100, IPC_CREAT | 0640));
  EXPECT_EQ(shmget(5, 0, 0), id);
  EXPECT_EQ(shmget(5, 100, IPC_CREAT), id);
  EXPECT_ERRNO(shmget(5, 101, 0), EINVAL);
  EXPECT_ERRNO(shmget(5, 100, IPC_CREAT | IPC_EXCL), EEXIST);
  shmid_ds ds = Stat(id);
  EXPECT_EQ(ds.shm_segsz, 100);
  EXPECT_EQ(ds.shm_perm.mode, 0640);
  EXPECT_EQ(ds.shm_perm.__key, 5);
  EXPECT_EQ(ds.shm_cpid, getpid());
  EXPECT_EQ(ds.shm_lpid, 0);
  EXPECT_EQ(ds.shm_nattch, 0);
  EXPECT_EQ(ds.shm_atime, 0);
  EXPECT_OK(shmctl(id, IPC_RMID, nullptr));
  EXPECT_ERRNO(shmctl(id, IPC_RMID, nullptr), EINVAL);
  EXPECT_ERRNO(shmctl(-1, IPC_STAT, &ds), EINVAL);
  EXPECT_ERRNO(shmctl(id, 99, &ds), EINVAL);
}

TEST(ContentsAreShared) {
  NewNamespace();
  int id = ASSERT_OK(MakeSegment(3 * kPage));
  char* a = Attach(id);
  ASSERT_NE(Address(a), ~0ul);
  EXPECT_EQ(a[2 * kPage], 0);
  char* b = Attach(id);
  EXPECT_NE(Address(a), Address(b));
  a[5] = 'x';
  EXPECT_EQ(b[5], 'x');
  EXPECT_EQ(Attached(id), 2);
  EXPECT_CHILD_OK([&] {
    EXPECT_EQ(Attached(id), 4);
    a[6] = 'y';
    EXPECT_OK(shmdt(b));
    EXPECT_EQ(Attached(id), 3);
  });
  EXPECT_EQ(b[6], 'y');
  EXPECT_EQ(Attached(id), 2);
  EXPECT_OK(shmdt(a));
  EXPECT_ERRNO(shmdt(a), EINVAL);
  EXPECT_ERRNO(shmdt(b + 1), EINVAL);
  EXPECT_ERRNO(shmdt(b + kPage), EINVAL);
  EXPECT_EQ(Attached(id), 1);
  shmid_ds ds = Stat(id);
  EXPECT_EQ(ds.shm_lpid, getpid());
  EXPECT_NE(ds.shm_atime, 0);
  EXPECT_NE(ds.shm_dtime, 0);
  EXPECT_OK(shmdt(b));
  EXPECT_KILLED([&] { b[0] = 1; }, SIGSEGV);
  // Nobody has it, and what is in it stays.
  char* c = Attach(id);
  EXPECT_EQ(c[5], 'x');
}

TEST(ASegmentLivesUntilItsLastDetachment) {
  NewNamespace();
  int id = ASSERT_OK(shmget(8, kPage, IPC_CREAT | 0600));
  char* a = Attach(id);
  EXPECT_OK(shmctl(id, IPC_RMID, nullptr));
  EXPECT_ERRNO(shmget(8, 0, 0), ENOENT);
  shmid_ds ds = Stat(id);
  EXPECT_EQ(ds.shm_perm.mode & SHM_DEST, SHM_DEST);
  EXPECT_EQ(ds.shm_perm.__key, IPC_PRIVATE);
  int other = ASSERT_OK(shmget(8, kPage, IPC_CREAT | 0600));
  EXPECT_NE(other, id);
  char* b = Attach(id);  // Linux lets one still attach by the identifier
  a[1] = 7;
  EXPECT_EQ(b[1], 7);
  EXPECT_OK(shmdt(a));
  EXPECT_EQ(Attached(id), 1);
  EXPECT_CHILD_OK([&] { EXPECT_OK(shmdt(b)); });
  EXPECT_OK(shmdt(b));
  EXPECT_ERRNO(shmctl(id, IPC_STAT, &ds), EINVAL);
}

TEST(ExecAndExitDetach) {
  NewNamespace();
  int id = ASSERT_OK(MakeSegment(kPage));
  Attach(id);
  EXPECT_CHILD_OK([&] { EXPECT_EQ(Attached(id), 2); });
  EXPECT_EQ(Attached(id), 1);
  int gate[2];
  ASSERT_OK(pipe(gate));
  pid_t child = Fork([&] {
    dup2(gate[0], 0);
    close(gate[1]);
    execl("/bin/cat", "cat", nullptr);
  });
  while (Attached(id) != 1) sched_yield();
  close(gate[1]);
  EXPECT_EQ(WaitFor(child), 0);
}

TEST(WhereToAttach) {
  NewNamespace();
  int id = ASSERT_OK(MakeSegment(2 * kPage));
  char* room = static_cast<char*>(
      mmap(nullptr, 8 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  room[2 * kPage] = 9;
  EXPECT_ERRNO(shmat(id, room, 0), EINVAL);
  EXPECT_ERRNO(shmat(id, nullptr, SHM_REMAP), EINVAL);
  EXPECT_EQ(Address(Attach(id, room, SHM_REMAP)), Address(room));
  EXPECT_EQ(room[0], 0);
  EXPECT_EQ(room[2 * kPage], 9);
  munmap(room + 4 * kPage, 4 * kPage);
  EXPECT_ERRNO(shmat(id, room + 5 * kPage + 1, 0), EINVAL);
  EXPECT_EQ(Address(Attach(id, room + 5 * kPage + 1, SHM_RND)), Address(room + 5 * kPage));
  EXPECT_EQ(Attached(id), 2);
  // Unmapping counts too; what is left of an attachment is detached by its first address.
  EXPECT_OK(munmap(room + 5 * kPage, 2 * kPage));
  EXPECT_EQ(Attached(id), 1);
  EXPECT_OK(munmap(room, kPage));
  EXPECT_EQ(Attached(id), 1);
  EXPECT_OK(shmdt(room));
  EXPECT_EQ(Attached(id), 0);
  EXPECT_ERRNO(shmat(id + 1, nullptr, 0), EINVAL);
  EXPECT_ERRNO(shmat(-1, nullptr, 0), EINVAL);
  EXPECT_ERRNO(shmdt(room + 2 * kPage), EINVAL);  // other memory
}

TEST(ReadOnlyAttachments) {
  NewNamespace();
  int id = ASSERT_OK(MakeSegment(kPage));
  char* writable = Attach(id);
  char* readable = Attach(id, nullptr, SHM_RDONLY);
  writable[3] = 'a';
  EXPECT_EQ(readable[3], 'a');
  EXPECT_KILLED([&] { readable[3] = 'b'; }, SIGSEGV);
  EXPECT_ERRNO(mprotect(readable, kPage, PROT_READ | PROT_WRITE), EACCES);
  EXPECT_OK(mprotect(writable, kPage, PROT_READ));
  EXPECT_OK(mprotect(writable, kPage, PROT_READ | PROT_WRITE));
  EXPECT_OK(shmdt(readable));
}

TEST(PermissionsAreChecked) {
  NewNamespace();
  if (geteuid() != 0) SKIP("needs root");
  int id = ASSERT_OK(shmget(3, kPage, IPC_CREAT | 0604));
  EXPECT_CHILD_OK([&] {
    ASSERT_OK(setgid(1234));
    ASSERT_OK(setuid(1234));
    EXPECT_ERRNO(shmat(id, nullptr, 0), EACCES);
    EXPECT_NE(Address(Attach(id, nullptr, SHM_RDONLY)), ~0ul);
    EXPECT_EQ(shmget(3, kPage, 0004), id);
    EXPECT_ERRNO(shmget(3, kPage, 0006), EACCES);
    EXPECT_ERRNO(shmctl(id, IPC_RMID, nullptr), EPERM);
    EXPECT_ERRNO(shmctl(id, SHM_LOCK, nullptr), EPERM);
  });
  shmid_ds ds = Stat(id);
  ds.shm_perm.uid = 1234;
  ds.shm_perm.mode = 0200;
  EXPECT_OK(shmctl(id, IPC_SET, &ds));
  EXPECT_CHILD_OK([&] {
    ASSERT_OK(setuid(1234));
    EXPECT_ERRNO(shmctl(id, IPC_STAT, &ds), EACCES);
    EXPECT_ERRNO(shmat(id, nullptr, SHM_RDONLY), EACCES);
    EXPECT_OK(shmctl(id, SHM_LOCK, nullptr));
    EXPECT_OK(shmctl(id, IPC_RMID, nullptr));
  });
}

TEST(LockingIsShown) {
  NewNamespace();
  int id = ASSERT_OK(MakeSegment(kPage));
  EXPECT_OK(shmctl(id, SHM_LOCK, nullptr));
  EXPECT_EQ(Stat(id).shm_perm.mode & SHM_LOCKED, SHM_LOCKED);
  EXPECT_OK(shmctl(id, SHM_UNLOCK, nullptr));
  EXPECT_EQ(Stat(id).shm_perm.mode & SHM_LOCKED, 0);
}

TEST(InformationAndLimits) {
  NewNamespace();
  struct shminfo limits {};
  EXPECT_OK(shmctl(0, IPC_INFO, reinterpret_cast<shmid_ds*>(&limits)));
  EXPECT_EQ(limits.shmmin, 1);
  EXPECT_EQ(limits.shmmni, 4096);
  EXPECT_EQ(limits.shmmax, 18446744073692774399ul);
  EXPECT_EQ(limits.shmall, 18446744073692774399ul);
  int first = ASSERT_OK(MakeSegment(kPage + 1));
  int second = ASSERT_OK(MakeSegment(kPage));
  struct shm_info usage {};
  EXPECT_EQ(shmctl(0, SHM_INFO, reinterpret_cast<shmid_ds*>(&usage)), second & 0x7fff);
  EXPECT_EQ(usage.used_ids, 2);
  EXPECT_EQ(usage.shm_tot, 3);
  shmid_ds ds{};
  EXPECT_EQ(shmctl(first & 0x7fff, SHM_STAT, &ds), first);
  EXPECT_EQ(ds.shm_segsz, kPage + 1);
  EXPECT_ERRNO(shmctl(5, SHM_STAT, &ds), EINVAL);
  EXPECT_ERRNO(shmget(IPC_PRIVATE, 1ul << 60, 0600), ENOMEM);
  EXPECT_EQ(Setting("shmmax", "8192"), std::string("8192"));
  EXPECT_ERRNO(MakeSegment(8193), EINVAL);
  EXPECT_EQ(Setting("shmall", "4"), std::string("4"));
  EXPECT_ERRNO(MakeSegment(8192), ENOSPC);
  EXPECT_EQ(Setting("shmmni", "3"), std::string("3"));
  EXPECT_OK(MakeSegment(1));
  Setting("shmall", "100");
  EXPECT_ERRNO(MakeSegment(1), ENOSPC);
}

TEST(ProcShowsThem) {
  NewNamespace();
  int id = ASSERT_OK(shmget(0xfe, 5000, IPC_CREAT | 0660));
  char* at = Attach(id);
  std::ifstream file("/proc/sysvipc/shm");
  std::string heading, line;
  std::getline(file, heading);
  EXPECT_EQ(
      heading,
      std::string("       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  "
                  "cgid      atime      dtime      ctime                   rss                  swap"));
  std::getline(file, line);
  char start[128];
  snprintf(start, sizeof(start), "%10d %10d  %4o %21lu %5u %5u  %5lu %5u ", 0xfe, id, 0660, 5000ul, getpid(),
           getpid(), 1ul, geteuid());
  EXPECT_EQ(line.substr(0, strlen(start)), std::string(start));
  std::ifstream maps("/proc/self/maps");
  bool found = false;
  char prefix[64];
  snprintf(prefix, sizeof(prefix), "%lx-%lx rw-s 00000000 ", reinterpret_cast<unsigned long>(at),
           reinterpret_cast<unsigned long>(at) + 2 * kPage);
  while (std::getline(maps, line)) {
    if (line.find("/SYSV000000fe (deleted)") == std::string::npos) continue;
    found = true;
    EXPECT_EQ(line.substr(0, strlen(prefix)), std::string(prefix));
    EXPECT_NE(line.find(" " + std::to_string(id) + " "), std::string::npos);
  }
  EXPECT_TRUE(found);
}

TEST(AttachmentsOutliveTheirNamespace) {
  NewNamespace();
  int id = ASSERT_OK(MakeSegment(kPage));
  char* at = Attach(id);
  at[0] = 'q';
  EXPECT_OK(unshare(CLONE_NEWIPC));
  EXPECT_EQ(at[0], 'q');
  at[1] = 'r';
  EXPECT_CHILD_OK([&] { EXPECT_EQ(at[1], 'r'); });
  EXPECT_OK(shmdt(at));
}
