// The layout of a stub process: the fixed region that the platform keeps at the
// top of every guest address space. Also included by stub.S, hence the macros. A backend
// may keep more behind the three pages.
//
//   code     r-x  the backend's stub.S
//   command  r--  written by the Sentry: what to do (guest code can read it only)
//   response rw-  written by the keeper: a hint that it is done; forged at will by a
//                 hostile guest, therefore never believed (see StubProcess)
#ifndef PLATFORM_STUB_STUB_LAYOUT_H_
#define PLATFORM_STUB_STUB_LAYOUT_H_

#define STUB_PAGE_SIZE 0x1000
#define STUB_COMMAND_OFFSET 0x1000
#define STUB_RESPONSE_OFFSET 0x2000
#define STUB_MAPPED_SIZE 0x3000
#define STUB_TASK_SIZE 0x7ffffffff000  // end of user space with 4-level page tables

// Offsets in the command page.
#define STUB_COMMAND_SEQUENCE 0
#define STUB_COMMAND_COUNT 4
#define STUB_COMMAND_MAILBOX 8
#define STUB_COMMAND_LIST 64
#define STUB_COMMAND_SIZE 64

// A guest thread: CLONE_VM|CLONE_FS|CLONE_FILES|CLONE_SIGHAND|CLONE_THREAD|CLONE_SYSVSEM.
#define STUB_THREAD_FLAGS 0x50f00
// A stub process: CLONE_PARENT|CLONE_FILES.
#define STUB_FORK_FLAGS 0x8400
#define STUB_CLONE_VM 0x100

#ifndef __ASSEMBLER__
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace runsc {

// One system call that stub code makes for the Sentry.
struct StubCommand {
  uint64_t number = 0;
  uint64_t arguments[6] = {};
  uint64_t unused = 0;
};
static_assert(sizeof(StubCommand) == STUB_COMMAND_SIZE);

inline constexpr size_t kStubCommands = (STUB_PAGE_SIZE - STUB_COMMAND_LIST) / STUB_COMMAND_SIZE;

struct StubCommandPage {
  std::atomic<uint32_t> sequence;
  uint32_t count;
  uint64_t mailbox_fd;
  uint64_t unused[6];
  StubCommand commands[kStubCommands];
};
static_assert(sizeof(StubCommandPage) == STUB_PAGE_SIZE);
static_assert(offsetof(StubCommandPage, count) == STUB_COMMAND_COUNT);
static_assert(offsetof(StubCommandPage, mailbox_fd) == STUB_COMMAND_MAILBOX);
static_assert(offsetof(StubCommandPage, commands) == STUB_COMMAND_LIST);

struct StubResponsePage {
  std::atomic<uint32_t> sequence;
};

}  // namespace runsc
#endif  // __ASSEMBLER__
#endif  // PLATFORM_STUB_STUB_LAYOUT_H_
