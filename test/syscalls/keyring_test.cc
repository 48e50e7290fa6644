// Keyrings: add_key(2), request_key(2), keyctl(2), /proc/keys. keyrings(7).
#include <grp.h>
#include <linux/keyctl.h>
#include <pthread.h>

#include <fstream>
#include <optional>

#include "test/syscalls/syscall_test.h"

namespace {

constexpr int kThread = KEY_SPEC_THREAD_KEYRING, kProcess = KEY_SPEC_PROCESS_KEYRING,
              kSession = KEY_SPEC_SESSION_KEYRING, kUser = KEY_SPEC_USER_KEYRING;

template <typename... Args>
long Keyctl(int operation, Args... args) {
  return syscall(SYS_keyctl, operation, args...);
}
int AddKey(const char* type, const char* description, const char* payload, int keyring) {
  return static_cast<int>(
      syscall(SYS_add_key, type, description, payload, payload != nullptr ? strlen(payload) : 0, keyring));
}
int AddKeyring(const char* description, int keyring) {
  return AddKey("keyring", description, nullptr, keyring);
}
int RequestKey(const char* type, const char* description, const char* callout = nullptr,
               int destination = 0) {
  return static_cast<int>(syscall(SYS_request_key, type, description, callout, destination));
}
int Search(int keyring, const char* type, const char* description) {
  return static_cast<int>(Keyctl(KEYCTL_SEARCH, keyring, type, description, 0));
}
int IdOf(int keyring, bool create = false) {
  return static_cast<int>(Keyctl(KEYCTL_GET_KEYRING_ID, keyring, int{create}));
}
// The text, or the errno's name.
std::string Describe(int id) {
  char text[300];
  long size = Keyctl(KEYCTL_DESCRIBE, id, text, sizeof(text));
  return size < 0 ? syscall_test::ErrnoName(errno) : std::string(text, static_cast<size_t>(size) - 1);
}
// Keys that nothing leads to go a little later.
bool IsCollected(int id) {
  for (int i = 0; i < 200 && Describe(id) != "ENOKEY"; ++i) usleep(10000);
  return Describe(id) == "ENOKEY";
}
std::string Read(int id) {
  char content[300];
  long size = Keyctl(KEYCTL_READ, id, content, sizeof(content));
  return size < 0 ? syscall_test::ErrnoName(errno) : std::string(content, static_cast<size_t>(size));
}
size_t CountLinks(int keyring) { return Read(keyring).size() / sizeof(int); }
std::string Owner() { return std::to_string(getuid()) + ";" + std::to_string(getgid()); }
// The fields of a key in /proc/keys; empty: it is not there.
std::vector<std::string> Listed(int id) {
  std::ifstream keys("/proc/keys");
  std::string line;
  while (std::getline(keys, line)) {
    if (strtol(line.c_str(), nullptr, 16) != id) continue;
    std::istringstream words(line);
    std::vector<std::string> fields;
    while (words >> line) fields.push_back(line);
    return fields;
  }
  return {};
}
// A session keyring of the test's own.
int NewSession() {
  return static_cast<int>(syscall_test::CheckOk(__FILE__, __LINE__, "KEYCTL_JOIN_SESSION_KEYRING",
                                                Keyctl(KEYCTL_JOIN_SESSION_KEYRING, nullptr), true));
}
void BecomeUser(unsigned id) {
  ASSERT_EQ(setgroups(0, nullptr), 0);
  ASSERT_EQ(setgid(id), 0);
  ASSERT_EQ(setuid(id), 0);
}
void NeedRoot() {
  if (geteuid() != 0) SKIP("needs root");
}

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
  EXPECT_TRUE(IsCollected(key));
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
  ASSERT_OK(Keyctl(KEYCTL_SET_TIMEOUT, other, 0));
  EXPECT_EQ(Listed(other)[3], "perm");
  ASSERT_OK(Keyctl(KEYCTL_SET_TIMEOUT, key, 1));
  EXPECT_EQ(Describe(key), "user;" + Owner() + ";3f010000;a");
  sleep(2);
  EXPECT_EQ(Describe(key), "EKEYEXPIRED");
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
  EXPECT_TRUE(IsCollected(unreachable));
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
  constexpr unsigned kUid = 54323;
  BecomeUser(kUid);
  NewSession();
  Quota start = QuotaOf(kUid);
  ASSERT_GT(start.max_keys, 0);
  int ring = ASSERT_OK(AddKeyring("ring", kSession));
  Quota now = QuotaOf(kUid);
  EXPECT_EQ(now.keys, start.keys + 1);
  EXPECT_EQ(now.bytes, start.bytes + 5 + 4);  // the description, and the link to it
  ASSERT_OK(AddKey("user", "a", "12345678", ring));
  EXPECT_EQ(QuotaOf(kUid).bytes, now.bytes + 2 + 8 + 4);
  ASSERT_OK(AddKey("user", "a", "1", ring));
  EXPECT_EQ(QuotaOf(kUid).bytes, now.bytes + 2 + 1 + 4);
  int made = 0;
  while (AddKey("user", std::to_string(made).c_str(), "1", ring) > 0) ++made;
  EXPECT_EQ(errno, EDQUOT);
  EXPECT_EQ(QuotaOf(kUid).keys, start.max_keys);
  ASSERT_OK(Keyctl(KEYCTL_UNLINK, Search(ring, "user", "0"), ring));
  usleep(100000);  // keys are collected a little later
  EXPECT_OK(AddKey("user", "x", "1", ring));
  ASSERT_OK(Keyctl(KEYCTL_CLEAR, ring));
  usleep(100000);
  std::string payload(1000, 'x');
  made = 0;
  while (AddKey("user", std::to_string(made).c_str(), payload.c_str(), ring) > 0) ++made;
  EXPECT_EQ(errno, EDQUOT);
  EXPECT_EQ(made, start.max_bytes / 1008);
}

}  // namespace
