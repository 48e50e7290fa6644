// RefCounted and RefPtr: intrusive, atomic reference counts for what several
// tasks reach. TryAddRef lets a cache hold a plain pointer to an object and take
// a reference only while one is still alive.
#ifndef PLATFORM_BASE_REF_H_
#define PLATFORM_BASE_REF_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>

#include "platform/base/check.h"

namespace runsc {

class RefCounted {
 public:
  RefCounted(const RefCounted&) = delete;
  RefCounted& operator=(const RefCounted&) = delete;

  void AddRef() const {
    int64_t old = refs_.fetch_add(1, std::memory_order_relaxed);
    RUNSC_CHECK(old > 0);
  }
  // False if the last reference is already gone (the object is being destroyed).
  bool TryAddRef() const {
    int64_t refs = refs_.load(std::memory_order_relaxed);
    while (refs > 0) {
      if (refs_.compare_exchange_weak(refs, refs + 1, std::memory_order_acquire, std::memory_order_relaxed))
        return true;
    }
    return false;
  }
  void Release() const {
    if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) const_cast<RefCounted*>(this)->OnLastRelease();
  }
  int64_t ref_count() const { return refs_.load(std::memory_order_relaxed); }

 protected:
  RefCounted() = default;
  virtual ~RefCounted() = default;
  // Called once, with no references left. Deletes the object.
  virtual void OnLastRelease() { delete this; }

 private:
  mutable std::atomic<int64_t> refs_{1};
};

template <typename T>
class RefPtr {
 public:
  constexpr RefPtr() = default;
  constexpr RefPtr(std::nullptr_t) {}             // NOLINT
  explicit RefPtr(T* object) : object_(object) {  // takes a new reference
    if (object_ != nullptr) object_->AddRef();
  }
  RefPtr(const RefPtr& other) : RefPtr(other.object_) {}
  RefPtr(RefPtr&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  template <typename U>
  requires std::is_convertible_v<U*, T*> RefPtr(const RefPtr<U>& other) : RefPtr(other.get()) {}  // NOLINT
  template <typename U>
  requires std::is_convertible_v<U*, T*> RefPtr(RefPtr<U>&& other)
  noexcept : object_(other.release()) {}  // NOLINT
  RefPtr& operator=(RefPtr other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~RefPtr() {
    if (object_ != nullptr) object_->Release();
  }

  // Takes over a reference that the caller already holds.
  static RefPtr Adopt(T* object) {
    RefPtr ptr;
    ptr.object_ = object;
    return ptr;
  }
  // A reference if the object is still alive, else null.
  static RefPtr TryFrom(T* object) {
    return object != nullptr && object->TryAddRef() ? Adopt(object) : RefPtr();
  }

  T* get() const { return object_; }
  T& operator*() const { return *object_; }
  T* operator->() const { return object_; }
  explicit operator bool() const { return object_ != nullptr; }
  // Gives the reference to the caller.
  [[nodiscard]] T* release() { return std::exchange(object_, nullptr); }
  void reset() { *this = RefPtr(); }
  friend bool operator==(const RefPtr& a, const RefPtr& b) { return a.object_ == b.object_; }
  friend bool operator==(const RefPtr& a, const T* b) { return a.object_ == b; }
  template <typename H>
  friend H AbslHashValue(H h, const RefPtr& ptr) {
    return H::combine(std::move(h), ptr.object_);
  }

 private:
  T* object_ = nullptr;
};

template <typename T, typename... Args>
RefPtr<T> MakeRef(Args&&... args) {
  return RefPtr<T>::Adopt(new T(std::forward<Args>(args)...));
}

}  // namespace runsc

#endif  // PLATFORM_BASE_REF_H_
