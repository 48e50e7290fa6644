#include "runsc/oci/spec.h"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>

#include "runsc/oci/json_reader.h"
#include "runsc/oci/spec_reader.h"

namespace runsc::oci {
namespace {

constexpr int kMaxRealTimePriority = 99;
bool IsRealTimePolicy(int policy) { return policy == SCHED_FIFO || policy == SCHED_RR; }

void ReadAbsolutePath(const JsonValue& object, const char* name, std::string* path) {
  JsonValue member = object[name];
  member.Require();
  Read(member, path);
  if (member.present() && !path->starts_with('/'))
    member.Fail(path->empty() ? "must not be empty"
                              : fmt::format("must be an absolute path, not '{}'", *path));
}

void ReadNames(const JsonValue& object, const char* name, uint64_t* set, std::vector<std::string>* unknown) {
  std::vector<std::string> names;
  ReadMember(object, name, &names);
  for (const std::string& text : names) {
    std::optional<int> number = CapabilityNumber(text);
    if (number.has_value()) {
      *set |= uint64_t{1} << *number;
    } else if (std::find(unknown->begin(), unknown->end(), text) == unknown->end()) {
      unknown->push_back(text);
    }
  }
}

}  // namespace

void Read(const JsonValue& json, ConsoleSize* size) {
  ReadRequired(json, "height", &size->height);
  ReadRequired(json, "width", &size->width);
}

void Read(const JsonValue& json, User* user) {
  ReadMember(json, "uid", &user->uid);
  ReadMember(json, "gid", &user->gid);
  ReadMember(json, "umask", &user->umask);
  ReadMember(json, "additionalGids", &user->additional_gids);
  if (user->umask.value_or(0) > 0777) json["umask"].Fail("must not be more than 0777 (511)");
}

void Read(const JsonValue& json, Capabilities* sets) {
  ReadNames(json, "bounding", &sets->bounding, &sets->unknown);
  ReadNames(json, "effective", &sets->effective, &sets->unknown);
  ReadNames(json, "inheritable", &sets->inheritable, &sets->unknown);
  ReadNames(json, "permitted", &sets->permitted, &sets->unknown);
  ReadNames(json, "ambient", &sets->ambient, &sets->unknown);
}

void Read(const JsonValue& json, Rlimit* limit) {
  std::string type;
  ReadRequired(json, "type", &type);
  ReadRequired(json, "soft", &limit->soft);
  ReadRequired(json, "hard", &limit->hard);
  std::optional<int> number = RlimitNumber(type);
  if (!number.has_value()) return json["type"].Fail(fmt::format("there is no limit '{}'", type));
  if (limit->soft > limit->hard)
    json["soft"].Fail(fmt::format("must not be more than hard ({})", limit->hard));
  limit->resource = *number;
}

void Read(const JsonValue& json, Scheduler* scheduler) {
  ReadRequired(json, "policy", &scheduler->policy);
  ReadMember(json, "nice", &scheduler->nice);
  if (scheduler->nice < -20 || scheduler->nice > 19) json["nice"].Fail("must be from -20 to 19");
  ReadMember(json, "priority", &scheduler->priority);
  ReadMember(json, "flags", &scheduler->flags);
  ReadMember(json, "runtime", &scheduler->runtime);
  ReadMember(json, "deadline", &scheduler->deadline);
  ReadMember(json, "period", &scheduler->period);

  // config.md, "Linux Process"; which policy takes which parameters.
  const std::string& policy = scheduler->policy;
  std::optional<int> number = SchedulingPolicyNumber(policy);
  if (json["policy"].present() && !number)
    json["policy"].Fail(fmt::format("there is no policy '{}'", policy));
  if (scheduler->priority != 0 && number && !IsRealTimePolicy(*number))
    json["priority"].Fail("can only be specified for the policies SCHED_FIFO and SCHED_RR");
  if (number && IsRealTimePolicy(*number) &&
      (scheduler->priority < 1 || scheduler->priority > kMaxRealTimePriority))
    json[json["priority"].present() ? "priority" : "policy"].Fail(
        fmt::format("{} needs a priority from 1 to {}", policy, kMaxRealTimePriority));
  for (auto [name, value] : {std::pair("runtime", scheduler->runtime),
                             {"deadline", scheduler->deadline},
                             {"period", scheduler->period}}) {
    if (value != 0 && number && *number != SCHED_DEADLINE)
      json[name].Fail("can only be specified for the policy SCHED_DEADLINE");
  }
  JsonValue flags = json["flags"];
  for (const std::string& flag : scheduler->flags) {
    if (!SchedulingFlag(flag)) flags.Fail(fmt::format("there is no flag '{}'", flag));
  }
}

void Read(const JsonValue& json, IoPriority* priority) {
  ReadRequired(json, "class", &priority->io_class);
  ReadRequired(json, "priority", &priority->priority);
  static constexpr std::string_view kClasses[] = {"IOPRIO_CLASS_RT", "IOPRIO_CLASS_BE", "IOPRIO_CLASS_IDLE"};
  if (std::find(std::begin(kClasses), std::end(kClasses), priority->io_class) == std::end(kClasses))
    json["class"].Fail(fmt::format("there is no class '{}'", priority->io_class));
  if (priority->priority < 0 || priority->priority > 7) json["priority"].Fail("must be from 0 to 7");
}

void Read(const JsonValue& json, Process* process) {
  ReadMember(json, "terminal", &process->terminal);
  ReadMember(json, "consoleSize", &process->console_size);
  ReadMember(json, "user", &process->user);
  JsonValue args = json["args"];
  args.Require();
  Read(args, &process->args);
  if (args.present() && process->args.empty()) args.Fail("must not be empty");
  JsonValue env = json["env"];
  Read(env, &process->env);
  for (const std::string& variable : process->env) {
    if (variable.find('=') == std::string::npos || variable[0] == '=')
      env.Fail(fmt::format("invalid environment variable: \"{}\"", variable));
    if (variable.find('\0') != std::string::npos) env.Fail("environment variable value can't contain null");
  }
  ReadAbsolutePath(json, "cwd", &process->cwd);
  ReadMember(json, "capabilities", &process->capabilities);
  JsonValue rlimits = json["rlimits"];
  Read(rlimits, &process->rlimits);
  for (size_t i = 0; i < process->rlimits.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (process->rlimits[i].resource == process->rlimits[j].resource)
        rlimits.Fail(fmt::format("items {} and {} are the same limit", j, i));
    }
  }
  ReadMember(json, "noNewPrivileges", &process->no_new_privileges);
  JsonValue adjustment = json["oomScoreAdj"];
  if (adjustment.present()) Read(adjustment, &process->oom_score_adj);
  if (int value = process->oom_score_adj.value_or(0); value < -1000 || value > 1000)
    adjustment.Fail("must be from -1000 to 1000");
  ReadMember(json, "apparmorProfile", &process->apparmor_profile);
  ReadMember(json, "selinuxLabel", &process->selinux_label);
  ReadMember(json, "scheduler", &process->scheduler);
  ReadMember(json, "ioPriority", &process->io_priority);
}

