// TtrpcServer: answers the requests that come over a shim's socket. Each gets one response, in any order,
// some much later (Wait); there are no streams in the service of a shim.
#ifndef RUNSC_SHIM_TTRPC_SERVER_H_
#define RUNSC_SHIM_TTRPC_SERVER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "platform/base/unique_fd.h"
#include "runsc/shim/event_loop.h"
#include "runsc/shim/frame.h"

namespace runsc::shim {

// The encoded message, or why there is none. The codes of absl::Status are those of google.rpc.Code.
using Reply = std::function<void(absl::StatusOr<std::string>)>;

struct Call {
  std::string service, method, payload;
  Reply reply;  // to be called once; harmless if the client has gone
};

class TtrpcServer {
 public:
  // `listener` is bound and listens.
  TtrpcServer(EventLoop& loop, UniqueFd listener, std::function<void(Call)> handler);
  ~TtrpcServer();
  TtrpcServer(const TtrpcServer&) = delete;
  TtrpcServer& operator=(const TtrpcServer&) = delete;

  // All responses have been written.
  bool is_idle() const;

 private:
  struct Connection {
    UniqueFd socket;
    FrameReader reader;
    std::string output;
  };
  void Accept();
  void Handle(uint64_t id, short events);
  void HandleFrame(uint64_t id, Frame frame);
  void Respond(uint64_t id, uint32_t stream, const absl::StatusOr<std::string>& result);
  void Flush(uint64_t id, Connection& connection);
  void Close(uint64_t id);

  EventLoop& loop_;
  UniqueFd listener_;
  std::function<void(Call)> handler_;
  std::map<uint64_t, Connection> connections_;
  uint64_t next_id_ = 1;
};

}  // namespace runsc::shim

#endif  // RUNSC_SHIM_TTRPC_SERVER_H_
