"""Say how much memory a new process may take: what the machine has left, and what its container and limits allow."""

import resource
from contextlib import suppress
from pathlib import Path

import psutil

_CGROUPS = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")


def available_bytes() -> int:
    """Return how much memory is free for us, in bytes."""
    limits = [psutil.virtual_memory().available, *cgroup_rooms()]
    address_space, _ = resource.getrlimit(resource.RLIMIT_AS)
    if address_space != resource.RLIM_INFINITY:
        limits.append(address_space)  # each process has so much for itself
    return max(0, min(limits))


def cgroup_rooms(root: Path = _CGROUPS, own: Path = _OWN) -> list[int]:
    """Return what each control group that we are in has left: its limit, less what can't be given back."""
    rooms = list[int]()
    with suppress(OSError):
        for line in own.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "":
                rooms += _rooms(root, path, "memory.max", "memory.current", "inactive_file")
            elif "memory" in controllers.split(","):
                names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
                rooms += _rooms(root / "memory", path, *names)
    return rooms


def _rooms(root: Path, path: str, limit: str, usage: str, cache: str) -> list[int]:
    """Return the rooms of a group and those above it; a container often sees its own as the root."""
    inside = Path(path.lstrip("/"))
    rooms = list[int]()
    for folder in {root / inside, *(root / above for above in inside.parents), root}:
        with suppress(OSError, ValueError):
            allowed = int((folder / limit).read_text())  # "max" is no number
            used = int((folder / usage).read_text())
            stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
            rooms.append(allowed - used + int(stat.get(cache, 0)))
    return rooms
