// The line between the command that creates a container and its monitor, while both are there: a
// SOCK_SEQPACKET pair, one packet a message.
#ifndef RUNSC_LIFECYCLE_REPORT_H_
#define RUNSC_LIFECYCLE_REPORT_H_

#include <string>
#include <string_view>

#include "platform/base/unique_fd.h"

namespace runsc {

struct Report {
  enum Kind : char {
    kNothing = 0,       // the other end is gone
    kNamespaces = 'N',  // monitor: it is in the container's network namespace
    kTerminal = 'T',    // monitor: the terminal's master comes with this
    kReady = 'R',       // monitor: the container waits to be started
    kFailed = 'F',      // monitor: it cannot be made; why
    kGo = 'G',          // creator: the hooks that come first have run
    kCommitted = 'C'    // creator: the container's state is written; it stays from now on
  };
  Kind kind = kNothing;
  std::string text;
  UniqueFd fd;
};

bool MakeReportPair(UniqueFd& creator, UniqueFd& monitor);
bool SendReport(int socket, Report::Kind kind, std::string_view text = {}, int fd = -1);
Report ReceiveReport(int socket);

}  // namespace runsc

#endif  // RUNSC_LIFECYCLE_REPORT_H_
