"""Describe how kernels are confined: levels and layers of isolation, and what to say where one is missing.

The level is found by trying: the fork server takes each layer and then attempts what the layer must prevent. Where a
layer can't be had, the next best level is tried, down to a floor below which nothing runs unless the caller insists.
"""

import site
import sys
import sysconfig
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from mumath_agent.errors import InputError
from mumath_agent.sandbox.spec import LANDLOCK, LAYERS, NAMESPACES, RLIMITS, SECCOMP

FULL, RLIMITS_ONLY, NONE = "full", "rlimits-only", "none"
UNKNOWN = "unknown"
"""Stands for the best level this machine has, as long as no kernel was asked for."""
PRELOADED = (
    "numpy",
    "sympy",
    "mpmath",
    "scipy",
    "scipy.integrate",
    "scipy.linalg",
    "scipy.optimize",
    "scipy.special",
)

_HARM = {
    NAMESPACES: "see which files and processes exist, and fill the disk beyond its limit for a moment",
    LANDLOCK: "read and write every file you can",
    SECCOMP: "use the network and start processes",
}
_REMEDY = {
    NAMESPACES: (
        "unprivileged user namespaces: `sysctl kernel.apparmor_restrict_unprivileged_userns=0` on Ubuntu, "
        "`--security-opt seccomp=unconfined` in Docker"
    ),
    LANDLOCK: "Landlock: Linux 5.13 or later with landlock in `lsm=`, or a container profile that allows it",
    SECCOMP: "seccomp filters: Linux 5.0 or later on x86_64 or aarch64",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """How kernels are confined and what each may use. Kernels of equal sandboxes are alike until something runs."""

    layers: frozenset[str] | None = None
    """Exactly these of `LAYERS`; None takes the best this machine has, and no less than the floor."""
    unsafe_local: bool = False
    """Go below the floor if there is nothing better: programs may then do whatever the user can."""
    preload: tuple[str, ...] = PRELOADED
    """Modules imported once for all kernels; those that aren't installed are left out."""
    memory_mb: int = 2048
    """Megabytes of address space a kernel may take on top of what it starts with."""
    work_mb: int = 64
    """Megabytes its work directory may hold; no file may be larger."""
    max_output_chars: int = 1 << 18
    """Characters kept of each of stdout, stderr and result; a longer one loses its middle."""
    seed: int | None = None
    """Where the random numbers of `random`, numpy and sympy begin; None draws others in every kernel."""

    def __post_init__(self) -> None:
        """Check the layers.

        Raises:
            InputError: one doesn't exist, or together they don't confine programs and `unsafe_local` isn't set.
        """
        if self.layers is not None:
            if unknown := self.layers - set(LAYERS):
                raise InputError(
                    f"no layer of isolation is called {sorted(unknown)[0]!r}; there are {LAYERS}"
                )
            if not (self.unsafe_local or meets_floor(self.layers)):
                raise InputError(
                    f"level {level_name(self.layers)!r} does not confine programs; --unsafe-local allows it"
                )


def meets_floor(layers: frozenset[str]) -> bool:
    """Return whether `layers` protect files, secrets and the network: one for paths and one for system calls."""
    return SECCOMP in layers and bool(layers & {LANDLOCK, NAMESPACES})


def level_name(layers: frozenset[str]) -> str:
    """Return the name that records have for a set of layers."""
    if layers == frozenset(LAYERS):
        return FULL
    named = [layer for layer in LAYERS if layer in layers and layer != RLIMITS]
    if not named:
        return RLIMITS_ONLY if RLIMITS in layers else NONE
    return "+".join(named) + ("" if RLIMITS in layers else " without rlimits")


def layers_of(level: str) -> frozenset[str]:
    """Return the layers of the level `level`.

    Raises:
        InputError: there is no level of this name.
    """
    if level == FULL:
        return frozenset(LAYERS)
    if level == NONE:
        return frozenset()
    if level == RLIMITS_ONLY:
        return frozenset({RLIMITS})
    layers = frozenset(level.split("+"))
    if not layers <= set(LAYERS):
        known = f"{FULL}, landlock+seccomp, namespaces+seccomp, {RLIMITS_ONLY}, {NONE}"
        raise InputError(f"no level of isolation is called {level!r}; there are {known}")
    return layers | {RLIMITS}


def refusal(missing: dict[str, str]) -> str:
    """Say why nothing runs here: what is missing, what programs could do without it, and what helps."""
    lacks = "; ".join(f"{layer} ({reason})" for layer, reason in missing.items())
    harm = " and ".join(_HARM[layer] for layer in missing if layer in _HARM)
    return (
        f"this machine can't confine model-written programs: no {lacks}. Unconfined they could {harm}. "
        f"What helps is {remedies(missing)}. To run them with your rights nevertheless, say --unsafe-local"
    )


def remedies(missing: Iterable[str]) -> str:
    """Say what makes these layers available on a machine."""
    return "; ".join(_REMEDY[layer] for layer in missing if layer in _REMEDY)


def warning(layers: frozenset[str], missing: dict[str, str]) -> str:
    """Warn a user who runs programs below the floor: what they can do, and what is missing."""
    harm = [harm for layer, harm in _HARM.items() if layer not in layers]
    lacks = ", ".join(f"{layer} ({reason})" for layer, reason in missing.items())
    return (
        f"model-written programs run at isolation level {level_name(layers)!r}. They can "
        + ", and ".join(harm)
        + (f". Missing: {lacks}" if lacks else "")
    )


def libraries() -> list[str]:
    """Return the directories programs may read: the standard library and what is installed beside it, nothing else."""
    paths = sysconfig.get_paths()
    found = [paths[kind] for kind in ("stdlib", "platstdlib", "purelib", "platlib")]
    found += [str(Path(sys.base_prefix, "lib")), str(Path(sys.prefix, "lib"))]
    if site.ENABLE_USER_SITE:
        found.append(site.getusersitepackages())
    real = {path: None for name in found for path in (name, str(Path(name).resolve()))}
    return [path for path in real if Path(path).is_dir() and path not in ("/", "/usr", "/home", "/root")]
