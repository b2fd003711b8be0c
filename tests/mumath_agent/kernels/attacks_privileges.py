"""Attacks for more rights, and on the parts of the kernel nobody needs (rows 44 to 47)."""

from attack import RLIMITS, SECCOMP, Attack, machine_code

PRIVILEGES = (
    Attack(
        "new_user_namespace",
        "priv",
        44,
        """
def unshared():
    try:
        return sc("unshare", 0x10000000) == 0
    except OSError as error:
        if error.errno != errno.EINVAL:  # more than one thread
            raise
    if (pid := os.fork()) == 0:
        os._exit(_libc.unshare(0x10000000) == 0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 1
verdict(unshared())
""",
        SECCOMP,
        fresh=True,
    ),
    Attack("new_network_namespace", "priv", 44, "verdict(sc('unshare', 0x40000000) == 0)", fresh=True),
    Attack(
        "join_namespace",
        "priv",
        44,
        """
verdict(sc("setns", os.open("/proc/self/ns/uts", os.O_RDONLY), 0) == 0)
""",
        fresh=True,
    ),
    Attack("become_root", "priv", 44, "os.setresuid(0, 0, 0)\nverdict(True)", fresh=True),
    Attack("drop_groups", "priv", 44, "os.setgroups([])\nverdict(True)", fresh=True),
    Attack(
        "mount",
        "priv",
        44,
        """
sc("mount", b"none", b"@open@/empty", b"tmpfs", 0, b"size=4k")
sc("umount2", b"@open@/empty", 2)
verdict(True)
""",
    ),
    Attack("chroot", "priv", 44, "os.chroot('/')\nverdict(True)"),
    Attack(
        "raise_limits",
        "priv",
        44,
        """
import resource
raised = []
for limit in (resource.RLIMIT_AS, resource.RLIMIT_NPROC, resource.RLIMIT_FSIZE):
    try:
        resource.setrlimit(limit, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        raised.append(limit)
    except (ValueError, OSError):
        pass
verdict(raised, "none can be raised")
""",
        RLIMITS,
    ),
    Attack("host_name", "priv", 44, "import socket\nsocket.sethostname(socket.gethostname())\nverdict(True)"),
    Attack(
        "all_capabilities",
        "priv",
        44,
        """
header, data = struct.pack("=Ii", 0x20080522, 0), ctypes.create_string_buffer(24)
sc("capget", header, data)
low, _, inheritable, high, _, inheritable_high = struct.unpack("=6I", data.raw)
low, high = low | 1 << 21, high  # CAP_SYS_ADMIN
sc("capset", header, struct.pack("=6I", low, low, inheritable, high, high, inheritable_high))
verdict(True)
""",
    ),
    Attack(
        "capabilities_left",
        "priv",
        44,
        """
header, data = struct.pack("=Ii", 0x20080522, 0), ctypes.create_string_buffer(24)
sc("capget", header, data)
effective, permitted, _, high, permitted_high, _ = struct.unpack("=6I", data.raw)
verdict(effective | permitted | high | permitted_high, "none")
""",
    ),
    Attack("kernel_log", "priv", 44, "verdict(sc('syslog', 10, 0, 0) >= 0)"),
    Attack("load_module", "priv", 44, "verdict(reached('init_module', 0, 0, b''))"),
    Attack(
        "new_privileges_possible",
        "priv",
        45,
        "verdict(sc('prctl', 39, 0, 0, 0, 0) == 0, 'they are given up')",
    ),
    Attack(
        "setuid_helper",
        "priv",
        45,
        """
import subprocess
helper = next(path for path in ("/usr/bin/newgrp", "/usr/bin/su", "/bin/mount") if os.stat(path).st_mode & 0o4000)
verdict(subprocess.run([helper, "--help"], capture_output=True).returncode >= 0)
""",
    ),
    Attack("bpf", "priv", 46, "verdict(reached('bpf', 5, bytes(120), 120))", SECCOMP),
    Attack("userfaultfd", "priv", 46, "verdict(sc('userfaultfd', 1) >= 0)", SECCOMP),
    Attack("keyctl", "priv", 46, "verdict(reached('keyctl', 0, -3, 0))", SECCOMP),
    Attack("add_key", "priv", 46, "verdict(reached('add_key', b'user', b'canary', b'x', 1, -2))", SECCOMP),
    Attack(
        "perf_events", "priv", 46, "verdict(reached('perf_event_open', bytes(120), 0, -1, -1, 0))", SECCOMP
    ),
    Attack(
        "foreign_call_number",
        "priv",
        47,
        """
try:
    sc(0x40000000 + 39)
except OSError as error:
    verdict(error.errno == errno.ENOSYS, str(error))
else:
    verdict(True)
""",
        SECCOMP,
        fresh=True,
    ),
    Attack(
        "new_call_number",
        "priv",
        47,
        """
try:
    sc(467, -1, b"", 0, 0, 0)
except OSError as error:
    verdict(error.errno not in (errno.ENOSYS, errno.EPERM), str(error))
else:
    verdict(True)
""",
        SECCOMP,
    ),
    Attack(
        "foreign_instruction_set",
        "priv",
        47,
        f"""
# getpid as a 32-bit program calls it.
import mmap
page = mmap.mmap(-1, 4096, prot=7)
page.write({machine_code("b814000000cd80c3")})
pid = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
verdict(pid == os.getpid(), f"it says {{pid}}")
""",
        SECCOMP,
        fresh=True,
    ),
)
