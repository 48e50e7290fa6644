// The options of SOL_SOCKET: socket(7).
#include <algorithm>
#include <cstring>

#include "sentry/socket/socket_file.h"
#include "sentry/time/clock.h"

namespace runsc {
namespace {

// Linux's numbers that the C library's headers may not have.
constexpr int kPeerSec = 31, kPassSec = 34, kPeerGroups = 59, kCookie = 57, kPreferBusyPoll = 69;
constexpr int kReceiveTimeoutNew = 66, kSendTimeoutNew = 67;
constexpr int kMinSendBuffer = 4608, kMinReceiveBuffer = 2304;
constexpr int kMaxBuffer = 212992;  // net.core.[rw]mem_max

template <typename T>
std::string Bytes(const T& value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof(value));
}

Result<int> ReadInt(std::string_view value) {
  int number = 0;
  if (value.size() < sizeof(number)) return Errno(EINVAL);
  std::memcpy(&number, value.data(), sizeof(number));
  return number;
}

// On-off options that are only remembered: what they change does not exist for the families here, or the
// family reads them itself.
int SwitchBit(int name) {
  switch (name) {
    case SO_DEBUG:
      return 0;
    case SO_REUSEADDR:
      return 1;
    case SO_REUSEPORT:
      return 2;
    case SO_DONTROUTE:
      return 3;
    case SO_BROADCAST:
      return 4;
    case SO_KEEPALIVE:
      return 5;
    case SO_OOBINLINE:
      return 6;
    case SO_NO_CHECK:
      return 7;
    case SO_TIMESTAMP:
      return 8;
    case SO_TIMESTAMPNS:
      return 9;
    case kPassSec:
      return 10;
    case SO_RXQ_OVFL:
      return 11;
    case SO_WIFI_STATUS:
      return 12;
    case SO_SELECT_ERR_QUEUE:
      return 13;
    case kPreferBusyPoll:
      return 14;
    case SO_ZEROCOPY:
      return 15;
    case SO_LINGER:  // whether it is on; the seconds are apart
      return 16;
    default:
      return -1;
  }
}

Result<int64_t> ReadTimeout(std::string_view value) {
  timeval time;
  if (value.size() < sizeof(time)) return Errno(EINVAL);
  std::memcpy(&time, value.data(), sizeof(time));
  if (time.tv_usec < 0 || time.tv_usec >= 1'000'000) return Errno(EDOM);
  // A negative time does not wait; sock_set_timeout() says so.
  if (time.tv_sec < 0) return 1;
  int64_t nanoseconds = 0;
  if (__builtin_mul_overflow(time.tv_sec, kNanosecondsPerSecond, &nanoseconds) ||
      __builtin_add_overflow(nanoseconds, time.tv_usec * 1000, &nanoseconds))
    return 0;
  return nanoseconds;
}

timeval ToTimeval(int64_t nanoseconds) {
  return {nanoseconds / kNanosecondsPerSecond, nanoseconds % kNanosecondsPerSecond / 1000};
}

}  // namespace

bool SocketFile::urgent_inline() const { return (switches_.load() >> SwitchBit(SO_OOBINLINE) & 1) != 0; }

Result<std::string> SocketFile::GetOption(Task& task, int level, int name, size_t limit) {
  if (level != SOL_SOCKET) return Errno(EOPNOTSUPP);
  switch (name) {
    case SO_TYPE:
      return Bytes(type_);
    case SO_DOMAIN:
      return Bytes(family_);
    case SO_PROTOCOL:
      return Bytes(protocol_);
    case SO_ERROR:
      return Bytes(TakeError());
    case SO_ACCEPTCONN:
      return Bytes(int{IsListening()});
    case SO_SNDBUF:
    case SO_SNDBUFFORCE:
      return Bytes(send_buffer());
    case SO_RCVBUF:
    case SO_RCVBUFFORCE:
      return Bytes(receive_buffer());
    case SO_LINGER: {
      linger value{static_cast<int>(switches_.load() >> SwitchBit(SO_LINGER) & 1), linger_seconds_.load()};
      return Bytes(value);
    }
    case SO_RCVTIMEO:
    case kReceiveTimeoutNew:
      return Bytes(ToTimeval(receive_timeout()));
    case SO_SNDTIMEO:
    case kSendTimeoutNew:
      return Bytes(ToTimeval(send_timeout()));
    case SO_RCVLOWAT:
      return Bytes(receive_low_water_.load());
    case SO_SNDLOWAT:
      return Bytes(int{1});
    case SO_PRIORITY:
      return Bytes(priority_.load());
    case SO_MARK:
      return Bytes(mark_.load());
    case SO_PASSCRED:
      return Bytes(int{pass_credentials()});
    case SO_PEERCRED: {
      if (family_ != AF_UNIX) return Bytes(ucred{0, UINT32_MAX, UINT32_MAX});
      SocketCredentials peer = PeerCredentials();
      if (!peer.pid_namespace) return Bytes(ucred{0, UINT32_MAX, UINT32_MAX});
      return Bytes(peer.SeenBy(task));
    }
    case kPeerGroups:
      return family_ == AF_UNIX ? Errno(ENODATA) : Errno(ENOPROTOOPT);
    case kPeerSec:
      return Errno(ENOPROTOOPT);
    case SO_PEEK_OFF:
      return Bytes(int{-1});
    case SO_BUSY_POLL:
    case SO_INCOMING_NAPI_ID:
    case SO_TIMESTAMPING:
      return Bytes(int{0});
    case SO_INCOMING_CPU:
      return Bytes(int{-1});
    case SO_BINDTODEVICE:
      return std::string();
    case kCookie:
      return Bytes(reinterpret_cast<uintptr_t>(this) >> 4);
    default:
      break;
  }
  if (int bit = SwitchBit(name); bit >= 0) return Bytes(static_cast<int>(switches_.load() >> bit & 1));
  return Errno(ENOPROTOOPT);
}

