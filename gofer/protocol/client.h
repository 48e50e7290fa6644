// GoferClient: the Sentry's end of one connection. Any thread calls, many at once. There
// is no receiver thread: of the threads that wait, one reads replies and hands them to
// whom they belong, until its own comes; then it passes that role on.
//
// A call is not interruptible: the Gofer answers every request, and its host files are
// local. When the connection ends, by the Gofer's death or a reply that does not
// decode, every call, now and later, returns EIO and the handler is told once.
#ifndef GOFER_PROTOCOL_CLIENT_H_
#define GOFER_PROTOCOL_CLIENT_H_

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "gofer/protocol/packet.h"
#include "platform/base/mutex.h"
#include "platform/base/result.h"
#include "platform/base/unique_fd.h"

namespace runsc::gofer {

class GoferClient {
 public:
  // `on_death` runs on the thread that found out, without locks of the client.
  GoferClient(UniqueFd socket, std::function<void()> on_death);
  ~GoferClient();
  GoferClient(const GoferClient&) = delete;
  GoferClient& operator=(const GoferClient&) = delete;

  // Sends the request and waits for its reply. `donated`, if given, takes the descriptor
  // that came with it (EIO if none came, but for a request that may come without); a
  // descriptor nobody asked for is closed.
  template <typename Request>
  Result<typename Request::Reply> Call(const Request& request, UniqueFd* donated = nullptr) {
    std::vector<UniqueFd> fds;
    ASSIGN_OR_RETURN(typename Request::Reply reply, Call(request, fds));
    if (donated == nullptr) return reply;
    if (!fds.empty()) *donated = std::move(fds.front());
    if (!*donated && !requires { Request::kMayDonate; }) return Errno(EIO);
    return reply;
  }
  // With all descriptors that came, kMaxDonated at most.
  template <typename Request>
  Result<typename Request::Reply> Call(const Request& request, std::vector<UniqueFd>& donated) {
    std::vector<std::byte> packet;
    EncodePacket(Header{.type = static_cast<uint16_t>(Request::kType)}, request, packet);
    RETURN_IF_ERROR(Exchange(packet, donated));
    typename Request::Reply reply;
    if (!DecodeBody(packet, reply)) {
      Die();
      return Errno(EIO);
    }
    return reply;
  }

  // Forgets a node: batched, sent when enough have gathered or with FlushCloses.
  void CloseLater(NodeId node);
  void FlushCloses();

  // For a poller that wants to hear of the Gofer's death while no call is under way.
  int socket() const { return socket_.get(); }
  bool dead() const { return dead_.load(std::memory_order_relaxed); }
  // How many requests were sent so far.
  uint64_t requests() const { return requests_.load(std::memory_order_relaxed); }

 private:
  struct Waiter {
    bool done = false;
    Result<void> status;
    std::vector<std::byte> packet;
    std::vector<UniqueFd> fds;
    std::condition_variable wake;  // done, or the role of the receiver is free
  };

  // Sends `packet` (its tag is filled in) and replaces it by the reply.
  Result<void> Exchange(std::vector<std::byte>& packet, std::vector<UniqueFd>& donated);
  void ReceiveUntilDone(Waiter& waiter);
  void Die();

  const UniqueFd socket_;
  const std::function<void()> on_death_;
  std::atomic<bool> dead_{false};
  std::atomic<uint64_t> requests_{0};
  std::unique_ptr<std::byte[]> receive_buffer_;  // of the thread that has the receiver's role

  Mutex mu_{LockRank::kGoferClient};
  bool receiving_ ABSL_GUARDED_BY(mu_) = false;
  uint32_t next_tag_ ABSL_GUARDED_BY(mu_) = 1;
  absl::flat_hash_map<uint32_t, Waiter*> waiters_ ABSL_GUARDED_BY(mu_);
  std::vector<NodeId> closes_ ABSL_GUARDED_BY(mu_);
};

}  // namespace runsc::gofer

#endif  // GOFER_PROTOCOL_CLIENT_H_
