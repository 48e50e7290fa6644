// linux.resources of config.json.
#include <fmt/format.h>

#include "runsc/oci/spec_reader.h"

namespace runsc::oci {

void Read(const JsonValue& json, DeviceRule* rule) {
  ReadRequired(json, "allow", &rule->allow);
  std::string type = "a";
  ReadMember(json, "type", &type);
  if (type.empty()) type = "a";
  if (type != "a" && type != "b" && type != "c")
    return json["type"].Fail(fmt::format("must be one of a, b and c, not '{}'", type));
  rule->type = type[0];
  ReadMember(json, "major", &rule->major);
  ReadMember(json, "minor", &rule->minor);
  ReadMember(json, "access", &rule->access);
  if (rule->access.find_first_not_of("rwm") != std::string::npos || rule->access.size() > 3)
    json["access"].Fail(fmt::format("must be made of r, w and m, not '{}'", rule->access));
}

void Read(const JsonValue& json, MemoryResources* memory) {
  ReadMember(json, "limit", &memory->limit);
  ReadMember(json, "reservation", &memory->reservation);
  ReadMember(json, "swap", &memory->swap);
  ReadMember(json, "kernel", &memory->kernel);
  ReadMember(json, "kernelTCP", &memory->kernel_tcp);
  ReadMember(json, "swappiness", &memory->swappiness);
  ReadMember(json, "disableOOMKiller", &memory->disable_oom_killer);
  ReadMember(json, "useHierarchy", &memory->use_hierarchy);
  ReadMember(json, "checkBeforeUpdate", &memory->check_before_update);
}

void Read(const JsonValue& json, CpuResources* cpu) {
  ReadMember(json, "shares", &cpu->shares);
  ReadMember(json, "quota", &cpu->quota);
  ReadMember(json, "burst", &cpu->burst);
  ReadMember(json, "period", &cpu->period);
  ReadMember(json, "realtimeRuntime", &cpu->realtime_runtime);
  ReadMember(json, "realtimePeriod", &cpu->realtime_period);
  ReadMember(json, "cpus", &cpu->cpus);
  ReadMember(json, "mems", &cpu->mems);
  ReadMember(json, "idle", &cpu->idle);
}

void Read(const JsonValue& json, WeightDevice* device) {
  ReadRequired(json, "major", &device->major);
  ReadRequired(json, "minor", &device->minor);
  ReadMember(json, "weight", &device->weight);
  ReadMember(json, "leafWeight", &device->leaf_weight);
}

void Read(const JsonValue& json, ThrottleDevice* device) {
  ReadRequired(json, "major", &device->major);
  ReadRequired(json, "minor", &device->minor);
  ReadRequired(json, "rate", &device->rate);
}

void Read(const JsonValue& json, BlockIoResources* block_io) {
  ReadMember(json, "weight", &block_io->weight);
  ReadMember(json, "leafWeight", &block_io->leaf_weight);
  ReadMember(json, "weightDevice", &block_io->weight_devices);
  ReadMember(json, "throttleReadBpsDevice", &block_io->read_bps);
  ReadMember(json, "throttleWriteBpsDevice", &block_io->write_bps);
  ReadMember(json, "throttleReadIOPSDevice", &block_io->read_iops);
  ReadMember(json, "throttleWriteIOPSDevice", &block_io->write_iops);
}

void Read(const JsonValue& json, HugepageLimit* limit) {
  ReadRequired(json, "pageSize", &limit->page_size);
  ReadRequired(json, "limit", &limit->limit);
}

void Read(const JsonValue& json, NetworkPriority* priority) {
  ReadRequired(json, "name", &priority->name);
  ReadRequired(json, "priority", &priority->priority);
}

void Read(const JsonValue& json, NetworkResources* network) {
  ReadMember(json, "classID", &network->class_id);
  ReadMember(json, "priorities", &network->priorities);
}

void Read(const JsonValue& json, RdmaLimit* limit) {
  ReadMember(json, "hcaHandles", &limit->hca_handles);
  ReadMember(json, "hcaObjects", &limit->hca_objects);
}

void Read(const JsonValue& json, Resources* resources) {
  ReadMember(json, "devices", &resources->devices);
  ReadMember(json, "memory", &resources->memory);
  ReadMember(json, "cpu", &resources->cpu);
  JsonValue pids = json["pids"];
  if (pids.present()) ReadMember(pids, "limit", &resources->pids_limit);
  ReadMember(json, "blockIO", &resources->block_io);
  ReadMember(json, "hugepageLimits", &resources->hugepage_limits);
  ReadMember(json, "network", &resources->network);
  ReadMember(json, "rdma", &resources->rdma);
  ReadMember(json, "unified", &resources->unified);
}

}  // namespace runsc::oci
