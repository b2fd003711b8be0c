"""Find out what this machine has for a server: visible NVIDIA GPUs, and an interpreter that has vLLM."""

import importlib.util
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from mumath_agent.errors import InputError

PYTHON = "MUMATH_VLLM_PYTHON"
"""The environment variable that names the interpreter of vLLM's environment."""
_QUERY = ("--query-gpu=uuid,memory.total,compute_cap", "--format=csv,noheader,nounits")
_AMPERE = 8.0
"""The lowest compute capability with bfloat16."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """A GPU, as nvidia-smi reports it."""

    uuid: str
    memory_bytes: int | None
    """None for a slice of a GPU (MIG), and where nvidia-smi doesn't say."""
    has_bfloat16: bool


def visible_gpus() -> tuple[Gpu, ...]:
    """Return the GPUs that a server started here would see; none without nvidia-smi.

    nvidia-smi already respects a container's NVIDIA_VISIBLE_DEVICES, but not CUDA_VISIBLE_DEVICES.
    """
    try:
        listed = subprocess.run(["nvidia-smi", *_QUERY], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    gpus = [] if listed.returncode else [_gpu(line) for line in listed.stdout.splitlines()]
    selection = os.environ.get("CUDA_VISIBLE_DEVICES")
    return tuple(gpus) if selection is None else _selected(gpus, selection)


def vllm_python(given: Path | None) -> Path:
    """Return the interpreter that has vLLM: the one given, this one, or that of the `vllm` command on the PATH.

    Raises:
        InputError: none of them exists, or the one that is given can't be run.
    """
    if given is not None:
        if not (given.is_file() and os.access(given, os.X_OK)):
            raise InputError(
                f"can't run {given}: {_why_not(given)}; give the python that has vLLM with --vllm-python or {PYTHON}"
            )
        return given
    if importlib.util.find_spec("vllm") is not None:
        return Path(sys.executable)
    if (command := shutil.which("vllm")) and (python := Path(command).resolve().with_name("python")).exists():
        return python
    raise InputError(
        "vLLM isn't installed in this environment: install it in its own (python3 -m venv .venv-vllm && "
        f".venv-vllm/bin/pip install vllm) and pass --vllm-python .venv-vllm/bin/python or set {PYTHON}"
    )


def _why_not(program: Path) -> str:
    if program.is_file():
        return "it isn't a program"
    return "it is a folder" if program.is_dir() else "there is no such file"


def _gpu(line: str) -> Gpu:
    uuid, memory_mib, capability = (field.strip() for field in line.split(","))
    return Gpu(
        uuid=uuid,
        memory_bytes=int(memory_mib) << 20 if memory_mib.isdecimal() else None,
        has_bfloat16=float(capability) >= _AMPERE,
    )


def _selected(gpus: list[Gpu], selection: str) -> tuple[Gpu, ...]:
    """Apply CUDA's rule: indices, or UUIDs or their beginnings; the first that matches no GPU ends the list."""
    found: list[Gpu] = []
    for name in filter(None, (part.strip() for part in selection.split(","))):
        named = [gpu for at, gpu in enumerate(gpus) if name == str(at) or gpu.uuid.startswith(name)]
        if name.startswith("MIG-"):
            named = [Gpu(uuid=name, memory_bytes=None, has_bfloat16=True)]
        if not named:
            break
        found.append(named[0])
    return tuple(found)
