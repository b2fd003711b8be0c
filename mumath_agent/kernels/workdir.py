"""Measure and remove the work directory of a kernel that has it on the disk, however a program has filled it."""

import contextlib
import errno
import itertools
import os
from pathlib import Path

BLOCK_BYTES = 1 << 14
"""What an entry counts at least: 64 MB are 4096 of them, as many as a work directory in memory may hold."""


def exceeds(directory: Path, limit_bytes: int) -> bool:
    """Tell whether the files below `directory` take more of the disk than that; no more of them are looked at."""
    total = 0
    waiting = [str(directory)]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    total += max(BLOCK_BYTES, entry.stat(follow_symlinks=False).st_blocks * 512)
                    if total > limit_bytes:
                        return True
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
        except OSError as error:  # mostly a file that was just removed
            if error.errno == errno.ENAMETOOLONG:
                return True
    return False


def remove(directory: Path) -> None:
    """Remove `directory` and all below it, as far as that can be done.

    What lies deeper than one level is moved up first: a path may be too long to be named, and recursion has an end.
    """
    with contextlib.suppress(OSError):
        numbers = itertools.count()
        while folders := _without_files(directory):
            for folder in folders:
                for inner in _without_files(folder):
                    inner.rename(directory / f".{next(numbers)}-{os.getpid()}-removed")
                folder.rmdir()
        directory.rmdir()


def _without_files(directory: Path) -> list[Path]:
    """Remove the files of one directory and return its subdirectories."""
    with contextlib.suppress(OSError):
        directory.chmod(0o700)
    folders: list[Path] = []
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                folders.append(Path(entry.path))
            else:
                Path(entry.path).unlink()
    return folders
