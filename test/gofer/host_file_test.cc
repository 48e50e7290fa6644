// Standard streams: no task is ever blocked in the host, and shared offsets stay shared.
#include "sentry/fsimpl/host_file.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <condition_variable>
#include <mutex>

#include "test/gofer/mounted_gofer.h"

namespace runsc {
namespace {

RefPtr<FileDescription> Import(int fd) {
  std::vector<UniqueFd> fds;
  fds.emplace_back(fd);
  return ImportHostFiles(std::move(fds)).value().files.at(0);
}

class Flag final : public Waiter {
 public:
  bool Notify(EventMask events) override {
    std::lock_guard lock(mu_);
    told_ |= events;
    wake_.notify_all();
    return true;
  }
  EventMask Wait() {
    std::unique_lock lock(mu_);
    wake_.wait_for(lock, std::chrono::seconds(10), [&] { return told_ != 0; });
    return std::exchange(told_, 0);
  }

 private:
  std::mutex mu_;
  std::condition_variable wake_;
  EventMask told_ = 0;
};

TEST_CASE("host pipes and sockets: EAGAIN, then a notification") {
  int fds[2];
  if (GENERATE(true, false)) {
    REQUIRE(pipe(fds) == 0);
  } else {
    REQUIRE(socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0);
  }
  auto reader = Import(fds[0]);
  Flag flag;
  reader->wait_queue()->Add(flag, kEventsRead);
  CHECK(Guest::ReadAll(*reader).is(EAGAIN));
  CHECK(write(fds[1], "abc", 3) == 3);
  CHECK((flag.Wait() & EPOLLIN) != 0);
  CHECK(reader->Readiness(EPOLLIN) == EPOLLIN);
  CHECK(Guest::ReadAll(*reader).value() == "abc");
  CHECK(reader->Readiness(EPOLLIN) == 0);
  close(fds[1]);
  CHECK((flag.Wait() & (EPOLLHUP | EPOLLIN)) != 0);
  CHECK(Guest::ReadAll(*reader).value() == "");
  reader->wait_queue()->Remove(flag);
}

TEST_CASE("host pipes: a full one takes what it can") {
  int fds[2];
  REQUIRE(pipe(fds) == 0);
  auto writer = Import(fds[1]);
  CHECK(Guest::WriteTo(*writer, std::string(1 << 20, 'x')).value() == 65536);
  CHECK(Guest::WriteTo(*writer, "x").is(EAGAIN));
  Flag flag;
  writer->wait_queue()->Add(flag, kEventsWrite);
  std::string out(65536, '\0');
  CHECK(read(fds[0], out.data(), out.size()) == 65536);
  CHECK((flag.Wait() & EPOLLOUT) != 0);
  CHECK(Guest::WriteTo(*writer, "x").value() == 1);
  writer->wait_queue()->Remove(flag);
  CHECK((fcntl(fds[0], F_GETFL) & O_NONBLOCK) == 0);
  close(fds[0]);
}

TEST_CASE("host files share their offset and append flag") {
  gofer::TemporaryDirectory directory;
  int host = open((directory / "f").c_str(), O_RDWR | O_CREAT | O_APPEND, 0644);
  auto file = Import(dup(host));
  CHECK(Guest::WriteTo(*file, "ab").value() == 2);
  CHECK(write(host, "cd", 2) == 2);
  CHECK(file->Seek(1, SEEK_SET).value() == 1);
  CHECK(lseek(host, 0, SEEK_CUR) == 1);
  CHECK(Guest::ReadAll(*file).value() == "bcd");
  CHECK(Guest::WriteTo(*file, "ef").value() == 2);
  CHECK(file->Attributes().value().size == 6);
  CHECK(file->wait_queue() == nullptr);
  close(host);
}

TEST_CASE("a host terminal is one") {
  int master = posix_openpt(O_RDWR | O_NOCTTY);
  REQUIRE(master >= 0);
  REQUIRE(grantpt(master) == 0);
  REQUIRE(unlockpt(master) == 0);
  int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
  REQUIRE(slave >= 0);
  std::vector<UniqueFd> fds;
  fds.emplace_back(slave);
  fds.emplace_back(dup(slave));
  fds.emplace_back();
  auto imported = ImportHostFiles(std::move(fds)).value();
  CHECK(imported.terminal);
  CHECK_FALSE(imported.files.at(2));
  CHECK(Guest::ReadAll(*imported.files[0]).is(EAGAIN));
  Flag flag;
  imported.files[0]->wait_queue()->Add(flag, kEventsRead);
  CHECK(write(master, "line\n", 5) == 5);
  flag.Wait();
  CHECK(Guest::ReadAll(*imported.files[0]).value() == "line\n");
  imported.files[0]->wait_queue()->Remove(flag);
  CHECK(Guest::WriteTo(*imported.files[1], "out").value() == 3);
  close(master);
}

}  // namespace
}  // namespace runsc
