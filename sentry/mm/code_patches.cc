// Guest code that the platform has rewritten (platform/code_patch.h). Every reader but the
// CPU sees the original: an access of the Sentry's to patched bytes undoes the patch first, and so does
// everything that changes the memory or its protection.
#include <algorithm>
#include <cstring>

#include "platform/base/check.h"
#include "sentry/mm/state.h"
#include "sentry/usermem/safe_copy.h"

namespace runsc {
namespace {

// What the platform looks at on each side of a call.
constexpr uint64_t kCodeAround = 32 << 10;

}  // namespace

void MemoryManager::PatchCode(UserAddr call, uint64_t number) {
  State& s = *state_;
  Garbage garbage;
  WriterLock lock(s.mu);
  s.PatchCode(call.value(), number, garbage);
}

void MemoryManager::State::PatchCode(uint64_t call, uint64_t number, Garbage& garbage) {
  auto it = FindVma(call);
  if (it == vmas.end()) return;
  const Vma& vma = it->second;
  if (vma.shared || (vma.prot & (PROT_EXEC | PROT_WRITE)) != PROT_EXEC) return;
  Span window{std::max(it->first, call - std::min(call, kCodeAround)), std::min(vma.end, call + kCodeAround)};
  std::vector<std::byte> code(window.length());
  for (uint64_t at = window.start; at < window.end;) {
    if (FindPma(at) == pmas.end() && !FaultIn(at, {.forced = true}, garbage).ok()) return;
    auto pma = FindPma(at);
    if (pma == pmas.end()) return;
    uint64_t length = std::min(window.end, pma->second.end) - at;
    const std::byte* from = pma->second.file->At({pma->second.offset + (at - pma->first), length});
    if (from == nullptr || SafeCopy(code.data() + (at - window.start), from, length) < length) return;
    at += length;
  }
  std::optional<CodePatch> patch = space->PlanPatch(call, number, code, window.start);
  if (!patch || patch->address < window.start || patch->end() > window.end) return;
  if (!MakePatchable(*patch, garbage)) return;
  bool applied = space->ApplyPatch(*patch, [&] {
    mu.AssertHeld();
    WriteCode(patch->address, patch->replacement);
  });
  if (applied) patches.emplace(patch->address, *patch);
}

bool MemoryManager::State::MakePatchable(const CodePatch& patch, Garbage& garbage) {
  FaultOptions options{.access = MemoryAccess::kWrite, .map = true, .forced = true};
  return FaultIn(patch.address, options, garbage).ok() && FaultIn(patch.end() - 1, options, garbage).ok();
}

void MemoryManager::State::WriteCode(uint64_t addr, std::span<const std::byte> bytes) {
  for (size_t done = 0; done < bytes.size();) {
    auto pma = FindPma(addr + done);
    CHECK(pma != pmas.end() && pma->second.file == &memory_file);
    size_t length = std::min<uint64_t>(bytes.size() - done, pma->second.end - (addr + done));
    std::byte* to = memory_file.At({pma->second.offset + (addr + done - pma->first), length});
    const uint64_t in_word = (addr + done) % sizeof(uint64_t);
    if (in_word + length <= sizeof(uint64_t)) {
      // One store, should a CPU come by after all.
      auto* word = reinterpret_cast<uint64_t*>(to - in_word);
      uint64_t value = __atomic_load_n(word, __ATOMIC_RELAXED);
      memcpy(reinterpret_cast<std::byte*>(&value) + in_word, bytes.data() + done, length);
      __atomic_store_n(word, value, __ATOMIC_RELEASE);
    } else {
      memcpy(to, bytes.data() + done, length);
    }
    done += length;
  }
}

CodePatchMap::iterator MemoryManager::State::FirstPatchFrom(uint64_t addr) {
  return patches.lower_bound(addr >= CodePatch::kLength ? addr - CodePatch::kLength + 1 : 0);
}

bool MemoryManager::State::IsPatched(Span range) {
  if (patches.empty()) return false;
  auto it = FirstPatchFrom(range.start);
  return it != patches.end() && it->first < range.end;
}

Result<void> MemoryManager::State::UndoPatches(Span range, Garbage& garbage) {
  if (patches.empty()) return Ok();
  for (auto it = FirstPatchFrom(range.start); it != patches.end() && it->first < range.end;) {
    const CodePatch patch = it->second;
    if (!MakePatchable(patch, garbage)) return Errno(ENOMEM);
    space->UndoPatch(patch, [&] {
      mu.AssertHeld();
      WriteCode(patch.address, patch.original);
    });
    it = patches.erase(it);
  }
  return Ok();
}

void MemoryManager::State::ForgetPatches(Span range, Garbage& garbage) {
  if (!IsPatched(range)) return;
  // What reaches over an edge stays in part.
  if (FirstPatchFrom(range.start)->first < range.start)
    (void)UndoPatches({range.start, range.start + 1}, garbage);
  if (range.end < max_address) {
    auto last = FirstPatchFrom(range.end);
    if (last != patches.end() && last->first < range.end)
      (void)UndoPatches({range.end, range.end + 1}, garbage);
  }
  patches.erase(FirstPatchFrom(range.start), patches.lower_bound(range.end));
  space->ForgetPatches(range.start, range.length());
}

Result<void> MemoryManager::State::InheritPatches(State& parent) {
  std::vector<CodePatch> inherited;
  for (const auto& [addr, patch] : parent.patches) {
    auto first = FindPma(addr), last = FindPma(patch.end() - 1);
    if (first == pmas.end() || last == pmas.end() || !first->second.anonymous || !last->second.anonymous)
      continue;
    patches.emplace(addr, patch);
    inherited.push_back(patch);
  }
  return space->InheritPatches(*parent.space, inherited);
}

}  // namespace runsc
