"""Attacks on other processes, and starting processes of one's own (rows 36 to 43)."""

from attack import SECCOMP, Attack

PROCESSES = (
    Attack("kill_victim", "proc", 36, "os.kill(@victim_pid@, 9)\nverdict(True)"),
    Attack("kill_parent", "proc", 36, "os.kill(os.getppid(), 0)\nverdict(True)"),
    Attack(
        "kill_any",
        "proc",
        36,
        """
seen = []
near = {*range(1, 300), *range(max(1, os.getpid() - 300), os.getpid() + 300)}
for pid in near - {os.getpid()}:
    try:
        os.kill(pid, 0)
        seen.append(pid)
    except OSError:
        pass
verdict(seen, "nobody to signal")
""",
    ),
    Attack("kill_other_kernel", "proc", 36, "os.kill(@other_pid@, @signal@)\ntime.sleep(0.1)\nverdict(True)"),
    Attack(
        "tgkill_other_kernel", "proc", 36, "verdict(sc('tgkill', @other_pid@, @other_pid@, @signal@) == 0)"
    ),
    Attack(
        "sigqueue_other_kernel",
        "proc",
        36,
        """
information = struct.pack("=iii", @signal@, 0, -1) + bytes(116)
verdict(sc("rt_sigqueueinfo", @other_pid@, @signal@, information) == 0)
""",
    ),
    Attack(
        "pidfd_signal_other_kernel",
        "proc",
        36,
        """
descriptor = sc("pidfd_open", @other_pid@, 0)
verdict(sc("pidfd_send_signal", descriptor, @signal@, None, 0) == 0)
""",
    ),
    Attack(
        "sigio_to_other_kernel",
        "proc",
        36,
        """
# A pipe whose readiness is told by a signal of our choice to a process of our choice.
import fcntl
reader, writer = os.pipe()
fcntl.fcntl(reader, 10, @signal@)
fcntl.fcntl(reader, fcntl.F_SETOWN, @other_pid@)
fcntl.fcntl(reader, fcntl.F_SETFL, os.O_ASYNC)
os.write(writer, b"x")
host_decides()
""",
    ),
    Attack(
        "sigio_kills_victim",
        "proc",
        36,
        """
import fcntl
reader, writer = os.pipe()
fcntl.fcntl(reader, 10, 9)
fcntl.fcntl(reader, fcntl.F_SETOWN, @victim_pid@)
fcntl.fcntl(reader, fcntl.F_SETFL, os.O_ASYNC)
os.write(writer, b"x")
host_decides()
""",
    ),
    Attack(
        "limit_other_kernel",
        "proc",
        36,
        """
import resource
resource.prlimit(@other_pid@, resource.RLIMIT_CORE, (0, 0))
verdict(True)
""",
        SECCOMP,
    ),
    Attack(
        "limit_parent",
        "proc",
        36,
        """
import resource
resource.prlimit(os.getppid(), resource.RLIMIT_CORE, (0, 0))
verdict(True)
""",
        SECCOMP,
    ),
    Attack(
        "slow_down_other_kernel",
        "proc",
        36,
        "os.setpriority(os.PRIO_PROCESS, @other_pid@, 19)\nverdict(True)",
        SECCOMP,
    ),
    Attack(
        "pin_other_kernel",
        "proc",
        36,
        "os.sched_setaffinity(@other_pid@, os.sched_getaffinity(0))\nverdict(True)",
        SECCOMP,
    ),
    Attack("other_kernel_exists", "proc", 36, "verdict(os.getsid(@other_pid@) >= 0)", SECCOMP),
    Attack(
        "other_kernels_processor_time",
        "proc",
        36,
        "verdict(time.clock_gettime(~@other_pid@ << 3 | 2) > 0)",
        SECCOMP,
    ),
    Attack(
        "other_kernels_addresses",
        "proc",
        39,
        """
head, size = ctypes.c_void_p(), ctypes.c_size_t()
sc("get_robust_list", @other_pid@, ctypes.byref(head), ctypes.byref(size))
verdict(head.value)
""",
    ),
    Attack("kill_everybody", "proc", 37, "os.kill(-1, 0)\nverdict(True)", SECCOMP),
    Attack("pidfd_of_victim", "proc", 38, "verdict(sc('pidfd_open', @victim_pid@, 0) >= 0)"),
    Attack("pidfd_of_other_kernel", "proc", 38, "verdict(sc('pidfd_open', @other_pid@, 0) >= 0)", SECCOMP),
    Attack(
        "steal_descriptor",
        "proc",
        38,
        """
victim = sc("pidfd_open", @other_pid@, 0)
verdict(sc("pidfd_getfd", victim, 0, 0) >= 0)
""",
    ),
    Attack(
        "trace_victim",
        "proc",
        39,
        """
# From a thread: the tracee is let go when its tracer ends.
import threading
seized = []
def trace():
    try:
        seized.append(sc("ptrace", 0x4206, @victim_pid@, 0, 0) == 0)
    except OSError:
        pass
thread = threading.Thread(target=trace)
thread.start()
thread.join()
verdict(seized, "no")
""",
    ),
    Attack(
        "trace_other_kernel",
        "proc",
        39,
        """
import threading
seized = []
def trace():
    try:
        seized.append(sc("ptrace", 0x4206, @other_pid@, 0, 0) == 0)
    except OSError:
        pass
thread = threading.Thread(target=trace)
thread.start()
thread.join()
verdict(seized, "no")
""",
    ),
    Attack(
        "read_other_memory",
        "proc",
        39,
        """
mine = ctypes.create_string_buffer(6)
here, there = struct.pack("=QQ", ctypes.addressof(mine), 6), struct.pack("=QQ", @other_address@, 6)
sc("process_vm_readv", @other_pid@, here, 1, there, 1, 0)
verdict(mine.raw == b"CANARY")
""",
    ),
    Attack(
        "write_other_memory",
        "proc",
        39,
        """
mine = ctypes.create_string_buffer(b"CANARY", 6)
here, there = struct.pack("=QQ", ctypes.addressof(mine), 6), struct.pack("=QQ", @other_address@, 6)
verdict(sc("process_vm_writev", @other_pid@, here, 1, there, 1, 0) == 6)
""",
    ),
    Attack("open_victims_memory", "proc", 40, "verdict(open('/proc/@victim_pid@/mem', 'rb'))"),
    Attack(
        "open_other_memory",
        "proc",
        40,
        """
with open("/proc/@other_pid@/mem", "rb", 0) as memory:
    memory.seek(@other_address@)
    verdict(memory.read(6) == b"CANARY")
""",
    ),
    Attack(
        "subprocess",
        "proc",
        41,
        """
import subprocess
verdict("uid" in subprocess.run(["id"], capture_output=True, text=True).stdout)
""",
    ),
    Attack("os_system", "proc", 41, "verdict(os.system('exit 7') == 7 << 8)"),
    Attack("os_popen", "proc", 41, "verdict('uid' in os.popen('id').read())"),
    Attack(
        "posix_spawn",
        "proc",
        41,
        """
pid = os.posix_spawn("/bin/sh", ["sh", "-c", "exit 7"], {})
verdict(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7)
""",
    ),
    Attack("execv", "proc", 41, "os.execv('/bin/sh', ['sh', '-c', 'touch @open@/executed'])", fresh=True),
    Attack(
        "loader_as_program",
        "proc",
        41,
        """
import glob
loader = glob.glob("/lib*/ld-linux*")[0]
pid = os.posix_spawn(loader, [loader, "--version"], {})
verdict(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0)
""",
    ),
    Attack(
        "execveat",
        "proc",
        41,
        """
program = os.open("/bin/sh", os.O_RDONLY)
arguments = (ctypes.c_char_p * 4)(b"sh", b"-c", b"touch @open@/executed", None)
sc("execveat", program, b"", arguments, (ctypes.c_char_p * 1)(None), 0x1000)
""",
        fresh=True,
    ),
    Attack("shell_magic", "proc", 41, "lines = !id\nverdict(lines and 'uid' in lines[0])"),
    Attack(
        "multiprocessing",
        "proc",
        41,
        """
import multiprocessing
process = multiprocessing.get_context("fork").Process(target=os._exit, args=(7,))
process.start()
process.join()
verdict(process.exitcode == 7)
""",
        SECCOMP,
    ),
    Attack(
        "fork",
        "proc",
        42,
        """
if (pid := os.fork()) == 0:
    os._exit(7)
verdict(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7)
""",
        SECCOMP,
    ),
    Attack(
        "clone3_user_namespace",
        "proc",
        42,
        """
sys.setswitchinterval(100)  # a child made this way must not wait for a thread it hasn't got
time.sleep(0.02)
arguments = struct.pack("=8Q", 0x10000000, 0, 0, 0, 17, 0, 0, 0)
if (pid := sc("clone3", arguments, len(arguments))) == 0:
    os._exit(7)
verdict(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7)
""",
        SECCOMP,
        fresh=True,
    ),
    Attack(
        "clone_user_namespace",
        "proc",
        42,
        """
sys.setswitchinterval(100)  # a child made this way must not wait for a thread it hasn't got
time.sleep(0.02)
if (pid := sc("clone", 0x10000000 | 17, 0, 0, 0, 0)) == 0:
    os._exit(7)
verdict(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7)
""",
        SECCOMP,
        fresh=True,
    ),
    Attack(
        "process_that_outlives_me",
        "proc",
        43,
        """
import subprocess
subprocess.Popen(["sh", "-c", "sleep 1; touch @open@/outlived"], start_new_session=True)
host_decides()
""",
        wait_s=2.5,
        fresh=True,
    ),
    Attack(
        "daemon_that_outlives_me",
        "proc",
        43,
        """
if (pid := os.fork()) == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(1)
        os.close(os.open("@open@/outlived", os.O_CREAT | os.O_WRONLY))
    os._exit(0)
os.waitpid(pid, 0)
host_decides()
""",
        wait_s=2.5,
        fresh=True,
    ),
)
