#include "runsc/shim/frame.h"

#include <catch2/catch.hpp>

using runsc::shim::EncodeFrame;
using runsc::shim::Frame;
using runsc::shim::FrameReader;

namespace {

// "go": two bytes of data on stream 5, a request; by hand from the specification.
constexpr char kGolden[] = "\0\0\0\2\0\0\0\5\1\0go";
const std::string golden(kGolden, sizeof(kGolden) - 1);

}  // namespace

TEST_CASE("a frame is a header of ten bytes and the data") {
  CHECK(EncodeFrame(5, Frame::kRequest, "go") == golden);
}

TEST_CASE("frames are put together from bytes that come one by one") {
  FrameReader reader;
  for (int round = 0; round < 3; ++round) {
    for (size_t i = 0; i < golden.size(); ++i) {
      CHECK_FALSE(reader.Next().has_value());
      reader.Append(golden.substr(i, 1));
    }
    auto frame = reader.Next();
    REQUIRE(frame.has_value());
    CHECK(frame->stream == 5);
    CHECK(frame->type == Frame::kRequest);
    CHECK(frame->data == "go");
  }
  CHECK_FALSE(reader.is_broken());
}

TEST_CASE("several frames come at once") {
  FrameReader reader;
  reader.Append(EncodeFrame(1, Frame::kRequest, "") + EncodeFrame(3, Frame::kResponse, "x") +
                golden.substr(0, 11));
  CHECK(reader.Next()->stream == 1);
  CHECK(reader.Next()->data == "x");
  CHECK_FALSE(reader.Next().has_value());
  reader.Append("o");
  CHECK(reader.Next()->data == "go");
}

TEST_CASE("a frame of more than four megabytes ends the conversation") {
  FrameReader reader;
  reader.Append(std::string("\0\x40\0\0\0\0\0\1\1\0", 10));  // exactly as large as is allowed
  CHECK_FALSE(reader.Next().has_value());
  CHECK_FALSE(reader.is_broken());
  FrameReader other;
  other.Append(std::string("\0\x40\0\1\0\0\0\1\1\0", 10));
  CHECK_FALSE(other.Next().has_value());
  CHECK(other.is_broken());
  other.Append(golden);
  CHECK_FALSE(other.Next().has_value());
}
