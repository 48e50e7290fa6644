// A file in memory whose pages the host makes in pieces as large as what fallocate(2) asks for.
//
// A page of guest memory that the host makes by itself at a first touch costs 2 us: an exception, an
// allocation, an entry in the file's tree, a charge to the control group. Made together, sixteen cost 8 us,
// and 512 cost 90 (Linux 6.18 on a virtual machine; test/benchmark/page_bench.cc). A memfd gets such
// pages only where the administrator says so (/sys/kernel/mm/transparent_hugepage/shmem_enabled); a tmpfs of
// our own decides itself, by its option `huge`.
//
// Linux counterpart: tmpfs(5), Documentation/admin-guide/mm/transhuge.rst.
#ifndef PLATFORM_HOST_LARGE_PAGE_FILE_H_
#define PLATFORM_HOST_LARGE_PAGE_FILE_H_

#include <cstdint>
#include <optional>

#include "platform/base/unique_fd.h"

namespace runsc {

// An empty file of a tmpfs that is mounted nowhere. Invalid where a kernel (before 6.14 pages come one by
// one, or 512 at a time) or the process's rights do not give it; memfd_create(2) does then. With one, this
// process and those that it makes get single pages at page faults (PR_SET_THP_DISABLE): what is not asked for
// by fallocate stays small. `uid`, `gid`: whose it is, where the user namespace does not know the process's
// own.
UniqueFd OpenLargePageFile(std::optional<uint32_t> uid = {}, std::optional<uint32_t> gid = {});

}  // namespace runsc

#endif  // PLATFORM_HOST_LARGE_PAGE_FILE_H_
