// How strace shows one argument.
#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include <algorithm>

#include "sentry/syscalls/strace.h"

namespace runsc {

namespace {

constexpr size_t kShownBytes = 32;  // of a buffer, as strace -s
constexpr size_t kShownStrings = 32;

// Bytes as a C string literal without its quotes.
void AppendEscaped(std::string& text, std::span<const char> bytes) {
  for (size_t i = 0; i < bytes.size(); ++i) {
    auto c = static_cast<unsigned char>(bytes[i]);
    bool digit_follows = i + 1 < bytes.size() && bytes[i + 1] >= '0' && bytes[i + 1] <= '9';
    switch (c) {
      case '\n':
        text += "\\n";
        break;
      case '\t':
        text += "\\t";
        break;
      case '\r':
        text += "\\r";
        break;
      case '\f':
        text += "\\f";
        break;
      case '\v':
        text += "\\v";
        break;
      case '"':
        text += "\\\"";
        break;
      case '\\':
        text += "\\\\";
        break;
      default:
        if (c >= 0x20 && c < 0x7f) {
          text += static_cast<char>(c);
        } else {
          text += digit_follows ? fmt::format("\\{:03o}", c) : fmt::format("\\{:o}", c);
        }
    }
  }
}

std::string Pointer(uint64_t value) { return value == 0 ? "NULL" : fmt::format("{:#x}", value); }

std::string Bytes(UserMemory& memory, uint64_t address, uint64_t length) {
  if (address == 0) return "NULL";
  char bytes[kShownBytes];
  size_t wanted = std::min<uint64_t>(length, sizeof(bytes));
  size_t got = memory.CopyIn(UserAddr(address), std::as_writable_bytes(std::span(bytes, wanted)));
  if (got < wanted) return Pointer(address);
  std::string text = "\"";
  AppendEscaped(text, std::span(bytes, got));
  return text + (length > got ? "\"..." : "\"");
}

std::string String(UserMemory& memory, uint64_t address, size_t limit) {
  if (address == 0) return "NULL";
  auto string = memory.ReadString(UserAddr(address), limit, ENAMETOOLONG);
  if (string.is(ENAMETOOLONG)) return Bytes(memory, address, UINT64_MAX);
  if (!string.ok()) return Pointer(address);
  std::string text = "\"";
  AppendEscaped(text, *string);
  return text + "\"";
}

std::string StringVector(UserMemory& memory, uint64_t address) {
  if (address == 0) return "NULL";
  std::string text = "[";
  for (size_t i = 0;; ++i) {
    auto pointer = memory.Read(UserPtr<const uint64_t>(address).At(i));
    if (!pointer.ok()) return Pointer(address);
    if (*pointer == 0) break;
    if (i > 0) text += ", ";
    if (i == kShownStrings) {
      text += "...";
      break;
    }
    text += String(memory, *pointer, 4096);
  }
  return text + "]";
}

std::string StatText(const struct stat& status) {
  const char* type = S_ISREG(status.st_mode)    ? "S_IFREG"
                     : S_ISDIR(status.st_mode)  ? "S_IFDIR"
                     : S_ISLNK(status.st_mode)  ? "S_IFLNK"
                     : S_ISCHR(status.st_mode)  ? "S_IFCHR"
                     : S_ISBLK(status.st_mode)  ? "S_IFBLK"
                     : S_ISFIFO(status.st_mode) ? "S_IFIFO"
                     : S_ISSOCK(status.st_mode) ? "S_IFSOCK"
                                                : "0";
  std::string text = fmt::format("{{st_mode={}|{:04o}, ", type, status.st_mode & 07777);
  if (S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode)) {
    text += fmt::format("st_rdev=makedev({:#x}, {:#x})", major(status.st_rdev), minor(status.st_rdev));
  } else {
    text += fmt::format("st_size={}", status.st_size);
  }
  return text + ", ...}";
}

std::string SockaddrText(UserMemory& memory, uint64_t address, uint64_t length) {
  sockaddr_storage storage{};
  size_t wanted = std::min<uint64_t>(length & 0xffffffff, sizeof(storage));
  if (wanted < sizeof(sa_family_t) ||
      memory.CopyIn(UserAddr(address), std::as_writable_bytes(std::span(&storage, 1)).first(wanted)) < wanted)
    return Pointer(address);
  std::string family = FormatNames(ArgumentFormat::kSocketFamily, storage.ss_family);
  char text[INET6_ADDRSTRLEN] = "";
  if (storage.ss_family == AF_INET && wanted >= sizeof(sockaddr_in)) {
    const auto& in = reinterpret_cast<const sockaddr_in&>(storage);
    ::inet_ntop(AF_INET, &in.sin_addr, text, sizeof(text));
    return fmt::format("{{sa_family=AF_INET, sin_port=htons({}), sin_addr=inet_addr(\"{}\")}}",
                       ntohs(in.sin_port), text);
  }
  if (storage.ss_family == AF_INET6 && wanted >= sizeof(sockaddr_in6)) {
    const auto& in6 = reinterpret_cast<const sockaddr_in6&>(storage);
    ::inet_ntop(AF_INET6, &in6.sin6_addr, text, sizeof(text));
    return fmt::format("{{sa_family=AF_INET6, sin6_port=htons({}), inet_pton(AF_INET6, \"{}\")}}",
                       ntohs(in6.sin6_port), text);
  }
  if (storage.ss_family == AF_UNIX) {
    const auto& un = reinterpret_cast<const sockaddr_un&>(storage);
    size_t size = std::min(wanted, sizeof(sockaddr_un)) - offsetof(sockaddr_un, sun_path);
    std::string path;
    if (size > 0 && un.sun_path[0] == '\0') {
      path = "@\"";
      AppendEscaped(path, std::span(un.sun_path + 1, size - 1));
    } else {
      path = "\"";
      AppendEscaped(path, std::span(un.sun_path, ::strnlen(un.sun_path, size)));
    }
    return fmt::format("{{sa_family=AF_UNIX, sun_path={}\"}}", path);
  }
  return fmt::format("{{sa_family={}, ...}}", family);
}

std::string SignalSetText(uint64_t bits) {
  // As strace does: what is missing, if that is shorter.
  bool inverted = __builtin_popcountll(bits) > 32;
  if (inverted) bits = ~bits;
  std::string text = inverted ? "~[" : "[";
  bool first = true;
  for (int signal = 1; signal <= 64; ++signal) {
    if ((bits >> (signal - 1) & 1) == 0) continue;
    std::string name = FormatNames(ArgumentFormat::kSignal, static_cast<uint64_t>(signal));
    text += (first ? "" : " ") + (name.starts_with("SIG") ? name.substr(3) : name);
    first = false;
  }
  return text + "]";
}

// Structs are read once; what cannot be read is shown as an address.
std::string Struct(UserMemory& memory, ArgumentFormat format, uint64_t value, uint64_t next) {
  if (value == 0) return "NULL";
  switch (format) {
    case ArgumentFormat::kTimespec: {
      auto time = memory.Read(UserPtr<const timespec>(value));
      if (time.ok()) return fmt::format("{{tv_sec={}, tv_nsec={}}}", time->tv_sec, time->tv_nsec);
      break;
    }
    case ArgumentFormat::kTimeval: {
      auto time = memory.Read(UserPtr<const timeval>(value));
      if (time.ok()) return fmt::format("{{tv_sec={}, tv_usec={}}}", time->tv_sec, time->tv_usec);
      break;
    }
    case ArgumentFormat::kStat: {
      auto status = memory.Read(UserPtr<const struct stat>(value));
      if (status.ok()) return StatText(*status);
      break;
    }
    case ArgumentFormat::kSignalSet: {
      auto bits = memory.Read(UserPtr<const uint64_t>(value));
      if (bits.ok()) return SignalSetText(*bits);
      break;
    }
    case ArgumentFormat::kSignalAction: {
      auto action = memory.Read(UserPtr<const SignalAction>(value));
      if (!action.ok()) break;
      std::string handler = action->IsDefault()   ? "SIG_DFL"
                            : action->IsIgnored() ? "SIG_IGN"
                                                  : fmt::format("{:#x}", action->handler);
      return fmt::format("{{sa_handler={}, sa_mask={}, sa_flags={:#x}}}", handler,
                         SignalSetText(action->mask), action->flags);
    }
    case ArgumentFormat::kIovec: {
      std::string text = "[";
      for (uint64_t i = 0; i < std::min<uint64_t>(next, 4); ++i) {
        auto vector = memory.Read(UserPtr<const iovec>(value).At(i));
        if (!vector.ok()) return Pointer(value);
        text += fmt::format("{}{{iov_base={}, iov_len={}}}", i == 0 ? "" : ", ",
                            Bytes(memory, reinterpret_cast<uint64_t>(vector->iov_base), vector->iov_len),
                            vector->iov_len);
      }
      return text + (next > 4 ? ", ...]" : "]");
    }
    case ArgumentFormat::kPipeFds: {
      int fds[2];
      if (memory.ReadArray(UserPtr<const int>(value), std::span<int>(fds)).ok())
        return fmt::format("[{}, {}]", fds[0], fds[1]);
      break;
    }
    default:
      break;
  }
  return Pointer(value);
}

}  // namespace

