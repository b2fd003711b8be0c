"""Give up the rights of a new kernel, in the right order.

Everything here happens while the process has one thread and has run no program: Landlock and seccomp bind the calling
thread and those it starts, so a thread that existed before would stay free. Whatever fails raises, and the process
ends; it never goes on with less isolation than was asked for.
"""

import os
import random
import resource
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mumath_agent.sandbox import landlock, linux, namespaces, seccomp
from mumath_agent.sandbox.spec import LANDLOCK, NAMESPACES, RLIMITS, SECCOMP, WORK, KernelSpec, ServerSpec

MAX_PROCESSES = 64
"""Threads count as processes."""
MAX_OPEN_FILES = 256
CPU_S = 24 * 3600
"""A backstop only: the agent limits the time of programs, on the wall clock."""
SPARE_BYTES = 256 << 20
"""The distance from the soft to the hard memory limit, which a kernel may use to report a MemoryError."""
SYSTEM = ("/usr/lib", "/usr/lib64", "/lib", "/lib64", "/usr/share/zoneinfo", "/usr/share/fonts")
SYSTEM_FILES = ("/etc/ld.so.cache", "/etc/localtime", "/dev/urandom", "/dev/random", "/dev/zero")


class LayerError(Exception):
    """Raised when a layer of isolation can't be had here."""

    def __init__(self, layer: str, reason: str) -> None:
        """Name the layer and say why it can't be had."""
        super().__init__(f"{layer}:{reason}")
        self.layer = layer
        self.reason = reason


@contextmanager
def needed_for(layer: str) -> Iterator[None]:
    """Raise a LayerError about `layer` for an OSError in the block."""
    try:
        yield
    except OSError as error:
        raise LayerError(layer, str(error)) from error


_filters = {supervised: seccomp.program(supervised=supervised) for supervised in (False, True)}


def confine(server: ServerSpec, kernel: KernelSpec) -> int | None:
    """Give up, for good, every right the layers of `server` take away.

    Returns:
        The descriptor by which a supervisor permits copies of this process; None without namespaces or seccomp.

    Raises:
        LayerError, OSError: a step failed.
    """
    layers = frozenset(server.layers)
    work = WORK if NAMESPACES in layers else kernel.work
    if NAMESPACES in layers:
        with needed_for(NAMESPACES):
            namespaces.enter_kernel(kernel.work_mb)
    elif layers and server.nobody:
        namespaces.become_nobody()  # process limits don't count for root
    if sys.platform == "linux":
        die_with_parent()  # every change of user clears it
    os.chdir(work)
    settle(work)
    reseed(kernel.seed)
    if RLIMITS in layers:
        limit(kernel)
    if NAMESPACES in layers:
        with needed_for(NAMESPACES):
            namespaces.hide_processes()
    if layers - {RLIMITS}:
        linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
        linux.drop_capabilities()
    if LANDLOCK in layers:
        # Grant the directory above: the work directory is a mount, and a branch will get another one in its place.
        above = str(Path(work).parent) if NAMESPACES in layers else work
        readable = (*SYSTEM, *SYSTEM_FILES, *server.libraries)
        with needed_for(LANDLOCK):
            landlock.restrict(readable=readable, writable=(above, "/dev/null"))
    if SECCOMP not in layers:
        return None
    supervised = NAMESPACES in layers
    with needed_for(SECCOMP):
        return seccomp.install(_filters[supervised], supervised=supervised)


def die_with_parent() -> None:
    """Have the system send SIGKILL when the parent ends; a cell that holds the GIL would stop a thread that watches."""
    linux.prctl(linux.PR_SET_PDEATHSIG, 9)


def settle(work: str) -> None:
    """Set the environment, temporary directory and arguments of a kernel, without anything of the host's."""
    kept = {name: os.environ[name] for name in ("LANG", "LC_ALL", "LC_CTYPE", "TZ") if name in os.environ}
    os.environ.clear()
    os.environ.update(kept)
    os.environ.update(
        HOME=work,
        TMPDIR=work,
        PATH="/usr/bin:/bin",
        MPLBACKEND="module://matplotlib_inline.backend_inline",
        MPLCONFIGDIR=f"{work}/.matplotlib",
        NO_COLOR="1",
        OPENBLAS_NUM_THREADS="1",
        OMP_NUM_THREADS="1",
        PYTHONHASHSEED="0",
    )
    tempfile.tempdir = work
    os.umask(0o077)
    sys.argv = [""]
    with suppress(OSError):  # the out-of-memory killer takes kernels first
        Path("/proc/self/oom_score_adj").write_text("1000")


def reseed(seed: int | None) -> None:
    """Seed all random generators anew: a fork copies numpy's and sympy's, so that every kernel would draw the same."""
    random.seed(seed)
    modules: Mapping[str, Any] = sys.modules
    if "numpy.random" in modules:
        modules["numpy.random"].seed(seed if seed is not None else random.SystemRandom().getrandbits(32))
    if "sympy.core.random" in modules:
        modules["sympy.core.random"].seed(seed)


def limit_open_files() -> None:
    """Limit open files, last of all: files in flight between other processes count, too, and could stop our sending."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (MAX_OPEN_FILES, MAX_OPEN_FILES))


def limit(kernel: KernelSpec) -> None:
    """Limit memory beyond what the process has now, processes, CPU time and file size; allow no core dumps."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    largest = kernel.work_mb << 20
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    if sys.platform == "linux":  # elsewhere these limits aren't enforced, or count all of a user's processes
        resource.setrlimit(resource.RLIMIT_NPROC, (MAX_PROCESSES, MAX_PROCESSES))
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        soft = pages * resource.getpagesize() + (kernel.memory_mb << 20)
        resource.setrlimit(resource.RLIMIT_AS, (soft, soft + SPARE_BYTES))
