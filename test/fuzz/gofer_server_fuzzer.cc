// A Sentry that has been taken over: requests of every type with fields of its choice, sound or broken, to a
// Gofer that serves a small tree. Replies must decode, and nothing outside the roots may be named or donated.
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "gofer/server/host_path.h"
#include "test/fuzz/message_filler.h"
#include "test/gofer/gofer_fixture.h"

namespace runsc::fuzz {
namespace {

using gofer::Header;

constexpr int kMaxRequests = 24;
constexpr size_t kMaxNodes = 12;

// The tree that is served, beside a secret that is not.
class ServedTree {
 public:
  ServedTree() {
    outside_.Write("secret", "secret");
    root_ = outside_ / "root";
    Fill();
    context.proc_fds = std::move(gofer::OpenProcFds()).value();
    context.max_nodes = kMaxNodes;
    context.max_watches = kMaxNodes / 2;
    for (bool read_only : {false, true}) {
      UniqueFd root(open(root_.c_str(), O_PATH | O_CLOEXEC));
      context.roots.push_back({std::move(root), read_only});
    }
    struct stat stat {};
    CHECK(::stat((outside_ / "secret").c_str(), &stat) == 0);
    secret_ = stat.st_ino;
    CHECK(::stat(outside_.path().c_str(), &stat) == 0);
    parent_ = stat.st_ino;
  }

  bool IsInside(uint64_t ino) const { return ino != secret_ && ino != parent_; }
  void CheckDonated(int fd, bool is_queue) const {
    std::error_code error;
    std::string path = std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(fd), error);
    CHECK(!error && (is_queue ? path == "anon_inode:inotify" : path.starts_with(root_ + "/")));
  }
  // What inputs leave behind would make others slow and different.
  void Reset() {
    int entries = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(root_)) ++entries;
    std::error_code error;
    if (entries < 20 &&
        std::filesystem::symlink_status(root_ + "/file", error).type() == std::filesystem::file_type::regular)
      return;
    for (const auto& entry : std::filesystem::directory_iterator(root_))
      std::filesystem::remove_all(entry.path());
    Fill();
  }

  gofer::ServerContext context;

 private:
  void Fill() {
    std::filesystem::create_directories(root_ + "/directory/directory");
    std::ofstream(root_ + "/file") << "file";
    std::ofstream(root_ + "/directory/file") << "file";
    (void)!symlink("../secret", (root_ + "/link").c_str());
    (void)!symlink("..", (root_ + "/up").c_str());
    mkfifo((root_ + "/fifo").c_str(), 0600);
  }

  gofer::TemporaryDirectory outside_;
  std::string root_;
  uint64_t secret_ = 0, parent_ = 0;
};

// Collects the inode numbers of a reply.
struct InodeVisitor {
  std::vector<uint64_t> inos;
  template <typename... Ts>
  void operator()(Ts&... values) {
    (Visit(values), ...);
  }
  template <typename T>
  void Visit(T& value) {
    if constexpr (std::is_same_v<T, gofer::Attributes>) {
      inos.push_back(value.ino);
    } else if constexpr (requires { value.Fields(*this); }) {
      value.Fields(*this);
    }
  }
  template <typename T>
  void Visit(std::vector<T>& list) {
    for (T& element : list) Visit(element);
  }
};

void ReceiveReplies(const ServedTree& tree, int socket, size_t choice) {
  static std::vector<std::byte>& buffer = *new std::vector<std::byte>(gofer::kMaxMessage + 1);
  pollfd poll{socket, POLLIN, 0};
  while (::poll(&poll, 1, 0) == 1) {
    std::vector<UniqueFd> fds;
    auto packet = gofer::ReceivePacket(socket, buffer, &fds);
    if (!packet.ok()) {
      CHECK(packet.is(ECONNRESET));
      return;
    }
    Header header = gofer::HeaderOf(*packet);
    bool is_queue = header.type == static_cast<uint16_t>(gofer::Watch::kType);
    for (const UniqueFd& fd : fds) tree.CheckDonated(fd.get(), is_queue);
    CHECK(header.error < 4096);
    if (header.error != 0) CHECK(packet->size() == sizeof(Header) && fds.empty());
    if (header.error != 0 || header.tag != choice) continue;
    WithMessage(choice, [&]<typename T>(T) {
      if (header.type != static_cast<uint16_t>(T::kType)) return;
      typename T::Reply reply;
      CHECK(gofer::DecodeBody(*packet, reply));
      InodeVisitor visitor;
      visitor.Visit(reply);
      for (uint64_t ino : visitor.inos) CHECK(tree.IsInside(ino));
    });
  }
}

}  // namespace

std::vector<std::string> Seeds() {
  // One request of each type: attach, then the type, with small fields.
  std::vector<std::string> seeds;
  for (char type = 0; type < 25; ++type) {
    std::string seed = Text("\0\0\1\0");
    seed += Text("\0") + type + Text("\1\0\1\0\1\1\1\2\0\1\3\1\1\1\0\1\0\1\2\1\1\1\1\1\0");
    seeds.push_back(seed + seed);
  }
  return seeds;
}

}  // namespace runsc::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace runsc;
  umask(0);
  static fuzz::ServedTree& tree = *new fuzz::ServedTree;
  // The Gofer's working directory, but for as long as it serves: the fuzzer has files in its own.
  static const int own_directory = open(".", O_PATH | O_CLOEXEC);
  CHECK(fchdir(tree.context.proc_fds.get()) == 0);
  fuzz::InputReader input(data, size);
  auto [mine, theirs] = gofer::PacketSockets();
  gofer::Connection connection(tree.context, std::move(theirs));
  for (int i = 0; i < fuzz::kMaxRequests && !input.empty(); ++i) {
    std::vector<std::byte> packet;
    size_t kind = input.Below(16);
    size_t choice = input.Below(25);
    if (kind == 15) {
      std::string_view raw = input.Take(input.Below(200));
      auto bytes = std::as_bytes(std::span(raw));
      packet.assign(bytes.begin(), bytes.end());
      if (packet.empty()) continue;
    } else {
      fuzz::WithMessage(choice, [&]<typename T>(T request) {
        fuzz::MessageFiller filler(input);
        request.Fields(filler);
        gofer::Header header{.type = static_cast<uint16_t>(T::kType), .tag = static_cast<uint32_t>(choice)};
        gofer::EncodePacket(header, request, packet);
      });
      if (kind == 14) packet[input.Below(packet.size())] ^= static_cast<std::byte>(input.Value<uint8_t>());
      if (kind == 13) packet.resize(input.Below(packet.size()) + 1);
      if (kind == 13 && packet.size() >= sizeof(uint32_t)) {
        auto length = static_cast<uint32_t>(packet.size());
        std::memcpy(packet.data(), &length, sizeof(length));
      }
    }
    if (packet.size() > gofer::kMaxMessage) continue;
    if (send(mine.get(), packet.data(), packet.size(), MSG_NOSIGNAL) < 0) break;
    bool alive = connection.Serve();
    fuzz::ReceiveReplies(tree, mine.get(), choice);
    if (!alive) break;
  }
  CHECK(fchdir(own_directory) == 0);
  tree.Reset();
  return 0;
}
