// A Gofer that has been taken over: whatever it answers and donates, the Sentry's filesystem gives errors and
// goes on. The input's first half says what the guest does, its second half what the Gofer says.
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "test/fuzz/message_filler.h"
#include "test/gofer/mounted_gofer.h"

namespace runsc::fuzz {
namespace {

using gofer::Header;

constexpr int kMaxOperations = 20;

// Attributes whose file type is one that leads further.
struct ReplyFiller {
  InputReader& input;
  template <typename... Ts>
  void operator()(Ts&... values) {
    (Fill(values), ...);
  }
  template <typename T>
  void Fill(T& value) {
    if constexpr (std::is_same_v<T, gofer::Attributes>) {
      MessageFiller plain(input);
      plain(value);
      constexpr uint32_t kTypes[] = {S_IFDIR, S_IFDIR,  S_IFREG, S_IFREG, S_IFLNK,
                                     S_IFIFO, S_IFSOCK, S_IFCHR, 0};
      value.mode = kTypes[input.Below(std::size(kTypes))] | 0777;
    } else if constexpr (requires { value.Fields(*this); }) {
      value.Fields(*this);
    } else {
      MessageFiller plain(input);
      plain(value);
    }
  }
  template <typename T>
  void Fill(std::vector<T>& list) {
    for (size_t n = input.Below(4); n > 0; --n) Fill(list.emplace_back());
  }
};

UniqueFd SomeDescriptor(InputReader& input) {
  int pair[2] = {-1, -1};
  switch (input.Below(8)) {
    case 0:
      return UniqueFd(open("/", O_RDONLY | O_CLOEXEC));
    case 1:
      return UniqueFd(open("/dev/null", O_RDWR | O_CLOEXEC));
    case 2:
      return UniqueFd(eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK));
    case 3:
      return UniqueFd(open("/", O_PATH | O_CLOEXEC));
    case 4:
      if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0) close(pair[1]);
      return UniqueFd(pair[0]);
    default: {
      UniqueFd memory(memfd_create("donated", MFD_CLOEXEC));
      (void)!ftruncate(memory.get(), static_cast<off_t>(input.Below(3 * kPageSize)));
      return memory;
    }
  }
}

// Answers one request. False: no more.
bool Answer(int socket, const Header& request, InputReader& input) {
  if (input.empty()) return false;
  std::vector<std::byte> packet;
  Header header{.type = request.type, .tag = request.tag};
  std::vector<UniqueFd> donated;
  size_t kind = input.Below(32);
  if (kind >= 28)
    header.error = kind == 28 ? input.Value<uint32_t>() : static_cast<uint32_t>(1 + input.Below(40));
  for (size_t left = input.Below(4); left > 0; --left)
    if (UniqueFd fd = SomeDescriptor(input)) donated.push_back(std::move(fd));
  header.fds = static_cast<uint16_t>(donated.size());
  if (kind == 27) header.fds = input.Value<uint16_t>();
  if (kind == 26) header.tag = input.Value<uint32_t>();
  if (kind == 25) header.type = input.Value<uint16_t>();
  WithMessage(request.type - 1U, [&]<typename T>(T) {
    typename T::Reply reply;
    ReplyFiller filler{input};
    if (header.error == 0) filler.Fill(reply);
    gofer::EncodePacket(header, reply, packet);
  });
  if (header.error != 0) packet.resize(sizeof(Header));
  if (kind == 24) packet[input.Below(packet.size())] ^= static_cast<std::byte>(input.Value<uint8_t>());
  if (kind == 23) packet.resize(1 + input.Below(packet.size()));
  auto length = static_cast<uint32_t>(packet.size());
  if (kind < 22 && length >= sizeof(Header)) std::memcpy(packet.data(), &length, sizeof(length));
  if (header.error != 0 && length >= sizeof(Header)) std::memcpy(packet.data(), &length, sizeof(length));
  return gofer::SendPacket(socket, packet, donated).ok();
}

