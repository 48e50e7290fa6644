#include "sentry/syscalls/table.h"

#include "sentry/syscalls/sys_admin.h"
#include "sentry/syscalls/sys_aio.h"
#include "sentry/syscalls/sys_attributes.h"
#include "sentry/syscalls/sys_credentials.h"
#include "sentry/syscalls/sys_directory.h"
#include "sentry/syscalls/sys_epoll.h"
#include "sentry/syscalls/sys_event_files.h"
#include "sentry/syscalls/sys_fcntl.h"
#include "sentry/syscalls/sys_file_handle.h"
#include "sentry/syscalls/sys_futex.h"
#include "sentry/syscalls/sys_futex_waitv.h"
#include "sentry/syscalls/sys_inotify.h"
#include "sentry/syscalls/sys_ipc.h"
#include "sentry/syscalls/sys_kcmp.h"
#include "sentry/syscalls/sys_keys.h"
#include "sentry/syscalls/sys_limits.h"
#include "sentry/syscalls/sys_memfd.h"
#include "sentry/syscalls/sys_mmap.h"
#include "sentry/syscalls/sys_mount.h"
#include "sentry/syscalls/sys_mount_api.h"
#include "sentry/syscalls/sys_mqueue.h"
#include "sentry/syscalls/sys_numa.h"
#include "sentry/syscalls/sys_open.h"
#include "sentry/syscalls/sys_pidfd.h"
#include "sentry/syscalls/sys_poll.h"
#include "sentry/syscalls/sys_prctl.h"
#include "sentry/syscalls/sys_process.h"
#include "sentry/syscalls/sys_process_memory.h"
#include "sentry/syscalls/sys_ptrace.h"
#include "sentry/syscalls/sys_read_write.h"
#include "sentry/syscalls/sys_sched.h"
#include "sentry/syscalls/sys_seccomp.h"
#include "sentry/syscalls/sys_session.h"
#include "sentry/syscalls/sys_signal.h"
#include "sentry/syscalls/sys_socket.h"
#include "sentry/syscalls/sys_splice.h"
#include "sentry/syscalls/sys_stat.h"
#include "sentry/syscalls/sys_sync.h"
#include "sentry/syscalls/sys_system.h"
#include "sentry/syscalls/sys_time.h"
#include "sentry/syscalls/sys_timer.h"
#include "sentry/syscalls/sys_xattr.h"

