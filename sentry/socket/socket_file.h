// SocketFile: an open socket, of any family: what socket(2) and its relatives ask of it,
// and the options of SOL_SOCKET that all families share.
//
// As every file, a socket never blocks: EAGAIN, and its wait queue is notified. The system call
// layer waits, with SO_RCVTIMEO and SO_SNDTIMEO as deadline.
// Threading: any thread. Linux counterpart: struct socket, struct proto_ops; socket(7).
#ifndef SENTRY_SOCKET_SOCKET_FILE_H_
#define SENTRY_SOCKET_SOCKET_FILE_H_

#include <sys/socket.h>

#include <atomic>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sentry/kernel/task.h"
#include "sentry/vfs/file_description.h"

namespace runsc {

class HostNetwork;

// A struct sockaddr of any family, as the guest gave it or will get it. Empty: none.
struct SocketAddress {
  std::string bytes;
  bool empty() const { return bytes.empty(); }
  // AF_UNSPEC if there is none.
  sa_family_t family() const {
    sa_family_t value = AF_UNSPEC;
    if (bytes.size() >= sizeof(value)) std::memcpy(&value, bytes.data(), sizeof(value));
    return value;
  }
  static SocketAddress OfFamily(sa_family_t family) {
    return {std::string(reinterpret_cast<const char*>(&family), sizeof(family))};
  }
};

// Who sent a message, or who is at the other end (SCM_CREDENTIALS, SO_PEERCRED).
struct SocketCredentials {
  RefPtr<PidNamespace> pid_namespace;  // where `pid` means something; null: nobody
  pid_t pid = 0;
  Uid uid = 65534;
  Gid gid = 65534;
  static SocketCredentials Real(const Task& task);
  static SocketCredentials Effective(const Task& task);
  // As `task` sees it: pid 0 if it cannot.
  ucred SeenBy(const Task& task) const;
};

struct SendRequest {
  int flags = 0;          // MSG_*
  SocketAddress address;  // empty: the connected peer
  std::vector<RefPtr<FileDescription>> files;
  std::optional<SocketCredentials> credentials;  // SCM_CREDENTIALS as given
  std::string control;                           // other control messages, as they stand (host sockets)
};

struct ReceivedMessage {
  size_t length = 0;      // of the whole datagram, if it was cut (MSG_TRUNC)
  int flags = 0;          // MSG_TRUNC, MSG_CTRUNC, MSG_EOR
  SocketAddress address;  // of the sender
  std::vector<RefPtr<FileDescription>> files;
  std::optional<SocketCredentials> credentials;
  std::string control;  // further control messages, as they stand
};

class SocketFile : public FileDescription {
 public:
  // `flags`: O_NONBLOCK or 0. The file lies in the kernel's own filesystem ("socket:[7]"), with `ino` or
  // (0) a number of its own.
  SocketFile(int family, int type, int protocol, int flags, uint64_t ino = 0);

  int family() const { return family_; }
  int type() const { return type_; }
  int protocol() const { return protocol_; }

  virtual Result<void> Bind(Task& task, const SocketAddress& address) { return Errno(EOPNOTSUPP); }
  virtual Result<void> Listen(Task& task, int backlog) { return Errno(EOPNOTSUPP); }
  // EAGAIN: nobody there yet.
  virtual Result<RefPtr<SocketFile>> Accept(int flags, SocketAddress* peer) { return Errno(EOPNOTSUPP); }
  // EAGAIN (the other's backlog is full) and EINPROGRESS: not yet; call again when writable.
  virtual Result<void> Connect(Task& task, const SocketAddress& address) { return Errno(EOPNOTSUPP); }
  // Takes what it can of `from`. `request.files` is emptied by what took them.
  virtual Result<size_t> Send(Task* task, IoSequence& from, SendRequest& request) = 0;
  virtual Result<size_t> Receive(IoSequence& to, int flags, ReceivedMessage* message) = 0;
  virtual Result<void> Shutdown(int how) { return Errno(EOPNOTSUPP); }
  virtual Result<SocketAddress> LocalAddress() = 0;
  virtual Result<SocketAddress> PeerAddress() { return Errno(ENOTCONN); }

  // Options as bytes; `limit` is the length of the guest's buffer. A family overrides these for its own
  // levels and falls back on them. ENOPROTOOPT, EINVAL.
  virtual Result<std::string> GetOption(Task& task, int level, int name, size_t limit);
  virtual Result<void> SetOption(Task& task, int level, int name, std::string_view value);

  // SO_RCVTIMEO, SO_SNDTIMEO in ns; 0: none.
  int64_t receive_timeout() const { return receive_timeout_.load(std::memory_order_relaxed); }
  int64_t send_timeout() const { return send_timeout_.load(std::memory_order_relaxed); }
  bool pass_credentials() const { return pass_credentials_.load(std::memory_order_relaxed); }
  int receive_buffer() const { return receive_buffer_.load(std::memory_order_relaxed); }
  bool urgent_inline() const;  // SO_OOBINLINE
  int send_buffer() const { return send_buffer_.load(std::memory_order_relaxed); }

  // --- FileDescription ---
  Result<size_t> Read(IoSequence& to) override;
  Result<size_t> Write(IoSequence& from) override;
  Result<int64_t> Ioctl(UserMemory& memory, uint32_t request, uint64_t argument) override;
  int64_t io_timeout(bool write) const override { return write ? send_timeout() : receive_timeout(); }

 protected:
  // SO_ERROR: reading clears it.
  virtual int TakeError() { return 0; }
  virtual bool IsListening() const { return false; }
  // SO_PEERCRED.
  virtual SocketCredentials PeerCredentials() const { return {}; }
  virtual void SendBufferChanged(int bytes) {}
  // SIOCINQ, SIOCOUTQ.
  virtual Result<int> UnreadBytes() { return Errno(ENOTTY); }
  virtual Result<int> UnsentBytes() { return Errno(ENOTTY); }
  // SIOCATMARK.
  virtual Result<bool> IsAtUrgentMark() { return Errno(ENOTTY); }

 private:
  const int family_, type_, protocol_;
  std::atomic<int64_t> receive_timeout_{0}, send_timeout_{0};
  std::atomic<bool> pass_credentials_{false};
  std::atomic<int> receive_buffer_{212992}, send_buffer_{212992};
  std::atomic<uint64_t> switches_{0};  // on-off options, a bit each
  std::atomic<int> linger_seconds_{0};
  std::atomic<int> priority_{0}, mark_{0}, receive_low_water_{1};
};

// The socket behind a descriptor's file. ENOTSOCK.
Result<SocketFile*> AsSocket(FileDescription& file);

// The network that the calling task's sockets are in, if the Sentry can ask about it: null if there are no
// internet sockets, or those of the task's container are made elsewhere (GuestContainer::OpenSocket).
HostNetwork* NetworkOfTask();

// The ioctls of netdevice(7) that read. ENOTTY: none of them.
Result<int64_t> NetworkDeviceIoctl(UserMemory& memory, uint32_t request, uint64_t argument);

}  // namespace runsc

#endif  // SENTRY_SOCKET_SOCKET_FILE_H_