void Serve(UniqueFd socket, InputReader input) {
  std::vector<std::byte> buffer(gofer::kMaxMessage);
  for (;;) {
    auto packet = gofer::ReceivePacket(socket.get(), buffer, nullptr);
    // The Sentry's own requests are sound, whatever it was told before.
    if (!packet.ok()) {
      CHECK(packet.is(ECONNRESET));
      return;
    }
    if (!Answer(socket.get(), gofer::HeaderOf(*packet), input)) return;
  }
}

void Use(Guest& guest, InputReader& input) {
  constexpr const char* kPaths[] = {"/",   "/a",   "/a/b",     "/a/b/c", "/a/../b",
                                    "/b/", "/a/c", "/a/b/c/d", "/link",  "/link/a"};
  auto path = [&] { return kPaths[input.Below(std::size(kPaths))]; };
  switch (input.Below(12)) {
    case 0: {
      auto file = guest.Open(path(), static_cast<int>(input.Below(3)) | (input.Below(2) != 0 ? O_CREAT : 0));
      if (!file.ok()) break;
      (void)Guest::ReadAll(**file).ok();
      (void)Guest::WriteTo(**file, "text").ok();
      (void)(*file)->Seek(input.Value<int64_t>(), static_cast<int>(input.Below(5))).ok();
      auto object = (*file)->ConfigureMMap(PROT_READ, false);
      if (object.ok()) (void)(*object)->mappable().Translate(0, kPageSize, MemoryAccess::kRead).ok();
      break;
    }
    case 1:
      (void)guest.List(path());
      break;
    case 2:
      (void)guest.Stat(path()).ok();
      break;
    case 3:
      (void)guest.Mkdir(path()).ok();
      break;
    case 4:
      (void)guest.Unlink(path()).ok();
      break;
    case 5:
      (void)guest.Rename(path(), path(), static_cast<uint32_t>(input.Below(4))).ok();
      break;
    case 6:
      (void)guest.Symlink(path(), path()).ok();
      break;
    case 7:
      (void)guest.Link(path(), path()).ok();
      break;
    case 8:
      (void)guest.Rmdir(path()).ok();
      break;
    case 9: {
      auto found = guest.Find(path());
      if (!found.ok()) break;
      (void)VfsTruncate(guest.context, *found, input.Value<uint32_t>()).ok();
      (void)VfsChmod(guest.context, *found, input.Value<uint16_t>()).ok();
      (void)VfsListXattrs(guest.context, *found).ok();
      (void)VfsGetXattr(guest.context, *found, "user.x").ok();
      break;
    }
    case 10: {
      auto found = guest.Find(path());
      if (found.ok()) (void)found->dentry->filesystem().Stats().ok();
      break;
    }
    default: {
      auto file = guest.Open(path(), O_RDONLY);
      if (file.ok()) (void)(*file)->Sync(false).ok();
    }
  }
}

}  // namespace

std::vector<std::string> Seeds() {
  std::string operations = Text("\0\1\0\0\2\3\4\1\1\0\5\1\2\0\6\1\2\7\1\2\x8\3\x9\2\0\0");
  std::string answers;
  for (int i = 0; i < 12; ++i) answers += Text("\1\1\7\0\0\1\1\1\2\0\0\0\0\0\0\1\5\0\0\0\0\0\0\0\0\0\0");
  return {operations + answers.substr(0, operations.size()), answers};
}

}  // namespace runsc::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace runsc;
  size_t half = size / 2;
  fuzz::InputReader operations(data, half);
  auto [mine, theirs] = gofer::PacketSockets();
  std::thread server([&, socket = std::move(theirs)]() mutable {
    fuzz::Serve(std::move(socket), {data + half, size - half});
  });
  {
    bool exclusive = operations.Below(2) != 0;
    auto connection = MakeRef<GoferConnection>(std::move(mine), nullptr);
    auto made = GoferFilesystem::Make(std::move(connection), GoferMountOptions{.exclusive = exclusive});
    if (made.ok()) {
      Guest guest(*std::move(made));
      for (int i = 0; i < fuzz::kMaxOperations && !operations.empty(); ++i) fuzz::Use(guest, operations);
    }
  }
  server.join();
  return 0;
}
