#include "sentry/boot/socket_maker.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <thread>

namespace runsc {
namespace {

struct Pair {
  Pair() {
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
    sentry.reset(ends[0]);
    monitor.reset(ends[1]);
  }
  UniqueFd sentry, monitor;
};

TEST_CASE("a monitor makes the sockets that the Sentry may have, and no others") {
  Pair pair;
  std::thread monitor([&pair] {
    while (ServeSocketRequest(pair.monitor.get())) {
    }
  });
  {
    SocketMaker maker(std::move(pair.sentry));
    for (int family : {AF_INET, AF_INET6}) {
      for (int type : {SOCK_STREAM, SOCK_DGRAM}) {
        auto made = maker.Open(family, type, 0);
        // The machine may have no IPv6.
        if (family == AF_INET6 && made.is(EAFNOSUPPORT)) continue;
        REQUIRE(made.ok());
        int value = 0;
        socklen_t size = sizeof(value);
        CHECK(::getsockopt(made->get(), SOL_SOCKET, SO_TYPE, &value, &size) == 0);
        CHECK(value == type);
      }
    }
    CHECK(maker.Open(AF_INET, SOCK_RAW, IPPROTO_ICMP).is(EPERM));
    CHECK(maker.Open(AF_UNIX, SOCK_STREAM, 0).is(EPERM));
    CHECK(maker.Open(AF_NETLINK, SOCK_DGRAM, 0).is(EPERM));
    CHECK(maker.Open(AF_PACKET, SOCK_DGRAM, 0).is(EPERM));
    CHECK(maker.Open(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0).is(EPERM));
    CHECK(maker.Open(-1, -1, -1).is(EPERM));
    CHECK(maker.Open(AF_INET, SOCK_STREAM, IPPROTO_UDP).is(EPROTONOSUPPORT));
    CHECK(maker.Open(AF_INET, SOCK_STREAM, 9999).is(EINVAL));
  }
  monitor.join();  // it has seen the end
}

TEST_CASE("requests that are none end it") {
  for (size_t size : {1, 15, 17, 600}) {
    Pair pair;
    const std::string junk(size, '\xff');
    REQUIRE(::send(pair.sentry.get(), junk.data(), junk.size(), 0) == static_cast<ssize_t>(size));
    CHECK(!ServeSocketRequest(pair.monitor.get()));
  }
}

TEST_CASE("a monitor that is gone, or that there is none of") {
  Pair pair;
  pair.monitor.reset();
  SocketMaker maker(std::move(pair.sentry));
  CHECK(maker.Open(AF_INET, SOCK_STREAM, 0).is(ENETDOWN));
  CHECK(maker.Open(AF_INET, SOCK_STREAM, 0).is(EAFNOSUPPORT));
  SocketMaker none{UniqueFd()};
  CHECK(none.Open(AF_INET, SOCK_STREAM, 0).is(EAFNOSUPPORT));
}

}  // namespace
}  // namespace runsc
