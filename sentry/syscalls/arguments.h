// The argument types of system call handlers. A handler takes C++ types; ArgumentTraits
// says how each is made of a register and how strace shows it. A flag or mode word that
// has a name of its own in the man pages gets a type here, so that strace can print its names.
#ifndef SENTRY_SYSCALLS_ARGUMENTS_H_
#define SENTRY_SYSCALLS_ARGUMENTS_H_

#include <sys/stat.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

#include <cstdint>
#include <type_traits>

#include "sentry/kernel/signal.h"
#include "sentry/usermem/user_addr.h"

namespace runsc {

enum class ArgumentFormat : uint8_t {
  kInt,       // signed decimal
  kUnsigned,  // decimal
  kHex,
  kAddress,  // a pointer that strace does not look behind
  kFd,
  kDirFd,
  kPath,
  kString,
  kOpenFlags,
  kFileMode,
  kAtFlags,
  kSignal,
  kProtection,
  kMapFlags,
  kCloneFlags,
  kFutexOperation,
  kWhence,
  kFcntlCommand,
  kIoctlRequest,
  kClockId,
  kSocketFamily,
  kSocketType,
  kMessageFlags,
  kWaitOptions,
  kAccessMode,
  kMadvise,
  kResource,
  kPollEvents,
  kMountFlags,
  kUmountFlags,
  kMountAttributes,
  kOpenTreeFlags,
  kMoveMountFlags,
  kFsopenFlags,
  kFsmountFlags,
  kFspickFlags,
  kFsconfigCommand,
  kEpollOperation,
  kSignalHow,
  kPrctlOption,
  // A pointer to a struct that strace decodes.
  kTimespec,
  kTimeval,
  kStat,
  kSignalSet,
  kSignalAction,
  kSockaddr,
  kIovec,
  kPipeFds,
  kStringVector,  // argv, envp
  kBuffer,        // bytes; the length is the next argument (reads: the result)
};

// A register-sized value with a meaning of its own. `Fd(3)` is no `int` by accident.
template <ArgumentFormat format, typename Value = int>
struct SyscallArgument {
  Value value{};
  static constexpr ArgumentFormat kFormat = format;
  using ValueType = Value;
  constexpr operator Value() const { return value; }  // NOLINT(google-explicit-constructor)
};

using Fd = SyscallArgument<ArgumentFormat::kFd>;
using DirFd = SyscallArgument<ArgumentFormat::kDirFd>;
using OpenFlags = SyscallArgument<ArgumentFormat::kOpenFlags>;
using FileMode = SyscallArgument<ArgumentFormat::kFileMode, uint32_t>;
using AtFlags = SyscallArgument<ArgumentFormat::kAtFlags>;
using SignalNumber = SyscallArgument<ArgumentFormat::kSignal>;
using Protection = SyscallArgument<ArgumentFormat::kProtection>;
using MapFlags = SyscallArgument<ArgumentFormat::kMapFlags>;
using CloneFlags = SyscallArgument<ArgumentFormat::kCloneFlags, uint64_t>;
using FutexOperation = SyscallArgument<ArgumentFormat::kFutexOperation>;
using Whence = SyscallArgument<ArgumentFormat::kWhence>;
using FcntlCommand = SyscallArgument<ArgumentFormat::kFcntlCommand>;
using IoctlRequest = SyscallArgument<ArgumentFormat::kIoctlRequest, uint32_t>;
using ClockId = SyscallArgument<ArgumentFormat::kClockId>;
using SocketFamily = SyscallArgument<ArgumentFormat::kSocketFamily>;
using SocketType = SyscallArgument<ArgumentFormat::kSocketType>;
using MessageFlags = SyscallArgument<ArgumentFormat::kMessageFlags>;
using WaitOptions = SyscallArgument<ArgumentFormat::kWaitOptions>;
using AccessMode = SyscallArgument<ArgumentFormat::kAccessMode>;
using MadviseAdvice = SyscallArgument<ArgumentFormat::kMadvise>;
using Resource = SyscallArgument<ArgumentFormat::kResource>;
using MountFlags = SyscallArgument<ArgumentFormat::kMountFlags, uint64_t>;
using UmountFlags = SyscallArgument<ArgumentFormat::kUmountFlags>;
using MountAttributes = SyscallArgument<ArgumentFormat::kMountAttributes, uint32_t>;
using OpenTreeFlags = SyscallArgument<ArgumentFormat::kOpenTreeFlags, uint32_t>;
using MoveMountFlags = SyscallArgument<ArgumentFormat::kMoveMountFlags, uint32_t>;
using FsopenFlags = SyscallArgument<ArgumentFormat::kFsopenFlags, uint32_t>;
using FsmountFlags = SyscallArgument<ArgumentFormat::kFsmountFlags, uint32_t>;
using FspickFlags = SyscallArgument<ArgumentFormat::kFspickFlags, uint32_t>;
using FsconfigCommand = SyscallArgument<ArgumentFormat::kFsconfigCommand, uint32_t>;
using EpollOperation = SyscallArgument<ArgumentFormat::kEpollOperation>;
using SignalHow = SyscallArgument<ArgumentFormat::kSignalHow>;
using PrctlOption = SyscallArgument<ArgumentFormat::kPrctlOption>;

// How a register becomes a T. Narrow integers take the low bits, as the kernel does.
template <typename T>
struct ArgumentTraits {
  static_assert(std::is_integral_v<T>, "no such argument type");
  static constexpr ArgumentFormat kFormat =
      std::is_signed_v<T> ? ArgumentFormat::kInt : ArgumentFormat::kUnsigned;
  static constexpr T Decode(uint64_t value) { return static_cast<T>(value); }
};
template <ArgumentFormat format, typename Value>
struct ArgumentTraits<SyscallArgument<format, Value>> {
  static constexpr ArgumentFormat kFormat = format;
  static constexpr SyscallArgument<format, Value> Decode(uint64_t value) {
    return {static_cast<Value>(value)};
  }
};
template <>
struct ArgumentTraits<UserAddr> {
  static constexpr ArgumentFormat kFormat = ArgumentFormat::kAddress;
  static constexpr UserAddr Decode(uint64_t value) { return UserAddr(value); }
};
template <>
struct ArgumentTraits<UserPath> {
  static constexpr ArgumentFormat kFormat = ArgumentFormat::kPath;
  static constexpr UserPath Decode(uint64_t value) { return UserPath{UserAddr(value)}; }
};
template <>
struct ArgumentTraits<UserCString> {
  static constexpr ArgumentFormat kFormat = ArgumentFormat::kString;
  static constexpr UserCString Decode(uint64_t value) { return UserCString{UserAddr(value)}; }
};
// Structs that strace decodes.
template <typename T>
inline constexpr ArgumentFormat kPointeeFormat = ArgumentFormat::kAddress;
template <>
inline constexpr ArgumentFormat kPointeeFormat<timespec> = ArgumentFormat::kTimespec;
template <>
inline constexpr ArgumentFormat kPointeeFormat<timeval> = ArgumentFormat::kTimeval;
template <>
inline constexpr ArgumentFormat kPointeeFormat<struct stat> = ArgumentFormat::kStat;
template <>
inline constexpr ArgumentFormat kPointeeFormat<iovec> = ArgumentFormat::kIovec;
template <>
inline constexpr ArgumentFormat kPointeeFormat<SignalAction> = ArgumentFormat::kSignalAction;

// Whether the call fills what the argument points to, so that strace shows it afterwards.
template <typename T>
inline constexpr bool kIsOutput = false;
template <typename T>
inline constexpr bool kIsOutput<UserPtr<T>> = !std::is_const_v<T>;
template <typename T>
struct ArgumentTraits<UserPtr<T>> {
  static constexpr ArgumentFormat kFormat = kPointeeFormat<std::remove_const_t<T>>;
  static constexpr UserPtr<T> Decode(uint64_t value) { return UserPtr<T>(value); }
};
// The bytes of read(2) and write(2): UserBuffer to be filled, ConstUserBuffer to be read.
struct UserBuffer {
  UserAddr addr;
};
struct ConstUserBuffer {
  UserAddr addr;
};
template <>
inline constexpr bool kIsOutput<UserBuffer> = true;
template <>
struct ArgumentTraits<UserBuffer> {
  static constexpr ArgumentFormat kFormat = ArgumentFormat::kBuffer;
  static constexpr UserBuffer Decode(uint64_t value) { return {UserAddr(value)}; }
};
template <>
struct ArgumentTraits<ConstUserBuffer> {
  static constexpr ArgumentFormat kFormat = ArgumentFormat::kBuffer;
  static constexpr ConstUserBuffer Decode(uint64_t value) { return {UserAddr(value)}; }
};

}  // namespace runsc

#endif  // SENTRY_SYSCALLS_ARGUMENTS_H_
