"""Find the file of a model: a path, a short name of the catalogue, or `owner/repo[:QUANT]` on the hub.

What is downloaded lies in the hub's cache, shared with other programs; a file that is there needs no network.
Downloads show progress, go on where they stopped, and count only when they are whole.
"""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from mumath_agent.errors import InputError
from mumath_agent.models.local.catalogue import CATALOGUE, Entry, entry_called

QUANT = "Q4_K_M"
"""What is taken of a repository with several, if nothing is said: small, and hardly worse than the original."""


AUTO = "auto"
"""The name for the best model that fits the memory."""


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
    return _download(repository, _file_of(repository, quant or QUANT), on_notice)


def best_that_fits(available_bytes: int | None = None) -> Entry:
    """Return the first of the catalogue that has room in the memory with a full cache.

    Raises:
        InputError: none has.
    """
    available = psutil.virtual_memory().available if available_bytes is None else available_bytes
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
    path = _download(entry.repository, entry.file, on_notice)
    mark = path.with_name(f"{path.name}.sha256")  # beside the link in the cache; hashing takes seconds
    if not (mark.exists() and mark.read_text() == entry.sha256):
        if (found := _sha256(path)) != entry.sha256:
            path.resolve().unlink(missing_ok=True)
            path.unlink(missing_ok=True)
            raise InputError(
                f"{entry.file} of {entry.repository} has the checksum {found[:12]}…, not {entry.sha256[:12]}…; "
                "it was removed: try again"
            )
        mark.write_text(entry.sha256)
    return path


def cached(entry: Entry) -> Path | None:
    """Return the entry's file if it is in the hub's cache."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(entry.repository, entry.file)
    return Path(found) if isinstance(found, str) else None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(repository: str, file: str, on_notice: Callable[[str], None]) -> Path:
    """Return the file in the hub's cache, from the hub if it isn't there yet.

    Raises:
        InputError: it can't be had; what was downloaded so far is kept.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(repository, file, local_files_only=True))
    except LocalEntryNotFoundError:
        on_notice(f"downloading {file} of {repository}; a download that is broken off goes on next time")
    except ValueError as error:
        raise InputError(f"{repository} isn't the name of a repository: {error}") from None
    with _told(f"{file} of {repository}"):
        return Path(hf_hub_download(repository, file))


def _file_of(repository: str, quant: str) -> str:
    """Return the name of the repository's GGUF file of this quantisation.

    Raises:
        InputError: the hub can't be asked, or there is no such file, or it is split.
    """
    from huggingface_hub import HfApi

    with _told(f"the list of files of {repository}"):
        files = [name for name in HfApi().list_repo_files(repository) if name.endswith(".gguf")]
    found = [name for name in files if quant.lower() in name.lower()]
    whole = [name for name in found if "-of-0" not in name]
    if not whole:
        reason = (
            f"only in parts ({found[0]}, ...)" if found else f"not among {', '.join(files) or 'no files'}"
        )
        raise InputError(
            f"{repository} has no GGUF file {quant}: {reason}; name another as {repository}:QUANT"
        )
    return min(whole, key=len)


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Turn what can go wrong with the hub into one line that says what to do."""
    import httpx
    from huggingface_hub.errors import (
        EntryNotFoundError,
        HfHubHTTPError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
    )

    try:
        yield
    except RepositoryNotFoundError:
        raise InputError(
            f"can't get {what}: the hub has no such repository, or you need `hf auth login`"
        ) from None
    except (LocalEntryNotFoundError, OfflineModeIsEnabled, httpx.TransportError):
        raise InputError(
            f"can't get {what}: the hub can't be reached (or HF_HUB_OFFLINE is set); give the path of a file"
        ) from None
    except (EntryNotFoundError, HfHubHTTPError) as error:
        raise InputError(f"can't get {what}: {str(error).strip().splitlines()[0]}") from None
    except OSError as error:
        raise InputError(
            f"can't keep {what}: {error.strerror or error}; HF_HOME names another place"
        ) from None
