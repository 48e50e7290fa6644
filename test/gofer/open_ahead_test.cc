// Files of a directory that are opened one after the other: many descriptors come with one reply.
#include <fcntl.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <thread>

#include "gofer/protocol/packet.h"
#include "test/gofer/mounted_gofer.h"

namespace runsc {
namespace {

using namespace gofer;

constexpr int kFiles = 200;
std::string NameOf(int i) { return "file" + std::to_string(1000 + i); }

std::string Expected(const std::string& name) {
  return "text " + std::to_string(std::stoi(name.substr(4)) - 1000);
}

// Files, and something else between them, in one directory.
struct Tree {
  Tree() {
    std::filesystem::create_directories(directory / "d/file1050x");
    for (int i = 0; i < kFiles; ++i) directory.Write("d/" + NameOf(i), "text " + std::to_string(i));
  }
  TemporaryDirectory directory;
};

// As the host lists them, which is the order in which they are opened.
std::vector<std::string> Names(Guest& guest) {
  NameCollector collector;
  REQUIRE((*guest.Open("/d", O_RDONLY | O_DIRECTORY))->GetDents(collector).ok());
  std::erase_if(collector.names,
                [](const std::string& name) { return !name.starts_with("file") || name.ends_with("x"); });
  REQUIRE(collector.names.size() == kFiles);
  return collector.names;
}

// A read-only root that nobody else changes.
struct ReadOnlyGuest : Tree {
  explicit ReadOnlyGuest(size_t max_nodes = 4096)
      : server(directory.path(), max_nodes), made(MountGofer(server, true, 1)), guest(made) {}
  uint64_t Requests() { return static_cast<GoferFilesystem&>(*made.filesystem).client().requests(); }

