// MountContext: what fsopen(2) and fspick(2) give a descriptor of: a filesystem that is described option by
// option, and then made, or set anew. Reading it gives what was wrong, a message a read.
//
// An option is checked when it is set, by its type's own parser. Threading: any thread; while a filesystem is
// being made, without the lock, the context is busy. Linux counterpart: struct fs_context, fs/fsopen.c.
#ifndef SENTRY_FSIMPL_MOUNT_CONTEXT_H_
#define SENTRY_FSIMPL_MOUNT_CONTEXT_H_

#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "platform/base/mutex.h"
#include "sentry/vfs/file_description.h"
#include "sentry/vfs/filesystem.h"

namespace runsc {

class MountContext final : public FileDescription {
 public:
  // fsopen(2).
  MountContext(FilesystemType& type, RefPtr<const Credentials> creds);
  // fspick(2); `type` is null if the filesystem is of none that mount(2) knows.
  MountContext(FilesystemType* type, RefPtr<Filesystem> filesystem, RefPtr<const Credentials> creds);

  // fsconfig(2): a flag has no value, and a value that is not text (a blob, a path, a descriptor) fits no
  // option. EBUSY: not now. EINVAL, with a message.
  struct Parameter {
    enum class Kind { kFlag, kString, kOther };
    Kind kind = Kind::kFlag;
    std::string key, value;
  };
  Result<void> Set(const Parameter& parameter);
  // EPERM.
  Result<void> Create(const Credentials& caller);
  // EBUSY also if files of it are open for writing in `mounts` and it is to be read-only.
  Result<void> Reconfigure(const Credentials& caller, const MountNamespace& mounts);
  // fsmount(2), once, by a task of `mounts`: EINVAL before Create(), EBUSY later; EPERM: it would show what
  // is hidden there.
  Result<RefPtr<Mount>> MakeMount(uint64_t mount_flags, const MountNamespace& mounts);

  // ENODATA: no message left; EMSGSIZE: it does not fit.
  Result<size_t> Read(IoSequence& to) override;

 private:
  enum class Phase {
    kCreateParameters,
    kBusy,
    kAwaitingMount,
    kReconfigureParameters,
    kAwaitingReconfigure,
    kFailed
  };
  static constexpr size_t kMaxMessages = 8;

  // A context whose filesystem is mounted, or set anew, begins to describe its next change.
  void BeginAgainLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Result<void> SetOptionLocked(const Parameter& parameter) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Result<void> FailLocked(std::string message) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  std::string_view type_name() const;

  FilesystemType* const type_;
  const RefPtr<const Credentials> creds_;
  Mutex mu_{LockRank::kPipe};
  Phase phase_ ABSL_GUARDED_BY(mu_);
  std::optional<std::string> source_ ABSL_GUARDED_BY(mu_);
  std::string options_ ABSL_GUARDED_BY(mu_);  // as in mount(2)'s data
  std::optional<bool> read_only_ ABSL_GUARDED_BY(mu_);
  RefPtr<Filesystem> filesystem_ ABSL_GUARDED_BY(mu_);
  RefPtr<Dentry> root_ ABSL_GUARDED_BY(mu_);  // until it is mounted
  std::deque<std::string> messages_ ABSL_GUARDED_BY(mu_);
};

}  // namespace runsc

#endif  // SENTRY_FSIMPL_MOUNT_CONTEXT_H_
