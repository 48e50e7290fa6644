// Each request against a temporary directory, and the client's concurrency.
#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/xattr.h>

#include <catch2/catch.hpp>
#include <set>

#include "test/gofer/gofer_fixture.h"

namespace runsc::gofer {
namespace {

TEST_CASE("walk finds many components at once and says where it stopped") {
  TemporaryDirectory directory;
  std::filesystem::create_directories(directory / "a/b/c");
  directory.Write("a/b/file", "x");
  REQUIRE(symlink("b/file", (directory / "a/link").c_str()) == 0);
  ClientAndGofer gofer(directory.path());
  NodeId root = gofer.root();

  auto whole = gofer.client.Call(Walk{root, {"a", "b", "c"}}).value();
  CHECK(whole.found.size() == 3);
  CHECK(whole.stop == 0);
  auto missing = gofer.client.Call(Walk{root, {"a", "none", "c"}}).value();
  CHECK(missing.found.size() == 1);
  CHECK(missing.stop == ENOENT);
  auto none = gofer.client.Call(Walk{root, {"none"}}).value();
  CHECK(none.found.empty());
  CHECK(none.stop == ENOENT);
  auto through_file = gofer.client.Call(Walk{root, {"a", "b", "file", "d"}}).value();
  CHECK(through_file.found.size() == 3);
  auto link = gofer.client.Call(Walk{root, {"a", "link", "d"}}).value();
  CHECK(link.found.size() == 2);
  CHECK(link.link_target == "b/file");
  CHECK(gofer.client.Call(ReadLink{link.found[1].node}).value().target == "b/file");

  struct stat stat {};
  REQUIRE(::stat((directory / "a/b/c").c_str(), &stat) == 0);
  CHECK(whole.found[2].attributes.ino == stat.st_ino);
  CHECK(whole.found[2].attributes.mode == stat.st_mode);
}

TEST_CASE("create, open, attributes") {
  TemporaryDirectory directory;
  ClientAndGofer gofer(directory.path());
  NodeId root = gofer.root();
  UniqueFd fd;
  auto made = gofer.client.Call(Create{root, "file", O_RDWR, 06755, getuid(), getgid()}, &fd).value();
  REQUIRE(fd);
  CHECK(made.attributes.size == 0);
  CHECK(write(fd.get(), "hello", 5) == 5);
  auto attributes = gofer.client.Call(GetAttr{made.node}).value().attributes;
  CHECK(attributes.size == 5);
  CHECK(attributes.mode == (S_IFREG | 06755));
  CHECK(attributes.btime.seconds > 0);
  CHECK(gofer.client.Call(Create{root, "file", O_RDWR, 0644}).is(EEXIST));

  UniqueFd again;
  REQUIRE(gofer.client.Call(Open{made.node, O_RDONLY}, &again).ok());
  char text[8] = {};
  CHECK(read(again.get(), text, 8) == 5);
  CHECK(write(again.get(), "x", 1) < 0);
  CHECK((fcntl(again.get(), F_GETFD) & FD_CLOEXEC) != 0);

  auto set = gofer.client.Call(SetAttr{.node = made.node,
                                       .valid = kSetMode | kSetSize | kSetAtime | kSetMtime,
                                       .mode = 0600,
                                       .size = 2,
                                       .atime = {1000, 5},
                                       .mtime = {2000, 7}});
  REQUIRE(set.ok());
  CHECK(set->attributes.mode == (S_IFREG | 0600));
  CHECK(set->attributes.size == 2);
  CHECK(set->attributes.atime == Timestamp{1000, 5});
  CHECK(set->attributes.mtime == Timestamp{2000, 7});
  auto now = gofer.client.Call(SetAttr{.node = made.node, .valid = kSetMtimeNow}).value();
  CHECK(now.attributes.mtime.seconds > 2000);
  CHECK(now.attributes.atime == Timestamp{1000, 5});
  if (getuid() == 0) {
    CHECK(gofer.client.Call(SetAttr{.node = made.node, .valid = kSetUid, .uid = 7}).value().attributes.uid ==
          7);
    auto owned = gofer.client.Call(Mkdir{root, "owned", 02750, 5, 6}).value();
    CHECK(owned.attributes.mode != 0);
    CHECK(gofer.client.Call(GetAttr{owned.node}).value().attributes.uid == 5);
    CHECK(gofer.client.Call(GetAttr{owned.node}).value().attributes.mode == (S_IFDIR | 02750));
  }
  // The node goes on to mean the file after its name is gone.
  REQUIRE(gofer.client.Call(Unlink{root, "file", 0}).ok());
  CHECK(gofer.client.Call(GetAttr{made.node}).value().attributes.nlink == 0);
  CHECK(gofer.client.Call(Open{made.node, O_RDWR}, &again).ok());
}

TEST_CASE("directories, links, renames") {
  TemporaryDirectory directory;
  ClientAndGofer gofer(directory.path());
  NodeId root = gofer.root();
  uid_t uid = getuid();
  gid_t gid = getgid();
  NodeId sub = gofer.client.Call(Mkdir{root, "sub", 0755, uid, gid}).value().node;
  NodeId file = gofer.client.Call(Create{root, "file", O_RDWR, 0644, uid, gid}).value().node;
  NodeId link = gofer.client.Call(Symlink{root, "link", "to/nowhere", uid, gid}).value().node;
  CHECK(gofer.client.Call(ReadLink{link}).value().target == "to/nowhere");
  CHECK(gofer.client.Call(Mknod{root, "fifo", S_IFIFO | 0644, uid, gid}).ok());
  CHECK(std::filesystem::is_fifo(directory / "fifo"));
  CHECK(gofer.client.Call(Link{file, sub, "hard"}).value().attributes.nlink == 2);
  CHECK(gofer.client.Call(Link{link, sub, "soft"}).ok());
  CHECK(std::filesystem::is_symlink(directory / "sub/soft"));
  CHECK(gofer.client.Call(Link{sub, root, "dir"}).is(EPERM));
  CHECK(gofer.client.Call(Rename{root, "file", sub, "moved", RENAME_NOREPLACE}).ok());
  CHECK(gofer.client.Call(Rename{sub, "moved", sub, "hard", RENAME_NOREPLACE}).is(EEXIST));
  CHECK(gofer.client.Call(Rename{sub, "moved", sub, "x", RENAME_WHITEOUT}).is(EINVAL));
  CHECK(gofer.client.Call(StatAt{sub, "moved"}).value().attributes.nlink == 2);
  CHECK(gofer.client.Call(StatAt{root, "file"}).is(ENOENT));
  CHECK(gofer.client.Call(Unlink{root, "sub", AT_REMOVEDIR}).is(ENOTEMPTY));
  CHECK(gofer.client.Call(Unlink{root, "sub", 0}).is(EISDIR));
  CHECK(gofer.client.Call(FSync{sub}).ok());
  CHECK(gofer.client.Call(StatFs{root}).value().block_size > 0);
}

TEST_CASE("a listing gives every entry once, in several replies") {
  TemporaryDirectory directory;
  std::set<std::string> expected;
  for (int i = 0; i < 3000; ++i) {
    expected.insert("entry-with-a-long-name-" + std::to_string(i));
    directory.Write("entry-with-a-long-name-" + std::to_string(i), "");
  }
  ClientAndGofer gofer(directory.path());
  NodeId root = gofer.root();
  for (int round = 0; round < 2; ++round) {
    std::set<std::string> listed;
    uint64_t cookie = 0;
    int replies = 0;
    for (;; ++replies) {
      auto reply = gofer.client.Call(ReadDir{root, cookie}).value();
      for (auto& entry : reply.entries) {
        CHECK(listed.insert(entry.name).second);
        CHECK(entry.type == DT_REG);
        cookie = entry.next;
      }
      if (reply.end != 0) break;
    }
    CHECK(replies >= 2);
    CHECK(listed == expected);
  }
}

TEST_CASE("extended attributes") {
  TemporaryDirectory directory;
  directory.Write("file", "x");
  if (setxattr((directory / "file").c_str(), "user.probe", "1", 1, 0) != 0) {
    WARN("SKIPPED: the filesystem of /tmp has no extended attributes");
    return;
  }
  ClientAndGofer gofer(directory.path());
  NodeId root = gofer.root();
  NodeId file = gofer.client.Call(Walk{root, {"file"}}).value().found[0].node;
  CHECK(gofer.client.Call(SetXattr{file, "user.a", std::string("v\0w", 3), 0}).ok());
  CHECK(gofer.client.Call(SetXattr{file, "user.a", "v", XATTR_CREATE}).is(EEXIST));
  CHECK(gofer.client.Call(GetXattr{file, "user.a"}).value().value == std::string("v\0w", 3));
  auto names = gofer.client.Call(ListXattr{file}).value().names;
  CHECK(std::set<std::string>(names.begin(), names.end()) == std::set<std::string>{"user.a", "user.probe"});
  CHECK(gofer.client.Call(RemoveXattr{file, "user.a"}).ok());
  CHECK(gofer.client.Call(GetXattr{file, "user.a"}).is(ENODATA));
}

TEST_CASE("many threads call at once") {
  TemporaryDirectory directory;
  for (int i = 0; i < 8; ++i)
    directory.Write("file" + std::to_string(i), std::string(static_cast<size_t>(i), 'x'));
  ClientAndGofer gofer(directory.path());
  NodeId root = gofer.root();
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < 1000; ++round) {
        auto reply = gofer.client.Call(StatAt{root, "file" + std::to_string(i)});
        if (!reply.ok() || reply->attributes.size != static_cast<uint64_t>(i)) ++wrong;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(wrong == 0);
  CHECK(gofer.deaths == 0);
}

TEST_CASE("when the Gofer dies every call fails and the Sentry is told once") {
  auto [mine, theirs] = PacketSockets();
  std::atomic<int> deaths{0};
  GoferClient client(std::move(mine), [&] { ++deaths; });
  std::atomic<int> failed{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      if (client.Call(GetAttr{0}).is(EIO)) ++failed;
    });
  }
  char request[64];
  for (int i = 0; i < 4; ++i) CHECK(recv(theirs.get(), request, sizeof(request), 0) > 0);
  theirs.reset();
  for (auto& thread : threads) thread.join();
  CHECK(failed == 4);
  CHECK(client.Call(GetAttr{0}).is(EIO));
  CHECK(deaths == 1);
}

TEST_CASE("a reply that is not sound ends the connection") {
  for (int kind = 0; kind < 4; ++kind) {
    auto [mine, theirs] = PacketSockets();
    GoferClient client(std::move(mine), nullptr);
    std::thread gofer([&theirs = theirs, kind] {
      std::byte request[64];
      if (recv(theirs.get(), request, sizeof(request), 0) <= 0) return;
      Header header = HeaderOf(request);
      std::vector<std::byte> packet;
      if (kind == 0) header.tag += 1;
      if (kind == 1) header.type = 3;
      if (kind == 2) EncodePacket(header, Empty{}, packet);  // its fields are missing
      if (kind < 2) EncodePacket(header, AttributesReply{}, packet);
      if (kind == 3) packet.resize(3);
      send(theirs.get(), packet.data(), packet.size(), 0);
    });
    CHECK(client.Call(GetAttr{0}).is(EIO));
    CHECK(client.dead());
    gofer.join();
  }
}

}  // namespace
}  // namespace runsc::gofer
