// Fills any message of the Gofer's protocol from a fuzzer's input: by its Fields(), as the codec does, so
// that a new message is fuzzed without a word here.
#ifndef TEST_FUZZ_MESSAGE_FILLER_H_
#define TEST_FUZZ_MESSAGE_FILLER_H_

#include <concepts>
#include <type_traits>

#include "gofer/protocol/messages.h"
#include "test/fuzz/fuzz_target.h"

namespace runsc::fuzz {

class MessageFiller {
 public:
  explicit MessageFiller(InputReader& input) : input_(input) {}

  template <typename... Ts>
  void operator()(Ts&... values) {
    (Fill(values), ...);
  }

 private:
  template <std::integral T>
  void Fill(T& value) {
    // Small numbers are nodes, flags and roots that there are.
    value = input_.Below(4) != 0 ? static_cast<T>(input_.Below(10)) : input_.Value<T>();
  }
  void Fill(std::string& value) {
    constexpr const char* kNames[] = {"file", "directory", "link", "new", "fifo", "up", "..", "user.x", ""};
    size_t choice = input_.Below(std::size(kNames) + 2);
    if (choice < std::size(kNames)) {
      value = kNames[choice];
    } else if (choice == std::size(kNames)) {
      value = input_.Take(input_.Below(20));
    } else {
      value.assign(input_.Below(9000), 'x');
    }
  }
  template <typename T>
  void Fill(std::vector<T>& list) {
    for (size_t n = input_.Below(5); n > 0; --n) Fill(list.emplace_back());
  }
  template <typename T>
  requires std::is_class_v<T>
  void Fill(T& message) { message.Fields(*this); }

  InputReader& input_;
};

// Calls `with` with a message of the type that `choice` selects.
template <typename F>
void WithMessage(size_t choice, F with) {
  using namespace gofer;
  auto each = [&]<typename... Ts>(std::type_identity<Ts>...) {
    size_t index = 0;
    choice %= sizeof...(Ts);
    ((index++ == choice ? with(Ts{}) : void()), ...);
  };
  each(std::type_identity<Attach>{}, std::type_identity<Walk>{}, std::type_identity<StatAt>{},
       std::type_identity<GetAttr>{}, std::type_identity<SetAttr>{}, std::type_identity<Open>{},
       std::type_identity<Create>{}, std::type_identity<Mkdir>{}, std::type_identity<Symlink>{},
       std::type_identity<Mknod>{}, std::type_identity<Link>{}, std::type_identity<Unlink>{},
       std::type_identity<Rename>{}, std::type_identity<ReadLink>{}, std::type_identity<ReadDir>{},
       std::type_identity<StatFs>{}, std::type_identity<GetXattr>{}, std::type_identity<SetXattr>{},
       std::type_identity<ListXattr>{}, std::type_identity<RemoveXattr>{}, std::type_identity<FSync>{},
       std::type_identity<Close>{}, std::type_identity<Connect>{}, std::type_identity<Watch>{},
       std::type_identity<WalkEach>{}, std::type_identity<OpenEach>{});
}

}  // namespace runsc::fuzz

#endif  // TEST_FUZZ_MESSAGE_FILLER_H_
