#include "runsc/cgroup/resctrl.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "runsc/cgroup/files.h"
#include "runsc/oci/json_reader.h"

namespace runsc {
namespace {

absl::Status Wrong(std::string_view field, std::string_view why) {
  return absl::FailedPreconditionError(OneLine(fmt::format("config.json: linux.intelRdt{}: {}", field, why)));
}

bool Has(const std::string& mount_point, std::string_view what) {
  return !mount_point.empty() && cgroup_files::Exists(fmt::format("{}/info/{}", mount_point, what));
}

bool Counts(const std::string& mount_point, std::string_view event) {
  absl::StatusOr<std::string> text = cgroup_files::Read(mount_point + "/info/L3_MON/mon_features");
  return text.ok() && text->find(event) != std::string::npos;
}

// {"L3", "MB"}: {cache: share}, without the blanks and zeros that the kernel puts in front.
using Shares = std::map<std::string, std::map<std::string, std::string>>;

Shares ParseSchemata(const std::string& text) {
  Shares shares;
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipWhitespace())) {
    std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(line, absl::MaxSplits(':', 1));
    std::map<std::string, std::string>& of = shares[std::string(absl::StripAsciiWhitespace(parts.first))];
    for (absl::string_view item : absl::StrSplit(parts.second, ';', absl::SkipWhitespace())) {
      std::pair<absl::string_view, absl::string_view> share = absl::StrSplit(item, absl::MaxSplits('=', 1));
      std::string value = absl::AsciiStrToLower(absl::StripAsciiWhitespace(share.second));
      value.erase(0, std::min(value.find_first_not_of('0'), value.size() - 1));
      of[std::string(absl::StripAsciiWhitespace(share.first))] = value;
    }
  }
  return shares;
}

// Whether what is there is what is wanted, for all that is wanted.
bool Agree(const std::string& wanted, const std::string& present) {
  Shares there = ParseSchemata(present);
  for (const auto& [resource, shares] : ParseSchemata(wanted)) {
    for (const auto& [cache, share] : shares) {
      auto found = there[resource].find(cache);
      if (found == there[resource].end() || found->second != share) return false;
    }
  }
  return true;
}

// A line of bandwidth among those of the cache gives way to the one that is given for it.
std::string Lines(const std::string& l3_cache_schema, const std::string& mem_bw_schema) {
  std::string lines;
  for (absl::string_view line : absl::StrSplit(l3_cache_schema, '\n', absl::SkipWhitespace())) {
    if (mem_bw_schema.empty() || !absl::StartsWith(absl::StripLeadingAsciiWhitespace(line), "MB:"))
      lines += fmt::format("{}\n", std::string_view(line.data(), line.size()));
  }
  return mem_bw_schema.empty() ? lines : lines + mem_bw_schema + "\n";
}

// What the kernel does not like of them it explains in a file of its own.
absl::Status WriteSchemata(const std::string& group, const std::string& lines) {
  absl::Status status = cgroup_files::Write(group + "/schemata", lines);
  if (status.ok()) return status;
  std::string message(status.message());
  absl::StatusOr<std::string> why =
      cgroup_files::Read(group.substr(0, group.rfind('/')) + "/info/last_cmd_status");
  if (why.ok() && !why->empty() && *why != "ok") message += fmt::format(" ({})", *why);
  return absl::Status(status.code(), OneLine(message));
}

bool IsName(const std::string& name) {
  constexpr std::string_view kTaken[] = {".", "..", "info", "mon_groups", "mon_data"};
  return name.find('/') == std::string::npos && name.find('\n') == std::string::npos &&
         std::find(std::begin(kTaken), std::end(kTaken), name) == std::end(kTaken);
}

absl::Status CheckHost(const oci::IntelRdt& rdt, const std::string& mount_point) {
  if (!rdt.l3_cache_schema.empty() && !HasCacheAllocation(mount_point))
    return Wrong(".l3CacheSchema", "is specified in config, but Intel RDT/CAT is not enabled");
  if (!rdt.mem_bw_schema.empty() && !HasBandwidthAllocation(mount_point))
    return Wrong(".memBwSchema", "is specified in config, but Intel RDT/MBA is not enabled");
  if (!rdt.schemata.empty() && mount_point.empty())
    return Wrong(".schemata", "is specified in config, but Intel RDT is not supported or enabled");
  if (!rdt.clos_id.empty() && mount_point.empty())
    return Wrong(".closID", "is specified in config, but Intel RDT is not supported or enabled");
  if (rdt.enable_cmt && !Counts(mount_point, "llc_occupancy"))
    return Wrong(".enableCMT", "is specified in config, but Intel RDT/CMT is not enabled");
  if (rdt.enable_mbm && !Counts(mount_point, "mbm_"))
    return Wrong(".enableMBM", "is specified in config, but Intel RDT/MBM is not enabled");
  return absl::OkStatus();
}

}  // namespace

