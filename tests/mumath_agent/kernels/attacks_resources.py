"""Attacks by using too much of something (rows 48 to 52)."""

from attack import NAMESPACES, RLIMITS, SECCOMP, Attack

RESOURCES = (
    Attack("much_memory_numpy", "res", 48, "import numpy\nverdict(numpy.zeros(6 << 27).nbytes)", RLIMITS),
    Attack("much_memory_mapped", "res", 48, "import mmap\nverdict(len(mmap.mmap(-1, 6 << 30)))", RLIMITS),
    Attack(
        "fork_bomb",
        "res",
        49,
        """
children = []
try:
    for _ in range(200):
        if (pid := os.fork()) == 0:
            time.sleep(0.3)
            os._exit(0)
        children.append(pid)
except OSError:
    pass
for pid in children:
    os.waitpid(pid, 0)
verdict(len(children) == 200, f"only {len(children)} processes")
""",
        fresh=True,
    ),
    Attack(
        "memory_in_files",
        "res",
        49,
        """
descriptors = [os.memfd_create(f"canary-{n}") for n in range(4)]
written = sum(os.write(descriptor, bytes(16 << 20)) for descriptor in descriptors)
verdict(written == 64 << 20)
""",
        SECCOMP,
    ),
    Attack(
        "fill_disk",
        "res",
        50,
        """
import glob
written = 0
try:
    for n in range(5):
        with open(f"fill-@name@-{n}", "wb") as file:
            for _ in range(5):
                written += file.write(bytes(8 << 20))
finally:
    for path in glob.glob("fill-@name@-*"):
        os.unlink(path)
verdict(written == 200 << 20)
""",
        NAMESPACES,
    ),
    Attack(
        "big_file",
        "res",
        50,
        """
written = 0
try:
    with open("big-@name@", "wb", 0) as file:
        for _ in range(20):
            written += file.write(bytes(8 << 20))
finally:
    os.unlink("big-@name@")
verdict(written == 160 << 20)
""",
    ),
    Attack(
        "many_files",
        "res",
        50,
        """
import shutil
os.mkdir("many-@name@")
try:
    for n in range(6000):
        open(f"many-@name@/{n}", "w").close()
finally:
    shutil.rmtree("many-@name@")
verdict(n == 5999)
""",
        NAMESPACES,
    ),
    Attack(
        "shared_memory_segment",
        "res",
        51,
        """
segment = sc("shmget", @ipc_key@, 4096, 0o1600)
sc("shmctl", segment, 0, 0)
verdict(segment >= 0)
""",
        SECCOMP,
    ),
    Attack(
        "message_queue",
        "res",
        51,
        """
queue = sc("msgget", @ipc_key@, 0o1600)
sc("msgctl", queue, 0, 0)
verdict(queue >= 0)
""",
        SECCOMP,
    ),
    Attack(
        "semaphores",
        "res",
        51,
        """
semaphores = sc("semget", @ipc_key@, 1, 0o1600)
sc("semctl", semaphores, 0, 0, 0)
verdict(semaphores >= 0)
""",
        SECCOMP,
    ),
    Attack(
        "posix_message_queue",
        "res",
        51,
        """
queue = sc("mq_open", b"canary-@ipc_key@", os.O_CREAT | os.O_RDWR, 0o600, 0)
sc("mq_unlink", b"canary-@ipc_key@")
verdict(queue >= 0)
""",
        SECCOMP,
    ),
    Attack(
        "many_threads",
        "res",
        52,
        """
import threading
stop, threads = threading.Event(), []
try:
    for _ in range(300):
        thread = threading.Thread(target=stop.wait, args=(5,))
        thread.start()
        threads.append(thread)
except (RuntimeError, MemoryError):
    pass
stop.set()
verdict(len(threads) == 300, f"only {len(threads)} threads")
""",
        RLIMITS,
        fresh=True,
    ),
    Attack(
        "many_descriptors",
        "res",
        52,
        """
descriptors = []
try:
    for _ in range(900):
        descriptors.append(os.open("/dev/null", os.O_RDONLY))
except OSError:
    pass
for descriptor in descriptors:
    os.close(descriptor)
verdict(len(descriptors) == 900, f"only {len(descriptors)} descriptors")
""",
        RLIMITS,
    ),
)
