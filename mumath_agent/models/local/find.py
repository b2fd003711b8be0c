"""Find the file of a model: a path, a short name of the catalogue, or `owner/repo[:QUANT]` on the hub.

What is downloaded lies in the hub's cache, shared with other programs; a file that is there needs no network.
Downloads show progress, go on where they stopped, and count only when they are whole.
"""

import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from mumath_agent.errors import InputError
from mumath_agent.models.local import memory
from mumath_agent.models.local.catalogue import CATALOGUE, Entry, entry_called
from mumath_agent.models.local.download import cache_of, download, sha256, told

QUANT = "Q4_K_M"
"""What is taken of a repository with several, if nothing is said: small, and hardly worse than the original."""


AUTO = "auto"
"""The name for the best model that fits the memory."""
_NAMED, _LIST_TIMEOUT_S = 5, 10.0
_PART = re.compile(r"-\d{5}-of-\d{5}\.gguf$")


def find_model(name: str, *, on_notice: Callable[[str], None] = lambda _: None) -> Path:
    """Return the file of the model called `name`, after downloading it if need be.

    Raises:
        InputError: there is no such file or model, it can't be had, or its checksum is wrong.
    """
    if name == AUTO:
        best = best_that_fits()
        on_notice(f"local model: {best.name} ({best.parameters})")
        return from_catalogue(best, on_notice)
    path = Path(name).expanduser()
    if path.suffix == ".gguf" or path.exists():
        if not path.is_file():
            raise InputError(f"there is no file {name}; give a GGUF file, or a name (`mumath-agent models`)")
        return path
    if entry := entry_called(name):
        return from_catalogue(entry, on_notice)
    repository, _, quant = name.partition(":")
    if repository.count("/") != 1:
        known = ", ".join(one.name for one in CATALOGUE)
        raise InputError(
            f"{name!r} isn't a GGUF file, nor a name on the hub (owner/repo[:QUANT]), {AUTO}, or one of {known}"
        )
    if there := _cached_of(repository, quant or QUANT):
        return there
    return _had(repository, _file_of(repository, quant), on_notice)


def best_that_fits(available_bytes: int | None = None) -> Entry:
    """Return the first of the catalogue that has room in the memory with a full cache.

    Raises:
        InputError: none has.
    """
    available = memory.available_bytes() if available_bytes is None else available_bytes
    for entry in CATALOGUE:
        if entry.bytes * 2 <= available:
            return entry
    raise InputError(
        f"{available / 1e9:.1f} GB of memory are free, too little for any model of the catalogue; "
        "close other programs, or use a server (--base-url)"
    )


def from_catalogue(entry: Entry, on_notice: Callable[[str], None] = lambda _: None) -> Path:
    """Return the entry's file, checked once against its checksum; one that differs is removed.

    Raises:
        InputError: it can't be had, or its checksum is wrong.
    """
    path = _had(entry.repository, entry.file, on_notice)
    mark = path.with_name(f"{path.name}.sha256")  # beside the link in the cache; hashing takes seconds
    if mark.exists() and mark.read_text("ascii", "replace") == entry.sha256:
        return path
    if (found := sha256(path)) == entry.sha256:
        with suppress(OSError):  # a cache of others, which we only read
            mark.write_text(entry.sha256)
        return path
    done = "remove it and try again"
    with suppress(OSError):
        path.resolve().unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        done = "it was removed: try again"
    raise InputError(
        f"{entry.file} of {entry.repository} has the checksum {found[:12]}…, not {entry.sha256[:12]}…; {done}"
    )


def cached(entry: Entry) -> Path | None:
    """Return the entry's file if it is in the hub's cache."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(entry.repository, entry.file)
    return Path(found) if isinstance(found, str) else None


def _had(repository: str, file: str, on_notice: Callable[[str], None]) -> Path:
    """Return the file in the hub's cache, from the hub if it isn't there yet.

    Raises:
        InputError: it can't be had.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(repository, file, local_files_only=True))
    except LocalEntryNotFoundError:
        on_notice(f"downloading {file} of {repository}; a download that is broken off goes on next time")
        return download(repository, file)
    except ValueError as error:
        raise InputError(f"{repository} isn't the name of a repository: {error}") from None


def _cached_of(repository: str, quant: str) -> Path | None:
    """Return the repository's file of this quantisation if it is in the hub's cache, the newest of several."""
    there = [path for path in cache_of(repository).glob("snapshots/*/**/*.gguf") if path.is_file()]
    found = {path.name: path for path in sorted(there, key=lambda path: path.stat().st_mtime)}
    name = _of_quant(found, quant)
    return found[name] if name else None


def _file_of(repository: str, quant: str) -> str:
    """Return the name of the repository's GGUF file of this quantisation, or the only one it has.

    Raises:
        InputError: the hub can't be asked, or there is no such file, or it is split.
    """
    from huggingface_hub import HfApi

    with told(f"the list of files of {repository}"):
        siblings = HfApi().model_info(repository, timeout=_LIST_TIMEOUT_S).siblings or ()
    files = [one.rfilename for one in siblings if one.rfilename.endswith(".gguf")]
    if found := _of_quant(files, quant or QUANT):
        return found
    if len(files) == 1 and not quant and _is_whole(files[0]):
        return files[0]
    named = ", ".join(files[:_NAMED]) + (f" and {len(files) - _NAMED} more" if len(files) > _NAMED else "")
    shown = "".join(filter(str.isprintable, named)) or "none"
    raise InputError(
        f"{repository} has no GGUF file {quant or QUANT} in one piece, but {shown}; "
        f"name another as {repository}:QUANT"
    )


def _of_quant(files: Iterable[str], quant: str) -> str | None:
    """Return the whole file of that quantisation, if there is one."""
    wanted = re.compile(rf"(?:^|[^a-z0-9]){re.escape(quant.lower())}(?:[^a-z0-9]|$)")
    found = [name for name in files if wanted.search(name.lower()) and _is_whole(name)]
    return min(found, key=len, default=None)


def _is_whole(file: str) -> bool:
    """Tell whether a file is a model of its own: neither a part of one, nor its eyes."""
    return not (_PART.search(file) or Path(file).name.lower().startswith("mmproj"))
