"""List the system calls a kernel may make, reviewed one by one, with their numbers: `name:x86_64:aarch64`.

Everything absent is refused. The calls listed were seen in use by Python, IPython, numpy, scipy, sympy, matplotlib and
the C library, or are harmless relatives of such calls. Numbers are those of the Linux headers; `-` means a machine
doesn't have the call.
"""

from mumath_agent.sandbox.linux import X86_64

NEWEST_REVIEWED = 462
"""The number of mseal. Later calls are answered as if this Linux didn't have them; the C library expects that."""

_ALLOWED = """
accept4:288:242 access:21:- alarm:37:- brk:12:214 capset:126:91 chdir:80:49 close:3:57 close_range:436:436
copy_file_range:326:285 creat:85:- dup2:33:- dup3:292:24 dup:32:23 epoll_create1:291:20 epoll_create:213:-
epoll_ctl:233:21 epoll_pwait2:441:441 epoll_pwait:281:22 epoll_wait:232:- eventfd2:290:19 eventfd:284:- exit:60:93
exit_group:231:94 faccessat2:439:439 faccessat:269:48 fadvise64:221:223 fallocate:285:47 fchdir:81:50
fdatasync:75:83 fgetxattr:193:10 fstat:5:80 fstatfs:138:44 fsync:74:82 ftruncate:77:46 futex:202:98
futex_waitv:449:449 get_mempolicy:239:236 getcpu:309:168 getcwd:79:17 getdents64:217:61 getdents:78:-
getegid:108:177 geteuid:107:175 getgid:104:176 getgroups:115:158 getitimer:36:102 getpeername:52:205 getpgrp:111:-
getpid:39:172 getppid:110:173 getrandom:318:278 getresgid:120:150 getresuid:118:148 getrlimit:97:163
getrusage:98:165 getsockname:51:204 getsockopt:55:209 gettid:186:178 gettimeofday:96:169 getuid:102:174
getxattr:191:8 lgetxattr:192:9 listxattr:194:11 lseek:8:62 lstat:6:- madvise:28:233 membarrier:324:283
mincore:27:232 mkdir:83:- mkdirat:258:34 mmap:9:222 mprotect:10:226 mremap:25:216 msync:26:227 munmap:11:215
nanosleep:35:101 newfstatat:262:79 open:2:- openat2:437:437 openat:257:56 pause:34:- pipe2:293:59 pipe:22:- poll:7:-
ppoll:271:73 pread64:17:67 preadv:295:69 pselect6:270:72 pwrite64:18:68 pwritev:296:70 read:0:63 readlink:89:-
readlinkat:267:78 readv:19:65 recvfrom:45:207 recvmsg:47:212 rename:82:- renameat2:316:276 renameat:264:38
restart_syscall:219:128 rmdir:84:- rseq:334:293 rt_sigaction:13:134 rt_sigpending:127:136 rt_sigprocmask:14:135
rt_sigreturn:15:139 rt_sigsuspend:130:133 rt_sigtimedwait:128:137 sched_get_priority_max:146:125
sched_get_priority_min:147:126 sched_yield:24:124 select:23:- sendfile:40:71
set_robust_list:273:99 set_tid_address:218:96 setitimer:38:103 setsockopt:54:208 shutdown:48:210 sigaltstack:131:132
signalfd4:289:74 signalfd:282:- stat:4:- statfs:137:43 statx:332:291 sync_file_range:277:84 sysinfo:99:179
timer_delete:226:111 timer_getoverrun:225:109 timer_gettime:224:108 timer_settime:223:110 timerfd_create:283:85
timerfd_gettime:287:87 timerfd_settime:286:86 times:100:153 truncate:76:45 umask:95:166 uname:63:160 unlink:87:-
unlinkat:263:35 wait4:61:260 waitid:247:95 write:1:64 writev:20:66
"""
"""Calls allowed with any arguments: they reach only what the process has anyway, or what Landlock guards."""

_CHECKED = """
clock_getres:229:114 clock_gettime:228:113 clock_nanosleep:230:115 clone3:435:435 clone:56:220 fcntl:72:25
get_robust_list:274:100 getpgid:121:155 getpriority:140:141 getsid:124:156 ioctl:16:29 prctl:157:167
prlimit64:302:261 sched_getaffinity:204:123 sched_getparam:143:121 sched_getscheduler:145:120
sched_setaffinity:203:122 sendmsg:46:211 sendto:44:206 socketpair:53:199 timer_create:222:107 unshare:272:97
"""
"""Calls allowed with some arguments only; `seccomp.py` says with which."""

_PRETENDED = """
chmod:90:- chown:92:- fchmod:91:52 fchmodat2:452:452 fchmodat:268:53 fchown:93:55 fchownat:260:54 flock:73:32
futimesat:261:- lchown:94:- utime:132:- utimensat:280:88 utimes:235:-
"""
"""Calls answered with success but not made: refusal would break `shutil.copy`, making them would reach outside.

So would locks on files that several kernels can open: they would be signals. A kernel alone needs none."""


def _numbers(table: str) -> dict[str, int]:
    rows = (entry.split(":") for entry in table.split())
    return {
        name: int(x86) if X86_64 else int(arm) for name, x86, arm in rows if (x86 if X86_64 else arm) != "-"
    }


ALLOWED = _numbers(_ALLOWED)
CHECKED = _numbers(_CHECKED)
PRETENDED = _numbers(_PRETENDED)
