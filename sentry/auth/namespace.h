// Namespace: what all kinds of namespaces but those of users have in common: the user namespace that they
// belong to, in which capabilities over them count, and a number. Threading: immutable. Linux counterpart:
// struct ns_common, and the field user_ns of each kind.
#ifndef SENTRY_AUTH_NAMESPACE_H_
#define SENTRY_AUTH_NAMESPACE_H_

#include "sentry/auth/user_namespace.h"

namespace runsc {

class Namespace : public RefCounted {
 public:
  const RefPtr<UserNamespace>& user_ns() const { return user_ns_; }
  uint64_t number() const { return number_; }  // of its file in /proc/pid/ns

 protected:
  explicit Namespace(RefPtr<UserNamespace> user_ns)
      : user_ns_(std::move(user_ns)), number_(NextNamespaceNumber()) {}

 private:
  const RefPtr<UserNamespace> user_ns_;
  const uint64_t number_;
};

}  // namespace runsc

#endif  // SENTRY_AUTH_NAMESPACE_H_
