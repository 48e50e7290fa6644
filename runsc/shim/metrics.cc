#include "runsc/shim/metrics.h"

#include <map>

#include "runsc/shim/proto/metrics.pb.h"

namespace runsc::shim {
namespace {

template <typename Message>
struct StatField {
  const char* name;  // in memory.stat
  void (Message::*set)(uint64_t);
};

using MemoryV1 = api::MetricsV1::Memory;
constexpr StatField<MemoryV1> kMemoryV1[] = {
    {"cache", &MemoryV1::set_cache},
    {"rss", &MemoryV1::set_rss},
    {"rss_huge", &MemoryV1::set_rss_huge},
    {"mapped_file", &MemoryV1::set_mapped_file},
    {"dirty", &MemoryV1::set_dirty},
    {"writeback", &MemoryV1::set_writeback},
    {"pgpgin", &MemoryV1::set_pg_pg_in},
    {"pgpgout", &MemoryV1::set_pg_pg_out},
    {"pgfault", &MemoryV1::set_pg_fault},
    {"pgmajfault", &MemoryV1::set_pg_maj_fault},
    {"inactive_anon", &MemoryV1::set_inactive_anon},
    {"active_anon", &MemoryV1::set_active_anon},
    {"inactive_file", &MemoryV1::set_inactive_file},
    {"active_file", &MemoryV1::set_active_file},
    {"unevictable", &MemoryV1::set_unevictable},
    {"hierarchical_memory_limit", &MemoryV1::set_hierarchical_memory_limit},
    {"hierarchical_memsw_limit", &MemoryV1::set_hierarchical_swap_limit},
    {"total_cache", &MemoryV1::set_total_cache},
    {"total_rss", &MemoryV1::set_total_rss},
    {"total_rss_huge", &MemoryV1::set_total_rss_huge},
    {"total_mapped_file", &MemoryV1::set_total_mapped_file},
    {"total_dirty", &MemoryV1::set_total_dirty},
    {"total_writeback", &MemoryV1::set_total_writeback},
    {"total_pgpgin", &MemoryV1::set_total_pg_pg_in},
    {"total_pgpgout", &MemoryV1::set_total_pg_pg_out},
    {"total_pgfault", &MemoryV1::set_total_pg_fault},
    {"total_pgmajfault", &MemoryV1::set_total_pg_maj_fault},
    {"total_inactive_anon", &MemoryV1::set_total_inactive_anon},
    {"total_active_anon", &MemoryV1::set_total_active_anon},
    {"total_inactive_file", &MemoryV1::set_total_inactive_file},
    {"total_active_file", &MemoryV1::set_total_active_file},
    {"total_unevictable", &MemoryV1::set_total_unevictable},
};

using MemoryV2 = api::MetricsV2::Memory;
constexpr StatField<MemoryV2> kMemoryV2[] = {
    {"anon", &MemoryV2::set_anon},
    {"file", &MemoryV2::set_file},
    {"kernel_stack", &MemoryV2::set_kernel_stack},
    {"slab", &MemoryV2::set_slab},
    {"sock", &MemoryV2::set_sock},
    {"shmem", &MemoryV2::set_shmem},
    {"file_mapped", &MemoryV2::set_file_mapped},
    {"file_dirty", &MemoryV2::set_file_dirty},
    {"file_writeback", &MemoryV2::set_file_writeback},
    {"anon_thp", &MemoryV2::set_anon_thp},
    {"inactive_anon", &MemoryV2::set_inactive_anon},
    {"active_anon", &MemoryV2::set_active_anon},
    {"inactive_file", &MemoryV2::set_inactive_file},
    {"active_file", &MemoryV2::set_active_file},
    {"unevictable", &MemoryV2::set_unevictable},
    {"slab_reclaimable", &MemoryV2::set_slab_reclaimable},
    {"slab_unreclaimable", &MemoryV2::set_slab_unreclaimable},
    {"pgfault", &MemoryV2::set_pgfault},
    {"pgmajfault", &MemoryV2::set_pgmajfault},
};

template <typename Message, size_t N>
void SetFields(const StatField<Message> (&fields)[N], const std::map<std::string, uint64_t>& table,
               Message* message) {
  for (const StatField<Message>& field : fields) {
    if (auto found = table.find(field.name); found != table.end()) (message->*field.set)(found->second);
  }
}

void SetEntry(const CgroupStats::Memory& memory, api::MetricsV1::MemoryEntry* entry) {
  entry->set_limit(memory.limit);
  entry->set_usage(memory.usage);
  entry->set_max(memory.max);
  entry->set_failcnt(memory.failcnt);
}

void AddBlockIo(const std::vector<CgroupStats::BlockIo>& entries,
                google::protobuf::RepeatedPtrField<api::MetricsV1::BlkIoEntry>* list) {
  for (const CgroupStats::BlockIo& entry : entries) {
    api::MetricsV1::BlkIoEntry* added = list->Add();
    added->set_op(entry.op);
    added->set_major(entry.major);
    added->set_minor(entry.minor);
    added->set_value(entry.value);
  }
}

api::MetricsV1 ToV1(const CgroupStats& stats, uint64_t oom_kills) {
  api::MetricsV1 metrics;
  for (const auto& [size, memory] : stats.hugetlb) {
    api::MetricsV1::Hugetlb* hugetlb = metrics.add_hugetlb();
    hugetlb->set_pagesize(size);
    hugetlb->set_usage(memory.usage);
    hugetlb->set_max(memory.max);
    hugetlb->set_failcnt(memory.failcnt);
  }
  metrics.mutable_pids()->set_current(stats.pids);
  metrics.mutable_pids()->set_limit(stats.pids_limit);
  api::MetricsV1::CpuUsage* usage = metrics.mutable_cpu()->mutable_usage();
  usage->set_total(stats.cpu.total);
  usage->set_kernel(stats.cpu.kernel);
  usage->set_user(stats.cpu.user);
  for (uint64_t time : stats.cpu.per_cpu) usage->add_per_cpu(time);
  api::MetricsV1::Throttle* throttle = metrics.mutable_cpu()->mutable_throttling();
  throttle->set_periods(stats.cpu.periods);
  throttle->set_throttled_periods(stats.cpu.throttled_periods);
  throttle->set_throttled_time(stats.cpu.throttled_time);
  MemoryV1* memory = metrics.mutable_memory();
  SetFields(kMemoryV1, stats.memory_raw, memory);
  SetEntry(stats.memory, memory->mutable_usage());
  SetEntry(stats.swap, memory->mutable_swap());
  SetEntry(stats.kernel, memory->mutable_kernel());
  SetEntry(stats.kernel_tcp, memory->mutable_kernel_tcp());
  AddBlockIo(stats.io_service_bytes, metrics.mutable_blkio()->mutable_io_service_bytes_recursive());
  AddBlockIo(stats.io_serviced, metrics.mutable_blkio()->mutable_io_serviced_recursive());
  metrics.mutable_memory_oom_control()->set_oom_kill(oom_kills);
  return metrics;
}

void AddIo(const CgroupStats& stats, api::MetricsV2::Io* io) {
  std::map<std::pair<uint64_t, uint64_t>, api::MetricsV2::IoEntry> devices;
  for (const CgroupStats::BlockIo& entry : stats.io_service_bytes) {
    api::MetricsV2::IoEntry& device = devices[{entry.major, entry.minor}];
    entry.op == "Read" ? device.set_rbytes(entry.value) : device.set_wbytes(entry.value);
  }
  for (const CgroupStats::BlockIo& entry : stats.io_serviced) {
    api::MetricsV2::IoEntry& device = devices[{entry.major, entry.minor}];
    entry.op == "Read" ? device.set_rios(entry.value) : device.set_wios(entry.value);
  }
  for (auto& [number, device] : devices) {
    device.set_major(number.first);
    device.set_minor(number.second);
    *io->add_usage() = device;
  }
}

api::MetricsV2 ToV2(const CgroupStats& stats, uint64_t oom_kills) {
  constexpr uint64_t kMicrosecond = 1000;  // nanoseconds
  api::MetricsV2 metrics;
  metrics.mutable_pids()->set_current(stats.pids);
  metrics.mutable_pids()->set_limit(stats.pids_limit);
  api::MetricsV2::Cpu* cpu = metrics.mutable_cpu();
  cpu->set_usage_usec(stats.cpu.total / kMicrosecond);
  cpu->set_user_usec(stats.cpu.user / kMicrosecond);
  cpu->set_system_usec(stats.cpu.kernel / kMicrosecond);
  cpu->set_nr_periods(stats.cpu.periods);
  cpu->set_nr_throttled(stats.cpu.throttled_periods);
  cpu->set_throttled_usec(stats.cpu.throttled_time / kMicrosecond);
  MemoryV2* memory = metrics.mutable_memory();
  SetFields(kMemoryV2, stats.memory_raw, memory);
  memory->set_usage(stats.memory.usage);
  memory->set_usage_limit(stats.memory.limit);
  memory->set_max_usage(stats.memory.max);
  memory->set_swap_usage(stats.swap.usage);
  memory->set_swap_limit(stats.swap.limit);
  AddIo(stats, metrics.mutable_io());
  metrics.mutable_memory_events()->set_oom_kill(oom_kills);
  return metrics;
}

}  // namespace

api::Any ToMetrics(const CgroupStats& stats, uint64_t oom_kills, bool is_unified) {
  api::Any any;
  any.set_type_url(is_unified ? "io.containerd.cgroups.v2.Metrics" : "io.containerd.cgroups.v1.Metrics");
  any.set_value(is_unified ? ToV2(stats, oom_kills).SerializeAsString()
                           : ToV1(stats, oom_kills).SerializeAsString());
  return any;
}

}  // namespace runsc::shim
