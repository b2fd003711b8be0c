"""What the agent tells the fork server and what it asks of each kernel: plain values, sent as JSON."""

import json
from dataclasses import asdict, dataclass
from typing import Any, Self

NAMESPACES, LANDLOCK, SECCOMP, RLIMITS = "namespaces", "landlock", "seccomp", "rlimits"
LAYERS = (NAMESPACES, LANDLOCK, SECCOMP, RLIMITS)
"""The layers of isolation; each holds by itself what it can, so that a hole in one is no way out."""

CHANNELS = ("shell", "iopub", "stdin", "hb", "control")
"""Jupyter's five channels, in the order of a connection file."""

WORK = "/home/work"
"""Where a kernel with its own mount namespace lives: its current directory, home and temporary directory."""


class _Json:
    def to_bytes(self) -> bytes:
        return json.dumps(asdict(self)).encode()  # type: ignore[call-overload]

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        values: dict[str, Any] = json.loads(data)
        return cls(**values)


@dataclass(frozen=True, kw_only=True)
class ServerSpec(_Json):
    """One fork server, and what all its kernels have in common."""

    layers: list[str]
    preload: list[str]
    """Modules imported before the first fork."""
    path: list[str]
    """`sys.path`, so that the same installation is used as by the agent."""
    libraries: list[str]
    """Directories a kernel may read modules and shared libraries from."""
    runtime: str
    """The agent's private directory; the server removes it when the agent is gone."""
    nobody: bool = False
    """Started by root: kernels without a user namespace turn into an ordinary user."""
    forks: bool = True
    """False: the process becomes its first kernel itself."""


@dataclass(frozen=True, kw_only=True)
class KernelSpec(_Json):
    """One kernel. The descriptors sent along are, in this order, its report channel and one for each of `channels`."""

    key: str
    """Signs messages (HMAC-SHA256)."""
    channels: list[str]
    """Names of `CHANNELS`; connected sockets, or listening ones if `listening`."""
    listening: bool = False
    work: str
    """Its directory, where it has no mount namespace of its own."""
    memory_mb: int
    work_mb: int
    max_output_chars: int
    seed: int | None = None
    """Of `random`, numpy and sympy; None draws a new one."""
