// runsc completion: a script for a shell. Commands are in it; flags are asked of `runsc COMMAND --help` when
// they are needed, ids of `runsc list -q`, so that neither is ever out of date.
#include <fmt/format.h>
#include <stdio.h>

#include <string>

#include "absl/strings/str_replace.h"
#include "runsc/cmd/oci_command.h"

namespace runsc {
namespace {

constexpr const char* kBash = R"sh(# bash completion for runsc: source <(runsc completion bash)
_runsc() {
  local current=${COMP_WORDS[COMP_CWORD]} command= i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in
      --root | --log | --log-format | --rootless | --platform | --network | --debug-log) ((i++)) ;;
      -* | =) ;;
      *) command=${COMP_WORDS[i]}; break ;;
    esac
  done
  if [[ $current == -* ]]; then
    COMPREPLY=($(compgen -W "$("${COMP_WORDS[0]}" $command --help 2>/dev/null |
      sed -n 's/^  \(-.*, \)\?\(--[a-z-]*\).*/\2/p')" -- "$current"))
  elif [[ -z $command ]]; then
    COMPREPLY=($(compgen -W "@COMMANDS@" -- "$current"))
  else
    case $command in
      completion) COMPREPLY=($(compgen -W "bash zsh fish" -- "$current")) ;;
      help) COMPREPLY=($(compgen -W "@COMMANDS@ syscalls" -- "$current")) ;;
      "do") COMPREPLY=($(compgen -c -- "$current")) ;;
      create | run | spec | install | uninstall | list | features | version)
        COMPREPLY=($(compgen -f -- "$current")) ;;
      *) COMPREPLY=($(compgen -W "$("${COMP_WORDS[0]}" list -q 2>/dev/null)" -- "$current")) ;;
    esac
  fi
}
complete -o default -F _runsc runsc
)sh";

constexpr const char* kZsh = R"sh(#compdef runsc
# zsh completion for runsc: source <(runsc completion zsh)
autoload -Uz bashcompinit && bashcompinit
)sh";

constexpr const char* kFish = R"sh(# fish completion for runsc: runsc completion fish | source
function __runsc_command
  for word in (commandline -opc)[2..-1]
    string match -q -- '-*' $word; or begin; echo $word; return; end
  end
end
function __runsc_flags
  runsc (__runsc_command) --help 2>/dev/null | string replace -rf '^  (?:-\w, )?(--[a-z-]+)\S* *(.*)' '$1\t$2'
end
complete -c runsc -n 'string match -q -- "-*" (commandline -ct)' -a '(__runsc_flags)'
complete -c runsc -n 'test -n (__runsc_command); and not contains (__runsc_command) do help completion' -a '(runsc list -q 2>/dev/null)'
complete -c runsc -n 'test (__runsc_command) = completion' -f -a 'bash zsh fish'
)sh";

std::string Names() {
  std::string names;
  for (const Command& command : Commands()) names += (names.empty() ? "" : " ") + std::string(command.name);
  return names;
}

std::string Bash() { return absl::StrReplaceAll(kBash, {{"@COMMANDS@", Names()}}); }

std::string Fish() {
  std::string script = kFish;
  for (const Command& command : Commands())
    script +=
        fmt::format("complete -c runsc -f -n 'test -z (__runsc_command)' -a {} -d '{}'\n", command.name,
                    absl::StrReplaceAll(absl::string_view(command.summary.data(), command.summary.size()),
                                        {{"'", "\\'"}}));
  return script;
}

}  // namespace

int RunCompletion(Arguments arguments) {
  FlagSet flags;
  OciUsage usage{
      "completion",
      "runsc completion prints a script that completes runsc's commands, flags and containers in bash,\n"
      "zsh or fish. In bash: source <(runsc completion bash)",
      1, 1};
  if (std::optional<int> done = ParseOciArguments(usage, flags, arguments)) return *done;
  if (arguments[0] == "bash") {
    fmt::print("{}", Bash());
  } else if (arguments[0] == "zsh") {
    fmt::print("{}{}", kZsh, Bash());
  } else if (arguments[0] == "fish") {
    fmt::print("{}", Fish());
  } else {
    return Fail(fmt::format("runsc completion: there is no script for '{}', only for bash, zsh and fish",
                            arguments[0]));
  }
  return 0;
}

}  // namespace runsc