  ThreadedGofer server;
  NewFilesystem made;
  Guest guest;
};

}  // namespace

TEST_CASE("files that are opened in turn cost few requests") {
  ReadOnlyGuest g;
  const std::vector<std::string> names = Names(g.guest);
  for (const std::string& name : names) REQUIRE(g.guest.Stat("/d/" + name).ok());
  uint64_t before = g.Requests();
  for (const std::string& name : names) REQUIRE(g.guest.Read("/d/" + name).value() == Expected(name));
  CHECK(g.Requests() - before < kFiles / 8);
  // Whoever opens others next to them gets what he asked for.
  for (size_t i = 0; i < names.size(); i += 7)
    REQUIRE(g.guest.Read("/d/" + names[i]).value() == Expected(names[i]));
}

TEST_CASE("files that are opened in no order are opened alone") {
  ReadOnlyGuest g;
  const std::vector<std::string> names = Names(g.guest);
  for (const std::string& name : names) REQUIRE(g.guest.Stat("/d/" + name).ok());
  // Backwards: each comes before the one that was opened last.
  std::vector<RefPtr<FileDescription>> open;
  uint64_t before = g.Requests();
  for (size_t i = 60; i-- > 0;) open.push_back(g.guest.Open("/d/" + names[i], O_RDONLY).value());
  CHECK(g.Requests() - before > 50);  // the first lookups brought descriptors
}

TEST_CASE("opening ahead gets along with few nodes") {
  ReadOnlyGuest g(24);
  for (int round = 0; round < 2; ++round) {
    for (const std::string& name : Names(g.guest))
      REQUIRE(g.guest.Read("/d/" + name).value() == Expected(name));
  }
}

TEST_CASE("OpenEach: a descriptor for each regular file") {
  TemporaryDirectory directory;
  directory.Write("a", "1");
  directory.Write("b", "22");
  std::filesystem::create_directories(directory / "d");
  REQUIRE(symlink("a", (directory / "l").c_str()) == 0);
  REQUIRE(mkfifo((directory / "p").c_str(), 0644) == 0);
  ClientAndGofer gofer(directory.path());
  GoferClient& client = gofer.client;
  const NodeId root = gofer.root(1);
  std::vector<UniqueFd> fds;
  auto reply = client.Call(OpenEach{root, {"d", "a", "l", "none", "p", "b"}}, fds).value();
  REQUIRE(reply.results.size() == 6);
  REQUIRE(fds.size() == 2);
  std::vector<int> opened;
  for (const OpenEachResult& result : reply.results) opened.push_back(result.opened);
  CHECK(opened == std::vector<int>{0, 1, 0, 0, 0, 1});
  CHECK(reply.results[3].error == ENOENT);
  char text[3] = {};
  CHECK(read(fds[1].get(), text, sizeof(text)) == 2);
  CHECK(std::string(text) == "22");
  CHECK((fcntl(fds[0].get(), F_GETFL) & O_ACCMODE) == O_RDONLY);
  CHECK(reply.results[1].attributes == client.Call(GetAttr{reply.results[1].node}).value().attributes);

  CHECK(client.Call(OpenEach{root, {}}, fds).is(EINVAL));
  CHECK(client.Call(OpenEach{root, std::vector<std::string>(kMaxOpenEach + 1, "a")}, fds).is(EINVAL));
  CHECK(client.Call(OpenEach{root, {"a", "../a"}}, fds).is(EINVAL));
  CHECK(client.Call(OpenEach{reply.results[1].node, {"a"}}, fds).is(ENOTDIR));
  CHECK(client.Call(OpenEach{12345, {"a"}}, fds).is(EBADF));
}

TEST_CASE("OpenEach at the limit of nodes leaves none behind") {
  TemporaryDirectory directory;
  for (int i = 0; i < 12; ++i) directory.Write(NameOf(i), "");
  ClientAndGofer gofer(directory.path(), /*max_nodes=*/8);
  GoferClient& client = gofer.client;
  const NodeId root = gofer.root(1);
  std::vector<std::string> names;
  for (int i = 0; i < 12; ++i) names.push_back(NameOf(i));
  std::vector<UniqueFd> fds;
  auto reply = client.Call(OpenEach{root, names}, fds).value();
  CHECK(fds.size() == 7);
  CHECK(reply.results[11].error == ENFILE);
  fds.clear();
  CHECK(client.Call(OpenEach{root, names}, fds).is(ENFILE));
  CHECK(fds.empty());
  Close close;
  for (const OpenEachResult& result : reply.results)
    if (result.error == 0) close.nodes.push_back(result.node);
  REQUIRE(client.Call(close).ok());
  CHECK(client.Call(OpenEach{root, names}, fds).ok());
  CHECK(fds.size() == 7);
}

// What a broken Gofer may say: descriptors that no result counts, and the other way round.
TEST_CASE("a Gofer whose descriptors do not fit its results is not believed") {
  Tree tree;
  ThreadedGofer honest(tree.directory.path());
  auto [mine, theirs] = PacketSockets();
  const bool too_many = GENERATE(false, true);
  int lies = 0;
  // Passes everything on, and lies about OpenEach.
  std::thread between([&, socket = std::move(theirs)] {
    std::vector<std::byte> buffer(kMaxMessage);
    for (;;) {
      auto request = ReceivePacket(socket.get(), buffer, nullptr);
      if (!request.ok()) return;
      const bool is_open = HeaderOf(*request).type == static_cast<uint16_t>(OpenEach::kType);
      if (!SendPacket(honest.socket.get(), *request).ok()) return;
      std::vector<UniqueFd> fds;
      auto reply = ReceivePacket(honest.socket.get(), buffer, &fds);
      if (!reply.ok()) return;
      Header header = HeaderOf(*reply);
      OpenEachReply body;
      std::vector<std::byte> packet(reply->begin(), reply->end());
      if (is_open && DecodeBody(packet, body)) {
        if (too_many) body.results.back().opened = 0;
        if (!too_many) fds.pop_back();
        header.fds = static_cast<uint16_t>(fds.size());
        EncodePacket(header, body, packet);
        ++lies;
      }
      if (!SendPacket(socket.get(), packet, fds).ok()) return;
    }
  });
  {
    auto connection = MakeRef<GoferConnection>(std::move(mine), [] {});
    Guest guest(GoferFilesystem::Make(connection, {.root = 1, .exclusive = true, .read_only = true}).value());
    const std::vector<std::string> names = Names(guest);
    for (const std::string& name : names) (void)guest.Stat("/d/" + name);
    size_t read = 0;
    for (const std::string& name : names) {
      auto text = guest.Read("/d/" + name);
      if (!text.ok()) continue;
      REQUIRE(*text == Expected(name));
      ++read;
    }
    CHECK(read < names.size());
  }
  between.join();
  CHECK(lies > 0);
}

}  // namespace runsc
