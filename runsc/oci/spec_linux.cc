// The "linux" object of config.json but for its resources.
#include <fmt/format.h>

#include "runsc/oci/spec_reader.h"

namespace runsc::oci {
namespace {

constexpr NamespaceType kNamespaceTypes[] = {
    NamespaceType::kPid, NamespaceType::kNetwork, NamespaceType::kMount,  NamespaceType::kIpc,
    NamespaceType::kUts, NamespaceType::kUser,    NamespaceType::kCgroup, NamespaceType::kTime};

bool ParseNamespaceType(const std::string& name, NamespaceType* type) {
  for (NamespaceType candidate : kNamespaceTypes) {
    if (NamespaceName(candidate) == name) {
      *type = candidate;
      return true;
    }
  }
  return false;
}

}  // namespace

void Read(const JsonValue& json, Namespace* ns) {
  JsonValue type = json["type"];
  std::string name;
  type.Require();
  Read(type, &name);
  if (type.present() && !ParseNamespaceType(name, &ns->type))
    type.Fail(fmt::format("there is no namespace '{}'", name));
  ReadMember(json, "path", &ns->path);
  if (!ns->path.empty() && ns->path[0] != '/')
    json["path"].Fail(fmt::format("must be an absolute path, not '{}'", ns->path));
}

void Read(const JsonValue& json, Device* device) {
  ReadRequired(json, "path", &device->path);
  if (json["path"].present() && !device->path.starts_with('/'))
    json["path"].Fail(fmt::format("must be an absolute path, not '{}'", device->path));
  std::string type;
  ReadRequired(json, "type", &type);
  if (type != "b" && type != "c" && type != "u" && type != "p")
    return json["type"].Fail(fmt::format("must be one of b, c, u and p, not '{}'", type));
  device->type = type[0];
  ReadMember(json, "major", &device->major);
  ReadMember(json, "minor", &device->minor);
  ReadMember(json, "fileMode", &device->file_mode);
  ReadMember(json, "uid", &device->uid);
  ReadMember(json, "gid", &device->gid);
}

void Read(const JsonValue& json, SeccompArg* arg) {
  ReadRequired(json, "index", &arg->index);
  if (arg->index > 5) json["index"].Fail(fmt::format("must be from 0 to 5, not {}", arg->index));
  ReadRequired(json, "value", &arg->value);
  ReadMember(json, "valueTwo", &arg->value_two);
  ReadRequired(json, "op", &arg->op);
}

void Read(const JsonValue& json, SeccompSyscall* rule) {
  JsonValue names = json["names"];
  names.Require();
  Read(names, &rule->names);
  if (names.present() && rule->names.empty()) names.Fail("must not be empty");
  ReadRequired(json, "action", &rule->action);
  ReadMember(json, "errnoRet", &rule->errno_ret);
  ReadMember(json, "args", &rule->args);
}

void Read(const JsonValue& json, Seccomp* seccomp) {
  ReadRequired(json, "defaultAction", &seccomp->default_action);
  ReadMember(json, "defaultErrnoRet", &seccomp->default_errno_ret);
  ReadMember(json, "architectures", &seccomp->architectures);
  ReadMember(json, "flags", &seccomp->flags);
  ReadMember(json, "listenerPath", &seccomp->listener_path);
  ReadMember(json, "listenerMetadata", &seccomp->listener_metadata);
  ReadMember(json, "syscalls", &seccomp->syscalls);
}

void Read(const JsonValue& json, IntelRdt* rdt) {
  ReadMember(json, "closID", &rdt->clos_id);
  ReadMember(json, "l3CacheSchema", &rdt->l3_cache_schema);
  ReadMember(json, "memBwSchema", &rdt->mem_bw_schema);
  ReadMember(json, "schemata", &rdt->schemata);
  ReadMember(json, "enableCMT", &rdt->enable_cmt);
  ReadMember(json, "enableMBM", &rdt->enable_mbm);
}

void Read(const JsonValue& json, Personality* personality) {
  ReadRequired(json, "domain", &personality->domain);
  ReadMember(json, "flags", &personality->flags);
}

void Read(const JsonValue& json, TimeOffset* offset) {
  ReadMember(json, "secs", &offset->secs);
  ReadMember(json, "nanosecs", &offset->nanosecs);
}

void Read(const JsonValue& json, Linux* linux_part) {
  JsonValue namespaces = json["namespaces"];
  Read(namespaces, &linux_part->namespaces);
  for (const Namespace& ns : linux_part->namespaces) {
    if (linux_part->FindNamespace(ns.type) != &ns)
      namespaces.Fail(fmt::format("names the {} namespace twice", NamespaceName(ns.type)));
  }
  ReadMember(json, "uidMappings", &linux_part->uid_mappings);
  ReadMember(json, "gidMappings", &linux_part->gid_mappings);
  ReadMember(json, "devices", &linux_part->devices);
  ReadMember(json, "cgroupsPath", &linux_part->cgroups_path);
  ReadMember(json, "resources", &linux_part->resources);
  ReadMember(json, "sysctl", &linux_part->sysctl);
  ReadMember(json, "seccomp", &linux_part->seccomp);
  ReadMember(json, "maskedPaths", &linux_part->masked_paths);
  ReadMember(json, "readonlyPaths", &linux_part->readonly_paths);
  ReadMember(json, "rootfsPropagation", &linux_part->rootfs_propagation);
  ReadMember(json, "mountLabel", &linux_part->mount_label);
  ReadMember(json, "intelRdt", &linux_part->intel_rdt);
  ReadMember(json, "personality", &linux_part->personality);
  ReadMember(json, "timeOffsets", &linux_part->time_offsets);
}

const Namespace* Linux::FindNamespace(NamespaceType type) const {
  for (const Namespace& ns : namespaces) {
    if (ns.type == type) return &ns;
  }
  return nullptr;
}

}  // namespace runsc::oci
