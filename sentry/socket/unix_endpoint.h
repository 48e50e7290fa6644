// UnixEndpoint: the protocol half of a unix(7) socket: its name, its peer, what waits to be received
// or accepted. The open file (UnixSocket) owns it; peers, names, and messages on their way hold references,
// which is why it outlives the file, closed.
//
// Threading: any thread. `mu_` (kSocket) guards one endpoint; where two are needed at once they are taken
// by address. Guest memory is copied under it.
// Linux counterpart: struct unix_sock, net/unix/af_unix.c.
#ifndef SENTRY_SOCKET_UNIX_ENDPOINT_H_
#define SENTRY_SOCKET_UNIX_ENDPOINT_H_

#include <atomic>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "platform/base/mutex.h"
#include "platform/base/ref.h"
#include "sentry/socket/socket_file.h"
#include "sentry/socket/unix_rights.h"

namespace runsc {

class UnixEndpoint final : public RefCounted {
 public:
  explicit UnixEndpoint(int type);
  ~UnixEndpoint() override;

  int type() const { return type_; }
  bool is_datagram() const { return type_ == SOCK_DGRAM; }
  WaitQueue& wait_queue() { return wait_queue_; }

  // socketpair(2).
  static void Pair(const RefPtr<UnixEndpoint>& a, const RefPtr<UnixEndpoint>& b,
                   const SocketCredentials& credentials);

  // bind(2): the bytes behind sun_family; a leading NUL: abstract; empty: any free abstract name.
  Result<void> Bind(Task& task, std::string name);
  Result<void> Listen(const SocketCredentials& credentials, int backlog);
  // EAGAIN: no one there, or (connect) no room in the backlog: wait_queue() is notified.
  Result<RefPtr<UnixEndpoint>> Accept();
  Result<void> Connect(Task& task, const SocketAddress& address);
  Result<void> Shutdown(int how);
  // The file is gone. Also of one that was never accepted.
  void Close();

  struct Outgoing {
    SocketCredentials credentials;
    std::vector<RefPtr<FileDescription>> files;
    RefPtr<UnixEndpoint> to;  // datagrams: null is the connected peer
    bool urgent = false;      // MSG_OOB: the last byte is
  };
  // EPIPE, ENOTCONN, EAGAIN, EMSGSIZE, ECONNREFUSED, ...
  Result<size_t> Send(IoSequence& from, Outgoing& outgoing);
  struct ReceiveOptions {
    int flags = 0;  // MSG_PEEK, MSG_OOB
    bool pass_credentials = false;
    bool urgent_inline = false;  // SO_OOBINLINE
  };
  Result<size_t> Receive(IoSequence& to, const ReceiveOptions& options, ReceivedMessage* message);
  // SIOCATMARK: whether what is read next is, or was, the urgent byte.
  Result<bool> IsAtUrgentMark() const;
  // The endpoint that an address names and that `task` may send to. ECONNREFUSED, EPROTOTYPE, EACCES, …
  static Result<RefPtr<UnixEndpoint>> Find(Task& task, const SocketAddress& address, int type);

  EventMask Readiness();
  SocketAddress LocalAddress() const;
  Result<SocketAddress> PeerAddress() const;
  SocketCredentials peer_credentials() const;
  bool IsListening() const;
  int TakeError();
  void SetSendLimit(int bytes) { send_limit_.store(bytes, std::memory_order_relaxed); }
  Result<int> UnreadBytes() const;
  int UnsentBytes() const { return static_cast<int>(send_used_.load(std::memory_order_relaxed)); }

  // For the collector of unreachable sockets: every file in messages to this endpoint, also
  // to those that wait to be accepted.
  void VisitFilesInFlight(absl::FunctionRef<void(FileDescription&)> visit);
  // Drops everything that waits to be received; into `files`, to be released without locks.
  void TakeFilesInFlight(std::vector<RefPtr<FileDescription>>* files);

  // A line of /proc/net/unix for each endpoint that is alive.
  static std::string ProcNetUnix();
  // Whose owner gets SIGURG; until Close().
  void SetFile(const FileDescription& file);
  void set_inode_number(uint64_t ino) { inode_number_.store(ino, std::memory_order_relaxed); }

 private:
  enum class State : uint8_t { kUnconnected, kListening, kConnected, kClosed };
  struct Message {
    std::string data;
    size_t consumed = 0;
    SocketCredentials credentials;
    FilesInFlight files;
    RefPtr<UnixEndpoint> sender;
    size_t charge = 0;  // against the sender's buffer
    // Not 0: an urgent byte, which is a message of its own; the latest one while urgent_ is the same.
    uint64_t urgent = 0;
    bool IsReadUp() const { return consumed == data.size(); }
  };

