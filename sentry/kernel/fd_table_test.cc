#include "sentry/kernel/fd_table.h"

#include <catch2/catch.hpp>

#include "sentry/vfs/anonymous.h"

namespace runsc {
namespace {

class PlainFile final : public FileDescription {
 public:
  PlainFile() : FileDescription(AnonymousPath("anon_inode:[test]"), O_RDWR) {}
};

RefPtr<FileDescription> NewFile() { return MakeRef<PlainFile>(); }

constexpr uint64_t kLimit = 64;

TEST_CASE("the lowest free number is used") {
  auto table = MakeRef<FDTable>();
  for (int i = 0; i < 3; ++i) REQUIRE(*table->Add(NewFile(), false, 0, kLimit) == i);
  REQUIRE(table->Remove(1).ok());
  REQUIRE(*table->Add(NewFile(), false, 2, kLimit) == 3);
  REQUIRE(*table->Add(NewFile(), false, 0, kLimit) == 1);
  REQUIRE(*table->Add(NewFile(), false, 0, kLimit) == 4);
  REQUIRE(table->Add(NewFile(), false, 0, 5).is(EMFILE));
  REQUIRE(table->Get(99).is(EBADF));
  REQUIRE(table->Get(-1).is(EBADF));
}

TEST_CASE("a reserved number is invisible until it is installed") {
  auto table = MakeRef<FDTable>();
  int fd = *table->Reserve(0, kLimit);
  REQUIRE(table->Get(fd).is(EBADF));
  REQUIRE(table->Replace(fd, NewFile(), false, kLimit).is(EBUSY));
  REQUIRE(*table->Add(NewFile(), false, 0, kLimit) == fd + 1);
  table->Install(fd, NewFile(), true);
  REQUIRE(*table->GetCloseOnExec(fd));
  table->CloseOnExec();
  REQUIRE(table->Get(fd).is(EBADF));
  int again = *table->Reserve(0, kLimit);
  REQUIRE(again == fd);
  table->Cancel(again);
  REQUIRE(*table->Reserve(0, kLimit) == fd);
  table->Cancel(fd);
}

TEST_CASE("a copy is independent") {
  auto table = MakeRef<FDTable>();
  (void)*table->Add(NewFile(), false, 5, kLimit);
  auto copy = table->Fork();
  copy->CloseRange(0, UINT32_MAX, false);
  REQUIRE(copy->Numbers().empty());
  REQUIRE(table->Numbers() == std::vector<int>{5});
}

}  // namespace
}  // namespace runsc
