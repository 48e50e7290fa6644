#include "runsc/shim/frame.h"

#include "platform/base/check.h"

namespace runsc::shim {
namespace {

void Put32(std::string& bytes, uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<char>(value >> shift & 0xff));
}

uint32_t Get32(std::string_view bytes) {
  uint32_t value = 0;
  for (char byte : bytes.substr(0, 4)) value = value << 8 | static_cast<uint8_t>(byte);
  return value;
}

}  // namespace

std::string EncodeFrame(uint32_t stream, Frame::Type type, std::string_view data) {
  CHECK(data.size() <= Frame::kMaxData);
  std::string bytes;
  bytes.reserve(Frame::kHeaderSize + data.size());
  Put32(bytes, static_cast<uint32_t>(data.size()));
  Put32(bytes, stream);
  bytes.push_back(static_cast<char>(type));
  bytes.push_back(0);
  bytes.append(data);
  return bytes;
}

std::optional<Frame> FrameReader::Next() {
  if (broken_ || buffer_.size() < Frame::kHeaderSize) return std::nullopt;
  std::string_view header(buffer_);
  size_t size = Get32(header);
  if (size > Frame::kMaxData) {
    broken_ = true;
    return std::nullopt;
  }
  if (buffer_.size() - Frame::kHeaderSize < size) return std::nullopt;
  Frame frame;
  frame.stream = Get32(header.substr(4));
  frame.type = static_cast<Frame::Type>(header[8]);
  frame.flags = static_cast<uint8_t>(header[9]);
  frame.data = buffer_.substr(Frame::kHeaderSize, size);
  buffer_.erase(0, Frame::kHeaderSize + size);
  return frame;
}

}  // namespace runsc::shim