Result<void> SocketFile::SetOption(Task& task, int level, int name, std::string_view value) {
  if (level != SOL_SOCKET) return Errno(EOPNOTSUPP);
  if (name == SO_BINDTODEVICE) return Errno(ENODEV);
  ASSIGN_OR_RETURN(int number, ReadInt(value));
  auto set_switch = [this](int bit, bool on) {
    uint64_t mask = uint64_t{1} << bit;
    if (on) {
      switches_.fetch_or(mask);
    } else {
      switches_.fetch_and(~mask);
    }
  };
  switch (name) {
    case SO_TYPE:
    case SO_DOMAIN:
    case SO_PROTOCOL:
    case SO_ERROR:
    case SO_ACCEPTCONN:
    case SO_PEERCRED:
    case kPeerSec:
    case kPeerGroups:
    case SO_SNDLOWAT:
      return Errno(ENOPROTOOPT);
    case SO_SNDBUFFORCE:
    case SO_SNDBUF:
      if (name == SO_SNDBUFFORCE && !task.creds().HasCapability(CAP_NET_ADMIN)) return Errno(EPERM);
      // Linux doubles the value for its bookkeeping, and says so when asked.
      number = static_cast<int>(std::min(static_cast<unsigned>(number), static_cast<unsigned>(kMaxBuffer)));
      send_buffer_.store(std::max(number * 2, kMinSendBuffer));
      SendBufferChanged(send_buffer());
      return Ok();
    case SO_RCVBUFFORCE:
    case SO_RCVBUF:
      if (name == SO_RCVBUFFORCE && !task.creds().HasCapability(CAP_NET_ADMIN)) return Errno(EPERM);
      number = static_cast<int>(std::min(static_cast<unsigned>(number), static_cast<unsigned>(kMaxBuffer)));
      receive_buffer_.store(std::max(number * 2, kMinReceiveBuffer));
      return Ok();
    case SO_LINGER: {
      linger given;
      if (value.size() < sizeof(given)) return Errno(EINVAL);
      std::memcpy(&given, value.data(), sizeof(given));
      set_switch(SwitchBit(SO_LINGER), given.l_onoff != 0);
      if (given.l_onoff != 0) linger_seconds_.store(given.l_linger);
      return Ok();
    }
    case SO_RCVTIMEO:
    case kReceiveTimeoutNew: {
      ASSIGN_OR_RETURN(int64_t timeout, ReadTimeout(value));
      receive_timeout_.store(timeout);
      return Ok();
    }
    case SO_SNDTIMEO:
    case kSendTimeoutNew: {
      ASSIGN_OR_RETURN(int64_t timeout, ReadTimeout(value));
      send_timeout_.store(timeout);
      return Ok();
    }
    case SO_RCVLOWAT:
      receive_low_water_.store(number < 0 ? INT32_MAX : std::max(number, 1));
      return Ok();
    case SO_PRIORITY:
      if ((number < 0 || number > 6) && !task.creds().HasCapability(CAP_NET_ADMIN)) return Errno(EPERM);
      priority_.store(number);
      return Ok();
    case SO_MARK:
      if (!task.creds().HasCapability(CAP_NET_ADMIN)) return Errno(EPERM);
      mark_.store(number);
      return Ok();
    case SO_PASSCRED:
      pass_credentials_.store(number != 0);
      return Ok();
    case SO_DEBUG:
      if (number != 0 && !task.creds().HasCapability(CAP_NET_ADMIN)) return Errno(EACCES);
      break;
    case SO_ATTACH_FILTER:
    case SO_ATTACH_BPF:
      return Errno(EPERM);  // filters are not run
    case SO_DETACH_FILTER:
      return Errno(ENOENT);
    case SO_BUSY_POLL:
    case SO_INCOMING_CPU:
    case SO_TIMESTAMPING:
      return Ok();
    default:
      break;
  }
  if (int bit = SwitchBit(name); bit >= 0) {
    set_switch(bit, number != 0);
    return Ok();
  }
  return Errno(ENOPROTOOPT);
}

}  // namespace runsc
