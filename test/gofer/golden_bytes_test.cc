// The bytes of the wire format. A change here is a change of the protocol.
#include <catch2/catch.hpp>
#include <cstdio>

#include "gofer/protocol/packet.h"

namespace runsc::gofer {
namespace {

std::string Hex(const std::vector<std::byte>& bytes) {
  std::string hex;
  for (std::byte byte : bytes) {
    char digits[3];
    std::snprintf(digits, sizeof(digits), "%02x", static_cast<unsigned>(byte));
    hex += digits;
  }
  return hex;
}

TEST_CASE("a walk request") {
  std::vector<std::byte> packet;
  EncodePacket(Header{.type = static_cast<uint16_t>(Walk::kType), .tag = 0x01020304},
               Walk{.parent = 7, .names = {"usr", "b"}}, packet);
  CHECK(Hex(packet) ==
        "25000000"
        "0200"
        "0000"
        "04030201"
        "00000000"
        "07000000"
        "02000000"
        "03000000"
        "757372"
        "01000000"
        "62"
        "00");
}

TEST_CASE("an error reply") {
  std::vector<std::byte> packet;
  EncodePacket(Header{.type = 6, .tag = 1, .error = 13}, Empty{}, packet);
  CHECK(Hex(packet) ==
        "10000000"
        "0600"
        "0000"
        "01000000"
        "0d000000");
}

TEST_CASE("attributes") {
  Attributes a;
  a.mode = 0100644;
  a.uid = 1;
  a.gid = 2;
  a.nlink = 3;
  a.block_size = 4096;
  a.ino = 0x1122334455667788;
  a.size = 5;
  a.blocks = 8;
  a.mtime = {-1, 999999999};
  std::vector<std::byte> packet;
  EncodePacket(Header{}, NodeReply{9, a}, packet);
  CHECK(Hex(packet).substr(32) ==
        "09000000"
        "a4810000"
        "01000000"
        "02000000"
        "03000000"
        "00100000"
        "00000000"
        "00000000"
        "00000000"
        "00000000"
        "8877665544332211"
        "0500000000000000"
        "0800000000000000"
        "000000000000000000000000"
        "ffffffffffffffffffc99a3b"
        "000000000000000000000000"
        "000000000000000000000000");
  NodeReply decoded;
  REQUIRE(DecodeBody(packet, decoded));
  CHECK(decoded.attributes == a);
}

TEST_CASE("every cut of a message is refused, and so is a byte too many") {
  std::vector<std::byte> packet;
  EncodePacket(Header{}, WalkReply{{{1, {}}, {2, {}}}, ENOENT, "target"}, packet);
  WalkReply reply;
  CHECK(DecodeBody(packet, reply));
  for (size_t size = sizeof(Header); size < packet.size(); ++size)
    CHECK_FALSE(DecodeBody(std::span(packet).first(size), reply));
  packet.push_back(std::byte{0});
  CHECK_FALSE(DecodeBody(packet, reply));
}

TEST_CASE("a count larger than the message is refused before it is allocated") {
  std::vector<std::byte> packet(sizeof(Header));
  Encoder encoder(packet);
  encoder(uint32_t{0xffffffff});
  Close close;
  CHECK_FALSE(DecodeBody(packet, close));
  CHECK(close.nodes.empty());
}

TEST_CASE("a bool is 0 or 1 on the wire, and nothing else") {
  for (int byte = 0; byte < 256; ++byte) {
    const std::byte bytes[] = {static_cast<std::byte>(byte)};
    Decoder decoder(bytes);
    bool value = false;
    decoder(value);
    CHECK(decoder.Finished() == (byte <= 1));
    CHECK(value == (byte == 1));
  }
}

}  // namespace
}  // namespace runsc::gofer
