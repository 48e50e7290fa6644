// What a shim reads: frames, the requests in them, and options.
#include "runsc/shim/frame.h"
#include "runsc/shim/logger_uri.h"
#include "runsc/shim/options.h"
#include "runsc/shim/proto/ttrpc.pb.h"
#include "runsc/shim/rootfs_mounts.h"
#include "test/fuzz/fuzz_target.h"

namespace runsc::fuzz {

std::vector<std::string> Seeds() {
  shim::ttrpc::Request request;
  request.set_service("containerd.task.v2.Task");
  request.set_method("Create");
  request.set_payload(Text("\x0a\1a\x12\2/b\x1a\x0d\x0a\7overlay\x22\2ro"));
  std::string call = shim::EncodeFrame(1, shim::Frame::kRequest, request.SerializeAsString());
  return {Text("\3") + call + call, Text("\1") + "--platform=ptrace\n# comment\n", "binary:///bin/a?b=%41",
          "lowerdir=/a/b:/a/c,upperdir=/a/d,workdir=/a/e"};
}

namespace {

void Handle(const shim::Frame& frame) {
  shim::ttrpc::Request request;
  if (!request.ParseFromString(frame.data)) return;
  shim::api::CreateTaskRequest create;
  if (!create.ParseFromString(request.payload())) return;
  for (const shim::api::Mount& mount : create.rootfs())
    (void)shim::ToMountArguments({mount.options().begin(), mount.options().end()});
  // A path would be opened.
  if (create.options().value().find("/") == std::string::npos)
    (void)shim::ReadOptions(create.options(), "/root");
}

}  // namespace
}  // namespace runsc::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace runsc;
  fuzz::InputReader input(data, size);
  // In pieces: however the bytes are cut, the frames are the same.
  size_t piece = 1 + input.Below(64);
  std::string text(input.Rest());
  shim::FrameReader whole, pieces;
  whole.Append(text);
  for (size_t at = 0; at < text.size(); at += piece) pieces.Append(text.substr(at, piece));
  while (true) {
    std::optional<shim::Frame> frame = whole.Next(), same = pieces.Next();
    CHECK(frame.has_value() == same.has_value());
    if (!frame) break;
    CHECK(frame->stream == same->stream && frame->data == same->data);
    fuzz::Handle(*frame);
  }
  CHECK(whole.is_broken() == pieces.is_broken());
  (void)shim::ParseFlagsFile(text, "flags");
  CHECK(!shim::ParseLoggerUri(text).empty());
  std::string directory;
  (void)shim::ShortenOverlay(text, &directory);
  return 0;
}
