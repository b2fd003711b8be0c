"""Keep two commands from writing to one file: the one lock of everything that is appended to or rewritten.

The lock is the operating system's (`flock`) and ends with its process, however that ends. It is on the file itself, so
links to the file share it; a folder is locked by a file in it. Where the file system has no locks a warning says so.
"""

import fcntl
import os
import stat
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from errno import EAGAIN
from pathlib import Path

from mumath_agent.errors import InputError

_IN_FOLDER = ".lock"
_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


@contextmanager
def only_writer(path: Path) -> Iterator[None]:
    """Hold the file `path` alone for the block; one that is new and still empty at its end is removed.

    Raises:
        InputError: another command holds it, or it can't be written.
    """
    require_regular(path)
    target = Path(os.path.realpath(path))  # what a link leads to is what others lock, replace or remove
    is_new = not target.exists()
    with _held(target, path) as handle:
        try:
            yield
        finally:
            if is_new and os.fstat(handle).st_size == 0:
                _remove(handle, target)


@contextmanager
def only_user(folder: Path) -> Iterator[None]:
    """Make a folder if it isn't there, and hold it alone for the block.

    Raises:
        InputError: another command holds it, or it can't be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"can't write to {folder}: {error.strerror}; name another one") from None
    file = folder / _IN_FOLDER
    with _held(file, folder) as handle:
        try:
            yield
        finally:
            _remove(handle, file)


def require_regular(path: Path) -> None:
    """Refuse to write to what can't be read back, or to where stdout or stderr go; `path` needn't exist.

    Raises:
        InputError: it is a folder, a pipe, a device or the like.
    """
    try:
        found = path.stat()
    except OSError:  # not there, or not to be reached: whoever writes says why
        return
    kind = next((name for is_kind, name in _KINDS if is_kind(found.st_mode)), None)
    if kind:
        raise InputError(
            f"can't write to {path}, which is {kind}: what is written must be read back; name a file"
        )
    for name, stream in (("stdout", sys.__stdout__), ("stderr", sys.__stderr__)):
        with suppress(OSError, ValueError, AttributeError):
            if stream is not None and os.path.samestat(found, os.fstat(stream.fileno())):
                raise InputError(f"can't write to {path}, where {name} goes, too; name another file")


@contextmanager
def _held(target: Path, path: Path) -> Iterator[int]:
    """Hold the lock of `target` for the block; `path` is its name for the user."""
    handle = _locked(target, path)
    try:
        yield handle
    finally:
        os.close(handle)


def _remove(handle: int, target: Path) -> None:
    """Remove the file, if it is still the one that is locked."""
    with suppress(OSError):
        if _is_at(handle, target):
            target.unlink()


def _locked(target: Path, path: Path) -> int:
    """Open and lock `target`; what is locked is what is found under its name afterwards."""
    while True:
        try:
            handle = os.open(target, os.O_RDWR | os.O_CREAT | os.O_NONBLOCK, 0o666)
        except OSError as error:
            raise InputError(f"can't write to {path}: {error.strerror}") from None
        try:
            _lock(handle, path)
            if _is_at(handle, target):
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)  # its last holder has replaced or removed it meanwhile


def _lock(handle: int, path: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno == EAGAIN:
            raise InputError(
                f"{path} is in use by another command{_holder(handle)}; wait until it has ended, or name another one"
            ) from None
        warnings.warn(
            f"can't lock {path} ({error.strerror}); let no other command write to it meanwhile", stacklevel=2
        )


def _is_at(handle: int, target: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), target.stat())
    except FileNotFoundError:
        return False


def _holder(handle: int) -> str:
    """Return who holds the lock, where Linux tells."""
    held = os.fstat(handle)
    name = f"{os.major(held.st_dev):02x}:{os.minor(held.st_dev):02x}:{held.st_ino}"
    with suppress(OSError):
        for line in Path("/proc/locks").read_text().splitlines():
            fields = line.split()  # number: FLOCK ADVISORY WRITE pid device:inode start end
            if name in fields and "FLOCK" in fields and "->" not in fields:
                return f" (process {fields[4]})"
    return ""
