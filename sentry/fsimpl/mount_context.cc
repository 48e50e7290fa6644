#include "sentry/fsimpl/mount_context.h"

#include <fmt/format.h>

#include <algorithm>

#include "sentry/vfs/anonymous.h"

namespace runsc {

namespace {

// Linux: common_set_sb_flag[] and common_clear_sb_flag[]; of these only the first pair means something here.
constexpr std::string_view kReadOnly = "ro", kReadWrite = "rw";
constexpr std::string_view kIgnored[] = {"dirsync", "lazytime",   "mand",  "sync",
                                         "async",   "nolazytime", "nomand"};

// What options may take together, of our own memory.
constexpr size_t kMaxOptions = 64 * 1024;

}  // namespace

MountContext::MountContext(FilesystemType& type, RefPtr<const Credentials> creds)
    : FileDescription(AnonymousPath("anon_inode:[fscontext]"), O_RDWR),
      type_(&type),
      creds_(std::move(creds)),
      phase_(Phase::kCreateParameters) {}

MountContext::MountContext(FilesystemType* type, RefPtr<Filesystem> filesystem,
                           RefPtr<const Credentials> creds)
    : FileDescription(AnonymousPath("anon_inode:[fscontext]"), O_RDWR),
      type_(type),
      creds_(std::move(creds)),
      phase_(Phase::kReconfigureParameters),
      filesystem_(std::move(filesystem)) {}

std::string_view MountContext::type_name() const {
  return type_ != nullptr ? type_->name() : std::string_view("none");
}

Result<void> MountContext::FailLocked(std::string message) {
  if (messages_.size() == kMaxMessages) messages_.pop_front();
  messages_.push_back("e " + std::move(message) + "\n");
  return Errno(EINVAL);
}

void MountContext::BeginAgainLocked() {
  if (phase_ != Phase::kAwaitingReconfigure) return;
  phase_ = Phase::kReconfigureParameters;
  source_.reset();
  options_.clear();
  read_only_.reset();
}

Result<void> MountContext::Set(const Parameter& parameter) {
  MutexLock lock(mu_);
  BeginAgainLocked();
  if (phase_ != Phase::kCreateParameters && phase_ != Phase::kReconfigureParameters) return Errno(EBUSY);
  if (parameter.key == kReadOnly || parameter.key == kReadWrite) {
    read_only_ = parameter.key == kReadOnly;
    return Ok();
  }
  if (std::find(std::begin(kIgnored), std::end(kIgnored), parameter.key) != std::end(kIgnored)) return Ok();
  if (parameter.key == "source") {
    if (parameter.kind != Parameter::Kind::kString) return FailLocked("Non-string source");
    if (source_) return FailLocked("Multiple sources");
    source_ = parameter.value;
    return Ok();
  }
  return SetOptionLocked(parameter);
}

Result<void> MountContext::SetOptionLocked(const Parameter& parameter) {
  const std::vector<std::string_view> known =
      type_ != nullptr ? type_->option_names() : std::vector<std::string_view>();
  if (std::find(known.begin(), known.end(), parameter.key) == known.end())
    return FailLocked(fmt::format("{}: Unknown parameter '{}'", type_name(), parameter.key));
  std::string option = parameter.key;
  if (parameter.kind == Parameter::Kind::kString) option += "=" + parameter.value;
  // A comma would begin another option.
  bool fits = parameter.kind != Parameter::Kind::kOther && option.find(',') == std::string::npos;
  if (!fits || !type_->CheckOptions(option).ok())
    return FailLocked(fmt::format("{}: Bad value for '{}'", type_name(), parameter.key));
  if (options_.size() + option.size() >= kMaxOptions) return Errno(ENOMEM);
  if (!options_.empty()) options_ += ",";
  options_ += option;
  return Ok();
}

Result<void> MountContext::Create(const Credentials& caller) {
  FilesystemSource source;
  {
    MutexLock lock(mu_);
    BeginAgainLocked();
    if (phase_ != Phase::kCreateParameters) return Errno(EBUSY);
    source = {source_.value_or(""), options_, creds_};
    phase_ = Phase::kBusy;
  }
  if (Result<void> may = type_->CheckMayMake(caller, source); !may.ok()) {
    MutexLock lock(mu_);
    phase_ = Phase::kCreateParameters;
    return may;
  }
  Result<NewFilesystem> made = type_->MakeFor(source);
  MutexLock lock(mu_);
  phase_ = made.ok() ? Phase::kAwaitingMount : Phase::kFailed;
  if (!made.ok()) return made.error();
  if (made->is_new && read_only_.value_or(false)) made->filesystem->set_read_only(true);
  filesystem_ = std::move(made->filesystem);
  root_ = std::move(made->root);
  return Ok();
}

Result<void> MountContext::Reconfigure(const Credentials& caller, const MountNamespace& mounts) {
  RefPtr<Filesystem> filesystem;
  std::string options;
  std::optional<bool> read_only;
  {
    MutexLock lock(mu_);
    BeginAgainLocked();
    if (phase_ != Phase::kReconfigureParameters) return Errno(EBUSY);
    filesystem = filesystem_;
    if (!caller.HasCapabilityIn(filesystem->user_ns(), CAP_SYS_ADMIN)) return Errno(EPERM);
    options = options_;
    read_only = read_only_;
    phase_ = Phase::kBusy;
  }
  bool is_busy = read_only.value_or(false) && !filesystem->is_read_only() && mounts.HasWriters(*filesystem);
  Result<void> done = is_busy ? Result<void>(Errno(EBUSY)) : filesystem->Reconfigure(options);
  if (done.ok() && read_only) filesystem->set_read_only(*read_only);
  MutexLock lock(mu_);
  phase_ = done.ok() ? Phase::kAwaitingReconfigure : Phase::kFailed;
  return done;
}

Result<RefPtr<Mount>> MountContext::MakeMount(uint64_t mount_flags, const MountNamespace& mounts) {
  RefPtr<Mount> mount;
  {
    MutexLock lock(mu_);
    if (phase_ == Phase::kCreateParameters || phase_ == Phase::kFailed) return Errno(EINVAL);
    if (phase_ != Phase::kAwaitingMount) return Errno(EBUSY);
    mount = MakeRef<Mount>(filesystem_, root_, mount_flags, source_.value_or("none"));
    phase_ = Phase::kBusy;
  }
  // The lock of the mounts comes before this one.
  Result<void> may = type_ != nullptr && type_->may_reveal() ? mounts.CheckReveals(*mount) : Ok();
  MutexLock lock(mu_);
  phase_ = may.ok() ? Phase::kAwaitingReconfigure : Phase::kAwaitingMount;
  if (!may.ok()) return may.error();
  root_.reset();
  return mount;
}

Result<size_t> MountContext::Read(IoSequence& to) {
  std::string message;
  {
    MutexLock lock(mu_);
    if (messages_.empty()) return Errno(ENODATA);
    if (messages_.front().size() > to.size()) return Errno(EMSGSIZE);
    message = std::move(messages_.front());
    messages_.pop_front();
  }
  return to.CopyOut(std::as_bytes(std::span(message)));
}

}  // namespace runsc
