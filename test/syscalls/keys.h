// What tests of keys(7) and keyrings(7) call.
#ifndef TEST_SYSCALLS_KEYS_H_
#define TEST_SYSCALLS_KEYS_H_

#include <grp.h>
#include <linux/keyctl.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "test/syscalls/syscall_test.h"

inline constexpr int kThread = KEY_SPEC_THREAD_KEYRING, kProcess = KEY_SPEC_PROCESS_KEYRING,
                     kSession = KEY_SPEC_SESSION_KEYRING, kUser = KEY_SPEC_USER_KEYRING;

template <typename... Args>
long Keyctl(int operation, Args... args) {
  return syscall(SYS_keyctl, operation, args...);
}
inline int AddKey(const char* type, const char* description, const char* payload, int keyring) {
  return static_cast<int>(
      syscall(SYS_add_key, type, description, payload, payload != nullptr ? strlen(payload) : 0, keyring));
}
inline int AddKeyring(const char* description, int keyring) {
  return AddKey("keyring", description, nullptr, keyring);
}
inline int RequestKey(const char* type, const char* description, const char* callout = nullptr,
                      int destination = 0) {
  return static_cast<int>(syscall(SYS_request_key, type, description, callout, destination));
}
inline int Search(int keyring, const char* type, const char* description) {
  return static_cast<int>(Keyctl(KEYCTL_SEARCH, keyring, type, description, 0));
}
inline int IdOf(int keyring, bool create = false) {
  return static_cast<int>(Keyctl(KEYCTL_GET_KEYRING_ID, keyring, int{create}));
}
// The text, or the errno's name.
inline std::string Describe(int id) {
  char text[300];
  long size = Keyctl(KEYCTL_DESCRIBE, id, text, sizeof(text));
  return size < 0 ? syscall_test::ErrnoName(errno) : std::string(text, static_cast<size_t>(size) - 1);
}
// Keys that nothing leads to go a little later.
inline void WaitUntilCollected(int id) {
  while (Describe(id) != "ENOKEY") usleep(1000);
}
inline std::string Read(int id) {
  char content[300];
  long size = Keyctl(KEYCTL_READ, id, content, sizeof(content));
  return size < 0 ? syscall_test::ErrnoName(errno) : std::string(content, static_cast<size_t>(size));
}
inline size_t CountLinks(int keyring) { return Read(keyring).size() / sizeof(int); }
inline std::string Owner() { return std::to_string(getuid()) + ";" + std::to_string(getgid()); }
// The fields of a key in /proc/keys; empty: it is not there.
inline std::vector<std::string> Listed(int id) {
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
inline int NewSession() {
  return static_cast<int>(syscall_test::CheckOk(__FILE__, __LINE__, "KEYCTL_JOIN_SESSION_KEYRING",
                                                Keyctl(KEYCTL_JOIN_SESSION_KEYRING, nullptr), true));
}
inline void BecomeUser(unsigned id) {
  ASSERT_EQ(setgroups(0, nullptr), 0);
  ASSERT_EQ(setgid(id), 0);
  ASSERT_EQ(setuid(id), 0);
}
inline void NeedRoot() {
  if (geteuid() != 0) SKIP("needs root");
}

#endif  // TEST_SYSCALLS_KEYS_H_