  Result<void> BindAbstract(std::string name) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  Result<void> ConnectDatagram(Task& task, const SocketAddress& address);
  Result<void> ConnectStream(Task& task, const SocketAddress& address);
  Result<size_t> SendStream(IoSequence& from, Outgoing& outgoing, UnixEndpoint& peer);
  Result<size_t> SendPacket(IoSequence& from, Outgoing& outgoing, UnixEndpoint& peer);
  bool BufferIsFull() const { return send_used_.load() >= send_limit_.load(); }
  // Puts a message into `peer`'s queue. EAGAIN (and this endpoint will be told), EPIPE, ECONNREFUSED, EPERM.
  Result<void> Deliver(UnixEndpoint& peer, Message& message);
  // What a receive takes out under the lock and deals with behind it.
  struct Taken {
    std::vector<Message> done;  // fully read
    FilesInFlight files;
    std::vector<RefPtr<FileDescription>> peeked_files;
    SocketCredentials credentials;
    RefPtr<UnixEndpoint> sender;
    size_t length = 0;  // of the whole datagram
  };
  Result<size_t> ReceiveStreamLocked(IoSequence& to, const ReceiveOptions& options, Taken* taken)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // unix_urgent.cc
  Result<size_t> ReceiveUrgentLocked(IoSequence& to, const ReceiveOptions& options, Taken* taken)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Before the message at `*index` is read: false if a read ends here, as it has got something (`copied`) and
  // the urgent byte comes next.
  bool PassUrgentLocked(const ReceiveOptions& options, bool copied, size_t* index, Taken* taken)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  bool HasUnreadLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void SendUrgentSignal();
  Result<size_t> ReceivePacketLocked(IoSequence& to, int flags, Taken* taken)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Nothing is there: end of file (0), an error that waits, or EAGAIN.
  Result<size_t> NothingThereLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // Gives back what the messages held of their senders' buffers, and tells who waits.
  static void Finish(std::vector<Message>& done);
  void ReleaseBudget(size_t charge);
  bool HasSendRoom() const;
  static void NotifyBlocked(std::vector<RefPtr<UnixEndpoint>>& blocked);
  bool QueueIsFullLocked() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void BlockLocked(UnixEndpoint& sender) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  // The other side has closed or shut down: `how` as in shutdown(2) from this side's view.
  void PeerShutdown(int how, int error);

  const int type_;
  WaitQueue wait_queue_;
  std::atomic<int64_t> send_used_{0};
  std::atomic<int> send_limit_{212992};
  std::atomic<uint64_t> inode_number_{0};

  mutable Mutex mu_{LockRank::kSocket};
  State state_ ABSL_GUARDED_BY(mu_) = State::kUnconnected;
  bool named_ ABSL_GUARDED_BY(mu_) = false;
  bool binding_ ABSL_GUARDED_BY(mu_) = false;    // a bind to a path is under way
  std::string name_ ABSL_GUARDED_BY(mu_);        // behind sun_family, with the NUL of a path
  VfsPath path_ ABSL_GUARDED_BY(mu_);            // where it is bound, if it is a path
  bool owns_name_ ABSL_GUARDED_BY(mu_) = false;  // not one taken over from a listener
  RefPtr<UnixEndpoint> peer_ ABSL_GUARDED_BY(mu_);
  SocketCredentials peer_credentials_ ABSL_GUARDED_BY(mu_);
  SocketCredentials own_credentials_ ABSL_GUARDED_BY(mu_);  // at listen
  bool receive_shutdown_ ABSL_GUARDED_BY(mu_) = false;
  bool send_shutdown_ ABSL_GUARDED_BY(mu_) = false;
  int error_ ABSL_GUARDED_BY(mu_) = 0;
  std::deque<Message> queue_ ABSL_GUARDED_BY(mu_);
  // The urgent byte that waits (0: none), and how many there have been. One that was read stays in the queue
  // as an empty message: reads end there.
  uint64_t urgent_ ABSL_GUARDED_BY(mu_) = 0, urgent_count_ ABSL_GUARDED_BY(mu_) = 0;
  const FileDescription* file_ ABSL_GUARDED_BY(mu_) = nullptr;
  std::deque<RefPtr<UnixEndpoint>> backlog_ ABSL_GUARDED_BY(mu_);
  size_t backlog_limit_ ABSL_GUARDED_BY(mu_) = 0;
  // Who wants to be told when the queue or the backlog has room.
  std::vector<RefPtr<UnixEndpoint>> blocked_ ABSL_GUARDED_BY(mu_);
};

}  // namespace runsc

#endif  // SENTRY_SOCKET_UNIX_ENDPOINT_H_
