// Keyrings: whose they are, what is in them, how they are searched. keyrings(7), keyctl(2).
#include <pthread.h>

#include "test/syscalls/keys.h"

namespace {

TEST(SpecialKeyringsAreMadeWhenTheyAreWanted) {
  EXPECT_ERRNO(IdOf(kThread), ENOKEY);
  EXPECT_ERRNO(IdOf(kProcess), ENOKEY);
  EXPECT_ERRNO(IdOf(KEY_SPEC_GROUP_KEYRING, true), EINVAL);
  EXPECT_ERRNO(IdOf(KEY_SPEC_REQKEY_AUTH_KEY), ENOKEY);
  EXPECT_ERRNO(IdOf(KEY_SPEC_REQUESTOR_KEYRING, true), ENOKEY);
  EXPECT_ERRNO(IdOf(-9), EINVAL);
  EXPECT_ERRNO(IdOf(0), EINVAL);
  EXPECT_ERRNO(IdOf(1), ENOKEY);
  int thread = EXPECT_OK(IdOf(kThread, true));
  EXPECT_EQ(IdOf(kThread), thread);
  EXPECT_EQ(Describe(thread), "keyring;" + Owner() + ";3f010000;_tid");
  EXPECT_GT(EXPECT_OK(IdOf(kProcess, true)), 0);
  EXPECT_EQ(Describe(kProcess), "keyring;" + Owner() + ";3f010000;_pid");
}

TEST(AUserHasTwoKeyrings) {
  std::string uid = std::to_string(getuid());
  EXPECT_EQ(Describe(kUser), "keyring;" + uid + ";65534;1f3f0000;_uid." + uid);
  EXPECT_EQ(Describe(KEY_SPEC_USER_SESSION_KEYRING), "keyring;" + uid + ";65534;1f3f0000;_uid_ses." + uid);
  EXPECT_EQ(Search(KEY_SPEC_USER_SESSION_KEYRING, "keyring", ("_uid." + uid).c_str()), IdOf(kUser));
}

TEST(SessionKeyringsAreJoined) {
  int first = NewSession();
  EXPECT_EQ(IdOf(kSession), first);
  EXPECT_EQ(Describe(kSession), "keyring;" + Owner() + ";3f030000;_ses");
  EXPECT_NE(NewSession(), first);
  EXPECT_ERRNO(Keyctl(KEYCTL_JOIN_SESSION_KEYRING, ".hidden"), EPERM);
  std::string name = "syscall_test" + std::to_string(getpid());
  long named = EXPECT_OK(Keyctl(KEYCTL_JOIN_SESSION_KEYRING, name.c_str()));
  EXPECT_EQ(Describe(kSession), "keyring;" + Owner() + ";3f130000;" + name);
  // Only one that can be searched is found by name.
  ASSERT_OK(Keyctl(KEYCTL_SETPERM, kSession, 0x3f1b0000));
  ASSERT_OK(Keyctl(KEYCTL_LINK, kSession, IdOf(kThread, true)));  // which keeps it
  NewSession();
  EXPECT_EQ(Keyctl(KEYCTL_JOIN_SESSION_KEYRING, name.c_str()), named);
}

TEST(KeyringsHoldKeys) {
  NewSession();
  int ring = ASSERT_OK(AddKeyring("ring", kSession));
  EXPECT_EQ(Describe(ring), "keyring;" + Owner() + ";3f010000;ring");
  EXPECT_EQ(Read(ring), "");
  int key = ASSERT_OK(AddKey("user", "a", "x", ring));
  EXPECT_EQ(Read(ring), std::string(reinterpret_cast<char*>(&key), sizeof(key)));
  EXPECT_ERRNO(Keyctl(KEYCTL_UPDATE, ring, "x", 1), EOPNOTSUPP);
  EXPECT_EQ(Keyctl(KEYCTL_LINK, key, ring), 0);
  EXPECT_EQ(CountLinks(ring), 1u);
  EXPECT_EQ(Keyctl(KEYCTL_CLEAR, ring), 0);
  EXPECT_EQ(CountLinks(ring), 0u);
  WaitUntilCollected(key);
  // A keyring of the same description takes its place.
  EXPECT_NE(ASSERT_OK(AddKeyring("ring", kSession)), ring);
  EXPECT_EQ(CountLinks(kSession), 1u);
  key = ASSERT_OK(AddKey("user", "a", "x", kSession));
  EXPECT_ERRNO(Keyctl(KEYCTL_CLEAR, key), ENOTDIR);
  EXPECT_ERRNO(Keyctl(KEYCTL_LINK, key, key), ENOTDIR);
  EXPECT_ERRNO(Keyctl(KEYCTL_UNLINK, key, key), ENOTDIR);
  EXPECT_EQ(Keyctl(KEYCTL_UNLINK, key, kSession), 0);
  EXPECT_ERRNO(Search(kSession, "user", "a"), ENOKEY);
}

TEST(KeyringsHaveNoCycles) {
  int session = NewSession();
  int chain[9] = {ASSERT_OK(AddKeyring("0", kSession))};
  EXPECT_ERRNO(Keyctl(KEYCTL_LINK, chain[0], chain[0]), EDEADLK);
  EXPECT_ERRNO(Keyctl(KEYCTL_LINK, session, chain[0]), EDEADLK);
  for (int i = 1; i < 8; ++i) chain[i] = ASSERT_OK(AddKeyring(std::to_string(i).c_str(), chain[i - 1]));
  // What is deeper is not searched, so nobody possesses it.
  EXPECT_ERRNO(AddKeyring("8", chain[7]), EACCES);
  EXPECT_EQ(Search(kSession, "keyring", "6"), chain[6]);
  EXPECT_ERRNO(Search(kSession, "keyring", "7"), ENOKEY);
  int top = ASSERT_OK(AddKeyring("top", kSession));
  EXPECT_ERRNO(Keyctl(KEYCTL_LINK, chain[0], top), ELOOP);
  EXPECT_EQ(Keyctl(KEYCTL_LINK, chain[1], top), 0);
}

TEST(SearchesSayWhyTheyFail) {
  NewSession();
  int ring = ASSERT_OK(AddKeyring("ring", kSession));
  int key = ASSERT_OK(AddKey("user", "a", "x", ring));
  EXPECT_EQ(Search(kSession, "user", "a"), key);
  EXPECT_ERRNO(Search(kSession, "user", "b"), ENOKEY);
  EXPECT_ERRNO(Search(kSession, "nosuch", "a"), ENOKEY);
  EXPECT_ERRNO(Search(key, "user", "a"), ENOTDIR);
  EXPECT_EQ(Search(kSession, "keyring", "_ses"), IdOf(kSession));
  int other = ASSERT_OK(AddKeyring("other", kSession));
  EXPECT_EQ(Keyctl(KEYCTL_SEARCH, ring, "user", "a", other), key);
  EXPECT_EQ(CountLinks(other), 1u);
  ASSERT_OK(Keyctl(KEYCTL_UNLINK, key, other));
  ASSERT_OK(Keyctl(KEYCTL_SETPERM, ring, 0x37010000));  // no search
  EXPECT_ERRNO(Search(kSession, "user", "a"), ENOKEY);
  EXPECT_ERRNO(Search(ring, "user", "a"), EACCES);
}

TEST(KeyringsAreInherited) {
  int session = NewSession();
  int thread = ASSERT_OK(IdOf(kThread, true));
  int process = ASSERT_OK(IdOf(kProcess, true));
  EXPECT_CHILD_OK([session] {
    EXPECT_EQ(IdOf(kSession), session);
    EXPECT_ERRNO(IdOf(kThread), ENOKEY);
    EXPECT_ERRNO(IdOf(kProcess), ENOKEY);
  });
  static int of_thread[3];
  pthread_t other;
  ASSERT_EQ(pthread_create(
                &other, nullptr,
                [](void*) -> void* {
                  of_thread[0] = IdOf(kThread);
                  of_thread[1] = IdOf(kProcess);
                  of_thread[2] = IdOf(kSession);
                  return nullptr;
                },
                nullptr),
            0);
  pthread_join(other, nullptr);
  EXPECT_GT(of_thread[0], 0);
  EXPECT_NE(of_thread[0], thread);
  EXPECT_EQ(of_thread[1], process);
  EXPECT_EQ(of_thread[2], session);
}

// Runs again in the program that execve(2) has started.
TEST(ExecKeepsTheSessionOnly) {
  const char* before = getenv("SYSCALL_TEST_SESSION");
  if (before != nullptr) {
    EXPECT_ERRNO(IdOf(kThread), ENOKEY);
    EXPECT_ERRNO(IdOf(kProcess), ENOKEY);
    EXPECT_EQ(IdOf(kSession), atoi(before));
    return;
  }
  std::string session = std::to_string(NewSession());
  ASSERT_OK(IdOf(kThread, true));
  ASSERT_OK(IdOf(kProcess, true));
  setenv("SYSCALL_TEST_SESSION", session.c_str(), 1);
  execl("/proc/self/exe", "keyring_test", "--in-process", "ExecKeepsTheSessionOnly", nullptr);
  FAIL("execl failed");
}

TEST(AParentGetsTheSession) {
  NewSession();
  int made = 0;
  int ends[2];
  ASSERT_OK(pipe(ends));
  EXPECT_CHILD_OK([&] {
    int session = NewSession();
    EXPECT_EQ(Keyctl(KEYCTL_SESSION_TO_PARENT), 0);
    EXPECT_EQ(write(ends[1], &session, sizeof(session)), sizeof(session));
  });
  ASSERT_EQ(read(ends[0], &made, sizeof(made)), sizeof(made));
  EXPECT_EQ(IdOf(kSession), made);
  if (geteuid() != 0) return;
  EXPECT_CHILD_OK([] {
    BecomeUser(54321);
    NewSession();
    EXPECT_ERRNO(Keyctl(KEYCTL_SESSION_TO_PARENT), EPERM);
  });
}

TEST(DestinationsOfRequests) {
  auto set = [](int destination) { return Keyctl(KEYCTL_SET_REQKEY_KEYRING, destination); };
  EXPECT_EQ(set(KEY_REQKEY_DEFL_NO_CHANGE), KEY_REQKEY_DEFL_DEFAULT);
  EXPECT_EQ(set(KEY_REQKEY_DEFL_THREAD_KEYRING), KEY_REQKEY_DEFL_DEFAULT);
  EXPECT_OK(IdOf(kThread));
  EXPECT_EQ(set(KEY_REQKEY_DEFL_USER_KEYRING), KEY_REQKEY_DEFL_THREAD_KEYRING);
  EXPECT_ERRNO(set(KEY_REQKEY_DEFL_GROUP_KEYRING), EINVAL);
  EXPECT_ERRNO(set(8), EINVAL);
  EXPECT_ERRNO(set(-2), EINVAL);
  EXPECT_CHILD_OK([set] { EXPECT_EQ(set(KEY_REQKEY_DEFL_DEFAULT), KEY_REQKEY_DEFL_USER_KEYRING); });
}

TEST(KeysMove) {
  NewSession();
  int a = ASSERT_OK(AddKeyring("a", kSession)), b = ASSERT_OK(AddKeyring("b", kSession));
  int key = ASSERT_OK(AddKey("user", "k", "1", a));
  EXPECT_EQ(Keyctl(KEYCTL_MOVE, key, a, b, 0), 0);
  EXPECT_EQ(CountLinks(a), 0u);
  EXPECT_EQ(CountLinks(b), 1u);
  EXPECT_ERRNO(Keyctl(KEYCTL_MOVE, key, a, b, 0), ENOENT);
  EXPECT_EQ(Keyctl(KEYCTL_MOVE, key, b, b, KEYCTL_MOVE_EXCL), 0);
  EXPECT_ERRNO(Keyctl(KEYCTL_MOVE, key, b, a, 2), EINVAL);
  EXPECT_ERRNO(Keyctl(KEYCTL_MOVE, key, b, key, 0), ENOTDIR);
  ASSERT_OK(AddKey("user", "k", "2", a));
  EXPECT_ERRNO(Keyctl(KEYCTL_MOVE, key, b, a, KEYCTL_MOVE_EXCL), EEXIST);
  EXPECT_EQ(Keyctl(KEYCTL_MOVE, key, b, a, 0), 0);
  EXPECT_EQ(Search(a, "user", "k"), key);
}

TEST(RestrictedKeyrings) {
  NewSession();
  int ring = ASSERT_OK(AddKeyring("a", kSession));
  int key = ASSERT_OK(AddKey("user", "k", "1", kSession));
  EXPECT_ERRNO(Keyctl(KEYCTL_RESTRICT_KEYRING, ring, nullptr, "x"), EINVAL);
  EXPECT_ERRNO(Keyctl(KEYCTL_RESTRICT_KEYRING, ring, "user", nullptr), EINVAL);
  EXPECT_ERRNO(Keyctl(KEYCTL_RESTRICT_KEYRING, ring, "nosuch", "x"), ENOKEY);
  EXPECT_ERRNO(Keyctl(KEYCTL_RESTRICT_KEYRING, ring, "user", "x"), ENOENT);
  EXPECT_ERRNO(Keyctl(KEYCTL_RESTRICT_KEYRING, key, nullptr, nullptr), ENOTDIR);
  EXPECT_EQ(Keyctl(KEYCTL_RESTRICT_KEYRING, ring, nullptr, nullptr), 0);
  EXPECT_ERRNO(Keyctl(KEYCTL_RESTRICT_KEYRING, ring, nullptr, nullptr), EEXIST);
  EXPECT_ERRNO(AddKey("user", "k", "1", ring), EPERM);
  EXPECT_ERRNO(Keyctl(KEYCTL_LINK, key, ring), EPERM);
}

TEST(PersistentKeyrings) {
  int session = NewSession();
  long keyring = Keyctl(KEYCTL_GET_PERSISTENT, -1, kSession);
  if (keyring < 0 && errno == EOPNOTSUPP) SKIP("a kernel without persistent keyrings");
  ASSERT_GT(keyring, 0);
  std::string uid = std::to_string(getuid());
  EXPECT_EQ(Describe(static_cast<int>(keyring)), "keyring;" + uid + ";65534;1f030000;_persistent." + uid);
  EXPECT_EQ(Keyctl(KEYCTL_GET_PERSISTENT, -1, session), keyring);
  EXPECT_EQ(CountLinks(kSession), 1u);
  EXPECT_ERRNO(Keyctl(KEYCTL_GET_PERSISTENT, -1, 0), EINVAL);
  if (geteuid() != 0) return;
  EXPECT_CHILD_OK([] {
    BecomeUser(54321);
    NewSession();
    EXPECT_ERRNO(Keyctl(KEYCTL_GET_PERSISTENT, 0, kSession), EPERM);
    EXPECT_GT(Keyctl(KEYCTL_GET_PERSISTENT, 54321, kSession), 0);
  });
}

}  // namespace
