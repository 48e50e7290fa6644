// /proc/net: what the sockets' owner tells, and headings where there is nothing to tell.
#include <map>

#include "sentry/fsimpl/proc_internal.h"

namespace runsc {
namespace {

struct Reader {
  std::function<std::string()> read;
  bool is_whole = false;
};

// Filled at boot, before the first instance is mounted.
std::map<std::string, Reader, std::less<>>& Readers() {
  static auto* const readers = new std::map<std::string, Reader, std::less<>>;
  return *readers;
}

struct Heading {
  const char* name;
  const char* text;
};
constexpr Heading kHeadings[] = {
    {"dev",
     "Inter-|   Receive                                                |  Transmit\n"
     " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo "
     "colls "
     "carrier compressed\n"
     "    lo:       0       0    0    0    0     0          0         0        0       0    0    0    0     "
     "0     "
     "  0          0\n"},
    {"tcp",
     "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode       "
     "   "
     "                                           \n"},
    {"tcp6",
     "  sl  local_address                         remote_address                        st tx_queue rx_queue "
     "tr "
     "tm->when retrnsmt   uid  timeout inode\n"},
    {"udp",
     "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref "
     "pointer drops            \n"},
    {"udp6",
     "  sl  local_address                         remote_address                        st tx_queue rx_queue "
     "tr "
     "tm->when retrnsmt   uid  timeout inode ref pointer drops\n"},
    {"raw",
     "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref "
     "pointer drops\n"},
    {"raw6",
     "  sl  local_address                         remote_address                        st tx_queue rx_queue "
     "tr "
     "tm->when retrnsmt   uid  timeout inode ref pointer drops\n"},
    {"unix", "Num       RefCount Protocol Flags    Type St Inode Path\n"},
    {"netlink", "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n"},
    {"packet", "sk       RefCnt Type Proto  Iface R Rmem   User   Inode\n"},
    {"route",
     "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT                    "
     "     "
     "                              \n"},
    {"if_inet6", "00000000000000000000000000000001 01 80 10 80       lo\n"},
    {"ipv6_route", ""},
    {"arp", "IP address       HW type     Flags       HW address            Mask     Device\n"},
    {"sockstat",
     "sockets: used 0\nTCP: inuse 0 orphan 0 tw 0 alloc 0 mem 0\nUDP: inuse 0 mem 0\nUDPLITE: inuse 0\n"
     "RAW: inuse 0\nFRAG: inuse 0 memory 0\n"},
    {"protocols",
     "protocol  size sockets  memory press maxhdr  slab module     cl co di ac io in de sh ss gs se re bi br "
     "ha "
     "uh gp em\n"
     "UNIX-STREAM 1152      0      -1   NI       0   yes  kernel      y  n  n  n  n  n  n  n  n  n  n  n  n  "
     "n  n "
     " n  n  n  n\n"
     "UNIX      1152      0      -1   NI       0   yes  kernel      y  n  n  n  n  n  n  n  n  n  n  n  n  n "
     " n  n "
     " n  n  n\n"},
    {"psched", "000003e8 00000040 000f4240 3b9aca00\n"},
    {"snmp",
     "Ip: Forwarding DefaultTTL InReceives InHdrErrors InAddrErrors ForwDatagrams InUnknownProtos InDiscards "
     "InDelivers OutRequests OutDiscards OutNoRoutes ReasmTimeout ReasmReqds ReasmOKs ReasmFails FragOKs "
     "FragFails FragCreates\n"
     "Ip: 2 64 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
     "Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens AttemptFails EstabResets CurrEstab "
     "InSegs "
     "OutSegs RetransSegs InErrs OutRsts InCsumErrors\n"
     "Tcp: 1 200 120000 -1 0 0 0 0 0 0 0 0 0 0 0\n"
     "Udp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors IgnoredMulti "
     "MemErrors\n"
     "Udp: 0 0 0 0 0 0 0 0 0\n"},
};

}  // namespace

void SetProcNetReader(std::string_view name, std::function<std::string()> reader) {
  Readers()[std::string(name)] = {std::move(reader), false};
}

void SetProcNetFile(std::string_view name, std::function<std::string()> reader) {
  Readers()[std::string(name)] = {std::move(reader), true};
}

RefPtr<SyntheticInode> MakeNetDirectory(ProcFilesystem& filesystem) {
  auto directory = MakeRef<StaticDirectory>(filesystem);
  for (const Heading& heading : kHeadings) {
    auto reader = Readers().find(heading.name);
    if (reader == Readers().end()) {
      directory->Add(heading.name, MakeTextInode(filesystem, heading.text));
      continue;
    }
    directory->Add(
        heading.name,
        MakeRef<FunctionInode>(filesystem, 0444, [text = std::string(heading.text), reader = reader->second] {
          std::string read = reader.read();
          if (!reader.is_whole) return Result<std::string>(text + read);
          return Result<std::string>(read.empty() ? text : std::move(read));
        }));
  }
  return directory;
}

}  // namespace runsc
