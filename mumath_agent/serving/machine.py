"""What this machine has for a server: its visible NVIDIA GPUs, its memory, and an interpreter that has vLLM."""

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
"""The compute capability from which on GPUs know bfloat16."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """As nvidia-smi tells of it."""

    uuid: str
    memory_bytes: int | None
    """None for a part of a GPU (MIG), and where nvidia-smi doesn't tell."""
    has_bfloat16: bool


def visible_gpus() -> tuple[Gpu, ...]:
    """The GPUs a server started here would see; none where there is no nvidia-smi.

    A container's NVIDIA_VISIBLE_DEVICES has had its effect on nvidia-smi already; CUDA_VISIBLE_DEVICES has not.
    """
    try:
        listed = subprocess.run(["nvidia-smi", *_QUERY], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    gpus = [] if listed.returncode else [_gpu(line) for line in listed.stdout.splitlines()]
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    return tuple(gpus) if chosen is None else _chosen(gpus, chosen)


def vllm_python(given: Path | None) -> Path:
    """The interpreter that has vLLM: the one given, this one, or that of the `vllm` command on the PATH.

    Raises:
        InputError: none of them.
    """
    if given is not None:
        return given
    if importlib.util.find_spec("vllm") is not None:
        return Path(sys.executable)
    if (command := shutil.which("vllm")) and (python := Path(command).resolve().with_name("python")).exists():
        return python
    raise InputError(
        "vLLM is not in this environment: install it in one of its own (python3 -m venv .venv-vllm && "
        f".venv-vllm/bin/pip install vllm) and name that with --vllm-python .venv-vllm/bin/python or {PYTHON}"
    )


def _gpu(line: str) -> Gpu:
    uuid, memory_mib, capability = (field.strip() for field in line.split(","))
    return Gpu(
        uuid=uuid,
        memory_bytes=int(memory_mib) << 20 if memory_mib.isdecimal() else None,
        has_bfloat16=float(capability) >= _AMPERE,
    )


def _chosen(gpus: list[Gpu], chosen: str) -> tuple[Gpu, ...]:
    """CUDA's rule: indices or (beginnings of) UUIDs; the first that names none ends the list."""
    found: list[Gpu] = []
    for name in filter(None, (part.strip() for part in chosen.split(","))):
        named = [gpu for at, gpu in enumerate(gpus) if name == str(at) or gpu.uuid.startswith(name)]
        if name.startswith("MIG-"):
            named = [Gpu(uuid=name, memory_bytes=None, has_bfloat16=True)]
        if not named:
            break
        found.append(named[0])
    return tuple(found)
