#include "sentry/socket/unix_names.h"

#include <fmt/format.h>

#include "sentry/socket/unix_endpoint.h"

namespace runsc {

AbstractNames& AbstractNames::Get() {
  static auto* const names = new AbstractNames;
  return *names;
}

Result<void> AbstractNames::Add(const std::string& name, UnixEndpoint& endpoint) {
  MutexLock lock(mu_);
  return names_.emplace(std::pair(endpoint.type(), name), &endpoint).second ? Ok()
                                                                            : Result<void>(Errno(EADDRINUSE));
}

Result<std::string> AbstractNames::AddAny(UnixEndpoint& endpoint) {
  constexpr uint32_t kNames = 1 << 20;
  MutexLock lock(mu_);
  for (uint32_t tries = 0; tries < kNames; ++tries) {
    std::string name = fmt::format("{:05x}", next_++ % kNames);
    name.insert(name.begin(), '\0');
    if (names_.emplace(std::pair(endpoint.type(), name), &endpoint).second) return name;
  }
  return Errno(ENOSPC);
}

void AbstractNames::Remove(const std::string& name, const UnixEndpoint& endpoint) {
  MutexLock lock(mu_);
  auto found = names_.find(std::pair(endpoint.type(), name));
  if (found != names_.end() && found->second == &endpoint) names_.erase(found);
}

RefPtr<UnixEndpoint> AbstractNames::Find(const std::string& name, int type) {
  MutexLock lock(mu_);
  auto found = names_.find(std::pair(type, name));
  return found != names_.end() ? RefPtr<UnixEndpoint>::TryFrom(found->second) : nullptr;
}

}  // namespace runsc