namespace runsc {
namespace {

// clang-format off
constexpr auto MakeTable() {
  std::array<SyscallRow, kSyscallLimit> t{};
  // 0
  t[0] = {"read", Full<SysRead>()};
  // 1
  t[1] = {"write", Full<SysWrite>()};
  // 2
  t[2] = {"open", Full<SysOpen>()};
  // 3
  t[3] = {"close", Full<SysClose>()};
  // 4
  t[4] = {"stat", Full<SysStat>()};
  // 5
  t[5] = {"fstat", Full<SysFstat>()};
  // 6
  t[6] = {"lstat", Full<SysLstat>()};
  // 7
  t[7] = {"poll", Full<SysPoll>()};
  // 8
  t[8] = {"lseek", Full<SysLseek>()};
  // 9
  t[9] = {"mmap", Full<SysMmap>()};
  // 10
  t[10] = {"mprotect", Full<SysMprotect>()};
  // 11
  t[11] = {"munmap", Full<SysMunmap>()};
  // 12
  t[12] = {"brk", Full<SysBrk>()};
  // 13
  t[13] = {"rt_sigaction", Full<SysRtSigaction>()};
  // 14
  t[14] = {"rt_sigprocmask", Full<SysRtSigprocmask>()};
  // 15
  t[15] = {"rt_sigreturn", Full<SysRtSigreturn>()};
  // 16
  t[16] = {"ioctl", Full<SysIoctl>()};
  // 17
  t[17] = {"pread64", Full<SysPread64>()};
  // 18
  t[18] = {"pwrite64", Full<SysPwrite64>()};
  // 19
  t[19] = {"readv", Full<SysReadv>()};
  // 20
  t[20] = {"writev", Full<SysWritev>()};
  // 21
  t[21] = {"access", Full<SysAccess>()};
  // 22
  t[22] = {"pipe", Full<SysPipe>()};
  // 23
  t[23] = {"select", Full<SysSelect>()};
  // 24
  t[24] = {"sched_yield", Full<SysSchedYield>()};
  // 25
  t[25] = {"mremap", Full<SysMremap>()};
  // 26
  t[26] = {"msync", Full<SysMsync>()};
  // 27
  t[27] = {"mincore", Partial<SysMincore>("what was only read counts as absent, all of a mapped host file as resident")};
  // 28
  t[28] = {"madvise", Partial<SysMadvise>("advice on huge pages, merging and core dumps is accepted without effect; MADV_FREE frees at once")};
  // 29
  t[29] = {"shmget", Partial<SysShmget>("no huge pages")};
  // 30
  t[30] = {"shmat", Full<SysShmat>()};
  // 31
  t[31] = {"shmctl", Partial<SysShmctl>("SHM_LOCK is kept; the host may still swap")};
  // 32
  t[32] = {"dup", Full<SysDup>()};
  // 33
  t[33] = {"dup2", Full<SysDup2>()};
  // 34
  t[34] = {"pause", Full<SysPause>()};
  // 35
  t[35] = {"nanosleep", Full<SysNanosleep>()};
  // 36
  t[36] = {"getitimer", Full<SysGetitimer>()};
  // 37
  t[37] = {"alarm", Full<SysAlarm>()};
  // 38
  t[38] = {"setitimer", Full<SysSetitimer>()};
  // 39
  t[39] = {"getpid", Full<SysGetpid>()};
  // 40
  t[40] = {"sendfile", Full<SysSendfile>()};
  // 41
  t[41] = {"socket", Partial<SysSocket>("AF_UNIX; AF_INET and AF_INET6, unless --network=off; AF_NETLINK for route dumps")};
  // 42
  t[42] = {"connect", Full<SysConnect>()};
  // 43
  t[43] = {"accept", Full<SysAccept>()};
  // 44
  t[44] = {"sendto", Full<SysSendto>()};
  // 45
  t[45] = {"recvfrom", Full<SysRecvfrom>()};
  // 46
  t[46] = {"sendmsg", Full<SysSendmsg>()};
  // 47
  t[47] = {"recvmsg", Full<SysRecvmsg>()};
  // 48
  t[48] = {"shutdown", Full<SysShutdown>()};
  // 49
  t[49] = {"bind", Full<SysBind>()};
  // 50
  t[50] = {"listen", Full<SysListen>()};
  // 51
  t[51] = {"getsockname", Full<SysGetsockname>()};
  // 52
  t[52] = {"getpeername", Full<SysGetpeername>()};
  // 53
  t[53] = {"socketpair", Full<SysSocketpair>()};
  // 54
  t[54] = {"setsockopt", Full<SysSetsockopt>()};
  // 55
  t[55] = {"getsockopt", Full<SysGetsockopt>()};
  // 56
  t[56] = {"clone", Partial<SysClone>("new network namespaces are refused (EINVAL): sockets are the host's, of one")};
  // 57
  t[57] = {"fork", Full<SysFork>()};
  // 58
  t[58] = {"vfork", Full<SysVfork>()};
  // 59
  t[59] = {"execve", Full<SysExecve>()};
  // 60
  t[60] = {"exit", Full<SysExit>()};
  // 61
  t[61] = {"wait4", Full<SysWait4>()};
  // 62
  t[62] = {"kill", Full<SysKill>()};
  // 63
  t[63] = {"uname", Full<SysUname>()};
  // 64
  t[64] = {"semget", Full<SysSemget>()};
  // 65
  t[65] = {"semop", Full<SysSemop>()};
  // 66
  t[66] = {"semctl", Full<SysSemctl>()};
  // 67
  t[67] = {"shmdt", Full<SysShmdt>()};
  // 68
  t[68] = {"msgget", Full<SysMsgget>()};
  // 69
  t[69] = {"msgsnd", Full<SysMsgsnd>()};
  // 70
  t[70] = {"msgrcv", Full<SysMsgrcv>()};
  // 71
  t[71] = {"msgctl", Full<SysMsgctl>()};
  // 72
  t[72] = {"fcntl", Partial<SysFcntl>("what is done to a volume on the host breaks no lease")};
  // 73
  t[73] = {"flock", Full<SysFlock>()};
  // 74
  t[74] = {"fsync", Full<SysFsync>()};
  // 75
  t[75] = {"fdatasync", Full<SysFdatasync>()};
  // 76
  t[76] = {"truncate", Full<SysTruncate>()};
  // 77
  t[77] = {"ftruncate", Full<SysFtruncate>()};
  // 78
  t[78] = {"getdents", Full<SysGetdents>()};
  // 79
  t[79] = {"getcwd", Full<SysGetcwd>()};
  // 80
  t[80] = {"chdir", Full<SysChdir>()};
  // 81
  t[81] = {"fchdir", Full<SysFchdir>()};
  // 82
  t[82] = {"rename", Full<SysRename>()};
  // 83
  t[83] = {"mkdir", Full<SysMkdir>()};
  // 84
  t[84] = {"rmdir", Full<SysRmdir>()};
  // 85
  t[85] = {"creat", Full<SysCreat>()};
  // 86
  t[86] = {"link", Full<SysLink>()};
  // 87
  t[87] = {"unlink", Full<SysUnlink>()};
  // 88
  t[88] = {"symlink", Full<SysSymlink>()};
  // 89
  t[89] = {"readlink", Full<SysReadlink>()};
  // 90
  t[90] = {"chmod", Full<SysChmod>()};
  // 91
  t[91] = {"fchmod", Full<SysFchmod>()};
  // 92
  t[92] = {"chown", Full<SysChown>()};
  // 93
  t[93] = {"fchown", Full<SysFchown>()};
  // 94
  t[94] = {"lchown", Full<SysLchown>()};
  // 95
  t[95] = {"umask", Full<SysUmask>()};
  // 96
  t[96] = {"gettimeofday", Full<SysGettimeofday>()};
  // 97
  t[97] = {"getrlimit", Full<SysGetrlimit>()};
  // 98
  t[98] = {"getrusage", Partial<SysGetrusage>("times, page faults, voluntary switches and the peak size only")};
  // 99
  t[99] = {"sysinfo", Partial<SysSysinfo>("load averages are 0")};
  // 100
  t[100] = {"times", Full<SysTimes>()};
  // 101
  t[101] = {"ptrace", Partial<SysPtrace>("no debug registers (hardware watchpoints), PTRACE_O_SUSPEND_SECCOMP, requests of 32-bit programs")};
  // 102
  t[102] = {"getuid", Full<SysGetuid>()};
  // 103
  t[103] = {"syslog", Partial<SysSyslog>("the log is empty")};
  // 104
  t[104] = {"getgid", Full<SysGetgid>()};
  // 105
  t[105] = {"setuid", Full<SysSetuid>()};
  // 106
  t[106] = {"setgid", Full<SysSetgid>()};
  // 107
  t[107] = {"geteuid", Full<SysGeteuid>()};
  // 108
  t[108] = {"getegid", Full<SysGetegid>()};
  // 109
  t[109] = {"setpgid", Full<SysSetpgid>()};
  // 110
  t[110] = {"getppid", Full<SysGetppid>()};
  // 111
  t[111] = {"getpgrp", Full<SysGetpgrp>()};
  // 112
  t[112] = {"setsid", Full<SysSetsid>()};
  // 113
  t[113] = {"setreuid", Full<SysSetreuid>()};
  // 114
  t[114] = {"setregid", Full<SysSetregid>()};
  // 115
  t[115] = {"getgroups", Full<SysGetgroups>()};
  // 116
  t[116] = {"setgroups", Full<SysSetgroups>()};
  // 117
  t[117] = {"setresuid", Full<SysSetresuid>()};
  // 118
  t[118] = {"getresuid", Full<SysGetresuid>()};
  // 119
  t[119] = {"setresgid", Full<SysSetresgid>()};
  // 120
  t[120] = {"getresgid", Full<SysGetresgid>()};
  // 121
  t[121] = {"getpgid", Full<SysGetpgid>()};
  // 122
  t[122] = {"setfsuid", Full<SysSetfsuid>()};
  // 123
  t[123] = {"setfsgid", Full<SysSetfsgid>()};
  // 124
  t[124] = {"getsid", Full<SysGetsid>()};
  // 125
  t[125] = {"capget", Full<SysCapget>()};
  // 126
  t[126] = {"capset", Full<SysCapset>()};
  // 127
  t[127] = {"rt_sigpending", Full<SysRtSigpending>()};
  // 128
  t[128] = {"rt_sigtimedwait", Full<SysRtSigtimedwait>()};
  // 129
  t[129] = {"rt_sigqueueinfo", Full<SysRtSigqueueinfo>()};
  // 130
  t[130] = {"rt_sigsuspend", Full<SysRtSigsuspend>()};
  // 131
  t[131] = {"sigaltstack", Full<SysSigaltstack>()};
  // 132
  t[132] = {"utime", Full<SysUtime>()};
  // 133
  t[133] = {"mknod", Full<SysMknod>()};
  // 134
  t[134] = {"uselib", Missing()};
  // 135
  t[135] = {"personality", Partial<SysPersonality>("kept; only the loader and uname look at it")};
  // 136
  t[136] = {"ustat", Full<SysUstat>()};
  // 137
  t[137] = {"statfs", Full<SysStatfs>()};
  // 138
  t[138] = {"fstatfs", Full<SysFstatfs>()};
  // 139
  t[139] = {"sysfs", Full<SysSysfs>()};
  // 140
  t[140] = {"getpriority", Full<SysGetpriority>()};
  // 141
  t[141] = {"setpriority", Partial<SysSetpriority>("kept; the host schedules")};
  // 142
  t[142] = {"sched_setparam", Partial<SysSchedSetparam>("kept; the host schedules")};
  // 143
  t[143] = {"sched_getparam", Full<SysSchedGetparam>()};
  // 144
  t[144] = {"sched_setscheduler", Partial<SysSchedSetscheduler>("kept; the host schedules")};
  // 145
  t[145] = {"sched_getscheduler", Full<SysSchedGetscheduler>()};
  // 146
  t[146] = {"sched_get_priority_max", Full<SysSchedGetPriorityMax>()};
  // 147
  t[147] = {"sched_get_priority_min", Full<SysSchedGetPriorityMin>()};
  // 148
  t[148] = {"sched_rr_get_interval", Full<SysSchedRrGetInterval>()};
  // 149
  t[149] = {"mlock", Partial<SysMlock>("populates and counts; the host may still swap")};
  // 150
  t[150] = {"munlock", Full<SysMunlock>()};
  // 151
  t[151] = {"mlockall", Partial<SysMlockall>("as mlock")};
  // 152
  t[152] = {"munlockall", Full<SysMunlockall>()};
  // 153
  t[153] = {"vhangup", Full<SysVhangup>()};
  // 154
  t[154] = {"modify_ldt", Partial<SysModifyLdt>("reads only: there is no LDT")};
  // 155
  t[155] = {"pivot_root", Full<SysPivotRoot>()};
  // 156
  t[156] = {"_sysctl", Missing()};
  // 157
  t[157] = {"prctl", Partial<SysPrctl>("of PR_SET_MM only addresses; no PR_SET_TSC, speculation control and user dispatch")};
  // 158
  t[158] = {"arch_prctl", Partial<SysArchPrctl>("FS and GS; CPUID never faults")};
  // 159
  t[159] = {"adjtimex", Partial<SysAdjtimex>("reads only")};
  // 160
  t[160] = {"setrlimit", Full<SysSetrlimit>()};
  // 161
  t[161] = {"chroot", Full<SysChroot>()};
  // 162
  t[162] = {"sync", Full<SysSync>()};
  // 163
  t[163] = {"acct", Partial<SysAcct>("without the flag ASU; a full file system is not noticed before it is full")};
  // 164
  t[164] = {"settimeofday", Partial<SysSettimeofday>("EPERM: the clock is the host's")};
  // 165
  t[165] = {"mount", Partial<SysMount>("filesystems without a device; times of last access follow the mount on tmpfs only")};
  // 166
  t[166] = {"umount2", Partial<SysUmount2>("MNT_EXPIRE never finds a mount unused; the root is not made read-only")};
  // 167
  t[167] = {"swapon", Partial<SysSwapon>("EINVAL: no file is swap space")};
  // 168
  t[168] = {"swapoff", Partial<SysSwapoff>("EINVAL: no file is swap space")};
  // 169
  t[169] = {"reboot", Partial<SysReboot>("ends the PID namespace's init; Ctrl-Alt-Del is nobody's")};
  // 170
  t[170] = {"sethostname", Full<SysSethostname>()};
  // 171
  t[171] = {"setdomainname", Full<SysSetdomainname>()};
  // 172
  t[172] = {"iopl", Missing()};
  // 173
  t[173] = {"ioperm", Missing()};
  // 174
  t[174] = {"create_module", Missing()};
  // 175
  t[175] = {"init_module", Missing("as in a kernel without modules")};
  // 176
  t[176] = {"delete_module", Missing("as in a kernel without modules")};
  // 177
  t[177] = {"get_kernel_syms", Missing()};
  // 178
  t[178] = {"query_module", Missing()};
  // 179
  t[179] = {"quotactl", Partial<SysQuotactl>("ENOTBLK: there are no block devices")};
  // 180
  t[180] = {"nfsservctl", Missing()};
  // 181
  t[181] = {"getpmsg", Missing()};
  // 182
  t[182] = {"putpmsg", Missing()};
  // 183
  t[183] = {"afs_syscall", Missing()};
  // 184
  t[184] = {"tuxcall", Missing()};
  // 185
  t[185] = {"security", Missing()};
  // 186
  t[186] = {"gettid", Full<SysGettid>()};
  // 187
  t[187] = {"readahead", Partial<SysReadahead>("checks its arguments only")};
  // 188
  t[188] = {"setxattr", Full<SysSetxattr>()};
  // 189
  t[189] = {"lsetxattr", Full<SysLsetxattr>()};
  // 190
  t[190] = {"fsetxattr", Full<SysFsetxattr>()};
  // 191
  t[191] = {"getxattr", Full<SysGetxattr>()};
  // 192
  t[192] = {"lgetxattr", Full<SysLgetxattr>()};
  // 193
  t[193] = {"fgetxattr", Full<SysFgetxattr>()};
  // 194
  t[194] = {"listxattr", Full<SysListxattr>()};
  // 195
  t[195] = {"llistxattr", Full<SysLlistxattr>()};
  // 196
  t[196] = {"flistxattr", Full<SysFlistxattr>()};
  // 197
  t[197] = {"removexattr", Full<SysRemovexattr>()};
  // 198
  t[198] = {"lremovexattr", Full<SysLremovexattr>()};
  // 199
  t[199] = {"fremovexattr", Full<SysFremovexattr>()};
  // 200
  t[200] = {"tkill", Full<SysTkill>()};
  // 201
  t[201] = {"time", Full<SysTime>()};
  // 202
  t[202] = {"futex", Partial<SysFutex>("PI futexes do not inherit priorities; no FUTEX_FD")};
  // 203
  t[203] = {"sched_setaffinity", Partial<SysSchedSetaffinity>("kept; the host schedules")};
  // 204
  t[204] = {"sched_getaffinity", Full<SysSchedGetaffinity>()};
  // 205
  t[205] = {"set_thread_area", Missing()};
  // 206
  t[206] = {"io_setup", Full<SysIoSetup>()};
  // 207
  t[207] = {"io_destroy", Full<SysIoDestroy>()};
  // 208
  t[208] = {"io_getevents", Full<SysIoGetevents>()};
  // 209
  t[209] = {"io_submit", Partial<SysIoSubmit>("reads, writes and syncs are done at once, also with O_DIRECT")};
  // 210
  t[210] = {"io_cancel", Full<SysIoCancel>()};
  // 211
  t[211] = {"get_thread_area", Missing()};
  // 212
  t[212] = {"lookup_dcookie", Missing()};
  // 213
  t[213] = {"epoll_create", Full<SysEpollCreate>()};
  // 214
  t[214] = {"epoll_ctl_old", Missing()};
  // 215
  t[215] = {"epoll_wait_old", Missing()};
  // 216
  t[216] = {"remap_file_pages", Full<SysRemapFilePages>()};
  // 217
  t[217] = {"getdents64", Full<SysGetdents64>()};
  // 218
  t[218] = {"set_tid_address", Full<SysSetTidAddress>()};
  // 219
  t[219] = {"restart_syscall", Full<SysRestartSyscall>()};
  // 220
  t[220] = {"semtimedop", Full<SysSemtimedop>()};
  // 221
  t[221] = {"fadvise64", Partial<SysFadvise64>("the advice is checked and not used")};
  // 222
  t[222] = {"timer_create", Full<SysTimerCreate>()};
  // 223
  t[223] = {"timer_settime", Full<SysTimerSettime>()};
  // 224
  t[224] = {"timer_gettime", Full<SysTimerGettime>()};
  // 225
  t[225] = {"timer_getoverrun", Full<SysTimerGetoverrun>()};
  // 226
  t[226] = {"timer_delete", Full<SysTimerDelete>()};
  // 227
  t[227] = {"clock_settime", Partial<SysClockSettime>("EPERM: the clock is the host's")};
  // 228
  t[228] = {"clock_gettime", Full<SysClockGettime>()};
  // 229
  t[229] = {"clock_getres", Full<SysClockGetres>()};
  // 230
  t[230] = {"clock_nanosleep", Full<SysClockNanosleep>()};
  // 231
  t[231] = {"exit_group", Full<SysExitGroup>()};
  // 232
  t[232] = {"epoll_wait", Full<SysEpollWait>()};
  // 233
  t[233] = {"epoll_ctl", Full<SysEpollCtl>()};
  // 234
  t[234] = {"tgkill", Full<SysTgkill>()};
  // 235
  t[235] = {"utimes", Full<SysUtimes>()};
  // 236
  t[236] = {"vserver", Missing()};
  // 237
  t[237] = {"mbind", Partial<SysMbind>("there is one node: checked, not kept")};
  // 238
  t[238] = {"set_mempolicy", Partial<SysSetMempolicy>("there is one node: kept, without effect")};
  // 239
  t[239] = {"get_mempolicy", Partial<SysGetMempolicy>("a range has no policy of its own")};
  // 240
  t[240] = {"mq_open", Partial<SysMqOpen>("RLIMIT_MSGQUEUE counts a namespace's queues")};
  // 241
  t[241] = {"mq_unlink", Full<SysMqUnlink>()};
  // 242
  t[242] = {"mq_timedsend", Full<SysMqTimedsend>()};
  // 243
  t[243] = {"mq_timedreceive", Full<SysMqTimedreceive>()};
  // 244
  t[244] = {"mq_notify", Full<SysMqNotify>()};
  // 245
  t[245] = {"mq_getsetattr", Full<SysMqGetsetattr>()};
  // 246
  t[246] = {"kexec_load", Missing("as in a kernel without kexec")};
  // 247
  t[247] = {"waitid", Full<SysWaitid>()};
  // 248
  t[248] = {"add_key", Partial<SysAddKey>("keyrings, user and logon keys")};
  // 249
  t[249] = {"request_key", Partial<SysRequestKey>("finds keys; as without /sbin/request-key, none is made")};
  // 250
  t[250] = {"keyctl", Partial<SysKeyctl>("no asymmetric keys, Diffie-Hellman and notifications")};
  // 251
  t[251] = {"ioprio_set", Partial<SysIoprioSet>("kept; the host schedules")};
  // 252
  t[252] = {"ioprio_get", Full<SysIoprioGet>()};
  // 253
  t[253] = {"inotify_init", Full<SysInotifyInit>()};
  // 254
  t[254] = {"inotify_add_watch", Full<SysInotifyAddWatch>()};
  // 255
  t[255] = {"inotify_rm_watch", Full<SysInotifyRmWatch>()};
  // 256
  t[256] = {"migrate_pages", Partial<SysMigratePages>("there is one node: nothing has to move")};
  // 257
  t[257] = {"openat", Full<SysOpenat>()};
  // 258
  t[258] = {"mkdirat", Full<SysMkdirat>()};
  // 259
  t[259] = {"mknodat", Full<SysMknodat>()};
  // 260
  t[260] = {"fchownat", Full<SysFchownat>()};
  // 261
  t[261] = {"futimesat", Full<SysFutimesat>()};
  // 262
  t[262] = {"newfstatat", Full<SysNewfstatat>()};
  // 263
  t[263] = {"unlinkat", Full<SysUnlinkat>()};
  // 264
  t[264] = {"renameat", Full<SysRenameat>()};
  // 265
  t[265] = {"linkat", Full<SysLinkat>()};
  // 266
  t[266] = {"symlinkat", Full<SysSymlinkat>()};
  // 267
  t[267] = {"readlinkat", Full<SysReadlinkat>()};
  // 268
  t[268] = {"fchmodat", Full<SysFchmodat>()};
  // 269
  t[269] = {"faccessat", Full<SysFaccessat>()};
  // 270
  t[270] = {"pselect6", Full<SysPselect6>()};
  // 271
  t[271] = {"ppoll", Full<SysPpoll>()};
  // 272
  t[272] = {"unshare", Partial<SysUnshare>("new network namespaces are refused (EINVAL)")};
  // 273
  t[273] = {"set_robust_list", Full<SysSetRobustList>()};
  // 274
  t[274] = {"get_robust_list", Full<SysGetRobustList>()};
  // 275
  t[275] = {"splice", Partial<SysSplice>("bytes are copied, not moved")};
  // 276
  t[276] = {"tee", Partial<SysTee>("bytes are copied")};
  // 277
  t[277] = {"sync_file_range", Full<SysSyncFileRange>()};
  // 278
  t[278] = {"vmsplice", Partial<SysVmsplice>("bytes are copied")};
  // 279
  t[279] = {"move_pages", Partial<SysMovePages>("there is one node; what was only read counts as absent")};
  // 280
  t[280] = {"utimensat", Full<SysUtimensat>()};
  // 281
  t[281] = {"epoll_pwait", Full<SysEpollPwait>()};
  // 282
  t[282] = {"signalfd", Full<SysSignalfd>()};
  // 283
  t[283] = {"timerfd_create", Full<SysTimerfdCreate>()};
  // 284
  t[284] = {"eventfd", Full<SysEventfd>()};
  // 285
  t[285] = {"fallocate", Full<SysFallocate>()};
  // 286
  t[286] = {"timerfd_settime", Partial<SysTimerfdSettime>("TFD_TIMER_CANCEL_ON_SET is accepted; changes of the host's clock cancel nothing")};
  // 287
  t[287] = {"timerfd_gettime", Full<SysTimerfdGettime>()};
  // 288
  t[288] = {"accept4", Full<SysAccept4>()};
  // 289
  t[289] = {"signalfd4", Full<SysSignalfd4>()};
  // 290
  t[290] = {"eventfd2", Full<SysEventfd2>()};
  // 291
  t[291] = {"epoll_create1", Full<SysEpollCreate1>()};
  // 292
  t[292] = {"dup3", Full<SysDup3>()};
  // 293
  t[293] = {"pipe2", Full<SysPipe2>()};
  // 294
  t[294] = {"inotify_init1", Full<SysInotifyInit1>()};
  // 295
  t[295] = {"preadv", Full<SysPreadv>()};
  // 296
  t[296] = {"pwritev", Full<SysPwritev>()};
  // 297
  t[297] = {"rt_tgsigqueueinfo", Full<SysRtTgsigqueueinfo>()};
  // 298
  t[298] = {"perf_event_open", Missing("as in a kernel without performance events")};
  // 299
  t[299] = {"recvmmsg", Full<SysRecvmmsg>()};
  // 300
  t[300] = {"fanotify_init", Missing("as in a kernel without fanotify")};
  // 301
  t[301] = {"fanotify_mark", Missing("as in a kernel without fanotify")};
  // 302
  t[302] = {"prlimit64", Full<SysPrlimit64>()};
  // 303
  t[303] = {"name_to_handle_at", Partial<SysNameToHandleAt>("EOPNOTSUPP: no filesystem here exports handles")};
  // 304
  t[304] = {"open_by_handle_at", Partial<SysOpenByHandleAt>("ESTALE: no filesystem here exports handles")};
  // 305
  t[305] = {"clock_adjtime", Partial<SysClockAdjtime>("reads only")};
  // 306
  t[306] = {"syncfs", Full<SysSyncfs>()};
  // 307
  t[307] = {"sendmmsg", Full<SysSendmmsg>()};
  // 308
  t[308] = {"setns", Partial<SysSetns>("to the one network namespace without effect")};
  // 309
  t[309] = {"getcpu", Full<SysGetcpu>()};
  // 310
  t[310] = {"process_vm_readv", Full<SysProcessVmReadv>()};
  // 311
  t[311] = {"process_vm_writev", Full<SysProcessVmWritev>()};
  // 312
  t[312] = {"kcmp", Full<SysKcmp>()};
  // 313
  t[313] = {"finit_module", Missing("as in a kernel without modules")};
  // 314
  t[314] = {"sched_setattr", Partial<SysSchedSetattr>("kept; the host schedules")};
  // 315
  t[315] = {"sched_getattr", Full<SysSchedGetattr>()};
  // 316
  t[316] = {"renameat2", Full<SysRenameat2>()};
  // 317
  t[317] = {"seccomp", Full<SysSeccomp>()};
  // 318
  t[318] = {"getrandom", Full<SysGetrandom>()};
  // 319
  t[319] = {"memfd_create", Full<SysMemfdCreate>()};
  // 320
  t[320] = {"kexec_file_load", Missing("as in a kernel without kexec")};
  // 321
  t[321] = {"bpf", Missing("as in a kernel without bpf(2)")};
  // 322
  t[322] = {"execveat", Full<SysExecveat>()};
  // 323
  t[323] = {"userfaultfd", Missing("as in a kernel without it")};
  // 324
  t[324] = {"membarrier", Partial<SysMembarrier>("no RSEQ commands")};
  // 325
  t[325] = {"mlock2", Partial<SysMlock2>("as mlock")};
  // 326
  t[326] = {"copy_file_range", Full<SysCopyFileRange>()};
  // 327
  t[327] = {"preadv2", Full<SysPreadv2>()};
  // 328
  t[328] = {"pwritev2", Full<SysPwritev2>()};
  // 329
  t[329] = {"pkey_mprotect", Partial<SysPkeyMprotect>("no protection keys: only key -1")};
  // 330
  t[330] = {"pkey_alloc", Refused<EINVAL>("as on a CPU without protection keys")};
  // 331
  t[331] = {"pkey_free", Refused<EINVAL>("as on a CPU without protection keys")};
  // 332
  t[332] = {"statx", Full<SysStatx>()};
  // 333
  t[333] = {"io_pgetevents", Full<SysIoPgetevents>()};
  // 334
  t[334] = {"rseq", Missing("the host would have to write to a thread's area whatever is mapped there, as after fork; glibc does without")};
  // 424
  t[424] = {"pidfd_send_signal", Full<SysPidfdSendSignal>()};
  // 425
  t[425] = {"io_uring_setup", Missing("as with kernel.io_uring_disabled=2")};
  // 426
  t[426] = {"io_uring_enter", Missing()};
  // 427
  t[427] = {"io_uring_register", Missing()};
  // 428
  t[428] = {"open_tree", Full<SysOpenTree>()};
  // 429
  t[429] = {"move_mount", Full<SysMoveMount>()};
  // 430
  t[430] = {"fsopen", Partial<SysFsopen>("the filesystems of mount(2)")};
  // 431
  t[431] = {"fsconfig", Full<SysFsconfig>()};
  // 432
  t[432] = {"fsmount", Full<SysFsmount>()};
  // 433
  t[433] = {"fspick", Full<SysFspick>()};
  // 434
  t[434] = {"pidfd_open", Full<SysPidfdOpen>()};
  // 435
  t[435] = {"clone3", Partial<SysClone3>("as clone")};
  // 436
  t[436] = {"close_range", Full<SysCloseRange>()};
  // 437
  t[437] = {"openat2", Full<SysOpenat2>()};
  // 438
  t[438] = {"pidfd_getfd", Full<SysPidfdGetfd>()};
  // 439
  t[439] = {"faccessat2", Full<SysFaccessat2>()};
  // 440
  t[440] = {"process_madvise", Partial<SysProcessMadvise>("as madvise")};
  // 441
  t[441] = {"epoll_pwait2", Full<SysEpollPwait2>()};
  // 442
  t[442] = {"mount_setattr", Partial<SysMountSetattr>("MOUNT_ATTR_IDMAP: there is no user namespace to map by")};
  // 443
  t[443] = {"quotactl_fd", Missing()};
  // 444
  t[444] = {"landlock_create_ruleset", Missing("as in a kernel without Landlock")};
  // 445
  t[445] = {"landlock_add_rule", Missing()};
  // 446
  t[446] = {"landlock_restrict_self", Missing()};
  // 447
  t[447] = {"memfd_secret", Missing("as with secretmem.enable=0")};
  // 448
  t[448] = {"process_mrelease", Partial<SysProcessMrelease>("a process that ends frees its memory by itself")};
  // 449
  t[449] = {"futex_waitv", Full<SysFutexWaitv>()};
  // 450
  t[450] = {"set_mempolicy_home_node", Partial<SysSetMempolicyHomeNode>("there is one node: checked, not kept")};
  // 451
  t[451] = {"cachestat", Missing("the page cache is the host's")};
  // 452
  t[452] = {"fchmodat2", Full<SysFchmodat2>()};
  return t;
}
// clang-format on

}  // namespace

constexpr std::array<SyscallRow, kSyscallLimit> kTable = MakeTable();
const std::array<SyscallRow, kSyscallLimit> kSyscallTable = kTable;

const SyscallRow* FindSyscall(uint64_t number) {
  if (number >= kSyscallLimit || kTable[number].name == nullptr) return nullptr;
  return &kTable[number];
}

}  // namespace runsc
