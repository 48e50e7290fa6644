// Telling of changes: Watch, by inotify(7).
#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <climits>
#include <utility>

#include "gofer/server/connection.h"
#include "gofer/server/host_path.h"

namespace runsc::gofer {
namespace {

// A directory's entries and attributes. What is done to the bytes of its files is not asked for here: it
// would be told of files that nobody asked about.
constexpr uint32_t kDirectoryEvents =
    IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB | IN_MOVE_SELF | IN_ONLYDIR;
// IN_CLOSE_WRITE tells of what was stored through a mapping; IN_ATTRIB also of links made and removed.
constexpr uint32_t kFileEvents = IN_MODIFY | IN_ATTRIB | IN_CLOSE_WRITE | IN_MOVE_SELF;

}  // namespace

Result<WatchQueue*> Connection::QueueOf(uint32_t root) {
  WatchQueue& watches = watch_queues_[root];
  if (!watches.queue) {
    watches.queue.reset(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    if (!watches.queue) return HostErrno();
  }
  return &watches;
}

Result<int> Connection::BeginWatch(Node& node) {
  if (node.pseudo) return Errno(EOPNOTSUPP);
  if (node.device != watched_device_) {
    if (!ChangesOnlyHere(node.path.get())) return Errno(EOPNOTSUPP);
    watched_device_ = node.device;
  }
  ASSIGN_OR_RETURN(WatchQueue * watches, QueueOf(node.root));
  if (node.watch < 0 && watches->nodes.size() >= context_.max_watches) return Errno(ENOSPC);
  // The working directory is /proc/self/fd, whose links mean the held files themselves.
  int watch = inotify_add_watch(watches->queue.get(), std::to_string(node.path.get()).c_str(),
                                node.type == S_IFDIR ? kDirectoryEvents : kFileEvents);
  if (watch < 0) return HostErrno();
  if (node.watch != watch) {
    // Anything else was ended by the host.
    EndWatch(node);
    node.watch = watch;
    ++watches->nodes[watch];
  }
  return watch;
}

Result<WatchReply> Connection::Do(const Watch& request, UniqueFd& donated) {
  if (request.donate > 1) return Errno(EINVAL);
  ASSIGN_OR_RETURN(Node * node, nodes_.Get(request.node));
  WatchQueue& watches = watch_queues_[node->root];
  if (request.donate != 0 && watches.donated) return Errno(EBUSY);
  WatchReply reply;
  ASSIGN_OR_RETURN(reply.watch, BeginWatch(*node));
  ASSIGN_OR_RETURN(PathStatus status, Stat(node->path.get(), ""));
  reply.attributes = status.attributes;
  if (request.donate != 0) {
    donated.reset(fcntl(watches.queue.get(), F_DUPFD_CLOEXEC, 0));
    if (!donated) return HostErrno();
    watches.donated = true;
  }
  return reply;
}

Result<WalkEachReply> Connection::Do(const WalkEach& request, UniqueFd& donated) {
  if (request.names.empty() || request.names.size() > kMaxWalkEach) return Errno(EINVAL);
  for (const std::string& name : request.names) RETURN_IF_ERROR(CheckName(name));
  ASSIGN_OR_RETURN(Node * parent, Directory(request.parent));
  if (nodes_.full()) return Errno(ENFILE);
  int directory = parent->path.get();
  uint32_t root = parent->root;
  WalkEachReply reply;
  for (const std::string& name : request.names)
    reply.results.push_back(LookUpAndWatch(directory, root, name));
  return reply;
}

WalkEachResult Connection::LookUpAndWatch(int directory, uint32_t root, const std::string& name) {
  WalkEachResult result;
  int fd = -1;
  auto found = AddNode(directory, root, name, &fd);
  if (!found.ok()) {
    result.error = static_cast<uint32_t>(found.error().value());
    return result;
  }
  result.node = found->node;
  result.attributes = found->attributes;
  // Those that are asked for one by one come first.
  Node& node = **nodes_.Get(found->node);
  bool room = watch_queues_[root].nodes.size() < context_.max_watches / 2;
  auto watch = room ? BeginWatch(node) : Result<int>(Errno(ENOSPC));
  if (watch.ok()) {
    result.watch = *watch;
    // Once more: what changed before the watch began is not told of.
    auto status = Stat(fd, "");
    if (status.ok()) result.attributes = status->attributes;
    if (!status.ok()) result.watch = -1;
  }
  if (node.type == S_IFLNK) {
    auto target = ReadLinkOf(fd);
    if (target.ok() && target->size() < NAME_MAX) result.link_target = std::move(target).value();
  }
  return result;
}

void Connection::EndWatch(Node& node) {
  if (node.watch < 0) return;
  WatchQueue& watches = watch_queues_[node.root];
  int watch = std::exchange(node.watch, -1);
  auto it = watches.nodes.find(watch);
  if (it == watches.nodes.end() || --it->second > 0) return;
  watches.nodes.erase(it);
  // EINVAL: the host has ended it.
  (void)inotify_rm_watch(watches.queue.get(), watch);
}

}  // namespace runsc::gofer
