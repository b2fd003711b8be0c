"""Hide the host with namespaces: no network, no processes except sibling kernels, no files except libraries and work.

This takes two steps. The fork server leaves the host once: it gets process ids and a network of its own, and a root
that holds read-only binds of what Python needs. Each kernel then gets a user namespace of its own (so that process
limits count for it alone) and a mount namespace with a work directory in memory.

An ordinary user may do this where the system allows unprivileged user namespaces. Root mounts as root, so that a Python
that only root can read is found, and becomes an ordinary user afterwards.
"""

import os
from contextlib import suppress
from pathlib import Path

from mumath_agent.sandbox import linux
from mumath_agent.sandbox.linux import MS_BIND, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_PRIVATE, MS_RDONLY, MS_REC
from mumath_agent.sandbox.spec import WORK

NOBODY = 65534
"""The user root turns into."""
INNER_UID = 1000
"""The user a kernel is in its own user namespace."""
_DEVICES = ("null", "zero", "full", "random", "urandom")
_SYSTEM = ("/usr", "/etc/ld.so.cache", "/etc/localtime")
_ROOT_LINKS = ("lib", "lib64", "lib32", "bin", "sbin")


def leave_process_ids() -> None:
    """Give this process's future children a process id namespace of their own; the first of them is number 1."""
    if os.getuid() == 0:
        linux.unshare(linux.CLONE_NEWPID)
    else:
        uid, gid = os.getuid(), os.getgid()
        linux.unshare(linux.CLONE_NEWUSER | linux.CLONE_NEWPID)
        map_ids(0, uid, 0, gid)


def leave_host(runtime: str, libraries: list[str], *, was_root: bool) -> None:
    """Take on a network, a host name and a root directory of our own, and the rights of an ordinary user."""
    kinds = linux.CLONE_NEWNS | linux.CLONE_NEWNET | linux.CLONE_NEWIPC | linux.CLONE_NEWUTS
    linux.unshare(kinds)
    _change_root(str(Path(runtime) / "root"), libraries, owner=NOBODY if was_root else 0)
    if was_root:
        become_nobody()
        linux.unshare(linux.CLONE_NEWUSER)
        map_ids(0, NOBODY, 0, NOBODY)


def become_nobody() -> None:
    """Turn from root into the ordinary user NOBODY, for good."""
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
    linux.prctl(linux.PR_SET_DUMPABLE, 1)  # otherwise /proc/self belongs to root, and ids can't be mapped


def enter_kernel(work_mb: int) -> None:
    """Give a kernel a user and a mount namespace, with an empty work directory of at most `work_mb` megabytes."""
    uid, gid = os.getuid(), os.getgid()
    linux.unshare(linux.CLONE_NEWUSER | linux.CLONE_NEWNS)
    map_ids(INNER_UID, uid, INNER_UID, gid)
    linux.mount(None, "/", None, MS_REC | MS_PRIVATE)
    mount_work(work_mb)


def mount_work(work_mb: int, owner: int | None = None) -> None:
    """Mount an empty work directory in memory, of at most `work_mb` megabytes."""
    size = f"size={work_mb}m,nr_inodes=4096,mode=700"
    if owner is not None:
        size += f",uid={owner},gid={owner}"
    linux.mount("tmpfs", WORK, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, size)


def hide_processes() -> None:
    """Cover `/proc`, so that nothing can read it from here on."""
    linux.mount("tmpfs", "/proc", "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=4k")


def map_ids(inner_uid: int, outer_uid: int, inner_gid: int, outer_gid: int, process: str = "self") -> None:
    """Set who `process` is inside its new user namespace."""
    for name, line in (
        ("setgroups", "deny"),
        ("uid_map", f"{inner_uid} {outer_uid} 1"),
        ("gid_map", f"{inner_gid} {outer_gid} 1"),
    ):
        Path(f"/proc/{process}/{name}").write_text(line)


def _change_root(new: str, libraries: list[str], owner: int) -> None:
    linux.mount(None, "/", None, MS_REC | MS_PRIVATE)
    linux.mount("tmpfs", new, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=4m")
    for path in (*_SYSTEM, *libraries):
        _bind(path, new + path)
    for name in _ROOT_LINKS:
        if (link := Path("/", name)).is_symlink():
            (Path(new) / name).symlink_to(link.readlink())
        elif link.is_dir() and name.startswith("lib"):
            _bind(str(link), f"{new}/{name}")
    for directory in (WORK, "/proc", "/dev", "/tmp"):
        Path(new + directory).mkdir(parents=True, exist_ok=True)
    for device in _DEVICES:
        Path(f"{new}/dev/{device}").touch()
        linux.mount(f"/dev/{device}", f"{new}/dev/{device}", None, MS_BIND)
    linux.mount("/proc", f"{new}/proc", None, MS_BIND | MS_REC)  # the fork server's; kernels don't see it
    linux.move_root_to(new)
    mount_work(1, owner)  # the server's own; each kernel mounts another one over it
    flags = linux.MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV
    linux.mount(None, "/", None, flags)


def _bind(path: str, target: str) -> None:
    """Show `path` of the host at `target`, read-only."""
    if not Path(path).exists() or Path(target).exists():
        return  # not there, or there already as a part of a directory bound before
    if Path(path).is_dir():
        Path(target).mkdir(parents=True)
    else:
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        Path(target).touch()
    linux.mount(path, target, None, MS_BIND | MS_REC)
    flags = linux.MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV
    inherited = os.statvfs(path).f_flag & MS_NOEXEC  # a user namespace may not take such a flag away
    with suppress(FileNotFoundError):
        linux.mount(None, target, None, flags | inherited)
