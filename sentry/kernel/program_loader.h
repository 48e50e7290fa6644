// How the kernel gets a program into an address space: implemented by sentry/loader, given to
// the Kernel at boot. Linux counterpart: struct linux_binfmt.
#ifndef SENTRY_KERNEL_PROGRAM_LOADER_H_
#define SENTRY_KERNEL_PROGRAM_LOADER_H_

#include <string>
#include <vector>

#include "platform/base/result.h"
#include "platform/registers.h"
#include "sentry/mm/memory_manager.h"
#include "sentry/time/time_namespace.h"
#include "sentry/vfs/path_walk.h"

namespace runsc {

struct LoadRequest {
  PathContext paths;             // for interpreters ("#!" and PT_INTERP)
  RefPtr<FileDescription> file;  // the program, opened for reading; checked for execute permission
  std::string filename;          // as given to execve: AT_EXECFN and "#!" arguments
  std::vector<std::string> argv, envp;
  MemoryLimits limits;
  TimeOffsets time_offsets;         // of the time namespace that it will be in
  bool close_on_exec_file = false;  // execveat(AT_EMPTY_PATH) of a close-on-exec fd: no "#!"
};

struct LoadedProgram {
  RefPtr<MemoryManager> memory;
  Registers registers{};
  RefPtr<FileDescription> executable;  // after "#!": the interpreter
  std::string name;                    // the new comm, at most 15 bytes
  // Set-user-ID results, already subject to nosuid and no_new_privs.
  RefPtr<const Credentials> creds;
  bool secure = false;  // AT_SECURE
};

class ProgramLoader {
 public:
  virtual ~ProgramLoader() = default;
  // ENOENT, EACCES, ENOEXEC, ELIBBAD, E2BIG, ENOMEM, ELOOP (too many "#!").
  virtual Result<LoadedProgram> Load(const LoadRequest& request) = 0;
  // A program that was loaded by this loader is in another time namespace from now on. No task runs in it.
  virtual Result<void> SetTimeOffsets(MemoryManager& memory, const TimeOffsets& offsets) { return Ok(); }
  // Address of the vDSO's rt_sigreturn trampoline in a program that was loaded by this loader; 0: none.
  virtual uint64_t sigreturn_trampoline(const MemoryManager& memory) const { return 0; }
};

}  // namespace runsc

#endif  // SENTRY_KERNEL_PROGRAM_LOADER_H_
