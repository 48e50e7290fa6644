#include "sentry/socket/unix_endpoint.h"

#include <catch2/catch.hpp>

#include "sentry/vfs/anonymous.h"

namespace runsc {
namespace {

struct Ends {
  RefPtr<UnixEndpoint> a, b;
  explicit Ends(int type) : a(MakeRef<UnixEndpoint>(type)), b(MakeRef<UnixEndpoint>(type)) {
    UnixEndpoint::Pair(a, b, {});
  }
  ~Ends() {
    a->Close();
    b->Close();
  }
};

Result<size_t> Send(UnixEndpoint& from, std::string_view text,
                    std::vector<RefPtr<FileDescription>> files = {}, Uid uid = 0) {
  IoSequence data(std::as_bytes(std::span(text)));
  UnixEndpoint::Outgoing outgoing;
  outgoing.files = std::move(files);
  outgoing.credentials.uid = uid;
  return from.Send(data, outgoing);
}

struct Received {
  Result<size_t> result = size_t{0};
  std::string text;
  ReceivedMessage message;
};
Received Receive(UnixEndpoint& to, size_t limit, int flags = 0, bool credentials = false) {
  Received received;
  received.text.resize(limit);
  IoSequence data(std::as_writable_bytes(std::span(received.text)));
  received.result = to.Receive(data, {flags, credentials, false}, &received.message);
  received.text.resize(received.result.value_or(0));
  return received;
}

class TestFile final : public FileDescription {
 public:
  explicit TestFile(int* alive) : FileDescription(AnonymousPath("test"), O_RDWR), alive_(alive) { ++*alive_; }
  ~TestFile() override { --*alive_; }

 private:
  int* const alive_;
};

TEST_CASE("a stream joins messages and keeps what is left") {
  Ends ends(SOCK_STREAM);
  REQUIRE(Send(*ends.a, "hello").value_or(0) == 5);
  REQUIRE(Send(*ends.a, "world").value_or(0) == 5);
  CHECK(Receive(*ends.b, 7, MSG_PEEK).text == "hellowo");
  CHECK(Receive(*ends.b, 7).text == "hellowo");
  CHECK(Receive(*ends.b, 100).text == "rld");
  CHECK(Receive(*ends.b, 1).result.is(EAGAIN));
  CHECK(ends.a->UnsentBytes() == 0);
}

TEST_CASE("a stream tells senders apart when credentials are wanted") {
  Ends ends(SOCK_STREAM);
  REQUIRE(Send(*ends.a, "one", {}, 1).ok());
  REQUIRE(Send(*ends.a, "two", {}, 2).ok());
  Received first = Receive(*ends.b, 100, 0, true);
  CHECK(first.text == "one");
  REQUIRE(first.message.credentials);
  CHECK(first.message.credentials->uid == 1);
  CHECK(Receive(*ends.b, 100, 0, true).text == "two");
}

TEST_CASE("packets have ends and say when they are cut") {
  for (int type : {SOCK_DGRAM, SOCK_SEQPACKET}) {
    Ends ends(type);
    REQUIRE(Send(*ends.a, "").ok());
    REQUIRE(Send(*ends.a, "packet").ok());
    CHECK(Receive(*ends.b, 10).text.empty());
    Received cut = Receive(*ends.b, 3);
    CHECK(cut.text == "pac");
    CHECK(cut.message.length == 6);
    CHECK(cut.message.flags == MSG_TRUNC);
    CHECK(Receive(*ends.b, 1).result.is(EAGAIN));
  }
}

TEST_CASE("a full buffer waits for its reader") {
  Ends ends(SOCK_STREAM);
  ends.a->SetSendLimit(8192);
  std::string block(4096, 'x');
  size_t sent = 0;
  for (;;) {
    Result<size_t> done = Send(*ends.a, block);
    if (!done.ok()) {
      CHECK(done.is(EAGAIN));
      break;
    }
    sent += *done;
    REQUIRE(sent < 100000);
  }
  CHECK((ends.a->Readiness() & EPOLLOUT) == 0);
  CHECK(Receive(*ends.b, 100000).text.size() == sent);
  CHECK((ends.a->Readiness() & EPOLLOUT) != 0);
}

TEST_CASE("closing is seen by the peer") {
  Ends ends(SOCK_STREAM);
  REQUIRE(Send(*ends.a, "unread").ok());
  ends.a->Close();
  CHECK((ends.b->Readiness() & (EPOLLIN | EPOLLHUP | EPOLLRDHUP)) == (EPOLLIN | EPOLLHUP | EPOLLRDHUP));
  CHECK(Receive(*ends.b, 100).text == "unread");
  CHECK(Receive(*ends.b, 100).result.value_or(1) == 0);
  CHECK(Send(*ends.b, "x").is(EPIPE));
  // What the peer had not read is a reset.
  Ends other(SOCK_STREAM);
  REQUIRE(Send(*other.a, "lost").ok());
  other.b->Close();
  CHECK(Receive(*other.a, 1).result.is(ECONNRESET));
  CHECK(Receive(*other.a, 1).result.value_or(1) == 0);
}

TEST_CASE("files go with the message, once") {
  int alive = 0;
  {
    Ends ends(SOCK_STREAM);
    REQUIRE(Send(*ends.a, "before").ok());
    REQUIRE(Send(*ends.a, "with", {MakeRef<TestFile>(&alive)}).ok());
    REQUIRE(Send(*ends.a, "behind").ok());
    CHECK(CountFilesInFlight() == 1);
    {
      Received peeked = Receive(*ends.b, 100, MSG_PEEK);
      CHECK(peeked.message.files.size() == 1);
    }
    Received received = Receive(*ends.b, 100);
    CHECK(received.text == "beforewith");
    CHECK(received.message.files.size() == 1);
    CHECK(CountFilesInFlight() == 0);
    CHECK(Receive(*ends.b, 100).message.files.empty());
    REQUIRE(Send(*ends.a, "never read", {MakeRef<TestFile>(&alive)}).ok());
    CHECK(alive == 2);
  }
  CHECK(alive == 0);
  CHECK(CountFilesInFlight() == 0);
}

}  // namespace
}  // namespace runsc
