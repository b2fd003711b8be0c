"""Describe a fork server and its kernels: plain values that the agent sends as JSON."""

import json
from dataclasses import asdict, dataclass
from typing import Any, Self

NAMESPACES, LANDLOCK, SECCOMP, RLIMITS = "namespaces", "landlock", "seccomp", "rlimits"
LAYERS = (NAMESPACES, LANDLOCK, SECCOMP, RLIMITS)
"""The layers of isolation. Each denies by itself whatever it can, so that a hole in one isn't a way out."""

CHANNELS = ("shell", "iopub", "stdin", "hb", "control")
"""Jupyter's five channels, in the order of a connection file."""

WORK = "/home/work"
"""The current, home and temporary directory of a kernel with a mount namespace of its own."""


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
    """The agent's `sys.path`, so that kernels use the same installation."""
    libraries: list[str]
    """Directories a kernel may read modules and shared libraries from."""
    runtime: str
    """The agent's private directory; the server removes it when the agent is gone."""
    nobody: bool = False
    """True if root started it: kernels without a user namespace turn into an ordinary user."""
    forks: bool = True
    """False lets the process become its first and only kernel."""


@dataclass(frozen=True, kw_only=True)
class KernelSpec(_Json):
    """One kernel. The descriptors sent along are its channel to the agent and one socket for each of `channels`."""

    key: str
    """The key that signs messages (HMAC-SHA256)."""
    channels: list[str]
    """Names of `CHANNELS`, one for each socket."""
    listening: bool = False
    """Whether the sockets listen for clients, instead of being connected to one."""
    work: str
    """Its directory, if it has no mount namespace of its own."""
    memory_mb: int
    work_mb: int
    max_output_chars: int
    seed: int | None = None
    """The seed of `random`, numpy and sympy; None draws a new one."""
