// UtsNamespace: host and domain name. Threading: any thread. uts_namespaces(7).
#ifndef SENTRY_KERNEL_UTS_NAMESPACE_H_
#define SENTRY_KERNEL_UTS_NAMESPACE_H_

#include <string>

#include "platform/base/mutex.h"
#include "sentry/auth/namespace.h"

namespace runsc {

// uname(2) and /proc: the Linux whose interface this is.
inline constexpr char kKernelName[] = "Linux";
inline constexpr char kKernelRelease[] = "6.1.0-runsc";
inline constexpr char kKernelVersion[] = "#1 SMP PREEMPT_DYNAMIC";
inline constexpr char kKernelMachine[] = "x86_64";

class UtsNamespace final : public Namespace {
 public:
  UtsNamespace(RefPtr<UserNamespace> user_ns, std::string host_name, std::string domain_name = "(none)")
      : Namespace(std::move(user_ns)),
        host_name_(std::move(host_name)),
        domain_name_(std::move(domain_name)) {}
  std::string host_name() const {
    MutexLock lock(mu_);
    return host_name_;
  }
  std::string domain_name() const {
    MutexLock lock(mu_);
    return domain_name_;
  }
  void SetHostName(std::string name) {
    MutexLock lock(mu_);
    host_name_ = std::move(name);
  }
  void SetDomainName(std::string name) {
    MutexLock lock(mu_);
    domain_name_ = std::move(name);
  }
  RefPtr<UtsNamespace> Clone(RefPtr<UserNamespace> owner) const {
    return MakeRef<UtsNamespace>(std::move(owner), host_name(), domain_name());
  }

 private:
  mutable Mutex mu_{LockRank::kLeaf};
  std::string host_name_ ABSL_GUARDED_BY(mu_);
  std::string domain_name_ ABSL_GUARDED_BY(mu_);
};

}  // namespace runsc

#endif  // SENTRY_KERNEL_UTS_NAMESPACE_H_
