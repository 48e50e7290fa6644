// Memory policies: set_mempolicy(2), mbind(2), move_pages(2). Everything is asked of node 0, which there
// always is.
#include <linux/mempolicy.h>
#include <sys/mman.h>

#include "test/syscalls/syscall_test.h"

namespace {

constexpr unsigned long kMaxNode = 1024;
constexpr unsigned long kNode0 = 1;
constexpr size_t kPage = 4096;

struct Policy {
  int mode = -1;
  unsigned long nodes[kMaxNode / 64] = {};
};
long Get(Policy& policy, const void* addr = nullptr, unsigned long flags = 0) {
  return syscall(SYS_get_mempolicy, &policy.mode, policy.nodes, kMaxNode, addr, flags);
}
long Set(int mode, const unsigned long* nodes, unsigned long max_node = 64) {
  return syscall(SYS_set_mempolicy, mode, nodes, max_node);
}
long Bind(const void* at, size_t length, int mode, const unsigned long* nodes, unsigned flags = 0) {
  return syscall(SYS_mbind, at, length, mode, nodes, 64ul, flags);
}
char* Map(size_t length) {
  return static_cast<char*>(
      mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}
void ExpectPolicy(int mode, unsigned long nodes) {
  Policy policy;
  EXPECT_OK(Get(policy));
  EXPECT_EQ(policy.mode, mode);
  EXPECT_EQ(policy.nodes[0], nodes);
}
const void* const kBad = reinterpret_cast<void*>(8);

}  // namespace

TEST(APolicyIsKept) {
  ExpectPolicy(MPOL_DEFAULT, 0);
  EXPECT_OK(Set(MPOL_BIND, &kNode0));
  ExpectPolicy(MPOL_BIND, kNode0);
  EXPECT_CHILD_OK([] { ExpectPolicy(MPOL_BIND, kNode0); });
  EXPECT_OK(Set(MPOL_INTERLEAVE, &kNode0));
  ExpectPolicy(MPOL_INTERLEAVE, kNode0);
  Policy next;
  EXPECT_OK(syscall(SYS_get_mempolicy, &next.mode, nullptr, 0, nullptr, MPOL_F_NODE));
  EXPECT_EQ(next.mode, 0);
  EXPECT_OK(Set(MPOL_BIND | MPOL_F_STATIC_NODES, &kNode0));
  ExpectPolicy(MPOL_BIND | MPOL_F_STATIC_NODES, kNode0);
  EXPECT_OK(Set(MPOL_PREFERRED, nullptr, 0));
  ExpectPolicy(MPOL_LOCAL, 0);
  EXPECT_OK(Set(MPOL_DEFAULT, nullptr, 0));
  ExpectPolicy(MPOL_DEFAULT, 0);
}

TEST(ErrorsOfPolicies) {
  const unsigned long none = 0;
  EXPECT_ERRNO(Set(MPOL_BIND, &none), EINVAL);
  EXPECT_ERRNO(Set(MPOL_BIND, nullptr, 0), EINVAL);
  EXPECT_ERRNO(Set(MPOL_DEFAULT, &kNode0), EINVAL);
  EXPECT_ERRNO(Set(MPOL_LOCAL, &kNode0), EINVAL);
  EXPECT_ERRNO(Set(99, &kNode0), EINVAL);
  EXPECT_ERRNO(Set(MPOL_BIND | MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES, &kNode0), EINVAL);
  EXPECT_ERRNO(Set(MPOL_BIND, &kNode0, 1), EINVAL);
  EXPECT_OK(Set(MPOL_BIND, &kNode0, 2));
  EXPECT_ERRNO(Set(MPOL_BIND, &kNode0, 40000), EINVAL);
  EXPECT_ERRNO(Set(MPOL_BIND, static_cast<const unsigned long*>(kBad)), EFAULT);
  Policy policy;
  EXPECT_ERRNO(Get(policy, kBad, 0), EINVAL);
  EXPECT_ERRNO(Get(policy, kBad, MPOL_F_ADDR), EFAULT);
  EXPECT_ERRNO(Get(policy, nullptr, 8), EINVAL);
  EXPECT_ERRNO(Get(policy, nullptr, MPOL_F_MEMS_ALLOWED | MPOL_F_NODE), EINVAL);
  EXPECT_OK(Get(policy, nullptr, MPOL_F_MEMS_ALLOWED));
  EXPECT_EQ(policy.nodes[0] & kNode0, kNode0);
}

TEST(Ranges) {
  char* at = Map(2 * kPage);
  EXPECT_OK(Bind(at, 2 * kPage, MPOL_BIND, &kNode0));
  EXPECT_OK(Bind(at, 2 * kPage, MPOL_BIND, &kNode0, MPOL_MF_STRICT | MPOL_MF_MOVE));
  EXPECT_OK(Bind(at, 2 * kPage, MPOL_DEFAULT, nullptr));
  EXPECT_OK(Bind(at, 0, MPOL_BIND, &kNode0));
  EXPECT_ERRNO(Bind(at + 1, kPage, MPOL_BIND, &kNode0), EINVAL);
  EXPECT_ERRNO(Bind(at, kPage, MPOL_BIND, &kNode0, 8), EINVAL);
  EXPECT_ERRNO(Bind(at, kPage, 99, &kNode0), EINVAL);
  EXPECT_OK(munmap(at + kPage, kPage));
  EXPECT_ERRNO(Bind(at, 2 * kPage, MPOL_BIND, &kNode0), EFAULT);
  *at = 1;
  Policy policy;
  EXPECT_OK(syscall(SYS_get_mempolicy, &policy.mode, nullptr, 0, at, MPOL_F_ADDR | MPOL_F_NODE));
  EXPECT_EQ(policy.mode, 0);
}

TEST(UntouchedPagesAreNowhere) {
  constexpr size_t kPages = 1024;
  char* memory = Map(kPages * kPage);
  ASSERT_OK(madvise(memory, kPages * kPage, MADV_NOHUGEPAGE));
  memory[0] = 1;
  const void* pages[2] = {memory, memory + 512 * kPage};
  int status[2] = {77, 77};
  EXPECT_OK(syscall(SYS_move_pages, 0, 2, pages, nullptr, status, 0));
  EXPECT_EQ(status[0], 0);
  EXPECT_EQ(status[1], -ENOENT);
}

TEST(PagesStay) {
  char* touched = Map(kPage);
  *touched = 1;
  char* gone = Map(kPage);
  munmap(gone, kPage);
  const void* pages[2] = {touched, gone};
  int nodes[2] = {0, 0}, status[2] = {77, 77};
  EXPECT_OK(syscall(SYS_move_pages, 0, 2, pages, nullptr, status, 0));
  EXPECT_EQ(status[0], 0);
  EXPECT_EQ(status[1], -EFAULT);
  EXPECT_OK(syscall(SYS_move_pages, getpid(), 1, pages, nodes, status, MPOL_MF_MOVE));
  EXPECT_EQ(status[0], 0);
  EXPECT_ERRNO(syscall(SYS_move_pages, 0, 2, pages, nullptr, status, 8), EINVAL);
  EXPECT_ERRNO(syscall(SYS_move_pages, 4194303, 2, pages, nullptr, status, 0), ESRCH);
  EXPECT_ERRNO(syscall(SYS_move_pages, 0, 2, kBad, nullptr, status, 0), EFAULT);
  EXPECT_ERRNO(syscall(SYS_move_pages, 0, 2, pages, nullptr, kBad, 0), EFAULT);
  EXPECT_OK(syscall(SYS_migrate_pages, 0, 64, &kNode0, &kNode0));
  EXPECT_ERRNO(syscall(SYS_migrate_pages, 4194303, 64, &kNode0, &kNode0), ESRCH);
  EXPECT_ERRNO(syscall(SYS_migrate_pages, 0, 64, kBad, &kNode0), EFAULT);
}

TEST(HomeNodes) {
  constexpr long kSetMempolicyHomeNode = 450;
  char* at = Map(kPage);
  EXPECT_OK(Bind(at, kPage, MPOL_BIND, &kNode0));
  EXPECT_OK(syscall(kSetMempolicyHomeNode, at, kPage, 0, 0));
  EXPECT_ERRNO(syscall(kSetMempolicyHomeNode, at, kPage, 0, 1), EINVAL);
  EXPECT_ERRNO(syscall(kSetMempolicyHomeNode, at + 1, kPage, 0, 0), EINVAL);
  EXPECT_ERRNO(syscall(kSetMempolicyHomeNode, at, kPage, 1023, 0), EINVAL);
}
