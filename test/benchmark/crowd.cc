// What crowd.py runs many times at once: computes, or makes system calls, from one point of CLOCK_REALTIME to
// another, and prints how much it has done.    crowd compute|call BEGIN END
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

namespace {

double Now() {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  const bool computes = strcmp(argv[1], "compute") == 0;
  const double begin = atof(argv[2]), end = atof(argv[3]);
  const int zero = open("/dev/zero", O_RDONLY);
  if (zero < 0 || Now() > begin) return 1;
  while (Now() < begin) usleep(1000);
  long done = 0;
  volatile unsigned x = 1;
  char byte;
  while (Now() < end) {
    if (computes) {
      for (int i = 0; i < 100'000; ++i) x = x * 1103515245 + 12345;
    } else {
      for (int i = 0; i < 200; ++i)
        if (read(zero, &byte, 1) != 1) return 1;
    }
    ++done;
  }
  printf("%ld\n", done);
}
