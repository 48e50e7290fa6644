// One packet of the Gofer's socket: bytes, and the descriptors that came with them.
#ifndef GOFER_PROTOCOL_PACKET_H_
#define GOFER_PROTOCOL_PACKET_H_

#include <cstddef>
#include <span>
#include <vector>

#include "gofer/protocol/codec.h"
#include "gofer/protocol/messages.h"
#include "platform/base/result.h"
#include "platform/base/unique_fd.h"

namespace runsc::gofer {

// Sends one packet with up to kMaxDonated descriptors; blocks while the socket is full. EPIPE: the other side
// is gone.
Result<void> SendPacket(int socket, std::span<const std::byte> packet,
                        std::span<const UniqueFd> donated = {});

// Receives one packet into `buffer` (kMaxMessage bytes). With `fds` null no descriptor
// is accepted, not even for a moment. ECONNRESET: end of file. EPROTO: it does not
// start with a sound Header, was cut off, or its descriptors are not what the header says.
Result<std::span<const std::byte>> ReceivePacket(int socket, std::span<std::byte> buffer,
                                                 std::vector<UniqueFd>* fds);

// A header and its fields as one packet; `body` is any message or reply.
template <typename T>
void EncodePacket(Header header, const T& body, std::vector<std::byte>& out) {
  out.reserve(256);
  out.resize(sizeof(Header));
  Encoder encoder(out);
  encoder(body);
  header.length = static_cast<uint32_t>(out.size());
  std::memcpy(out.data(), &header, sizeof(header));
}

inline Header HeaderOf(std::span<const std::byte> packet) {
  Header header;
  std::memcpy(&header, packet.data(), sizeof(header));
  return header;
}

template <typename T>
bool DecodeBody(std::span<const std::byte> packet, T& body) {
  Decoder decoder(packet.subspan(sizeof(Header)));
  decoder(body);
  return decoder.Finished();
}

}  // namespace runsc::gofer

#endif  // GOFER_PROTOCOL_PACKET_H_
