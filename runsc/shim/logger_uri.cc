#include "runsc/shim/logger_uri.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_split.h"

namespace runsc::shim {
namespace {

int HexDigit(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  digit |= 0x20;
  return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

std::string Decode(std::string_view text, bool plus_is_space) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    int high = i + 2 < text.size() ? HexDigit(text[i + 1]) : -1;
    int low = i + 2 < text.size() ? HexDigit(text[i + 2]) : -1;
    if (text[i] == '%' && high >= 0 && low >= 0) {
      decoded.push_back(static_cast<char>(high << 4 | low));
      i += 2;
    } else {
      decoded.push_back(plus_is_space && text[i] == '+' ? ' ' : text[i]);
    }
  }
  return decoded;
}

std::vector<char*> Pointers(std::vector<std::string>& words) {
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

std::vector<std::string> ParseLoggerUri(std::string_view uri) {
  if (size_t scheme = uri.find("://"); scheme != std::string_view::npos) uri.remove_prefix(scheme + 3);
  std::string_view query;
  if (size_t at = uri.find('?'); at != std::string_view::npos) {
    query = uri.substr(at + 1);
    uri = uri.substr(0, at);
  }
  std::vector<std::string> words = {Decode(uri, false)};
  for (absl::string_view pair :
       absl::StrSplit(absl::string_view(query.data(), query.size()), '&', absl::SkipEmpty())) {
    std::string_view text(pair.data(), pair.size());
    size_t equals = text.find('=');
    words.push_back(Decode(text.substr(0, equals), true));
    if (equals != std::string_view::npos) words.push_back(Decode(text.substr(equals + 1), true));
  }
  return words;
}

absl::Status StartLogger(std::vector<std::string> arguments, std::vector<std::string> environment,
                         std::array<int, 3> files) {
  for (char** variable = environ; *variable != nullptr; ++variable) environment.emplace_back(*variable);
  std::vector<char*> argv = Pointers(arguments), envp = Pointers(environment);
  if (::access(argv[0], X_OK) != 0)
    return absl::InvalidArgumentError(fmt::format("binary://{}: {}", arguments[0], ::strerror(errno)));
  pid_t pid = ::fork();
  if (pid < 0)
    return absl::InternalError(fmt::format("binary://{}: fork: {}", arguments[0], ::strerror(errno)));
  if (pid > 0) return absl::OkStatus();
  constexpr int kFirst = 3;
  // By copies above these places, so that none is overwritten before it was moved.
  for (int& fd : files) fd = ::fcntl(fd, F_DUPFD_CLOEXEC, kFirst + 3);
  for (int i = 0; i < 3; ++i) ::dup2(files[i], kFirst + i);
  ::setsid();
  ::signal(SIGPIPE, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::execve(argv[0], argv.data(), envp.data());
  ::_exit(127);
}

}  // namespace runsc::shim
