#include "runsc/shim/event_publisher.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

#include "platform/base/log.h"
#include "runsc/shim/proto/events.pb.h"
#include "runsc/shim/proto/ttrpc.pb.h"
#include "runsc/shim/timestamp.h"

namespace runsc::shim {
namespace {

constexpr size_t kMostWaiting = 4096;
constexpr std::chrono::milliseconds kRetryDelay(500);

}  // namespace

EventPublisher::EventPublisher(EventLoop& loop, std::string address, std::string name_space)
    : loop_(loop), address_(std::move(address)), namespace_(std::move(name_space)) {}

void EventPublisher::Publish(std::string_view topic, std::string_view type,
                             const google::protobuf::MessageLite& event) {
  if (address_.empty()) return;
  api::ForwardRequest forward;
  api::Envelope* envelope = forward.mutable_envelope();
  *envelope->mutable_timestamp() = ToTimestamp(Now());
  envelope->set_namespace_(namespace_);
  envelope->set_topic(std::string(topic));
  envelope->mutable_event()->set_type_url(std::string(type));
  event.SerializeToString(envelope->mutable_event()->mutable_value());
  ttrpc::Request request;
  request.set_service("containerd.services.events.ttrpc.v1.Events");
  request.set_method("Forward");
  forward.SerializeToString(request.mutable_payload());
  if (waiting_.size() >= kMostWaiting) {
    LOG_ERROR("containerd takes no events: {} is dropped", topic);
    return;
  }
  waiting_.push_back(request.SerializeAsString());
  if (!is_sent_ && !is_retrying_) SendNext();
}

void EventPublisher::SendNext() {
  if (waiting_.empty()) return;
  if (!socket_ && !Connect()) return Retry();
  // containerd reads at once, and there is only ever one request in the socket's buffer.
  std::string frame = EncodeFrame(stream_, Frame::kRequest, waiting_.front());
  if (::send(socket_.get(), frame.data(), frame.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(frame.size()))
    return Retry();
  is_sent_ = true;
}

bool EventPublisher::Connect() {
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  if (address_.size() >= sizeof(name.sun_path)) return false;
  address_.copy(name.sun_path, sizeof(name.sun_path) - 1);
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket || ::connect(socket.get(), reinterpret_cast<sockaddr*>(&name), sizeof(name)) != 0) return false;
  socket_ = std::move(socket);
  reader_ = FrameReader();
  stream_ = 1;
  loop_.Watch(socket_.get(), POLLIN, [this](short) { Handle(); });
  return true;
}

void EventPublisher::Disconnect() {
  if (!socket_) return;
  loop_.Forget(socket_.get());
  socket_.reset();
}

// What was on its way is sent again: an event that comes twice is better than one that does not come.
void EventPublisher::Retry() {
  Disconnect();
  is_sent_ = false;
  if (is_retrying_ || waiting_.empty()) return;
  is_retrying_ = true;
  loop_.After(kRetryDelay, [this] {
    is_retrying_ = false;
    SendNext();
  });
}

void EventPublisher::Handle() {
  char bytes[4096];
  ssize_t size = ::recv(socket_.get(), bytes, sizeof(bytes), 0);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (size <= 0) return Retry();
  reader_.Append({bytes, static_cast<size_t>(size)});
  while (std::optional<Frame> frame = reader_.Next()) {
    if (!is_sent_ || frame->type != Frame::kResponse || frame->stream != stream_) continue;
    ttrpc::Response response;
    if (response.ParseFromString(frame->data) && response.status().code() != 0)
      LOG_ERROR("containerd does not take an event: {}", response.status().message());
    waiting_.pop_front();
    is_sent_ = false;
    stream_ += 2;
    SendNext();
    if (!socket_) return;
  }
  if (reader_.is_broken()) Retry();
}

}  // namespace runsc::shim
