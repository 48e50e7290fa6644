// The policy of filter_test.cc.
#include <sys/mman.h>

#include "platform/seccomp/rules.h"

namespace runsc {

std::vector<SeccompPolicy> TestSeccompPolicies() {
  return {{"Test",
           {
               {SYS_getpid, "the allowed call"},
               {SYS_write, "the report"},
               {SYS_exit_group, "the end"},
               {SYS_mmap, "anonymous data", {ArgHasNot(2, PROT_EXEC), IntArgIs(4, -1)}},
           }}};
}

}  // namespace runsc
