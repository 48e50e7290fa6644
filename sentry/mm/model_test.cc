// Random operations on a family of address spaces and on a plain model of each; after
// every step some bytes are compared, and in the end every page reference is gone.
#include <signal.h>
#include <sys/mman.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "sentry/mm/fake_platform_test.h"
#include "sentry/mm/shared_anonymous.h"

namespace runsc {
namespace {

constexpr uint64_t kBase = 0x10000000;
constexpr uint64_t kPages = 96;
constexpr int kRW = PROT_READ | PROT_WRITE;

// An object with contents of its own, which a private mapping copies from.
struct ModelFile {
  RefPtr<SharedAnonymous> object;
  std::vector<int> bytes;  // the first of each page
  // What it was before, too: a page of a private mapping may have been copied along with
  // a neighbour that was written to, and then stays as it was.
  std::vector<std::set<int>> history{kPages, {0}};
  void Set(uint64_t page, int value) {
    bytes[page] = value;
    history[page].insert(value);
  }
};

struct ModelPage {
  bool mapped = false;
  int prot = 0;
  bool shared = false;
  bool has_own = false;  // a private copy, or anonymous
  int own = 0;
  int file = -1;  // index of a ModelFile
  uint64_t file_page = 0;
};

struct Space {
  RefPtr<MemoryManager> mm;
  std::vector<ModelPage> pages{kPages};
};

class Model {
 public:
  explicit Model(uint32_t seed) : random_(seed) {
    spaces_.push_back({MemoryManager::Create(platform_, *file_).value()});
    for (int i = 0; i < 3; ++i) {
      ModelFile file{MakeRef<SharedAnonymous>(*file_, kPages * kPageSize), std::vector<int>(kPages)};
      for (uint64_t p = 0; p < kPages; ++p) {
        if (p % 3 == 0) continue;  // some stay holes
        file.Set(p, static_cast<int>(Pick(255)) + 1);
        Translation t = file.object->Translate(p * kPageSize, kPageSize, MemoryAccess::kWrite).value();
        *file_->At(t.range.offset) = static_cast<std::byte>(file.bytes[p]);
        t.file->ReleasePageRefs(t.range);
      }
      files_.push_back(std::move(file));
    }
  }

  void Run(int steps) {
    for (int i = 0; i < steps; ++i) {
      Step();
      for (int k = 0; k < 4; ++k) Compare(Pick(spaces_.size()), Pick(kPages));
    }
    for (size_t s = 0; s < spaces_.size(); ++s)
      for (uint64_t p = 0; p < kPages; ++p) Compare(s, p);
    spaces_.clear();
    files_.clear();
    REQUIRE(file_->allocated_bytes() == 0);
  }

 private:
  uint64_t Pick(uint64_t bound) { return random_() % bound; }
  static UserAddr At(uint64_t page) { return UserAddr(kBase + page * kPageSize); }
  int Prot() {
    static constexpr int kProts[] = {kRW, kRW, kRW, PROT_READ, PROT_NONE, PROT_READ | PROT_EXEC};
    return kProts[Pick(6)];
  }

  int Value(const ModelPage& page) const {
    if (page.file >= 0 && (page.shared || !page.has_own)) return files_[page.file].bytes[page.file_page];
    return page.has_own ? page.own : 0;
  }
  void SetValue(ModelPage& page, int value) {
    if (page.file >= 0 && page.shared) {
      files_[page.file].Set(page.file_page, value);
    } else {
      page.has_own = true;
      page.own = value;
    }
  }

  void Compare(size_t s, uint64_t p) {
    Space& space = spaces_[s];
    const ModelPage& page = space.pages[p];
    INFO("space " << s << " page " << p);
    int got = -1;
    if (Pick(2) == 0) {
      std::byte value;
      if (space.mm->CopyIn(At(p), {&value, 1}) == 1) got = static_cast<int>(value);
    } else {
      std::byte* memory = nullptr;
      int code =
          FakeGuest(*space.mm).Touch(At(p).value(), SwitchResult::Access::kRead, &memory, *file_, Pick(2));
      if (code == 0) got = static_cast<int>(*memory);
      if (code != 0) REQUIRE(code == (page.mapped ? SEGV_ACCERR : SEGV_MAPERR));
    }
    if (page.mapped && page.prot != 0 && page.file >= 0 && !page.shared && !page.has_own) {
      REQUIRE(files_[page.file].history[page.file_page].count(got) == 1);
      return;
    }
    REQUIRE(got == (page.mapped && page.prot != 0 ? Value(page) : -1));
  }

  void Write(Space& space, uint64_t p) {
    ModelPage& page = space.pages[p];
    int value = static_cast<int>(Pick(256));
    bool done;
    if (Pick(2) == 0) {
      auto byte = static_cast<std::byte>(value);
      done = space.mm->CopyOut(At(p), {&byte, 1}) == 1;
    } else {
      std::byte* memory = nullptr;
      int code =
          FakeGuest(*space.mm).Touch(At(p).value(), SwitchResult::Access::kWrite, &memory, *file_, Pick(2));
      done = code == 0;
      if (done) *memory = static_cast<std::byte>(value);
    }
    REQUIRE(done == (page.mapped && (page.prot & PROT_WRITE) != 0));
    if (done) SetValue(page, value);
  }

