// The Gofer's watches: what they tell of, and their limits.
#include <poll.h>
#include <sys/inotify.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <vector>

#include "test/gofer/gofer_fixture.h"

namespace runsc::gofer {
namespace {

struct Event {
  int watch;
  uint32_t mask;
  std::string name;
  friend bool operator==(const Event&, const Event&) = default;
};

std::vector<Event> Events(int queue) {
  std::vector<Event> events;
  alignas(inotify_event) char buffer[64 << 10];
  ssize_t size = read(queue, buffer, sizeof(buffer));
  for (ssize_t at = 0; at < size;) {
    inotify_event event{};
    std::memcpy(&event, buffer + at, sizeof(event));
    at += static_cast<ssize_t>(sizeof(event));
    events.push_back({event.wd, event.mask, event.len > 0 ? buffer + at : ""});
    at += event.len;
  }
  return events;
}

NodeId Find(GoferClient& client, NodeId parent, const std::string& name) {
  return client.Call(Walk{.parent = parent, .names = {name}}).value().found.at(0).node;
}

TEST_CASE("a watched directory tells of its entries") {
  TemporaryDirectory directory;
  ClientAndGofer gofer(directory.path());
  NodeId root = gofer.root();
  UniqueFd queue;
  WatchReply reply = gofer.client.Call(Watch{root, 1}, &queue).value();
  REQUIRE(queue);
  CHECK(reply.attributes == gofer.client.Call(GetAttr{root}).value().attributes);
  CHECK(Events(queue.get()).empty());
  directory.Write("a", "text");
  CHECK(Events(queue.get()) == std::vector<Event>{{reply.watch, IN_CREATE, "a"}});
  std::filesystem::rename(directory / "a", directory / "b");
  CHECK(Events(queue.get()) ==
        std::vector<Event>{{reply.watch, IN_MOVED_FROM, "a"}, {reply.watch, IN_MOVED_TO, "b"}});
  std::filesystem::remove(directory / "b");
  CHECK(Events(queue.get()) == std::vector<Event>{{reply.watch, IN_DELETE, "b"}});
  REQUIRE(chmod(directory.path().c_str(), 0750) == 0);
  CHECK(Events(queue.get()) == std::vector<Event>{{reply.watch, IN_ATTRIB | IN_ISDIR, ""}});
}

TEST_CASE("a watched file tells of its bytes, attributes and links, under any name") {
  TemporaryDirectory directory, elsewhere;
  directory.Write("f", "text");
  REQUIRE(symlink("f", (directory / "l").c_str()) == 0);
  ClientAndGofer gofer(directory.path());
  UniqueFd queue;
  int watch = gofer.client.Call(Watch{Find(gofer.client, gofer.root(), "f"), 1}, &queue).value().watch;
  REQUIRE(link((directory / "f").c_str(), (elsewhere / "g").c_str()) == 0);
  CHECK(Events(queue.get()) == std::vector<Event>{{watch, IN_ATTRIB, ""}});
  {
    std::ofstream file(elsewhere / "g", std::ios::app);
    file << "more";
    file.flush();
    CHECK(Events(queue.get()) == std::vector<Event>{{watch, IN_MODIFY, ""}});
  }
  CHECK(Events(queue.get()) == std::vector<Event>{{watch, IN_CLOSE_WRITE, ""}});
  REQUIRE(truncate((elsewhere / "g").c_str(), 1) == 0);
  CHECK(Events(queue.get()) == std::vector<Event>{{watch, IN_MODIFY, ""}});
  REQUIRE(unlink((elsewhere / "g").c_str()) == 0);
  CHECK(Events(queue.get()) == std::vector<Event>{{watch, IN_ATTRIB, ""}});
  REQUIRE(rename((directory / "f").c_str(), (elsewhere / "f").c_str()) == 0);
  CHECK(Events(queue.get()) == std::vector<Event>{{watch, IN_MOVE_SELF, ""}});
  // Of a symlink, not of what it means.
  int of_link = gofer.client.Call(Watch{Find(gofer.client, gofer.root(), "l")}).value().watch;
  CHECK(of_link != watch);
  REQUIRE(lchown((directory / "l").c_str(), getuid(), getgid()) == 0);
  CHECK(Events(queue.get()) == std::vector<Event>{{of_link, IN_ATTRIB, ""}});
}

TEST_CASE("a watch lasts as long as the nodes of its file") {
  TemporaryDirectory directory;
  directory.Write("f", "text");
  ClientAndGofer gofer(directory.path());
  NodeId first = Find(gofer.client, gofer.root(), "f"), second = Find(gofer.client, gofer.root(), "f");
  UniqueFd queue;
  int watch = gofer.client.Call(Watch{first, 1}, &queue).value().watch;
  CHECK(gofer.client.Call(Watch{second}).value().watch == watch);
  CHECK(gofer.client.Call(Watch{second}).value().watch == watch);
  REQUIRE(gofer.client.Call(Close{{first}}).ok());
  CHECK(Events(queue.get()).empty());
  REQUIRE(gofer.client.Call(Close{{second}}).ok());
  CHECK(Events(queue.get()) == std::vector<Event>{{watch, IN_IGNORED, ""}});
}

TEST_CASE("watches have a limit, and come back") {
  TemporaryDirectory directory;
  for (int i = 0; i < 4; ++i) directory.Write(std::to_string(i), "");
  ClientAndGofer gofer(directory.path(), 256, /*max_watches=*/3);
  NodeId root = gofer.root();
  std::vector<NodeId> nodes;
  for (int i = 0; i < 4; ++i) {
    nodes.push_back(Find(gofer.client, root, std::to_string(i)));
    auto reply = gofer.client.Call(Watch{nodes.back()});
    if (i < 3) CHECK(reply.ok());
    if (i == 3) CHECK(reply.is(ENOSPC));
  }
  CHECK(gofer.client.Call(Watch{nodes[0]}).ok());
  REQUIRE(gofer.client.Call(Close{{nodes[1]}}).ok());
  CHECK(gofer.client.Call(Watch{nodes[3]}).ok());
  CHECK(gofer.client.Call(Watch{root}).is(ENOSPC));
  // The other root has watches of its own.
  CHECK(gofer.client.Call(Watch{gofer.root(1)}).ok());
}

TEST_CASE("a queue is given once, and watches need a node") {
  TemporaryDirectory directory;
  directory.Write("f", "text");
  ClientAndGofer gofer(directory.path());
  NodeId root = gofer.root();
  CHECK(gofer.client.Call(Watch{root + 100, 1}).is(EBADF));
  CHECK(gofer.client.Call(Watch{root, 2}).is(EINVAL));
  UniqueFd queue, again, other;
  CHECK(gofer.client.Call(Watch{root, 1}, &queue).ok());
  CHECK(gofer.client.Call(Watch{root, 1}, &again).is(EBUSY));
  CHECK_FALSE(again);
  CHECK(gofer.client.Call(Watch{gofer.root(1), 1}, &other).ok());
  // Both roots are one directory: each queue tells its own.
  directory.Write("g", "");
  CHECK(Events(queue.get()).size() == 1);
  CHECK(Events(other.get()).size() == 1);
}

TEST_CASE("many names are looked up and watched at once") {
  TemporaryDirectory directory;
  directory.Write("f", "text");
  std::filesystem::create_directories(directory / "d");
  REQUIRE(symlink("f", (directory / "l").c_str()) == 0);
  REQUIRE(symlink(std::string(300, 'x').c_str(), (directory / "long").c_str()) == 0);
  ClientAndGofer gofer(directory.path(), 256, /*max_watches=*/8);
  NodeId root = gofer.root();
  UniqueFd queue;
  REQUIRE(gofer.client.Call(Watch{root, 1}, &queue).ok());
  auto reply = gofer.client.Call(WalkEach{root, {"f", "none", "d", "l", "long"}}).value();
  REQUIRE(reply.results.size() == 5);
  CHECK(reply.results[1].error == ENOENT);
  CHECK(reply.results[3].link_target == "f");
  CHECK(reply.results[4].link_target.empty());
  // Half of the watches are left to what is asked for by itself.
  CHECK(reply.results[3].watch >= 0);
  CHECK(reply.results[4].watch == -1);
  CHECK(reply.results[0].attributes == gofer.client.Call(GetAttr{reply.results[0].node}).value().attributes);
  directory.Write("d/g", "");
  CHECK(Events(queue.get()) == std::vector<Event>{{reply.results[2].watch, IN_CREATE, "g"}});

  CHECK(gofer.client.Call(WalkEach{root, {}}).is(EINVAL));
  CHECK(gofer.client.Call(WalkEach{root, std::vector<std::string>(kMaxWalkEach + 1, "f")}).is(EINVAL));
  CHECK(gofer.client.Call(WalkEach{root, {"f", "../f"}}).is(EINVAL));
  CHECK(gofer.client.Call(WalkEach{root, {".."}}).is(EINVAL));
  CHECK(gofer.client.Call(WalkEach{reply.results[0].node, {"f"}}).is(ENOTDIR));
  CHECK(gofer.client.Call(WalkEach{12345, {"f"}}).is(EBADF));
}

TEST_CASE("what others change behind the kernel's back is not watched") {
  ClientAndGofer gofer("/proc/self");
  CHECK(gofer.client.Call(Watch{gofer.root(), 1}).is(EOPNOTSUPP));
}

}  // namespace
}  // namespace runsc::gofer
