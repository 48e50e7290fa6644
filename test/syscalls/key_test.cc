// Keys: add_key(2), request_key(2), keyctl(2), /proc/keys, /proc/key-users. keyrings(7).
#include "test/syscalls/keys.h"

namespace {

TEST(UserKeysHaveContent) {
  NewSession();
  int key = ASSERT_OK(AddKey("user", "a", "hello", kSession));
  EXPECT_EQ(Describe(key), "user;" + Owner() + ";3f010000;a");
  EXPECT_EQ(Read(key), "hello");
  // All or nothing is copied.
  char bytes[3] = {1, 1, 1};
  EXPECT_EQ(Keyctl(KEYCTL_READ, key, bytes, 3), 5);
  EXPECT_EQ(bytes[0], 1);
  EXPECT_EQ(Keyctl(KEYCTL_READ, key, nullptr, 0), 5);
  EXPECT_ERRNO(Keyctl(KEYCTL_READ, key, 8, 100), EFAULT);
  EXPECT_EQ(AddKey("user", "a", "again", kSession), key);
  EXPECT_EQ(Read(key), "again");
  EXPECT_EQ(Keyctl(KEYCTL_UPDATE, key, "bye", 3), 0);
  EXPECT_EQ(Read(key), "bye");
  EXPECT_ERRNO(Keyctl(KEYCTL_UPDATE, key, "", 0), EINVAL);
  std::string large(5000, 'x');
  EXPECT_ERRNO(Keyctl(KEYCTL_UPDATE, key, large.c_str(), large.size()), EINVAL);
}

TEST(LogonKeysCannotBeRead) {
  NewSession();
  int key = ASSERT_OK(AddKey("logon", "service:a", "hello", kSession));
  EXPECT_EQ(Describe(key), "logon;" + Owner() + ";3d010000;service:a");
  EXPECT_EQ(Read(key), "EOPNOTSUPP");
  EXPECT_EQ(Keyctl(KEYCTL_UPDATE, key, "b", 1), 0);
  EXPECT_ERRNO(AddKey("logon", "a", "x", kSession), EINVAL);
  EXPECT_ERRNO(AddKey("logon", ":a", "x", kSession), EINVAL);
}

TEST(AddKeyChecksItsArguments) {
  NewSession();
  EXPECT_ERRNO(AddKey("nosuch", "a", "b", kSession), ENODEV);
  EXPECT_ERRNO(AddKey(".user", "a", "b", kSession), EPERM);
  EXPECT_ERRNO(AddKey("", "a", "b", kSession), EINVAL);
  EXPECT_ERRNO(AddKey(std::string(32, 'x').c_str(), "a", "b", kSession), EINVAL);
  EXPECT_ERRNO(AddKey("user", "a", nullptr, kSession), EINVAL);
  EXPECT_ERRNO(AddKey("user", nullptr, "a", kSession), EINVAL);
  EXPECT_ERRNO(AddKey("user", "", "a", kSession), EINVAL);
  EXPECT_ERRNO(syscall(SYS_add_key, "user", "a", nullptr, 5, kSession), EFAULT);
  EXPECT_ERRNO(syscall(SYS_add_key, "user", "a", "", 1 << 20, kSession), EINVAL);
  EXPECT_ERRNO(AddKeyring(".x", kSession), EPERM);
  EXPECT_OK(AddKey("user", ".x", "a", kSession));
  EXPECT_ERRNO(AddKey("user", std::string(4096, 'x').c_str(), "a", kSession), EINVAL);
  EXPECT_OK(AddKey("user", std::string(4095, 'x').c_str(), "a", kSession));
  EXPECT_ERRNO(AddKey("user", "b", std::string(32768, 'x').c_str(), kSession), EINVAL);
  EXPECT_ERRNO(AddKey("keyring", "b", "x", kSession), EINVAL);
  int key = EXPECT_OK(AddKey("user", "key", "a", kSession));
  EXPECT_ERRNO(AddKey("user", "b", "a", key), ENOTDIR);
  EXPECT_ERRNO(AddKey("user", "b", "a", 1), ENOKEY);
  EXPECT_ERRNO(Keyctl(99), EOPNOTSUPP);
  EXPECT_ERRNO(Keyctl(KEYCTL_DH_COMPUTE, 0, 0, 0, 0), EOPNOTSUPP);
}

TEST(RevokedKeysAreOfNoUse) {
  NewSession();
  int key = ASSERT_OK(AddKey("user", "a", "hello", kSession));
  EXPECT_EQ(Keyctl(KEYCTL_REVOKE, key), 0);
  EXPECT_EQ(Describe(key), "EKEYREVOKED");
  EXPECT_EQ(Read(key), "EKEYREVOKED");
  EXPECT_ERRNO(Search(kSession, "user", "a"), EKEYREVOKED);
  EXPECT_ERRNO(RequestKey("user", "a"), EKEYREVOKED);
  EXPECT_ERRNO(Keyctl(KEYCTL_REVOKE, key), EKEYREVOKED);
  std::vector<std::string> listed = Listed(key);
  ASSERT_EQ(listed.size(), 10u);
  EXPECT_EQ(listed[1], "IR-Q---");
  EXPECT_EQ(listed[3], "expd");
  EXPECT_EQ(listed[9], "0");
  EXPECT_NE(ASSERT_OK(AddKey("user", "a", "new", kSession)), key);
  EXPECT_EQ(Keyctl(KEYCTL_UNLINK, key, kSession) == 0 || errno == ENOENT || errno == ENOKEY, true);
}

TEST(InvalidatedKeysAreGone) {
  NewSession();
  int key = ASSERT_OK(AddKey("user", "a", "hello", kSession));
  EXPECT_EQ(Keyctl(KEYCTL_INVALIDATE, key), 0);
  EXPECT_EQ(Describe(key), "ENOKEY");
  EXPECT_ERRNO(Keyctl(KEYCTL_INVALIDATE, key), ENOKEY);
}

TEST(KeysExpire) {
  NewSession();
  int key = ASSERT_OK(AddKey("user", "a", "hello", kSession));
  int other = ASSERT_OK(AddKey("user", "b", "hello", kSession));
  EXPECT_EQ(Listed(key)[3], "perm");
  ASSERT_OK(Keyctl(KEYCTL_SET_TIMEOUT, other, 7300));
  EXPECT_EQ(Listed(other)[3], "2h");
  EXPECT_EQ(Describe(other), "user;" + Owner() + ";3f010000;b");
  ASSERT_OK(Keyctl(KEYCTL_SET_TIMEOUT, other, 0));
  EXPECT_EQ(Listed(other)[3], "perm");
  ASSERT_OK(Keyctl(KEYCTL_SET_TIMEOUT, key, 1));
  while (Describe(key) != "EKEYEXPIRED") usleep(10000);  // within a second, of which the machine may take all
  EXPECT_EQ(Read(key), "EKEYEXPIRED");
  EXPECT_ERRNO(Search(kSession, "user", "a"), EKEYEXPIRED);
  EXPECT_ERRNO(Keyctl(KEYCTL_SET_TIMEOUT, key, 100), EKEYEXPIRED);
  EXPECT_EQ(Listed(key)[3], "expd");
  // New content, new life.
  EXPECT_EQ(AddKey("user", "a", "back", kSession), key);
  EXPECT_EQ(Read(key), "back");
  EXPECT_EQ(Listed(key)[3], "perm");
}

TEST(PermissionsOfPossessorAndOwner) {
  NewSession();
  int key = ASSERT_OK(AddKey("user", "a", "hello", kSession));
  EXPECT_ERRNO(Keyctl(KEYCTL_SETPERM, key, 0x40000000), EINVAL);
  EXPECT_ERRNO(Keyctl(KEYCTL_SETPERM, key, 0x3f3f3f40), EINVAL);
  ASSERT_OK(Keyctl(KEYCTL_SETPERM, key, 0x39000000));  // who may search may read
  EXPECT_EQ(Read(key), "hello");
  EXPECT_ERRNO(Keyctl(KEYCTL_UPDATE, key, "x", 1), EACCES);
  ASSERT_OK(Keyctl(KEYCTL_SETPERM, key, 0x29000000));
  EXPECT_ERRNO(Keyctl(KEYCTL_LINK, key, kSession), EACCES);
  ASSERT_OK(Keyctl(KEYCTL_SETPERM, key, 0x31030000));  // without searching it is not possessed
  EXPECT_EQ(Read(key), "hello");
  EXPECT_ERRNO(Keyctl(KEYCTL_SETPERM, key, 0x3f3f0000), EACCES);
  int unreachable = ASSERT_OK(AddKeyring("ring", kSession));
  ASSERT_OK(AddKeyring("ring", kSession));
  WaitUntilCollected(unreachable);
}

TEST(OthersHaveWhatTheyAreGranted) {
  NeedRoot();
  NewSession();
  int key = ASSERT_OK(AddKey("user", "a", "data", kSession));
  ASSERT_OK(Keyctl(KEYCTL_SETPERM, key, 0x3f000003));
  EXPECT_CHILD_OK([key] {
    BecomeUser(54321);
    NewSession();
    EXPECT_EQ(Describe(key), "user;0;0;3f000003;a");
    EXPECT_EQ(Read(key), "data");
    EXPECT_ERRNO(Keyctl(KEYCTL_UPDATE, key, "zz", 2), EACCES);
    EXPECT_ERRNO(Keyctl(KEYCTL_LINK, key, kSession), EACCES);
    EXPECT_ERRNO(Keyctl(KEYCTL_UNLINK, key, kSession), ENOENT);
    EXPECT_ERRNO(Keyctl(KEYCTL_SET_TIMEOUT, key, 5), EACCES);
    EXPECT_ERRNO(Keyctl(KEYCTL_REVOKE, key), EACCES);
    EXPECT_ERRNO(Keyctl(KEYCTL_CHOWN, key, 54321, -1), EACCES);
    EXPECT_EQ(Listed(key).size(), 10u);
  });
  ASSERT_OK(Keyctl(KEYCTL_SETPERM, key, 0x3f00003f));
  EXPECT_CHILD_OK([key] {
    BecomeUser(54321);
    NewSession();
    EXPECT_EQ(Keyctl(KEYCTL_UPDATE, key, "zz", 2), 0);
    EXPECT_EQ(Keyctl(KEYCTL_LINK, key, kSession), 0);
    EXPECT_ERRNO(Keyctl(KEYCTL_SETPERM, key, 0x3f3f3f3f), EACCES);
    EXPECT_ERRNO(Keyctl(KEYCTL_CHOWN, key, 54321, -1), EACCES);
    EXPECT_EQ(Keyctl(KEYCTL_CHOWN, key, 0, 54321), 0);
  });
  ASSERT_OK(Keyctl(KEYCTL_SETPERM, key, 0x3f000300));
  EXPECT_CHILD_OK([key] {
    BecomeUser(54321);
    NewSession();
    EXPECT_EQ(Describe(key), "user;0;54321;3f000300;a");
  });
  ASSERT_OK(Keyctl(KEYCTL_SETPERM, key, 0x3f3f0000));
  EXPECT_CHILD_OK([key] {
    BecomeUser(54321);
    NewSession();
    EXPECT_EQ(Describe(key), "EACCES");
    EXPECT_EQ(Read(key), "EACCES");
    EXPECT_TRUE(Listed(key).empty());
  });
  // Possession is inherited with the session.
  EXPECT_CHILD_OK([key] {
    BecomeUser(54321);
    EXPECT_EQ(Read(key), "zz");
  });
}

TEST(SomebodyElsesKeys) {
  NeedRoot();
  NewSession();
  int key = ASSERT_OK(AddKey("user", "a", "data", kSession));
  EXPECT_EQ(Keyctl(KEYCTL_CHOWN, key, -1, -1), 0);
  EXPECT_EQ(Keyctl(KEYCTL_CHOWN, key, 54321, 54322), 0);
  EXPECT_EQ(Describe(key), "user;54321;54322;3f010000;a");
  EXPECT_EQ(Keyctl(KEYCTL_CHOWN, key, -1, 7), 0);
  EXPECT_EQ(Describe(key), "user;54321;7;3f010000;a");
  ASSERT_OK(IdOf(kThread, true));
  ASSERT_EQ(setresuid(-1, 54321, -1), 0);
  EXPECT_EQ(Describe(kThread), "keyring;54321;0;3f010000;_tid");
}

TEST(RequestedKeysAreFoundOrRemembered) {
  if (access("/sbin/request-key", F_OK) == 0) SKIP("there is a /sbin/request-key");
  NewSession();
  int ring = ASSERT_OK(AddKeyring("ring", kSession));
  int key = ASSERT_OK(AddKey("user", "a", "x", kSession));
  EXPECT_EQ(RequestKey("user", "a"), key);
  EXPECT_EQ(RequestKey("user", "a", nullptr, ring), key);
  EXPECT_EQ(CountLinks(ring), 1u);
  EXPECT_ERRNO(RequestKey("user", "b"), ENOKEY);
  EXPECT_ERRNO(RequestKey("nosuch", "b"), ENOKEY);
  EXPECT_ERRNO(RequestKey("user", nullptr), EFAULT);
  EXPECT_ERRNO(RequestKey("keyring", "b", "x"), EPERM);
  EXPECT_ERRNO(RequestKey("user", "b", "x"), ENOENT);
  EXPECT_ERRNO(RequestKey("user", "b", "x"), ENOKEY);
  EXPECT_EQ(CountLinks(kSession), 3u);
  EXPECT_ERRNO(RequestKey("user", "c", "x", ring), ENOENT);
  ASSERT_EQ(CountLinks(ring), 2u);
  int content[2];
  ASSERT_EQ(Keyctl(KEYCTL_READ, ring, content, sizeof(content)), 8);
  int negative = content[0] == key ? content[1] : content[0];
  EXPECT_EQ(Describe(negative), "user;" + Owner() + ";3f010000;c");
  EXPECT_EQ(Read(negative), "ENOKEY");
  EXPECT_EQ(Listed(negative)[1], "I--Q-N-");
  EXPECT_ERRNO(Keyctl(KEYCTL_UPDATE, negative, "x", 1), ENOKEY);
  EXPECT_ERRNO(Keyctl(KEYCTL_LINK, negative, kSession), ENOKEY);
  EXPECT_ERRNO(Keyctl(KEYCTL_REVOKE, negative), ENOKEY);
  EXPECT_EQ(Keyctl(KEYCTL_SET_TIMEOUT, negative, 50), 0);
  EXPECT_EQ(Keyctl(KEYCTL_SETPERM, negative, 0x3f3f0000), 0);
  EXPECT_ERRNO(Search(ring, "user", "c"), ENOKEY);
  EXPECT_EQ(AddKey("user", "c", "now", ring), negative);
  EXPECT_EQ(Read(negative), "now");
}

TEST(NobodyMakesKeysForOthers) {
  NewSession();
  int key = ASSERT_OK(AddKey("user", "a", "x", kSession));
  EXPECT_ERRNO(Keyctl(KEYCTL_INSTANTIATE, key, "x", 1, kSession), EPERM);
  EXPECT_ERRNO(Keyctl(KEYCTL_NEGATE, key, 1, kSession), EPERM);
  EXPECT_ERRNO(Keyctl(KEYCTL_REJECT, key, 1, ENOKEY, kSession), EPERM);
  EXPECT_ERRNO(Keyctl(KEYCTL_REJECT, key, 1, 0, kSession), EINVAL);
  EXPECT_ERRNO(Keyctl(KEYCTL_REJECT, key, 1, 512, kSession), EINVAL);
  EXPECT_EQ(Keyctl(KEYCTL_ASSUME_AUTHORITY, 0), 0);
  EXPECT_ERRNO(Keyctl(KEYCTL_ASSUME_AUTHORITY, key), ENOKEY);
  EXPECT_ERRNO(Keyctl(KEYCTL_ASSUME_AUTHORITY, -1), EINVAL);
}

TEST(LabelsAndCapabilities) {
  NewSession();
  int key = ASSERT_OK(AddKey("user", "k", "1", kSession));
  EXPECT_GE(Keyctl(KEYCTL_GET_SECURITY, key, nullptr, 0), 1);
  uint8_t bytes[4] = {0, 0, 1, 1};
  EXPECT_EQ(Keyctl(KEYCTL_CAPABILITIES, bytes, sizeof(bytes)), 2);
  constexpr int kWanted =
      KEYCTL_CAPS0_CAPABILITIES | KEYCTL_CAPS0_INVALIDATE | KEYCTL_CAPS0_RESTRICT_KEYRING | KEYCTL_CAPS0_MOVE;
  EXPECT_EQ(bytes[0] & kWanted, kWanted);
  EXPECT_EQ(bytes[2], 0);
  EXPECT_EQ(bytes[3], 0);
  EXPECT_EQ(Keyctl(KEYCTL_CAPABILITIES, nullptr, 0), 2);
}

struct Quota {
  long keys = 0, max_keys = 0, bytes = 0, max_bytes = 0;
};
Quota QuotaOf(unsigned uid) {
  std::ifstream users("/proc/key-users");
  std::string line;
  while (std::getline(users, line)) {
    unsigned user;
    Quota quota;
    if (sscanf(line.c_str(), "%u: %*d %*d/%*d %ld/%ld %ld/%ld", &user, &quota.keys, &quota.max_keys,
               &quota.bytes, &quota.max_bytes) == 5 &&
        user == uid)
      return quota;
  }
  return {};
}

TEST(UsersHaveQuotas) {
  NeedRoot();
  const unsigned uid = 10000 + static_cast<unsigned>(getpid()) % 40000;  // whom nobody has left keys of
  BecomeUser(uid);
  NewSession();
  Quota start = QuotaOf(uid);
  ASSERT_GT(start.max_keys, 0);
  int ring = ASSERT_OK(AddKeyring("ring", kSession));
  Quota now = QuotaOf(uid);
  EXPECT_EQ(now.keys, start.keys + 1);
  EXPECT_EQ(now.bytes, start.bytes + 5 + 4);  // the description, and the link to it
  ASSERT_OK(AddKey("user", "a", "12345678", ring));
  EXPECT_EQ(QuotaOf(uid).bytes, now.bytes + 2 + 8 + 4);
  ASSERT_OK(AddKey("user", "a", "1", ring));
  EXPECT_EQ(QuotaOf(uid).bytes, now.bytes + 2 + 1 + 4);
  int made = 0;
  while (AddKey("user", std::to_string(made).c_str(), "1", ring) > 0) ++made;
  EXPECT_EQ(errno, EDQUOT);
  EXPECT_EQ(QuotaOf(uid).keys, start.max_keys);
  ASSERT_OK(Keyctl(KEYCTL_UNLINK, Search(ring, "user", "0"), ring));
  while (QuotaOf(uid).keys == start.max_keys) usleep(1000);  // keys are collected a little later
  EXPECT_OK(AddKey("user", "x", "1", ring));
  ASSERT_OK(Keyctl(KEYCTL_CLEAR, ring));
  while (QuotaOf(uid).keys > start.keys + 1) usleep(1000);
  std::string payload(1000, 'x');
  made = 0;
  while (AddKey("user", std::to_string(made).c_str(), payload.c_str(), ring) > 0) ++made;
  EXPECT_EQ(errno, EDQUOT);
  EXPECT_EQ(made, start.max_bytes / 1008);
}

}  // namespace
