#include "sentry/loader/elf_loader.h"

#include <elf.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/mount.h>

#include <algorithm>
#include <optional>

#include "sentry/loader/elf_image.h"
#include "sentry/loader/elf_mapping.h"
#include "sentry/loader/exec_creds.h"
#include "sentry/loader/initial_stack.h"
#include "sentry/loader/randomize.h"
#include "sentry/loader/script.h"

namespace runsc {
namespace {

constexpr uint64_t kInitialStackRoom = 128 << 10;  // below the pointer; the rest grows on demand
constexpr uint64_t kBreakRandomPages = (32 << 20) / kPageSize;
constexpr uint64_t kClockTicks = 100;
constexpr int kHwcap2Entry = 26, kMinSignalStackEntry = 51;

Result<size_t> ReadFile(FileDescription& file, uint64_t offset, std::span<std::byte> to) {
  size_t done = 0;
  while (done < to.size()) {
    IoSequence sequence(to.subspan(done));
    ASSIGN_OR_RETURN(size_t got, file.PRead(sequence, offset + done));
    if (got == 0) break;
    done += got;
  }
  return done;
}

Result<ElfImage> ParseFile(FileDescription& file, uint64_t max_address) {
  return ElfImage::Parse([&](uint64_t offset, std::span<std::byte> to) { return ReadFile(file, offset, to); },
                         max_address);
}

// Opens an interpreter as execve(2) opens a program. ENOENT, EACCES, …
Result<RefPtr<FileDescription>> OpenExecutable(const PathContext& paths, const std::string& path) {
  ASSIGN_OR_RETURN(VfsPath place, Walk(paths, paths.cwd, path));
  RefPtr<Inode> inode = place.inode();
  if (!inode || !inode->IsRegular()) return Errno(EACCES);
  if (place.mount && place.mount->no_exec()) return Errno(EACCES);
  RETURN_IF_ERROR(inode->CheckAccess(*paths.creds, 1 /* X_OK */));
  return VfsOpenPath(paths, place, O_RDONLY);
}

struct Program {
  RefPtr<FileDescription> file;
  std::vector<std::string> argv;
};

// Follows "#!" lines to the program that is to be run.
Result<Program> ResolveScripts(const LoadRequest& request) {
  Program program{request.file, request.argv};
  if (program.argv.empty()) program.argv.emplace_back();
  std::string script_name = request.filename;
  for (int depth = 0;; ++depth) {
    std::array<char, kScriptLineMax> head;
    ASSIGN_OR_RETURN(size_t got, ReadFile(*program.file, 0, std::as_writable_bytes(std::span(head))));
    ASSIGN_OR_RETURN(std::optional<ScriptLine> script, ParseScriptLine({head.data(), got}));
    if (!script) return program;
    // The interpreter could not open the script by the name it would be given.
    if (request.close_on_exec_file) return Errno(ENOENT);
    std::vector<std::string> front{script->interpreter};
    if (script->argument) front.push_back(std::move(*script->argument));
    front.push_back(std::move(script_name));
    program.argv.erase(program.argv.begin());
    program.argv.insert(program.argv.begin(), std::make_move_iterator(front.begin()),
                        std::make_move_iterator(front.end()));
    ASSIGN_OR_RETURN(program.file, OpenExecutable(request.paths, script->interpreter));
    RETURN_IF_ERROR(program.file->DenyWriting());
    if (depth == kScriptNestingMax) return Errno(ELOOP);
    script_name = std::move(script->interpreter);
  }
}

// Who may look into the new memory: nobody by equal ids if a file of it may not be read, and by capabilities
// only in a namespace whose members could read it. Linux: would_dump().
struct DumpRule {
  bool may_dump = true;
  RefPtr<UserNamespace> user_ns;
};

Result<void> Restrict(DumpRule& rule, const Credentials& creds, FileDescription& file) {
  if (file.inode()->CheckAccess(creds, R_OK).ok()) return Ok();
  rule.may_dump = false;
  ASSIGN_OR_RETURN(InodeAttributes attributes, file.Attributes());
  while (!rule.user_ns->MapsUid(attributes.uid) || !rule.user_ns->MapsGid(attributes.gid))
    rule.user_ns = rule.user_ns->parent();
  return Ok();
}

Result<ExecCreds> CredsFor(const LoadRequest& request, FileDescription& file) {
  ASSIGN_OR_RETURN(InodeAttributes attributes, file.Attributes());
  const Credentials& old = *request.paths.creds;
  const bool nosuid = file.path().mount && (file.path().mount->flags() & MS_NOSUID) != 0;
  // Linux: mnt_may_suid(). The mounts of another tree, which a descriptor leads to, may be anybody's.
  const MountNamespace* mounts = request.paths.mounts.get();
  const bool own = old.user_ns->IsIn(file.inode()->filesystem().user_ns()) &&
                   (!file.path().mount || mounts == nullptr || mounts->Contains(*file.path().mount));
  const bool honour = !nosuid && own && !old.no_new_privs;
  std::optional<FileCapabilities> capabilities;
  if (honour) {
    Result<std::string> value = file.inode()->GetXattr("security.capability");
    if (value.ok()) {
      ASSIGN_OR_RETURN(capabilities, ParseFileCapabilities(*value));
      if (!old.user_ns->IsRootHereOrAbove(
              capabilities->root.value_or(file.inode()->filesystem().user_ns().RootUid())))
        capabilities.reset();
    }
  }
  return CredsAfterExec(old, attributes, honour, capabilities);
}

Result<UserAddr> MapStack(MemoryManager& memory, UserAddr top, uint64_t used, uint64_t limit,
                          bool executable) {
  uint64_t length = *PageRoundUp(used + kInitialStackRoom);
  length = std::max(std::min(length, std::max(PageRoundDown(limit), kPageSize)), *PageRoundUp(used));
  MMapOptions options;
  options.addr = top - length;
  options.length = length;
  options.prot = PROT_READ | PROT_WRITE | (executable ? PROT_EXEC : 0);
  options.fixed = true;
  options.grows_down = true;
  options.name = "[stack]";
  return memory.MMap(options);
}

std::string CommandName(const std::string& filename) {
  size_t slash = filename.rfind('/');
  return filename.substr(slash == std::string::npos ? 0 : slash + 1).substr(0, 15);
}

}  // namespace

Result<std::unique_ptr<ElfLoader>> ElfLoader::Create(Platform& platform, MemoryFile& memory_file,
                                                     GuestClock& clock, unsigned cpu_count) {
  ASSIGN_OR_RETURN(RefPtr<Vdso> vdso, Vdso::Create(memory_file));
  clock.Attach(vdso->vvar(), cpu_count);
  return std::unique_ptr<ElfLoader>(new ElfLoader(platform, memory_file, std::move(vdso)));
}

Result<LoadedProgram> ElfLoader::Load(const LoadRequest& request) {
  uint64_t stack_limit = request.limits.stack;
  RETURN_IF_ERROR(CheckArgumentSize(request.argv, request.envp, request.filename, stack_limit));
  ASSIGN_OR_RETURN(Program program, ResolveScripts(request));
  RETURN_IF_ERROR(CheckArgumentSize(program.argv, request.envp, request.filename, stack_limit));

  const uint64_t min_address = platform_.min_address();
  const uint64_t max_address = PageRoundDown(platform_.max_address());
  ASSIGN_OR_RETURN(ElfImage image, ParseFile(*program.file, max_address));
  RefPtr<FileDescription> interpreter;
  ElfImage interpreter_image;
  if (!image.interpreter.empty()) {
    ASSIGN_OR_RETURN(interpreter, OpenExecutable(request.paths, image.interpreter));
    Result<ElfImage> parsed = ParseFile(*interpreter, max_address);
    if (parsed.is(ENOEXEC)) return Errno(ELIBBAD);
    ASSIGN_OR_RETURN(interpreter_image, std::move(parsed));
  }
  ASSIGN_OR_RETURN(ExecCreds creds, CredsFor(request, *program.file));
  DumpRule dump{!creds.secure, request.paths.creds->user_ns};
  RETURN_IF_ERROR(Restrict(dump, *request.paths.creds, *program.file));
  if (interpreter) RETURN_IF_ERROR(Restrict(dump, *request.paths.creds, *interpreter));

  ASSIGN_OR_RETURN(RefPtr<MemoryManager> memory, MemoryManager::Create(platform_, memory_file_));
  memory->SetLimits(request.limits);
  ElfPlacement placement = interpreter ? ElfPlacement::kProgram : ElfPlacement::kAnywhere;
  ASSIGN_OR_RETURN(MappedElf mapped,
                   MapElf(*memory, *program.file, image, placement, min_address, max_address));
  MappedElf mapped_interpreter;
  if (interpreter) {
    ASSIGN_OR_RETURN(mapped_interpreter, MapElf(*memory, *interpreter, interpreter_image,
                                                ElfPlacement::kAnywhere, min_address, max_address));
  }
  // The break of a program in the mmap area would soon meet a neighbour: it goes where PIEs go.
  UserAddr break_base = mapped.end;
  if (image.position_independent && !interpreter) break_base = UserAddr(ElfProgramBase(max_address));
  UserAddr break_start = break_base + RandomBelow(kBreakRandomPages) * kPageSize;
  memory->SetBrk(break_start);
  ASSIGN_OR_RETURN(UserAddr vdso, vdso_->MapInto(*memory, request.time_offsets));

  const Credentials& ids = *creds.creds;
  std::vector<std::pair<uint64_t, uint64_t>> auxv{
      {AT_SYSINFO_EHDR, vdso.value()},
      {AT_HWCAP, ::getauxval(AT_HWCAP)},
      {AT_PAGESZ, kPageSize},
      {AT_CLKTCK, kClockTicks},
      {AT_PHDR, mapped.headers.value()},
      {AT_PHENT, sizeof(Elf64_Phdr)},
      {AT_PHNUM, image.header_count},
      {AT_BASE, mapped_interpreter.bias},
      {AT_FLAGS, 0},
      {AT_ENTRY, mapped.entry.value()},
      {AT_UID, ids.user_ns->VisibleUid(ids.ruid)},
      {AT_EUID, ids.user_ns->VisibleUid(ids.euid)},
      {AT_GID, ids.user_ns->VisibleGid(ids.rgid)},
      {AT_EGID, ids.user_ns->VisibleGid(ids.egid)},
      {AT_SECURE, creds.secure ? 1 : 0},
      {kHwcap2Entry, ::getauxval(kHwcap2Entry)},
  };
  if (uint64_t size = ::getauxval(kMinSignalStackEntry); size != 0)
    auxv.emplace_back(kMinSignalStackEntry, size);

  // Within what mm leaves free above the mmap area for the stack's randomisation.
  UserAddr top(max_address - RandomBelow((max_address >> 13) / kPageSize) * kPageSize);
  InitialStackRequest stack_request{program.argv, request.envp, request.filename, {}, std::move(auxv), top};
  FillRandom(stack_request.random);
  stack_request.random_skip = RandomBelow(8192) & ~uint64_t{15};
  InitialStack stack = BuildInitialStack(std::move(stack_request));
  RETURN_IF_ERROR(MapStack(*memory, top, stack.bytes.size(), stack_limit, image.executable_stack));
  if (memory->CopyOut(stack.stack_pointer, std::as_bytes(std::span(stack.bytes))) != stack.bytes.size())
    return Errno(ENOMEM);

  MemoryLayout layout;
  layout.code_start = mapped.code_start;
  layout.code_end = mapped.code_end;
  layout.data_start = mapped.data_start;
  layout.data_end = mapped.data_end;
  layout.brk_start = break_start;
  layout.stack_start = stack.stack_pointer;
  layout.args_start = stack.args_start;
  layout.args_end = stack.args_end;
  layout.env_start = stack.env_start;
  layout.env_end = stack.env_end;
  layout.auxv = stack.auxv;
  memory->SetLayout(layout);
  memory->SetExecutable(program.file);
  memory->SetDumpable(dump.may_dump ? 1 : 0);
  memory->SetUserNs(std::move(dump.user_ns));

  LoadedProgram loaded;
  loaded.memory = std::move(memory);
  loaded.registers.rip = interpreter ? mapped_interpreter.entry.value() : mapped.entry.value();
  loaded.registers.rsp = stack.stack_pointer.value();
  loaded.registers.eflags = 0x200;  // IF
  loaded.registers.cs = 0x33;
  loaded.registers.ss = 0x2b;
  loaded.registers.orig_rax = UINT64_MAX;
  loaded.executable = std::move(program.file);
  loaded.name = CommandName(request.filename);
  loaded.creds = std::move(creds.creds);
  loaded.secure = creds.secure;
  return loaded;
}

}  // namespace runsc
