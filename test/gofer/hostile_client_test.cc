// A Sentry that has been taken over: whatever it sends, it gets errors or loses its
// connection, and reaches nothing outside its roots.
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/un.h>

#include <catch2/catch.hpp>
#include <cstring>
#include <random>

#include "test/gofer/gofer_fixture.h"

namespace runsc::gofer {
namespace {

// Sends raw bytes; true if the Gofer then closed the connection.
bool ClosesOn(std::span<const std::byte> bytes) {
  TemporaryDirectory directory;
  ThreadedGofer gofer(directory.path());
  REQUIRE(send(gofer.socket.get(), bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size()));
  char reply[64];
  bool closed = recv(gofer.socket.get(), reply, sizeof(reply), 0) == 0;
  return closed;
}

template <typename T>
std::vector<std::byte> Packet(const T& request) {
  std::vector<std::byte> packet;
  EncodePacket(Header{.type = static_cast<uint16_t>(T::kType), .tag = 1}, request, packet);
  return packet;
}

TEST_CASE("malformed messages end the connection") {
  std::vector<std::byte> good = Packet(Attach{});
  CHECK_FALSE(ClosesOn(good));
  CHECK(ClosesOn(std::span(good).first(5)));
  CHECK(ClosesOn(std::span(good).first(good.size() - 1)));
  auto longer = good;
  longer.push_back(std::byte{0});
  CHECK(ClosesOn(longer));
  longer[0] = std::byte(longer.size());  // length right, but a byte is left over
  CHECK(ClosesOn(longer));
  auto unknown = good;
  unknown[4] = std::byte{200};
  CHECK(ClosesOn(unknown));
  auto with_error = good;
  with_error[12] = std::byte{1};
  CHECK(ClosesOn(with_error));
  auto claims_fds = good;
  claims_fds[6] = std::byte{1};
  CHECK(ClosesOn(claims_fds));
  CHECK(ClosesOn(std::vector<std::byte>(kMaxMessage + 1)));
}

TEST_CASE("descriptors in a request are never received") {
  TemporaryDirectory directory;
  ThreadedGofer gofer(directory.path());
  auto packet = Packet(Attach{});
  const UniqueFd fds[] = {UniqueFd(dup(0))};
  REQUIRE(SendPacket(gofer.socket.get(), packet, fds).ok());
  char reply[64];
  CHECK(recv(gofer.socket.get(), reply, sizeof(reply), 0) == 0);
}

TEST_CASE("random bytes behind a sound header do no harm") {
  std::mt19937 random(1);
  for (int round = 0; round < 300; ++round) {
    TemporaryDirectory directory;
    ThreadedGofer gofer(directory.path());
    std::vector<std::byte> packet(sizeof(Header) + random() % 64);
    for (std::byte& byte : packet) byte = static_cast<std::byte>(random() % 4);
    Header header{.length = static_cast<uint32_t>(packet.size()),
                  .type = static_cast<uint16_t>(random() % 25)};
    std::memcpy(packet.data(), &header, sizeof(header));
    REQUIRE(send(gofer.socket.get(), packet.data(), packet.size(), 0) > 0);
    char reply[256];
    recv(gofer.socket.get(), reply, sizeof(reply), 0);
  }
}

TEST_CASE("names that are no single component are refused") {
  TemporaryDirectory directory;
  directory.Write("file", "x");
  ClientAndGofer gofer(directory.path());
  NodeId root = gofer.root();
  for (std::string name : {"", ".", "..", "/", "/etc", "a/b", "../x", "file/"}) {
    INFO(name);
    CHECK(gofer.client.Call(Walk{root, {name}}).is(EINVAL));
    CHECK(gofer.client.Call(Walk{root, {"file", name}}).is(EINVAL));
    CHECK(gofer.client.Call(StatAt{root, name}).is(EINVAL));
    CHECK(gofer.client.Call(Create{root, name, O_RDWR, 0644}).is(EINVAL));
    CHECK(gofer.client.Call(Mkdir{root, name, 0755}).is(EINVAL));
    CHECK(gofer.client.Call(Symlink{root, name, "t"}).is(EINVAL));
    CHECK(gofer.client.Call(Mknod{root, name, S_IFREG}).is(EINVAL));
    CHECK(gofer.client.Call(Link{root, root, name}).is(EINVAL));
    CHECK(gofer.client.Call(Unlink{root, name, AT_REMOVEDIR}).is(EINVAL));
    CHECK(gofer.client.Call(Rename{root, name, root, "b", 0}).is(EINVAL));
    CHECK(gofer.client.Call(Rename{root, "file", root, name, 0}).is(EINVAL));
  }
  CHECK(gofer.client.Call(Walk{root, {std::string("fi\0le", 5)}}).is(EINVAL));
  CHECK(gofer.client.Call(Walk{root, {std::string(256, 'a')}}).is(ENAMETOOLONG));
  CHECK(gofer.client.Call(Walk{root, std::vector<std::string>(kMaxWalk + 1, "a")}).is(EINVAL));
  CHECK(gofer.client.Call(Walk{root, {}}).is(EINVAL));
}

TEST_CASE("ids that are no nodes are refused") {
  TemporaryDirectory directory;
  ClientAndGofer gofer(directory.path());
  NodeId root = gofer.root();
  CHECK(gofer.client.Call(Attach{2}).is(EINVAL));
  for (NodeId node : {root + 1, 0x7fffffffU, 0xffffffffU}) {
    CHECK(gofer.client.Call(Walk{node, {"a"}}).is(EBADF));
    CHECK(gofer.client.Call(GetAttr{node}).is(EBADF));
    CHECK(gofer.client.Call(Open{node, 0}).is(EBADF));
    CHECK(gofer.client.Call(ReadDir{node, 0}).is(EBADF));
    CHECK(gofer.client.Call(Close{{node}}).ok());
  }
  CHECK(gofer.client.Call(Close{{root, root}}).ok());
  CHECK(gofer.client.Call(GetAttr{root}).is(EBADF));
}

TEST_CASE("symlinks are never followed, absolute or upward") {
  TemporaryDirectory directory;
  REQUIRE(symlink("/etc", (directory / "absolute").c_str()) == 0);
  REQUIRE(symlink("..", (directory / "upward").c_str()) == 0);
  ClientAndGofer gofer(directory.path());
  NodeId root = gofer.root();
  for (std::string name : {"absolute", "upward"}) {
    auto walk = gofer.client.Call(Walk{root, {name, "passwd"}});
    REQUIRE(walk.ok());
    REQUIRE(walk->found.size() == 1);
    CHECK(S_ISLNK(walk->found[0].attributes.mode));
    CHECK(gofer.client.Call(Walk{walk->found[0].node, {"passwd"}}).is(ENOTDIR));
    CHECK(gofer.client.Call(Open{walk->found[0].node, 0}).is(ELOOP));
    CHECK(gofer.client.Call(ReadDir{walk->found[0].node, 0}).is(ENOTDIR));
    CHECK(gofer.client.Call(SetAttr{.node = walk->found[0].node, .valid = kSetMode, .mode = 0777})
              .is(EOPNOTSUPP));
    CHECK(gofer.client.Call(SetAttr{.node = walk->found[0].node, .valid = kSetSize}).is(EINVAL));
    CHECK(gofer.client.Call(Create{root, name, O_RDWR, 0644}).is(EEXIST));
  }
}

// Somebody on the host swaps a directory with a symlink to the outside while a
// walk goes through it: the walk sees one of both, never what the link points to.
TEST_CASE("a directory that is swapped for a symlink leads nowhere") {
  TemporaryDirectory outside;
  outside.Write("file", "secret");
  struct stat secret {};
  REQUIRE(stat((outside / "file").c_str(), &secret) == 0);
  TemporaryDirectory directory;
  REQUIRE(mkdir((directory / "swapped").c_str(), 0755) == 0);
  directory.Write("swapped/file", "mine");
  REQUIRE(symlink(outside.path().c_str(), (directory / "link").c_str()) == 0);
  ClientAndGofer gofer(directory.path());
  NodeId root = gofer.root();
  std::atomic<bool> stop{false};
  std::thread swapper([&] {
    while (!stop) {
      renameat2(AT_FDCWD, (directory / "swapped").c_str(), AT_FDCWD, (directory / "link").c_str(),
                RENAME_EXCHANGE);
    }
  });
  int escaped = 0;
  int failed = 0;
  for (int i = 0; i < 5000; ++i) {
    auto walk = gofer.client.Call(Walk{root, {"swapped", "file"}});
    if (!walk.ok()) {
      ++failed;
      continue;
    }
    Close close;
    for (auto& found : walk->found) {
      if (found.attributes.ino == secret.st_ino) ++escaped;
      close.nodes.push_back(found.node);
    }
    if (!gofer.client.Call(close).ok()) ++failed;
  }
  stop = true;
  swapper.join();
  CHECK(escaped == 0);
  CHECK(failed == 0);
}

TEST_CASE("a flood of nodes ends at the limit, and closing makes room") {
  TemporaryDirectory directory;
  directory.Write("file", "x");
  ClientAndGofer gofer(directory.path(), 100);
  NodeId root = gofer.root();
  std::vector<NodeId> nodes;
  for (int i = 0; i < 200; ++i) {
    auto walk = gofer.client.Call(Walk{root, {"file"}});
    if (!walk.ok()) {
      CHECK(walk.is(ENFILE));
      continue;
    }
    nodes.push_back(walk->found.at(0).node);
  }
  CHECK(nodes.size() == 99);
  CHECK(gofer.client.Call(Create{root, "more", O_RDWR, 0644}).is(ENFILE));
  CHECK(gofer.client.Call(Mkdir{root, "more", 0755}).is(ENFILE));
  CHECK_FALSE(std::filesystem::exists(directory / "more"));
  CHECK(gofer.client.Call(Close{nodes}).ok());
  CHECK(gofer.client.Call(Walk{root, {"file"}}).ok());
  // A million requests cost nothing that stays.
  for (int i = 0; i < 20000; ++i) {
    auto walk = gofer.client.Call(Walk{root, {"file"}});
    REQUIRE(walk.ok());
    gofer.client.CloseLater(walk->found.at(0).node);
  }
}

TEST_CASE("a read-only root stays as it is") {
  TemporaryDirectory directory;
  directory.Write("file", "x");
  ClientAndGofer gofer(directory.path());
  NodeId root = gofer.root(1);
  NodeId writable = gofer.root(0);
  NodeId file = gofer.client.Call(Walk{root, {"file"}}).value().found.at(0).node;
  CHECK(gofer.client.Call(Open{file, O_RDWR}).is(EROFS));
  CHECK(gofer.client.Call(Open{file, O_WRONLY}).is(EROFS));
  CHECK(gofer.client.Call(Open{file, O_RDONLY | O_TRUNC}).is(EROFS));
  CHECK(gofer.client.Call(Open{file, O_ACCMODE}).is(EINVAL));
  CHECK(gofer.client.Call(Open{file, O_CREAT}).is(EINVAL));
  CHECK(gofer.client.Call(SetAttr{.node = file, .valid = kSetSize}).is(EROFS));
  CHECK(gofer.client.Call(SetXattr{file, "user.a", "b", 0}).is(EROFS));
  CHECK(gofer.client.Call(Create{root, "b", O_RDWR, 0644}).is(EROFS));
  CHECK(gofer.client.Call(Mkdir{root, "b", 0644}).is(EROFS));
  CHECK(gofer.client.Call(Unlink{root, "file", 0}).is(EROFS));
  CHECK(gofer.client.Call(Rename{root, "file", root, "b", 0}).is(EROFS));
  // Not through the writable root either.
  CHECK(gofer.client.Call(Link{file, writable, "b"}).is(EXDEV));
  CHECK(gofer.client.Call(Rename{writable, "file", root, "b", 0}).is(EROFS));
}

TEST_CASE("devices, sockets and fifos of the host are not opened, devices not made") {
  TemporaryDirectory directory;
  REQUIRE(mkfifo((directory / "fifo").c_str(), 0644) == 0);
  UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, (directory / "socket").c_str());
  REQUIRE(bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
  ClientAndGofer gofer(directory.path());
  NodeId root = gofer.root();
  for (std::string name : {"fifo", "socket"}) {
    auto walk = gofer.client.Call(Walk{root, {name}});
    REQUIRE(walk.ok());
    CHECK(gofer.client.Call(Open{walk->found.at(0).node, O_RDONLY}).is(EACCES));
    CHECK(gofer.client.Call(Connect{walk->found.at(0).node, SOCK_STREAM}).is(ECONNREFUSED));
  }
  CHECK(gofer.client.Call(Mknod{root, "null", S_IFCHR | 0666}).is(EPERM));
  CHECK(gofer.client.Call(Mknod{root, "disk", S_IFBLK | 0666}).is(EPERM));
  CHECK(gofer.client.Call(Mknod{root, "dir", S_IFDIR | 0666}).is(EPERM));
}

TEST_CASE("the host's /dev and /proc below a root are not to be had") {
  ClientAndGofer gofer("/");
  NodeId root = gofer.root();
  auto null = gofer.client.Call(Walk{root, {"dev", "null"}});
  REQUIRE(null.ok());
  if (null->found.size() == 2) CHECK(gofer.client.Call(Open{null->found[1].node, O_RDWR}).is(EACCES));
  auto proc = gofer.client.Call(Walk{root, {"proc", "self", "mem"}});
  REQUIRE(proc.ok());
  REQUIRE(proc->found.size() == 1);
  CHECK(proc->stop == ENOENT);
  NodeId node = proc->found[0].node;
  CHECK(gofer.client.Call(Walk{node, {"self"}}).is(ENOENT));
  CHECK(gofer.client.Call(StatAt{node, "1"}).is(ENOENT));
  CHECK(gofer.client.Call(ReadDir{node, 0}).value().entries.empty());
}

}  // namespace
}  // namespace runsc::gofer