void Read(const JsonValue& json, Root* root) {
  JsonValue path = json["path"];
  path.Require();
  Read(path, &root->path);
  if (path.present() && root->path.empty()) path.Fail("must not be empty");
  ReadMember(json, "readonly", &root->readonly);
}

void Read(const JsonValue& json, IdMapping* mapping) {
  ReadRequired(json, "containerID", &mapping->container_id);
  ReadRequired(json, "hostID", &mapping->host_id);
  ReadRequired(json, "size", &mapping->size);
}

void Read(const JsonValue& json, Mount* mount) {
  JsonValue destination = json["destination"];
  destination.Require();
  Read(destination, &mount->destination);
  if (destination.present() && mount->destination.empty()) destination.Fail("must not be empty");
  ReadMember(json, "type", &mount->type);
  ReadMember(json, "source", &mount->source);
  ReadMember(json, "options", &mount->options);
  ReadMember(json, "uidMappings", &mount->uid_mappings);
  ReadMember(json, "gidMappings", &mount->gid_mappings);
}

void Read(const JsonValue& json, Hook* hook) {
  ReadAbsolutePath(json, "path", &hook->path);
  ReadMember(json, "args", &hook->args);
  ReadMember(json, "env", &hook->env);
  ReadMember(json, "timeout", &hook->timeout);
  if (hook->timeout.value_or(1) <= 0) json["timeout"].Fail("must be more than 0");
}

void Read(const JsonValue& json, Hooks* hooks) {
  ReadMember(json, "prestart", &hooks->prestart);
  ReadMember(json, "createRuntime", &hooks->create_runtime);
  ReadMember(json, "createContainer", &hooks->create_container);
  ReadMember(json, "startContainer", &hooks->start_container);
  ReadMember(json, "poststart", &hooks->poststart);
  ReadMember(json, "poststop", &hooks->poststop);
}

void Read(const JsonValue& json, Spec* spec) {
  ReadRequired(json, "ociVersion", &spec->oci_version);
  if (json["ociVersion"].present() && !spec->oci_version.starts_with("1."))
    json["ociVersion"].Fail(
        fmt::format("'{}' is not a version that is known here (1.0.0 to {})", spec->oci_version, kVersion));
  ReadMember(json, "process", &spec->process);
  ReadRequired(json, "root", &spec->root);
  ReadMember(json, "mounts", &spec->mounts);
  ReadMember(json, "hostname", &spec->hostname);
  ReadMember(json, "domainname", &spec->domainname);
  ReadMember(json, "hooks", &spec->hooks);
  ReadMember(json, "annotations", &spec->annotations);
  ReadMember(json, "linux", &spec->linux);
  spec->has_vm = json["vm"].present();
}

namespace {

template <typename T>
absl::StatusOr<T> ParseAs(std::string_view text, const std::string& file) {
  absl::StatusOr<JsonDocument> document = JsonDocument::Parse(text, file);
  if (!document.ok()) return document.status();
  T value;
  JsonValue root = document->root();
  root.Require();
  Read(root, &value);
  if (!document->status().ok()) return document->status();
  return value;
}

}  // namespace

absl::StatusOr<Spec> ParseSpec(std::string_view text, const std::string& file) {
  return ParseAs<Spec>(text, file);
}

absl::StatusOr<Process> ParseProcess(std::string_view text, const std::string& file) {
  return ParseAs<Process>(text, file);
}

absl::StatusOr<Resources> ParseResources(std::string_view text, const std::string& file) {
  return ParseAs<Resources>(text, file);
}

absl::StatusOr<Spec> LoadSpec(const std::string& bundle) {
  std::string file = bundle + "/config.json";
  absl::StatusOr<std::string> text = ReadTextFile(file);
  if (!text.ok()) return text.status();
  return ParseSpec(*text, file);
}

absl::StatusOr<Process> LoadProcess(const std::string& file) {
  absl::StatusOr<std::string> text = ReadTextFile(file);
  if (!text.ok()) return text.status();
  return ParseProcess(*text, file);
}

std::string RootPath(const Spec& spec, const std::string& bundle) {
  return spec.root.path.starts_with('/') ? spec.root.path : bundle + "/" + spec.root.path;
}

}  // namespace runsc::oci
