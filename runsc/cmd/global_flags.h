// The flags that stand before the command's name (runsc --root DIR create …), by runc's names, and
// what follows from them: where containers' state is, and where errors go.
//
// Set once by RunMain, while the process has one thread; read-only from then on.
#ifndef RUNSC_CMD_GLOBAL_FLAGS_H_
#define RUNSC_CMD_GLOBAL_FLAGS_H_

#include <optional>
#include <string>
#include <string_view>

#include "runsc/cmd/flags.h"

namespace runsc {

struct GlobalFlags {
  std::string root;  // the state directory; never empty after Finish()
  std::string log;   // "": stderr
  std::string log_format = "text";
  std::string criu;  // for callers that give it to every runtime
  bool debug = false;
  bool systemd_cgroup = false;
  std::optional<bool> rootless;  // unset: as the caller's rights say
  std::string platform;          // "": the fastest that this machine has
  std::string host_namespaces;   // "": refuse
  std::string network;           // "": nothing for `do`, passed through for containers
  std::string debug_log;
  bool strace = false;
  bool help = false;
  bool version = false;

  FlagSet Set();
  // Fills in what depends on the caller, once the flags are parsed. What is wrong with them, or "".
  std::string Finish();
};

GlobalFlags& Globals();

// Whether limits, owners and devices that need root's rights may be left out.
bool IsRootless();

// Exit code of the OCI commands when they fail, as runc's.
inline constexpr int kExitError = 1;

// Says why a command failed, in runc's format, and returns kExitError: with --log, as an entry of level
// "error" in that file and as plain text on stderr; without, as an entry on stderr.
int Fail(std::string_view message);
// An entry of level "warning": something that was asked for was left out, and the command goes on.
void Warn(std::string_view message);
// An entry of level "debug", with --debug only.
void Debug(std::string_view message);

}  // namespace runsc

#endif  // RUNSC_CMD_GLOBAL_FLAGS_H_
