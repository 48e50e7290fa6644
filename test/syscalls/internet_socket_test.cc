// ip(7), tcp(7), udp(7), ipv6(7) over the loopback interface, and what tells of interfaces: netdevice(7),
// rtnetlink(7), getifaddrs(3), /proc/net. Made for a network that has at least lo.
#include <arpa/inet.h>
#include <fcntl.h>
#include <grp.h>
#include <ifaddrs.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <fstream>
#include <random>
#include <set>
#include <sstream>
#include <thread>

#include "test/syscalls/syscall_test.h"

namespace {

sockaddr_in Loopback(uint16_t port = 0) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

template <typename T>
sockaddr* Generic(T& address) {
  return reinterpret_cast<sockaddr*>(&address);
}

// A socket that listens on a free port of 127.0.0.1; the address in `address`.
int Listener(sockaddr_in& address) {
  int fd = ASSERT_OK(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  address = Loopback();
  ASSERT_OK(bind(fd, Generic(address), sizeof(address)));
  ASSERT_OK(listen(fd, 8));
  socklen_t length = sizeof(address);
  ASSERT_OK(getsockname(fd, Generic(address), &length));
  EXPECT_EQ(length, sizeof(address));
  EXPECT_NE(ntohs(address.sin_port), 0);
  return fd;
}

TEST(stream) {
  sockaddr_in address;
  int listener = Listener(address);
  int client = ASSERT_OK(socket(AF_INET, SOCK_STREAM, 0));
  EXPECT_OK(connect(client, Generic(address), sizeof(address)));
  sockaddr_in peer{};
  socklen_t length = sizeof(peer);
  int server = ASSERT_OK(accept(listener, Generic(peer), &length));
  EXPECT_EQ(peer.sin_family, AF_INET);
  EXPECT_EQ(peer.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
  EXPECT_EQ(write(client, "ping", 4), 4);
  char buffer[64 << 10];
  EXPECT_EQ(recv(server, buffer, 2, MSG_PEEK), 2);
  EXPECT_EQ(read(server, buffer, sizeof(buffer)), 4);
  EXPECT_EQ(std::string(buffer, 4), "ping");
  EXPECT_ERRNO(recv(server, buffer, 1, MSG_DONTWAIT), EAGAIN);
  EXPECT_OK(shutdown(client, SHUT_WR));
  EXPECT_EQ(read(server, buffer, 1), 0);
  EXPECT_EQ(write(server, "pong", 4), 4);
  EXPECT_EQ(read(client, buffer, sizeof(buffer)), 4);
  EXPECT_ERRNO(connect(client, Generic(address), sizeof(address)), EISCONN);
  close(server);
  EXPECT_EQ(read(client, buffer, 1), 0);
}

// A connection over the loopback interface: the client's end and the server's.
std::pair<int, int> Connection() {
  sockaddr_in address;
  int listener = Listener(address);
  int client = ASSERT_OK(socket(AF_INET, SOCK_STREAM, 0));
  ASSERT_OK(connect(client, Generic(address), sizeof(address)));
  int server = ASSERT_OK(accept(listener, nullptr, nullptr));
  close(listener);
  return {client, server};
}

// nginx and others wait again after a read that got less than it might have, without one that says EAGAIN.
TEST(edges_are_told_whatever_was_read) {
  auto [client, server] = Connection();
  int epoll = ASSERT_OK(epoll_create1(0));
  epoll_event event{.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data = {}};
  ASSERT_OK(epoll_ctl(epoll, EPOLL_CTL_ADD, server, &event));
  auto wait = [&](int timeout_ms) {
    event.events = 0;
    return epoll_wait(epoll, &event, 1, timeout_ms);
  };
  EXPECT_EQ(wait(0), 0);
  char buffer[64];
  EXPECT_EQ(write(client, "one", 3), 3);
  EXPECT_EQ(wait(5000), 1);
  EXPECT_EQ(read(server, buffer, sizeof(buffer)), 3);
  EXPECT_EQ(wait(20), 0);
  EXPECT_EQ(write(client, "two", 3), 3);
  EXPECT_EQ(wait(5000), 1);
  EXPECT_EQ(event.events, EPOLLIN);
  EXPECT_EQ(read(server, buffer, 3), 3);  // all there is, and all that was asked for
  EXPECT_EQ(write(client, "three", 5), 5);
  EXPECT_EQ(wait(5000), 1);
  EXPECT_EQ(wait(20), 0);
  EXPECT_EQ(write(client, "four", 4), 4);  // nothing was read since
  EXPECT_EQ(wait(5000), 1);
  EXPECT_EQ(read(server, buffer, 2), 2);
  EXPECT_EQ(wait(20), 0);
  EXPECT_OK(shutdown(client, SHUT_WR));
  EXPECT_EQ(wait(5000), 1);
  EXPECT_EQ(event.events, EPOLLIN | EPOLLRDHUP);
  EXPECT_EQ(wait(20), 0);
}

TEST(edges_of_a_socket_that_others_wait_for_too) {
  auto [client, server] = Connection();
  int epoll = ASSERT_OK(epoll_create1(0));
  epoll_event event{.events = EPOLLIN | EPOLLOUT | EPOLLET, .data = {}};
  ASSERT_OK(epoll_ctl(epoll, EPOLL_CTL_ADD, server, &event));
  EXPECT_EQ(epoll_wait(epoll, &event, 1, 0), 1);
  EXPECT_EQ(event.events, EPOLLOUT);
  EXPECT_EQ(epoll_wait(epoll, &event, 1, 0), 0);
  for (int i = 0; i < 100; ++i) {
    pid_t child = Fork([client = client] {
      usleep(1000);
      EXPECT_EQ(write(client, "x", 1), 1);
    });
    char c;
    if (i % 2 == 0) {
      EXPECT_EQ(read(server, &c, 1), 1);
    } else {
      pollfd entry{server, POLLIN, 0};
      EXPECT_EQ(poll(&entry, 1, 5000), 1);
      EXPECT_EQ(read(server, &c, 1), 1);
    }
    EXPECT_EQ(WaitFor(child), 0);
  }
  // A full buffer that is emptied.
  ASSERT_OK(fcntl(server, F_SETFL, O_NONBLOCK));
  std::string block(1 << 16, 'x');
  while (write(server, block.data(), block.size()) > 0) {
  }
  EXPECT_EQ(errno, EAGAIN);
  while (epoll_wait(epoll, &event, 1, 0) > 0) {
  }
  ASSERT_OK(fcntl(client, F_SETFL, O_NONBLOCK));
  bool told = false;
  for (int i = 0; i < 1000 && !told; ++i) {
    while (read(client, block.data(), block.size()) > 0) {
    }
    told = epoll_wait(epoll, &event, 1, 10) == 1 && (event.events & EPOLLOUT) != 0;
  }
  EXPECT_TRUE(told);
}

// poll(2) by the names of the System V events alone, as varnishd does.
TEST(normal_data_is_polled_for) {
  sockaddr_in address;
  int listener = Listener(address);
  auto poll_for = [](int fd, short events, int timeout_ms) {
    pollfd entry{fd, events, 0};
    return poll(&entry, 1, timeout_ms) == 1 ? entry.revents : 0;
  };
  int client = ASSERT_OK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
  EXPECT_ERRNO(connect(client, Generic(address), sizeof(address)), EINPROGRESS);
  EXPECT_EQ(poll_for(client, POLLWRNORM, 5000), POLLWRNORM);
  EXPECT_EQ(poll_for(listener, POLLRDNORM, 5000), POLLRDNORM);
  int server = ASSERT_OK(accept(listener, nullptr, nullptr));
  EXPECT_EQ(poll_for(server, POLLRDNORM, 0), 0);
  EXPECT_EQ(poll_for(server, POLLRDNORM | POLLWRNORM, 5000), POLLWRNORM);
  pid_t child = Fork([client] {
    usleep(20'000);
    EXPECT_EQ(write(client, "x", 1), 1);
  });
  EXPECT_EQ(poll_for(server, POLLRDNORM | POLLPRI, 5000), POLLRDNORM);
  EXPECT_EQ(WaitFor(child), 0);
  EXPECT_EQ(poll_for(server, POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM | POLLWRBAND, 5000),
            POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM);
  int epoll = ASSERT_OK(epoll_create1(0));
  epoll_event event{.events = EPOLLRDNORM | EPOLLWRNORM, .data = {}};
  ASSERT_OK(epoll_ctl(epoll, EPOLL_CTL_ADD, server, &event));
  EXPECT_EQ(epoll_wait(epoll, &event, 1, 5000), 1);
  EXPECT_EQ(event.events, EPOLLRDNORM | EPOLLWRNORM);
  int datagrams = ASSERT_OK(socket(AF_INET, SOCK_DGRAM, 0));
  EXPECT_EQ(poll_for(datagrams, POLLWRBAND, 5000), POLLWRBAND);
}

TEST(an_end_is_told_to_who_waits_for_nothing_else) {
  for (bool epolls : {false, true}) {
    auto [client, server] = Connection();
    std::thread ender([server = server] {
      usleep(50'000);
      linger reset{1, 0};
      EXPECT_OK(setsockopt(server, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)));
      close(server);
    });
    if (epolls) {
      int epoll = ASSERT_OK(epoll_create1(0));
      epoll_event event{};
      ASSERT_OK(epoll_ctl(epoll, EPOLL_CTL_ADD, client, &event));
      EXPECT_EQ(epoll_wait(epoll, &event, 1, 5000), 1);
      EXPECT_EQ(event.events, EPOLLERR | EPOLLHUP);
    } else {
      pollfd entry{client, 0, 0};
      EXPECT_EQ(poll(&entry, 1, 5000), 1);
      EXPECT_EQ(entry.revents, POLLERR | POLLHUP);
    }
    ender.join();
  }
}

TEST(refused_and_in_use) {
  sockaddr_in address;
  int listener = Listener(address);
  int second = ASSERT_OK(socket(AF_INET, SOCK_STREAM, 0));
  EXPECT_ERRNO(bind(second, Generic(address), sizeof(address)), EADDRINUSE);
  close(listener);
  EXPECT_ERRNO(connect(second, Generic(address), sizeof(address)), ECONNREFUSED);
  EXPECT_ERRNO(bind(second, Generic(address), 4), EINVAL);
  address.sin_addr.s_addr = htonl(0xc0000201);  // 192.0.2.1, for documentation
  address.sin_port = 0;
  EXPECT_ERRNO(bind(second, Generic(address), sizeof(address)), EADDRNOTAVAIL);
}

TEST(blocked_accept_is_woken) {
  sockaddr_in address;
  int listener = Listener(address);
  pid_t child = ASSERT_OK(fork());
  if (child == 0) {
    usleep(20'000);
    int client = socket(AF_INET, SOCK_STREAM, 0);
    _exit(connect(client, Generic(address), sizeof(address)) == 0 && write(client, "x", 1) == 1 ? 0 : 1);
  }
  int server = ASSERT_OK(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  EXPECT_EQ(fcntl(server, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
  int epoll = ASSERT_OK(epoll_create1(0));
  epoll_event event{EPOLLIN | EPOLLRDHUP, {.u32 = 7}};
  EXPECT_OK(epoll_ctl(epoll, EPOLL_CTL_ADD, server, &event));
  epoll_event got{};
  EXPECT_EQ(epoll_wait(epoll, &got, 1, 5000), 1);
  EXPECT_EQ(got.data.u32, 7u);
  char byte;
  EXPECT_EQ(read(server, &byte, 1), 1);
  int status = -1;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

TEST(datagrams) {
  int a = ASSERT_OK(socket(AF_INET, SOCK_DGRAM, 0)), b = ASSERT_OK(socket(AF_INET, SOCK_DGRAM, 0));
  sockaddr_in to = Loopback();
  ASSERT_OK(bind(b, Generic(to), sizeof(to)));
  socklen_t length = sizeof(to);
  ASSERT_OK(getsockname(b, Generic(to), &length));
  EXPECT_ERRNO(send(a, "x", 1, 0), EDESTADDRREQ);
  EXPECT_EQ(sendto(a, "datagram", 8, 0, Generic(to), sizeof(to)), 8);
  EXPECT_EQ(sendto(a, "", 0, 0, Generic(to), sizeof(to)), 0);
  char buffer[16];
  sockaddr_in from{};
  length = sizeof(from);
  EXPECT_EQ(recvfrom(b, buffer, 4, MSG_TRUNC, Generic(from), &length), 8);
  EXPECT_EQ(from.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
  EXPECT_EQ(recv(b, buffer, sizeof(buffer), 0), 0);
  std::string huge(70'000, 'x');
  EXPECT_ERRNO(sendto(a, huge.data(), huge.size(), 0, Generic(to), sizeof(to)), EMSGSIZE);
}

TEST(version_six) {
  int fd = socket(AF_INET6, SOCK_STREAM, 0);
  if (fd < 0) SKIP("no IPv6 here");
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_addr = in6addr_loopback;
  if (bind(fd, Generic(address), sizeof(address)) != 0) SKIP("no IPv6 on lo");
  ASSERT_OK(listen(fd, 1));
  socklen_t length = sizeof(address);
  ASSERT_OK(getsockname(fd, Generic(address), &length));
  int client = ASSERT_OK(socket(AF_INET6, SOCK_STREAM, 0));
  EXPECT_OK(connect(client, Generic(address), sizeof(address)));
  EXPECT_ERRNO(bind(fd, Generic(address), sizeof(sockaddr_in)), EINVAL);
}

TEST(options) {
  int fd = ASSERT_OK(socket(AF_INET, SOCK_STREAM, 0));
  int on = 1, value = 0;
  socklen_t length = sizeof(value);
  EXPECT_OK(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)));
  EXPECT_OK(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, &length));
  EXPECT_EQ(value, 1);
  EXPECT_OK(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)));
  EXPECT_OK(getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &value, &length));
  EXPECT_EQ(value, IPPROTO_TCP);
  EXPECT_ERRNO(setsockopt(fd, IPPROTO_TCP, 12345, &on, sizeof(on)), ENOPROTOOPT);
}

// Only who has CAP_NET_BIND_SERVICE; by ip_unprivileged_port_start.
TEST(privileged_port) {
  std::ifstream file("/proc/sys/net/ipv4/ip_unprivileged_port_start");
  int first = 1024;
  if (geteuid() != 0 || !(file >> first) || first < 1000) SKIP("not root, or every port is for all");
  EXPECT_CHILD_OK([] {
    ASSERT_OK(setgroups(0, nullptr));
    ASSERT_OK(setresuid(65534, 65534, 65534));
    int fd = ASSERT_OK(socket(AF_INET, SOCK_STREAM, 0));
    for (uint16_t port : {1, 80, 999}) {
      sockaddr_in address = Loopback(port);
      EXPECT_ERRNO(bind(fd, Generic(address), sizeof(address)), EACCES);
    }
  });
}

TEST(families_and_types) {
  EXPECT_ERRNO(socket(AF_INET, 77, 0), EINVAL);
  EXPECT_ERRNO(socket(AF_INET, SOCK_STREAM, IPPROTO_UDP), EPROTONOSUPPORT);
  EXPECT_ERRNO(socket(12345, SOCK_STREAM, 0), EAFNOSUPPORT);
  int fds[2];
  EXPECT_ERRNO(socketpair(AF_INET, SOCK_STREAM, 0, fds), EOPNOTSUPP);
}

TEST(interfaces) {
  EXPECT_EQ(if_nametoindex("lo"), 1u);
  char name[IF_NAMESIZE] = "";
  EXPECT_TRUE(if_indextoname(1, name) != nullptr);
  EXPECT_EQ(std::string(name), "lo");
  EXPECT_EQ(if_nametoindex("nothing0"), 0u);
  EXPECT_EQ(errno, ENODEV);

  ifaddrs* list = nullptr;
  ASSERT_OK(getifaddrs(&list));
  bool found = false;
  for (ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    if (std::string(entry->ifa_name) != "lo" || entry->ifa_addr == nullptr) continue;
    if (entry->ifa_addr->sa_family != AF_INET) continue;
    found = reinterpret_cast<sockaddr_in*>(entry->ifa_addr)->sin_addr.s_addr == htonl(INADDR_LOOPBACK);
    EXPECT_TRUE((entry->ifa_flags & IFF_UP) != 0);
  }
  freeifaddrs(list);
  EXPECT_TRUE(found);

  for (int family : {AF_INET, AF_UNIX}) {
    int fd = ASSERT_OK(socket(family, SOCK_DGRAM, 0));
    ifreq entries[8]{};
    ifconf configuration{};
    EXPECT_OK(ioctl(fd, SIOCGIFCONF, &configuration));
    EXPECT_TRUE(configuration.ifc_len >= static_cast<int>(sizeof(ifreq)));
    configuration.ifc_len = sizeof(entries);
    configuration.ifc_req = entries;
    EXPECT_OK(ioctl(fd, SIOCGIFCONF, &configuration));
    EXPECT_TRUE(configuration.ifc_len >= static_cast<int>(sizeof(ifreq)));
    EXPECT_EQ(std::string(entries[0].ifr_name), "lo");
    configuration.ifc_len = 3;
    EXPECT_OK(ioctl(fd, SIOCGIFCONF, &configuration));
    EXPECT_EQ(configuration.ifc_len, 0);
    configuration.ifc_len = sizeof(entries);
    configuration.ifc_req = reinterpret_cast<ifreq*>(8);
    EXPECT_ERRNO(ioctl(fd, SIOCGIFCONF, &configuration), EFAULT);
    ifreq flags{};
    strcpy(flags.ifr_name, "lo");
    EXPECT_OK(ioctl(fd, SIOCGIFFLAGS, &flags));
    EXPECT_TRUE((flags.ifr_flags & IFF_LOOPBACK) != 0);
    EXPECT_ERRNO(ioctl(fd, SIOCGIFFLAGS, 8), EFAULT);
  }
}

// What `ip link` and `ip addr` send, with an answer of the right number and to the right port.
TEST(route_dump) {
  int fd = ASSERT_OK(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  sockaddr_nl name{};
  name.nl_family = AF_NETLINK;
  ASSERT_OK(bind(fd, Generic(name), sizeof(name)));
  socklen_t length = sizeof(name);
  ASSERT_OK(getsockname(fd, Generic(name), &length));
  struct {
    nlmsghdr header;
    rtgenmsg body;
  } request{};
  request.header.nlmsg_len = NLMSG_LENGTH(sizeof(rtgenmsg));
  request.header.nlmsg_type = RTM_GETLINK;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request.header.nlmsg_seq = 0x1234;
  EXPECT_EQ(send(fd, &request, request.header.nlmsg_len, 0), ssize_t(request.header.nlmsg_len));
  alignas(nlmsghdr) char buffer[8192];
  bool done = false, seen = false;
  while (!done) {
    ssize_t got = ASSERT_OK(recv(fd, buffer, sizeof(buffer), 0));
    ASSERT_TRUE(got > 0 && got <= 4096);
    int left = static_cast<int>(got);
    for (auto* header = reinterpret_cast<nlmsghdr*>(buffer); NLMSG_OK(header, left);
         header = NLMSG_NEXT(header, left)) {
      EXPECT_EQ(header->nlmsg_seq, 0x1234u);
      EXPECT_EQ(header->nlmsg_pid, name.nl_pid);
      if (header->nlmsg_type == NLMSG_DONE) done = true;
      if (header->nlmsg_type != RTM_NEWLINK) continue;
      seen = seen || static_cast<ifinfomsg*>(NLMSG_DATA(header))->ifi_index == 1;
    }
  }
  EXPECT_TRUE(seen);
}

// Whatever is sent, the kernel goes on and the next proper request is answered.
TEST(route_garbage) {
  int fd = ASSERT_OK(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE));
  std::mt19937 random(7);
  std::string drain(64 << 10, '\0');
  for (int i = 0; i < 3000; ++i) {
    std::string bytes(sizeof(nlmsghdr) + random() % 200, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    nlmsghdr header;
    header.nlmsg_len = random() % 4 != 0 ? static_cast<uint32_t>(bytes.size()) : random() % 300;
    constexpr uint16_t kGets[] = {RTM_GETLINK, RTM_GETADDR, RTM_GETROUTE, RTM_GETNEIGH, RTM_GETRULE};
    header.nlmsg_type = random() % 4 != 0 ? kGets[random() % 5] : (random() % 150) | 2;
    if (header.nlmsg_type >= RTM_BASE && (header.nlmsg_type & 3) != 2)
      continue;  // the host's own stay as they are
    header.nlmsg_flags = static_cast<uint16_t>(NLM_F_REQUEST | (random() % 2 != 0 ? NLM_F_DUMP : random()));
    header.nlmsg_seq = static_cast<uint32_t>(i);
    header.nlmsg_pid = 0;
    memcpy(bytes.data(), &header, sizeof(header));
    send(fd, bytes.data(), bytes.size(), 0);
    while (recv(fd, drain.data(), drain.size(), 0) > 0) {
    }
  }
  EXPECT_EQ(if_nametoindex("lo"), 1u);
}

// How netstat -p, lsof -i and fuser find out whose a socket is.
TEST(inode_numbers) {
  sockaddr_in address;
  int listener = Listener(address);
  int client = ASSERT_OK(socket(AF_INET, SOCK_STREAM, 0));
  ASSERT_OK(connect(client, Generic(address), sizeof(address)));
  int server = ASSERT_OK(accept(listener, nullptr, nullptr));
  sockaddr_in own;
  socklen_t length = sizeof(own);
  ASSERT_OK(getsockname(client, Generic(own), &length));
  std::set<std::string> inodes;
  std::ifstream table("/proc/net/tcp");
  char ends[64];
  snprintf(ends, sizeof(ends), "0100007F:%04X ", ntohs(address.sin_port));
  for (std::string line; std::getline(table, line);) {
    if (line.find(ends) == std::string::npos) continue;
    std::istringstream words(line);
    std::string word;
    for (int i = 0; i < 10; ++i) words >> word;
    inodes.insert(word);
  }
  EXPECT_EQ(inodes.size(), 3u);
  for (int fd : {listener, client, server}) {
    struct stat stat;
    EXPECT_OK(fstat(fd, &stat));
    EXPECT_EQ(inodes.count(std::to_string(stat.st_ino)), 1u);
    char target[64] = "";
    EXPECT_OK(readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), target, sizeof(target) - 1));
    EXPECT_EQ(std::string(target), "socket:[" + std::to_string(stat.st_ino) + "]");
  }
}

TEST(proc_net) {
  sockaddr_in address;
  Listener(address);
  char wanted[64];
  snprintf(wanted, sizeof(wanted), " 0100007F:%04X 00000000:0000 0A ", ntohs(address.sin_port));
  std::ifstream tcp("/proc/net/tcp");
  std::string text((std::istreambuf_iterator<char>(tcp)), {});
  EXPECT_TRUE(text.find(wanted) != std::string::npos);
  std::ifstream dev("/proc/self/net/dev");
  std::string devices((std::istreambuf_iterator<char>(dev)), {});
  EXPECT_TRUE(devices.find("    lo:") != std::string::npos);
}

}  // namespace
