#include "test/fuzz/fuzz_target.h"

#include <sys/stat.h>

#include <fstream>

#include "platform/base/log.h"

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  for (int i = 1; i < *argc; ++i) {
    const char* folder = (*argv)[i];
    struct stat stat {};
    if (folder[0] == '-' || ::stat(folder, &stat) != 0 || !S_ISDIR(stat.st_mode)) continue;
    int number = 0;
    for (const std::string& seed : runsc::fuzz::Seeds())
      std::ofstream(std::string(folder) + "/seed-" + std::to_string(number++), std::ios::binary) << seed;
    break;  // the first folder is the corpus that grows
  }
  return 0;
}