std::string FindResctrl(std::string_view mountinfo) {
  for (absl::string_view line :
       absl::StrSplit(absl::string_view(mountinfo.data(), mountinfo.size()), '\n', absl::SkipEmpty())) {
    std::vector<std::string> fields = absl::StrSplit(line, ' ');
    auto separator = std::find(fields.begin(), fields.end(), "-");
    if (fields.size() > 4 && fields.end() - separator > 1 && *(separator + 1) == "resctrl") return fields[4];
  }
  return "";
}

std::string FindResctrl() {
  absl::StatusOr<std::string> text = ReadTextFile("/proc/self/mountinfo");
  return text.ok() ? FindResctrl(*text) : "";
}

// L3CODE: where the cache is shared out to code and data apart.
bool HasCacheAllocation(const std::string& mount_point) {
  return Has(mount_point, "L3") || Has(mount_point, "L3CODE");
}

bool HasBandwidthAllocation(const std::string& mount_point) { return Has(mount_point, "MB"); }

absl::StatusOr<ResctrlGroup> ResctrlGroup::Plan(const oci::IntelRdt& rdt, const std::string& id,
                                                const std::string& mount_point) {
  if (!IsName(rdt.clos_id)) return Wrong(".closID", fmt::format("'{}' is no name of a class", rdt.clos_id));
  if (absl::Status status = CheckHost(rdt, mount_point); !status.ok()) return status;
  ResctrlGroup group;
  group.lines_ = Lines(rdt.l3_cache_schema, rdt.mem_bw_schema);
  for (const std::string& line : rdt.schemata) group.lines_ += line + "\n";
  const bool is_named = !rdt.clos_id.empty();
  const std::string name = is_named ? rdt.clos_id : id;
  bool makes_class = false;
  if (is_named || !group.lines_.empty()) {
    group.state_.group = mount_point + "/" + name;
    makes_class = !cgroup_files::Exists(group.state_.group);
    if (makes_class && group.lines_.empty())
      return Wrong(".closID", fmt::format("there is no class '{}' in {}", name, mount_point));
    if (!makes_class && !is_named) return Wrong("", fmt::format("{} exists already", group.state_.group));
  }
  if (!makes_class && !group.lines_.empty()) {
    absl::StatusOr<std::string> present = cgroup_files::Read(group.state_.group + "/schemata");
    if (!present.ok()) return present.status();
    if (!Agree(group.lines_, *present))
      return Wrong(".closID", fmt::format("the class '{}' is there with other shares: {}", name, *present));
    group.lines_.clear();
  }
  if (makes_class) group.state_.made = group.state_.group;
  // A class that is the container's alone has counters of its own.
  if ((rdt.enable_cmt || rdt.enable_mbm) && !makes_class) {
    group.monitor_ =
        fmt::format("{}/mon_groups/{}", group.state_.group.empty() ? mount_point : group.state_.group, id);
    group.state_.made = group.monitor_;
  }
  return group;
}

absl::Status ResctrlGroup::Create() const {
  if (state_.made.empty() || ::mkdir(state_.made.c_str(), 0755) == 0) return absl::OkStatus();
  const char* hint = errno == ENOSPC ? " (the processor has no more of them)" : "";
  return absl::FailedPreconditionError(fmt::format("mkdir {}: {}{}", state_.made, ErrorText(errno), hint));
}

absl::Status ResctrlGroup::Apply() const {
  return lines_.empty() ? absl::OkStatus() : WriteSchemata(state_.group, lines_);
}

absl::Status ResctrlGroup::Add(pid_t pid) const {
  for (const std::string& directory : {state_.group, monitor_}) {
    if (directory.empty()) continue;
    absl::Status status = cgroup_files::Write(directory + "/tasks", std::to_string(pid));
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status UpdateResctrl(const ResctrlState& state, const std::string& l3_cache_schema,
                           const std::string& mem_bw_schema) {
  const std::string lines = Lines(l3_cache_schema, mem_bw_schema);
  if (lines.empty()) return absl::OkStatus();
  if (state.group.empty() || state.made != state.group)
    return absl::FailedPreconditionError("Intel RDT: the container has no class of its own");
  return WriteSchemata(state.group, lines);
}

absl::Status RemoveResctrl(const ResctrlState& state) {
  if (state.made.empty() || ::rmdir(state.made.c_str()) == 0 || errno == ENOENT) return absl::OkStatus();
  return absl::FailedPreconditionError(fmt::format("rmdir {}: {}", state.made, ErrorText(errno)));
}

}  // namespace runsc
