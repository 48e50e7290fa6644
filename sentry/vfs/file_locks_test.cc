#include "sentry/vfs/file_locks.h"

#include <catch2/catch.hpp>

namespace runsc {
namespace {

const int owners[2] = {};
RecordLock Lock(FileLockType type, uint64_t start, uint64_t end, int owner) {
  return RecordLock{type, {start, end}, &owners[owner], owner + 1};
}

TEST_CASE("record locks are split, merged and in conflict") {
  FileLocks locks;
  constexpr auto kRead = FileLockType::kShared, kWrite = FileLockType::kExclusive,
                 kNone = FileLockType::kUnlock;
  REQUIRE(locks.SetRecordLock(Lock(kWrite, 0, 100, 0)).ok());
  CHECK(locks.SetRecordLock(Lock(kRead, 99, 200, 1)).is(EAGAIN));
  CHECK(locks.SetRecordLock(Lock(kRead, 100, 200, 1)).ok());
  REQUIRE(locks.SetRecordLock(Lock(kNone, 40, 60, 0)).ok());
  CHECK(locks.List().size() == 3);
  CHECK(locks.SetRecordLock(Lock(kWrite, 40, 60, 1)).ok());
  REQUIRE(locks.SetRecordLock(Lock(kNone, 0, UINT64_MAX, 1)).ok());
  REQUIRE(locks.SetRecordLock(Lock(kRead, 40, 50, 0)).ok());
  REQUIRE(locks.SetRecordLock(Lock(kWrite, 40, 60, 0)).ok());
  REQUIRE(locks.List().size() == 1);
  CHECK(locks.List()[0].lock.range.start == 0);
  CHECK(locks.List()[0].lock.range.end == 100);
  std::optional<RecordLock> conflict = locks.Test(Lock(kRead, 10, UINT64_MAX, 1));
  REQUIRE(conflict.has_value());
  CHECK(conflict->pid == 1);
  locks.ReleaseOwner(&owners[0]);
  CHECK(locks.List().empty());
}

TEST_CASE("flock converts and conflicts") {
  FileLocks locks;
  REQUIRE(locks.Flock(FileLockType::kShared, &owners[0]).ok());
  REQUIRE(locks.Flock(FileLockType::kShared, &owners[1]).ok());
  CHECK(locks.Flock(FileLockType::kExclusive, &owners[0]).is(EAGAIN));
  REQUIRE(locks.Flock(FileLockType::kUnlock, &owners[1]).ok());
  CHECK(locks.Flock(FileLockType::kExclusive, &owners[0]).ok());
  CHECK(locks.Flock(FileLockType::kShared, &owners[1]).is(EAGAIN));
}

}  // namespace
}  // namespace runsc
