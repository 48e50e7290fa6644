// The calls that are made, and what each takes.
#ifndef TEST_FUZZ_SYSCALLS_TABLE_H_
#define TEST_FUZZ_SYSCALLS_TABLE_H_

#include <stdint.h>

#include <span>

// What stands for an argument in a signature:
//   f descriptor  d directory descriptor  p path  P pid  b buffer  n length  c small count  i small number
//   F flags  o offset  a address of mappings  l length of mappings  t timespec  T timeval or itimerspec
//   s signal  S signal set  A socket address  L its length's pointer  m msghdr  M mmsghdr  v iovecs  u futex
//   word e epoll_event  w pollfds  O open flags  m mode  U user id  x anything  0 zero C clone flags  G
//   clone_args  z siginfo  R rlimit  Q sigaction  E enumerated (by the call)  k fd pair
struct Call {
  int number;
  const char* signature;
  uint8_t weight = 4;
};
extern const std::span<const Call> calls;

#endif  // TEST_FUZZ_SYSCALLS_TABLE_H_
