// What a page of guest memory costs: a file in memory is mapped piece by piece and each page touched. Needs
// mount rights; prints microseconds a page.
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <chrono>
#include <utility>

#include "platform/host/large_page_file.h"

namespace {

constexpr size_t kSize = 256 << 20;
constexpr size_t kPage = 4096;

// `make`: the host makes each piece by fallocate(2) before it is touched.
void Measure(const char* what, const runsc::UniqueFd& file, size_t piece, bool make) {
  if (!file) {
    printf("%-12s %6zu KiB: not to be had here\n", what, piece >> 10);
    return;
  }
  auto start = std::chrono::steady_clock::now();
  for (size_t at = 0; at < kSize; at += piece) {
    const off_t offset = static_cast<off_t>(at);
    if (make ? fallocate(file.get(), 0, offset, static_cast<off_t>(piece)) != 0
             : ftruncate(file.get(), offset + static_cast<off_t>(piece)) != 0)
      abort();
    void* memory = mmap(nullptr, piece, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), offset);
    if (memory == MAP_FAILED) abort();
    for (size_t page = 0; page < piece; page += kPage) static_cast<volatile char*>(memory)[page] = 1;
    munmap(memory, piece);
  }
  std::chrono::duration<double, std::micro> spent = std::chrono::steady_clock::now() - start;
  printf("%-12s %6zu KiB: %.2f\n", what, piece >> 10, spent.count() / (kSize / kPage));
}

}  // namespace

int main() {
  for (size_t piece : {size_t{16} << 10, size_t{64} << 10, size_t{256} << 10, size_t{2} << 20}) {
    Measure("touched", runsc::UniqueFd(memfd_create("pages", MFD_CLOEXEC)), piece, false);
    Measure("memfd", runsc::UniqueFd(memfd_create("pages", MFD_CLOEXEC)), piece, true);
    Measure("large pages", runsc::OpenLargePageFile(), piece, true);
  }
}
