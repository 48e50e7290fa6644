// What a netlink socket of protocol ROUTE says to a request, as far as getifaddrs(3), if_nameindex(3) and
// `ip addr` ask: dumps of links, addresses and routes. The host's are passed on where there is a HostNetwork;
// else there is the loopback interface only.
//
// Threading: stateless. Linux counterpart: net/core/rtnetlink.c, netlink_rcv_skb(); rtnetlink(7).
#ifndef SENTRY_SOCKET_NETLINK_ROUTE_H_
#define SENTRY_SOCKET_NETLINK_ROUTE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace runsc {

class HostNetwork;

// `requests`: what one send(2) brought, hostile: any number of messages, of which those behind a broken one
// do not count. Each answer is a packet to the socket with this port; once there are `limit` of them, the
// rest of the requests is dropped, as where a queue is full. `network`: whose it is; null: lo is all there
// is.
std::vector<std::string> AnswerRouteRequests(HostNetwork* network, std::string_view requests, uint32_t port,
                                             size_t limit);

// What may be passed on to the host of one request of kind GET: its fixed part and the attributes that say
// which object is meant. "": nothing.
std::string HostRouteRequest(std::string_view request);

}  // namespace runsc

#endif  // SENTRY_SOCKET_NETLINK_ROUTE_H_
