// Platform: runs guest code and hands each system call and fault to the Sentry.
// One a process, made at boot before the Sentry's seccomp filter is in force.
#ifndef PLATFORM_PLATFORM_H_
#define PLATFORM_PLATFORM_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "platform/address_space.h"
#include "platform/base/ref.h"
#include "platform/base/result.h"
#include "platform/context.h"

namespace runsc {

class Platform {
 public:
  virtual ~Platform() = default;
  virtual std::string_view name() const = 0;
  virtual Result<RefPtr<AddressSpace>> NewAddressSpace() = 0;
  virtual std::unique_ptr<Context> NewContext() = 0;
  // The guest may map [min_address, max_address); the platform keeps the rest.
  virtual uint64_t min_address() const = 0;
  virtual uint64_t max_address() const = 0;
  // Bytes of an XSAVE area on this machine (standard format).
  virtual size_t fp_state_size() const = 0;

  // Descriptors that become readable when a host process which guest code needs may have
  // died, also that of a guest which is not running.
  virtual std::vector<int> death_fds() const { return {}; }
  // Takes what made one of them readable; who died and how, or empty: nobody.
  virtual std::string TakeDeath(int) { return {}; }
};

}  // namespace runsc

#endif  // PLATFORM_PLATFORM_H_
