#include "sentry/keys/keyrings.h"

#include <catch2/catch.hpp>

namespace runsc {
namespace {

struct World {
  Keyrings keyrings;
  RefPtr<const Credentials> root = Credentials::Root();
  TaskKeyrings own;
  KeyCaller caller() { return {*root, own}; }
  Result<int32_t> Add(const char* type, const std::string& description, std::string payload, int32_t ring) {
    return keyrings.Add(caller(), type, description, std::move(payload), ring);
  }
};

TEST_CASE("a chain of keyrings goes without recursion") {
  World w;
  int32_t tail = KEY_SPEC_SESSION_KEYRING;
  for (int i = 0; i < 20000; ++i) {
    auto id = w.Add("keyring", std::to_string(i), "", KEY_SPEC_THREAD_KEYRING);
    REQUIRE(id.ok());
    REQUIRE(w.keyrings.SetPermissions(w.caller(), *id, 0x3f3f0000).ok());
    REQUIRE(w.keyrings.Link(w.caller(), *id, tail).ok());
    REQUIRE(w.keyrings.Unlink(w.caller(), *id, KEY_SPEC_THREAD_KEYRING).ok());
    tail = *id;
  }
  REQUIRE(w.keyrings.Users().front().second.keys == 20002);
  REQUIRE(w.keyrings.Clear(w.caller(), KEY_SPEC_SESSION_KEYRING).ok());
  REQUIRE(w.keyrings.Users().front().second.keys == 2);
}

// With n keyrings on each of six levels, all linked to all of the next, there are n^6 ways.
TEST_CASE("a search goes to each keyring once") {
  World w;
  std::vector<int32_t> above{KEY_SPEC_SESSION_KEYRING};
  for (int level = 0; level < 6; ++level) {
    std::vector<int32_t> here;
    for (int i = 0; i < 30; ++i) {
      auto id = w.Add("keyring", std::to_string(level) + "." + std::to_string(i), "", above[0]);
      REQUIRE(id.ok());
      for (size_t j = 1; j < above.size(); ++j) REQUIRE(w.keyrings.Link(w.caller(), *id, above[j]).ok());
      here.push_back(*id);
    }
    above = here;
  }
  auto key = w.Add("user", "here", "x", above.back());
  REQUIRE(key.ok());
  REQUIRE(*w.keyrings.Request(w.caller(), "user", "here", false, 0) == *key);
  REQUIRE(w.keyrings.Request(w.caller(), "user", "nowhere", false, 0).is(ENOKEY));
  REQUIRE(w.keyrings.List(w.caller()).size() == 182);
}

TEST_CASE("keys take a part of the Sentry's memory only") {
  World w;
  const std::string payload(32767, 'x');
  w.keyrings.limits().root_bytes = INT64_MAX;
  int made = 0;
  Result<int32_t> last = 0;
  while ((last = w.Add("user", std::to_string(made), payload, KEY_SPEC_SESSION_KEYRING)).ok()) ++made;
  REQUIRE(last.is(ENOMEM));
  REQUIRE(made * payload.size() <= IpcCharge::kLimit);
  REQUIRE(w.keyrings.Clear(w.caller(), KEY_SPEC_SESSION_KEYRING).ok());
  REQUIRE(w.Add("user", "again", payload, KEY_SPEC_SESSION_KEYRING).ok());
}

}  // namespace
}  // namespace runsc
