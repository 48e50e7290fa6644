#include <fcntl.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "runsc/cmd/command.h"

int main(int argc, char** argv) {
  std::vector<std::string> arguments(argv + (argc > 0 ? 1 : 0), argv + argc);
  return runsc::RunMain(std::move(arguments));
}
