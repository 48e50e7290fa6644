// The frames of ttrpc (containerd/ttrpc, PROTOCOL.md): ten bytes of header, big-endian, and the data.
#ifndef RUNSC_SHIM_FRAME_H_
#define RUNSC_SHIM_FRAME_H_

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace runsc::shim {

struct Frame {
  enum Type : uint8_t { kRequest = 1, kResponse = 2, kData = 3 };
  static constexpr size_t kHeaderSize = 10;
  static constexpr size_t kMaxData = 4 << 20;  // bytes

  uint32_t stream = 0;  // odd for what a client began
  Type type = kRequest;
  uint8_t flags = 0;
  std::string data;
};

// The header and `data`, which is at most kMaxData long.
std::string EncodeFrame(uint32_t stream, Frame::Type type, std::string_view data);

// Takes bytes as they come and gives whole frames.
class FrameReader {
 public:
  void Append(std::string_view bytes) { buffer_.append(bytes); }
  // Nothing if more bytes are needed, or none will help.
  std::optional<Frame> Next();
  // A frame was announced that is too large: there is no way on.
  bool is_broken() const { return broken_; }

 private:
  std::string buffer_;
  bool broken_ = false;
};

}  // namespace runsc::shim

#endif  // RUNSC_SHIM_FRAME_H_
