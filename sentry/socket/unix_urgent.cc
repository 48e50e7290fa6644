// The urgent byte of a unix stream socket (MSG_OOB). The last one sent can be read apart from the others;
// where it stood reads end, so that a reader finds the place. Linux counterpart: unix_stream_recv_urg(),
// manage_oob().
#include <algorithm>

#include "sentry/kernel/async_io.h"
#include "sentry/socket/unix_endpoint.h"

namespace runsc {

void UnixEndpoint::SetFile(const FileDescription& file) {
  MutexLock lock(mu_);
  file_ = &file;
}

void UnixEndpoint::SendUrgentSignal() {
  RefPtr<AsyncIo> io;
  {
    MutexLock lock(mu_);
    if (file_ != nullptr) io = AsyncIo::Find(*file_);
  }
  if (io) io->SendUrgent();
}

Result<size_t> UnixEndpoint::ReceiveUrgentLocked(IoSequence& to, const ReceiveOptions& options,
                                                 Taken* taken) {
  if (options.urgent_inline || urgent_ == 0) return Errno(EINVAL);
  auto place = std::find_if(queue_.begin(), queue_.end(),
                            [id = urgent_](const Message& message) { return message.urgent == id; });
  if (place == queue_.end()) return Errno(EINVAL);
  if (!to.empty()) {
    RETURN_IF_ERROR(to.CopyOut(std::as_bytes(std::span(place->data))));
  }
  taken->sender = place->sender;
  taken->credentials = place->credentials;
  if ((options.flags & MSG_PEEK) != 0) return size_t{1};
  place->consumed = place->data.size();
  urgent_ = 0;
  // One mark is enough.
  if (place != queue_.begin() && std::prev(place)->IsReadUp()) {
    taken->done.push_back(std::move(*std::prev(place)));
    queue_.erase(std::prev(place));
  }
  return size_t{1};
}

bool UnixEndpoint::PassUrgentLocked(const ReceiveOptions& options, bool copied, size_t* index, Taken* taken) {
  const bool peek = (options.flags & MSG_PEEK) != 0;
  auto pass = [&](bool drop) ABSL_NO_THREAD_SAFETY_ANALYSIS {
    if (!drop) {
      ++*index;
      return;
    }
    const auto place = queue_.begin() + static_cast<ptrdiff_t>(*index);
    taken->done.push_back(std::move(*place));
    queue_.erase(place);
  };
  if (queue_[*index].IsReadUp() && queue_[*index].urgent != 0) {
    if (copied && urgent_ == 0) return false;
    pass(!peek);
    if (*index == queue_.size()) return true;
  }
  if (urgent_ == 0 || queue_[*index].urgent != urgent_) return true;
  if (copied) return false;
  // Who reads on has not asked for it, and it is lost.
  if (!peek) urgent_ = 0;
  if (!options.urgent_inline) pass(!peek);
  return true;
}

bool UnixEndpoint::HasUnreadLocked() const {
  return std::any_of(queue_.begin(), queue_.end(),
                     [](const Message& message) { return message.urgent == 0 || !message.IsReadUp(); });
}

Result<bool> UnixEndpoint::IsAtUrgentMark() const {
  if (type_ != SOCK_STREAM) return Errno(EOPNOTSUPP);
  MutexLock lock(mu_);
  if (queue_.empty()) return false;
  const Message& first = queue_.front();
  if (urgent_ != 0 && first.urgent == urgent_) return true;
  if (first.urgent == 0 || !first.IsReadUp()) return false;
  return urgent_ == 0 || (queue_.size() > 1 && queue_[1].urgent == urgent_);
}

}  // namespace runsc
