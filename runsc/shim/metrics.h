// What a container's control group has used, in the messages that containerd's clients know.
#ifndef RUNSC_SHIM_METRICS_H_
#define RUNSC_SHIM_METRICS_H_

#include "runsc/cgroup/stats.h"
#include "runsc/shim/proto/task.pb.h"

namespace runsc::shim {

// io.containerd.cgroups.v1.Metrics or io.containerd.cgroups.v2.Metrics.
api::Any ToMetrics(const CgroupStats& stats, uint64_t oom_kills, bool is_unified);

}  // namespace runsc::shim

#endif  // RUNSC_SHIM_METRICS_H_