std::string FormatArgument(UserMemory& memory, ArgumentFormat format, uint64_t value, uint64_t next,
                           const Result<int64_t>* result) {
  switch (format) {
    case ArgumentFormat::kInt:
      return (value >> 32) == 0 ? std::to_string(static_cast<int32_t>(value))
                                : std::to_string(static_cast<int64_t>(value));
    case ArgumentFormat::kFd:
      return std::to_string(static_cast<int32_t>(value));
    case ArgumentFormat::kDirFd:
      return static_cast<int32_t>(value) == AT_FDCWD ? "AT_FDCWD"
                                                     : std::to_string(static_cast<int32_t>(value));
    case ArgumentFormat::kUnsigned:
      return std::to_string(value);
    case ArgumentFormat::kHex:
      return fmt::format("{:#x}", value);
    case ArgumentFormat::kAddress:
      return Pointer(value);
    case ArgumentFormat::kPath:
      return String(memory, value, 4096);
    case ArgumentFormat::kString:
      return String(memory, value, 256);
    case ArgumentFormat::kStringVector:
      return StringVector(memory, value);
    case ArgumentFormat::kFileMode:
      return fmt::format("{:#o}", value & 0xffffffff);
    case ArgumentFormat::kBuffer:
      if (result == nullptr) return Bytes(memory, value, next);
      return result->ok() ? Bytes(memory, value, static_cast<uint64_t>(std::max<int64_t>(**result, 0)))
                          : Pointer(value);
    case ArgumentFormat::kSockaddr:
      return SockaddrText(memory, value, next);
    default:
      break;
  }
  std::string names = FormatNames(format, value);
  return names.empty() ? Struct(memory, format, value, next) : names;
}

}  // namespace runsc
