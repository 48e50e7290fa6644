// A Gofer that serves a temporary directory: root 0 writable, root 1 the same read-only.
#ifndef TEST_GOFER_GOFER_FIXTURE_H_
#define TEST_GOFER_GOFER_FIXTURE_H_

#include <fcntl.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "gofer/protocol/client.h"
#include "gofer/server/connection.h"
#include "gofer/server/gofer.h"
#include "gofer/server/host_path.h"

namespace runsc::gofer {

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    char name[] = "/tmp/gofer_test.XXXXXX";
    path_ = mkdtemp(name);
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  void Write(const std::string& name, const std::string& text) const { std::ofstream(*this / name) << text; }

 private:
  std::string path_;
};

inline std::pair<UniqueFd, UniqueFd> PacketSockets() {
  int fds[2] = {-1, -1};
  if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0) std::abort();
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

// The server on a thread; ends when the client's socket closes.
class ThreadedGofer {
 public:
  explicit ThreadedGofer(const std::string& path, size_t max_nodes = 256, size_t max_watches = 256) {
    umask(0);
    auto [mine, theirs] = PacketSockets();
    socket = std::move(mine);
    context_.proc_fds = std::move(OpenProcFds()).value();
    context_.max_nodes = max_nodes;
    context_.max_watches = max_watches;
    for (bool read_only : {false, true}) {
      UniqueFd root(open(path.c_str(), O_PATH | O_CLOEXEC));
      context_.roots.push_back({std::move(root), read_only});
    }
    std::vector<UniqueFd> sockets;
    sockets.push_back(std::move(theirs));
    thread_ = std::thread([this, sockets = std::move(sockets)]() mutable {
      // A working directory of its own, as the Gofer has it.
      if (unshare(CLONE_FS) != 0 || fchdir(context_.proc_fds.get()) != 0) std::abort();
      ServeConnections(context_, std::move(sockets));
    });
  }
  ~ThreadedGofer() {
    if (socket) shutdown(socket.get(), SHUT_RDWR);
    Join();
  }
  void Join() {
    if (thread_.joinable()) thread_.join();
  }
  UniqueFd socket;  // the client's end, until taken

 private:
  ServerContext context_;
  std::thread thread_;
};

struct ClientAndGofer {
  explicit ClientAndGofer(const std::string& path, size_t max_nodes = 256, size_t max_watches = 256)
      : gofer(path, max_nodes, max_watches),
        client(std::move(gofer.socket), [this] { deaths.fetch_add(1); }) {}
  ~ClientAndGofer() { shutdown(client.socket(), SHUT_RDWR); }
  NodeId root(uint32_t index = 0) { return client.Call(Attach{.root = index}).value().node; }

  std::atomic<int> deaths{0};
  ThreadedGofer gofer;
  GoferClient client;
};

}  // namespace runsc::gofer

#endif  // TEST_GOFER_GOFER_FIXTURE_H_