  void Step() {
    Space& space = spaces_[Pick(spaces_.size())];
    MemoryManager& mm = *space.mm;
    uint64_t from = Pick(kPages);
    uint64_t count = 1 + Pick(std::min<uint64_t>(kPages - from, 24));
    auto part = [&](auto change) {
      for (uint64_t p = from; p < from + count; ++p) change(space.pages[p], p);
    };
    switch (Pick(16)) {
      case 0:
      case 1: {
        MMapOptions o{.addr = At(from), .length = count * kPageSize, .prot = Prot(), .fixed = true};
        int file = static_cast<int>(Pick(5)) - 2;
        uint64_t first = Pick(kPages - count + 1);
        o.shared = file >= 0 && Pick(2) == 0;
        if (file >= 0) {
          o.object = files_[file].object;
          o.offset = first * kPageSize;
        }
        REQUIRE(mm.MMap(o).value() == At(from));
        part([&](ModelPage& page, uint64_t p) {
          page = {.mapped = true, .prot = o.prot, .shared = o.shared};
          if (file >= 0) page.file = file, page.file_page = first + (p - from);
        });
        break;
      }
      case 2:
        REQUIRE(mm.MUnmap(At(from), count * kPageSize).ok());
        part([](ModelPage& page, uint64_t) { page = {}; });
        break;
      case 3:
      case 4: {
        int prot = Prot();
        Result<void> done = mm.MProtect(At(from), count * kPageSize, prot, false);
        uint64_t p = from;
        for (; p < from + count && space.pages[p].mapped; ++p) space.pages[p].prot = prot;
        REQUIRE(done.ok() == (p == from + count));
        break;
      }
      case 5: {
        bool hole = false;
        part([&](ModelPage& page, uint64_t) {
          hole |= !page.mapped;
          page.has_own = false;
        });
        REQUIRE(mm.MAdvise(At(from), count * kPageSize, MADV_DONTNEED).ok() == !hole);
        break;
      }
      case 6: {
        if (spaces_.size() >= 5) {
          spaces_.erase(spaces_.begin() + static_cast<long>(Pick(spaces_.size())));
          break;
        }
        Space child{mm.Fork().value(), space.pages};
        spaces_.push_back(std::move(child));
        break;
      }
      case 7: {  // move a range that is one mapping throughout
        uint64_t to = Pick(kPages - count + 1);
        if (to < from + count && from < to + count) break;
        Result<UserAddr> done =
            mm.MRemap(At(from), count * kPageSize, count * kPageSize, MREMAP_MAYMOVE | MREMAP_FIXED, At(to));
        if (!done.ok()) {
          // It was refused whole, or after the target had been cleared.
          REQUIRE(done.is(EFAULT));
          break;
        }
        for (uint64_t k = 0; k < count; ++k) {
          space.pages[to + k] = space.pages[from + k];
          space.pages[from + k] = {};
        }
        break;
      }
      case 8: {
        int file = static_cast<int>(Pick(files_.size()));
        REQUIRE(files_[file].object->PunchHole(from * kPageSize, count * kPageSize).ok());
        for (uint64_t p = from; p < from + count; ++p) files_[file].Set(p, 0);
        break;
      }
      default:
        for (int k = 0; k < 3; ++k) Write(space, Pick(kPages));
    }
  }

  FakePlatform platform_;
  std::unique_ptr<MemoryFile> file_ = MemoryFile::Create(256 << 20).value();
  std::mt19937 random_;
  std::vector<ModelFile> files_;
  std::vector<Space> spaces_;
};

}  // namespace

TEST_CASE("mappings are placed in the highest gap that is long enough") {
  FakePlatform platform;
  auto file = MemoryFile::Create(16 << 20).value();
  std::mt19937 random(1);
  RefPtr<MemoryManager> mm = MemoryManager::Create(platform, *file).value();
  auto map = [&](uint64_t pages, bool grows_down) {
    MMapOptions o{.length = pages * kPageSize, .prot = PROT_READ, .grows_down = grows_down};
    o.name = std::to_string(random());  // never merged
    return mm->MMap(o).value().value();
  };
  const uint64_t top = map(1, false) + kPageSize;
  for (int i = 0; i < 3000; ++i) {
    std::vector<VmaInfo> vmas = mm->Vmas(false);
    if (vmas.size() > 1 && random() % 5 < 2) {
      const VmaInfo& victim = vmas[random() % vmas.size()];
      uint64_t skip = random() % (victim.range.length() / kPageSize) * kPageSize;
      REQUIRE(mm->MUnmap(victim.range.start + skip, victim.range.length() - skip).ok());
      continue;
    }
    if (vmas.size() > 150) continue;
    uint64_t length = (1 + random() % (random() % 8 == 0 ? 3000 : 40)) * kPageSize;
    uint64_t ceiling = top, expected = 0;
    for (auto it = vmas.rbegin();; ++it) {
      uint64_t below = it == vmas.rend() ? 0 : it->range.end.value();
      if (ceiling >= below && ceiling - below >= length) {
        expected = ceiling - length;
        break;
      }
      ceiling = it->range.start.value() - (it->grows_down ? 256 * kPageSize : 0);
    }
    uint64_t got = map(length / kPageSize, random() % 10 == 0);
    REQUIRE(got == expected);
  }
}

TEST_CASE("random operations agree with a plain model") {
  for (uint32_t seed = 1; seed <= 60; ++seed) {
    INFO("seed " << seed);
    Model model(seed);
    model.Run(300);
  }
}

}  // namespace runsc
