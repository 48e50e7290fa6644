// EventPublisher: tells containerd what happens to tasks, over its ttrpc socket, one event after the other so
// that they arrive in order. While containerd is away (it restarts) events wait.
#ifndef RUNSC_SHIM_EVENT_PUBLISHER_H_
#define RUNSC_SHIM_EVENT_PUBLISHER_H_

#include <google/protobuf/message_lite.h>

#include <deque>
#include <string>
#include <string_view>

#include "platform/base/unique_fd.h"
#include "runsc/shim/event_loop.h"
#include "runsc/shim/frame.h"

namespace runsc::shim {

class EventPublisher {
 public:
  // `address`: containerd's ttrpc socket; "": nobody is told.
  EventPublisher(EventLoop& loop, std::string address, std::string name_space);
  ~EventPublisher() { Disconnect(); }
  EventPublisher(const EventPublisher&) = delete;
  EventPublisher& operator=(const EventPublisher&) = delete;

  // `type` is the message's name for containerd, "containerd.events.TaskExit".
  void Publish(std::string_view topic, std::string_view type, const google::protobuf::MessageLite& event);
  bool is_idle() const { return waiting_.empty(); }

 private:
  void SendNext();
  bool Connect();
  void Disconnect();
  void Retry();
  void Handle();

  EventLoop& loop_;
  const std::string address_, namespace_;
  UniqueFd socket_;
  FrameReader reader_;
  std::deque<std::string> waiting_;  // encoded requests; the first is on its way if is_sent_
  bool is_sent_ = false;
  bool is_retrying_ = false;
  uint32_t stream_ = 1;
};

}  // namespace runsc::shim

#endif  // RUNSC_SHIM_EVENT_PUBLISHER_H_
