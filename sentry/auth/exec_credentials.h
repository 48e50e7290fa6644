// What execve(2) does to credentials: set-user-ID and set-group-ID programs and the rules for
// capabilities (capabilities(7), "Transformation of capabilities during execve()"; no file capabilities).
// Threading: stateless. Linux counterpart: security/commoncap.c.
#ifndef SENTRY_AUTH_EXEC_CREDENTIALS_H_
#define SENTRY_AUTH_EXEC_CREDENTIALS_H_

#include "sentry/auth/credentials.h"

namespace runsc {

struct ExecFile {
  Uid uid = 0;
  Gid gid = 0;
  uint32_t mode = 0;
  bool no_suid = false;  // the mount's MS_NOSUID
};

// `secure` (AT_SECURE) is set if the program runs with more rights than its caller had.
RefPtr<const Credentials> CredentialsForExec(const Credentials& old, const ExecFile& file, bool* secure);

}  // namespace runsc

#endif  // SENTRY_AUTH_EXEC_CREDENTIALS_H_
