// /proc/cpuinfo, from the processor itself: the cpuid instruction is not a secret of the host.
#include <cpuid.h>
#include <x86intrin.h>

#include "sentry/fsimpl/proc_internal.h"
#include "sentry/time/clock.h"

namespace runsc {
namespace {

struct Leaf {
  uint32_t eax = 0, ebx = 0, ecx = 0, edx = 0;
};
Leaf ReadLeaf(uint32_t leaf, uint32_t subleaf = 0) {
  Leaf value;
  uint32_t maximum = __get_cpuid_max(leaf & 0x80000000, nullptr);
  if (leaf <= maximum) __cpuid_count(leaf, subleaf, value.eax, value.ebx, value.ecx, value.edx);
  return value;
}

// The names that Linux gives the bits of a register (arch/x86/include/asm/cpufeatures.h); null: not shown.
using Names = const char* const[32];
constexpr Names kLeaf1Edx = {"fpu",  "vme",   "de",    "pse",     "tsc",   "msr", "pae",  "mce",
                             "cx8",  "apic",  nullptr, "sep",     "mtrr",  "pge", "mca",  "cmov",
                             "pat",  "pse36", "pn",    "clflush", nullptr, "dts", "acpi", "mmx",
                             "fxsr", "sse",   "sse2",  "ss",      "ht",    "tm",  "ia64", "pbe"};
constexpr Names kExtended1Edx = {nullptr, nullptr,  nullptr,    nullptr, nullptr,    nullptr,   nullptr,
                                 nullptr, nullptr,  nullptr,    nullptr, "syscall",  nullptr,   nullptr,
                                 nullptr, nullptr,  nullptr,    nullptr, nullptr,    "mp",      "nx",
                                 nullptr, "mmxext", nullptr,    nullptr, "fxsr_opt", "pdpe1gb", "rdtscp",
                                 nullptr, "lm",     "3dnowext", "3dnow"};
constexpr Names kLeaf1Ecx = {"pni",    "pclmulqdq", "dtes64", "monitor", "ds_cpl",
                             "vmx",    "smx",       "est",    "tm2",     "ssse3",
                             "cid",    "sdbg",      "fma",    "cx16",    "xtpr",
                             "pdcm",   nullptr,     "pcid",   "dca",     "sse4_1",
                             "sse4_2", "x2apic",    "movbe",  "popcnt",  "tsc_deadline_timer",
                             "aes",    "xsave",     nullptr,  "avx",     "f16c",
                             "rdrand", "hypervisor"};
constexpr Names kExtended1Ecx = {
    "lahf_lm",       "cmp_legacy", "svm",   "extapic",    "cr8_legacy",  "abm",    "sse4a",   "misalignsse",
    "3dnowprefetch", "osvw",       "ibs",   "xop",        "skinit",      "wdt",    nullptr,   "lwp",
    "fma4",          "tce",        nullptr, "nodeid_msr", nullptr,       "tbm",    "topoext", "perfctr_core",
    "perfctr_nb",    nullptr,      "bpext", "ptsc",       "perfctr_llc", "mwaitx", nullptr,   nullptr};
constexpr Names kLeaf7Ebx = {
    "fsgsbase", "tsc_adjust", "sgx",      "bmi1",     "hle",      "avx2",       nullptr,    "smep",
    "bmi2",     "erms",       "invpcid",  "rtm",      "cqm",      nullptr,      "mpx",      "rdt_a",
    "avx512f",  "avx512dq",   "rdseed",   "adx",      "smap",     "avx512ifma", nullptr,    "clflushopt",
    "clwb",     "intel_pt",   "avx512pf", "avx512er", "avx512cd", "sha_ni",     "avx512bw", "avx512vl"};
constexpr Names kLeaf13Eax = {"xsaveopt", "xsavec", "xgetbv1", "xsaves"};
constexpr Names kExtended8Ebx = {"clzero", "irperf", "xsaveerptr", nullptr, "rdpru",
                                 nullptr,  nullptr,  nullptr,      nullptr, "wbnoinvd"};
constexpr Names kLeaf7Ecx = {nullptr,      "avx512vbmi",   "umip",          "pku",       "ospke",
                             "waitpkg",    "avx512_vbmi2", "user_shstk",    "gfni",      "vaes",
                             "vpclmulqdq", "avx512_vnni",  "avx512_bitalg", "tme",       "avx512_vpopcntdq",
                             nullptr,      "la57",         nullptr,         nullptr,     nullptr,
                             nullptr,      nullptr,        "rdpid",         nullptr,     "bus_lock_detect",
                             "cldemote",   nullptr,        "movdiri",       "movdir64b", "enqcmd"};
constexpr Names kLeaf7Edx = {nullptr,         nullptr,     "avx512_4vnniw",
                             "avx512_4fmaps", "fsrm",      nullptr,
                             nullptr,         nullptr,     "avx512_vp2intersect",
                             nullptr,         "md_clear",  nullptr,
                             nullptr,         nullptr,     "serialize",
                             nullptr,         "tsxldtrk",  nullptr,
                             "pconfig",       "arch_lbr",  "ibt",
                             nullptr,         "amx_bf16",  "avx512_fp16",
                             "amx_tile",      "amx_int8",  nullptr,
                             nullptr,         "flush_l1d", "arch_capabilities"};

void AddFlags(std::string& flags, uint32_t bits, const Names& names) {
  for (int bit = 0; bit < 32; ++bit) {
    if ((bits >> bit & 1) == 0 || names[bit] == nullptr) continue;
    if (!flags.empty()) flags += ' ';
    flags += names[bit];
  }
}

// Kilohertz of the time stamp counter, measured once.
uint64_t MeasureKilohertz() {
  constexpr int64_t kWindow = 1'000'000;  // ns
  int64_t start = MonotonicNow();
  uint64_t first = __rdtsc();
  int64_t now = start;
  while (now - start < kWindow) now = MonotonicNow();
  return (__rdtsc() - first) * 1'000'000 / static_cast<uint64_t>(now - start);
}

struct CpuDescription {
  std::string head, tail;  // before and behind what differs between processors
};

CpuDescription Describe(unsigned cpu_count) {
  Leaf leaf0 = ReadLeaf(0), leaf1 = ReadLeaf(1), leaf7 = ReadLeaf(7), leaf13 = ReadLeaf(13, 1);
  Leaf extended1 = ReadLeaf(0x80000001), extended8 = ReadLeaf(0x80000008);
  std::string vendor;
  for (uint32_t part : {leaf0.ebx, leaf0.edx, leaf0.ecx}) vendor.append(reinterpret_cast<char*>(&part), 4);
  std::string name;
  for (uint32_t leaf = 0x80000002; leaf <= 0x80000004; ++leaf) {
    Leaf part = ReadLeaf(leaf);
    name.append(reinterpret_cast<char*>(&part), sizeof(part));
  }
  name.resize(std::min(name.size(), name.find('\0')));
  name.erase(0, name.find_first_not_of(' '));
  name.resize(name.find_last_not_of(' ') + 1);
  uint32_t family = leaf1.eax >> 8 & 15, model = leaf1.eax >> 4 & 15;
  if (family == 6 || family == 15) model |= (leaf1.eax >> 16 & 15) << 4;
  if (family == 15) family += leaf1.eax >> 20 & 255;
  static const uint64_t kilohertz = MeasureKilohertz();
  uint32_t cache_kib = ReadLeaf(0x80000006).ecx >> 16;

  std::string flags;
  AddFlags(flags, leaf1.edx, kLeaf1Edx);
  AddFlags(flags, extended1.edx, kExtended1Edx);
  if ((ReadLeaf(0x80000007).edx >> 8 & 1) != 0) flags += " constant_tsc nonstop_tsc";
  flags += " rep_good nopl cpuid";
  AddFlags(flags, leaf1.ecx, kLeaf1Ecx);
  AddFlags(flags, extended1.ecx, kExtended1Ecx);
  AddFlags(flags, leaf7.ebx, kLeaf7Ebx);
  AddFlags(flags, leaf13.eax, kLeaf13Eax);
  AddFlags(flags, extended8.ebx, kExtended8Ebx);
  AddFlags(flags, leaf7.ecx, kLeaf7Ecx);
  AddFlags(flags, leaf7.edx, kLeaf7Edx);

  CpuDescription description;
  description.head = fmt::format(
      "vendor_id\t: {}\ncpu family\t: {}\nmodel\t\t: {}\nmodel name\t: {}\nstepping\t: {}\ncpu MHz\t\t: "
      "{}.{:03}\ncache size\t: {} KB\nphysical id\t: 0\nsiblings\t: {}\n",
      vendor, family, model, name.empty() ? "unknown" : name, leaf1.eax & 15, kilohertz / 1000,
      kilohertz % 1000, cache_kib, cpu_count);
  uint32_t bits = extended8.eax != 0 ? extended8.eax : 0x3024;
  uint32_t line = (leaf1.ebx >> 8 & 255) * 8;
  description.tail = fmt::format(
      "fpu\t\t: yes\nfpu_exception\t: yes\ncpuid level\t: {}\nwp\t\t: yes\nflags\t\t: {}\nbugs\t\t: \n"
      "bogomips\t: {}.{:02}\nclflush size\t: {}\ncache_alignment\t: {}\n"
      "address sizes\t: {} bits physical, {} bits virtual\npower management:\n\n",
      leaf0.eax, flags, kilohertz * 2 / 1000, kilohertz * 2 % 1000 / 10, line, line, bits & 255,
      bits >> 8 & 255);
  return description;
}

}  // namespace

std::string CpuInfoText(unsigned cpu_count) {
  CpuDescription description = Describe(cpu_count);
  TextBuilder text;
  for (unsigned cpu = 0; cpu < cpu_count; ++cpu) {
    text.Add("processor\t: {}\n{}core id\t\t: {}\ncpu cores\t: {}\napicid\t\t: {}\ninitial apicid\t: {}\n{}",
             cpu, description.head, cpu, cpu_count, cpu, cpu, description.tail);
  }
  return text.Take();
}

}  // namespace runsc
