#include "gofer/server/gofer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <memory>

#include "gofer/server/connection.h"
#include "gofer/server/host_path.h"
#include "gofer/server/sandbox.h"
#include "platform/base/log.h"
#include "platform/host/resident_code.h"

namespace runsc::gofer {
namespace {

// Descriptors that are no nodes: sockets, roots, listings, what one request opens.
constexpr size_t kReservedFiles = 128;

Result<void> OpenRoots(GoferOptions& options, ServerContext& context, std::string& why) {
  if (!options.roots.empty() && !options.roots[0].fd && options.new_mount_namespace) {
    std::vector<HostRoot> host_roots;
    for (auto& root : options.roots)
      host_roots.push_back({.path = root.path, .read_only = root.read_only, .tree = root.tree.release()});
    ASSIGN_OR_RETURN(PreparedRoots prepared, PrepareGoferRoots(host_roots, why));
    context.proc_fds = std::move(prepared.proc_fds);
    for (size_t i = 0; i < options.roots.size(); ++i) {
      const GoferOptions::Root& root = options.roots[i];
      context.roots.push_back({std::move(prepared.roots[i]), root.read_only, root.owners});
    }
    return Ok();
  }
  ASSIGN_OR_RETURN(context.proc_fds, OpenProcFds());
  for (auto& root : options.roots) {
    if (!root.fd) root.fd.reset(open(root.path.c_str(), O_PATH | O_CLOEXEC));
    if (!root.fd) {
      Errno error = HostErrno();
      why = fmt::format("cannot open {}: {}", root.path, error.message());
      return error;
    }
    context.roots.push_back({std::move(root.fd), root.read_only, root.owners});
  }
  return Ok();
}

Result<void> LockDown(const GoferOptions& options, LabelChange& label, ServerContext& context,
                      std::string& why) {
  LockDownOptions lock_down;
  lock_down.change_label = [&label, &why] {
    why = label.Commit();
    return why.empty();
  };
  lock_down.keep_fds = options.keep_fds;
  lock_down.die_with_parent = options.die_with_parent;
  lock_down.may_connect = options.allow_connect;
  lock_down.keep_fds.push_back(context.proc_fds.get());
  for (const ServedRoot& root : context.roots) {
    lock_down.keep_fds.push_back(root.path.get());
    lock_down.writable |= !root.read_only;
    lock_down.roots.push_back({root.path.get(), root.read_only});
  }
  for (const UniqueFd& socket : options.sockets) lock_down.keep_fds.push_back(socket.get());
  if (fchdir(context.proc_fds.get()) < 0) return HostErrno();
  ASSIGN_OR_RETURN(size_t files, LockDownGofer(lock_down));
  size_t connections = options.sockets.empty() ? 1 : options.sockets.size();
  size_t reserved = kReservedFiles + context.roots.size() + options.sockets.size();
  context.max_nodes = files > 2 * reserved ? (files - reserved) / connections : files / 2 / connections;
  return Ok();
}

// What failed, or nothing.
std::string Prepare(GoferOptions& options, ServerContext& context) {
  std::string why;
  LabelChange label;
  if (why = label.Prepare(options.label); !why.empty()) return why;
  if (auto status = OpenRoots(options, context, why); !status.ok())
    return why.empty() ? fmt::format("opening the roots: {}", status.error().message()) : why;
  if (options.lock_down) {
    if (auto status = LockDown(options, label, context, why); !status.ok())
      return why.empty() ? fmt::format("locking down: {}", status.error().message()) : why;
  }
  // To get up took most of its code, to serve takes little of it.
  if (options.lock_down) ReleaseCode();
  if (options.install_filter) {
    if (auto status = options.install_filter(); !status.ok())
      return fmt::format("the seccomp filter: {}", status.error().message());
  }
  return "";
}

}  // namespace

void ServeConnections(const ServerContext& context, std::vector<UniqueFd> sockets) {
  std::vector<std::unique_ptr<Connection>> connections;
  for (UniqueFd& socket : sockets)
    connections.push_back(std::make_unique<Connection>(context, std::move(socket)));
  while (!connections.empty()) {
    if (connections.size() == 1) {
      // The common case saves a poll for each request.
      if (!connections[0]->Serve()) connections.clear();
      continue;
    }
    std::vector<pollfd> polls;
    for (const auto& connection : connections) polls.push_back({connection->socket(), POLLIN, 0});
    if (poll(polls.data(), polls.size(), -1) < 0) continue;
    for (size_t i = polls.size(); i-- > 0;) {
      if (polls[i].revents != 0 && !connections[i]->Serve())
        connections.erase(connections.begin() + static_cast<ptrdiff_t>(i));
    }
  }
}

int RunGofer(GoferOptions options) {
  ServerContext context;
  context.allow_fifos = options.allow_fifos;
  context.allow_connect = options.allow_connect;
  if (std::string why = Prepare(options, context); !why.empty()) {
    if (options.on_failure) {
      options.on_failure(why);
    } else {
      LOG_ERROR("{}", why);
    }
    return 1;
  }
  options.on_failure = nullptr;
  ServeConnections(context, std::move(options.sockets));
  return 0;
}

}  // namespace runsc::gofer
