"""Download a file of the hub into the hub's own cache; one that is broken off, or killed, goes on where it stopped.

    what does the hub say of it? ─▶ ETAG.part in the cache ─▶ whole, with the right checksum? ─▶ its place in the cache

Releases of huggingface_hub from 2.0 on throw away what they received. Here it stays, under a name that nothing else
reads, until it is whole. For large files the hub's ETag is the SHA-256 of the content.
"""

import errno
import hashlib
import io
import logging
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from mumath_agent.errors import InputError
from mumath_agent.models.local import memory

_SHA256 = re.compile(r"[0-9a-f]{64}")
_ETAG = re.compile(r"\w[\w.-]*")
_RANGE_REFUSED = 416


def cache_of(repository: str) -> Path:
    """Return the repository's folder in the hub's cache, whether or not it is there."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE, f"models--{repository.replace('/', '--')}")


def download(repository: str, file: str) -> Path:
    """Return the file in the hub's cache after downloading it, or what is missing of it.

    Raises:
        InputError: it can't be had; the message says why. What was received is kept, unless its checksum is wrong.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub.utils import WeakFileLock  # type: ignore[attr-defined]  # as its pages do

    with told(f"{file} of {repository}"):
        known = get_hf_file_metadata(hf_hub_url(repository, file))
        if not (known.commit_hash and known.etag and _ETAG.fullmatch(known.etag)):
            raise InputError(_no_hub(f"{file} of {repository}"))
        _require_memory(file, known.size or 0)
        blob = cache_of(repository) / "blobs" / known.etag
        blob.parent.mkdir(parents=True, exist_ok=True)
        lock = blob.parents[2] / ".locks" / blob.parents[1].name / f"{known.etag}.lock"  # the library's own
        lock.parent.mkdir(parents=True, exist_ok=True)
        with WeakFileLock(lock):
            if not blob.exists():
                part = blob.with_name(f"{known.etag}.part")
                _receive(hf_hub_url(repository, file, revision=known.commit_hash), part, known.size)
                _check(part, known.etag, f"{file} of {repository}")
                part.replace(blob)
        return Path(hf_hub_download(repository, file))  # finds it there, and makes the links


def sha256(path: Path) -> str:
    """Return the file's checksum."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def told(what: str) -> Iterator[None]:
    """Turn what can go wrong with the hub into one line that says what to do.

    Raises:
        InputError: something went wrong.
    """
    from huggingface_hub.errors import (
        EntryNotFoundError,
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        OfflineModeIsEnabled,
        RepositoryNotFoundError,
    )

    # That of httpx or of httpx2, whichever this release of huggingface_hub uses.
    http_error = cast(type[Exception], HfHubHTTPError.__bases__[0])
    try:
        yield
    except GatedRepoError:
        raise InputError(
            f"can't get {what}: accept its terms on its page of the hub, then `hf auth login`"
        ) from None
    except RepositoryNotFoundError:
        raise InputError(
            f"can't get {what}: the hub has no such repository, or you need `hf auth login`"
        ) from None
    except OfflineModeIsEnabled:
        raise InputError(
            f"can't get {what}: HF_HUB_OFFLINE is set; unset it, or give the path of a file"
        ) from None
    except LocalEntryNotFoundError as error:
        raise InputError(_unreachable(what, error.__cause__ or error)) from None
    except EntryNotFoundError:
        raise InputError(f"can't get {what}: the repository has no such file") from None
    except HfHubHTTPError as error:
        status = error.response.status_code
        remedy = "try again later" if status >= 500 or status == 429 else "`hf auth login` may help"
        raise InputError(f"can't get {what}: the hub answered {status}; {remedy}") from None
    except http_error as error:
        raise InputError(_unreachable(what, error)) from None
    except OSError as error:
        raise InputError(_not_kept(what, error)) from None
    except HFValidationError as error:
        raise InputError(f"can't get {what}: {str(error).splitlines()[0]}") from None
    except (ValueError, TypeError, LookupError):  # JSON that isn't JSON, or says something else
        raise InputError(_no_hub(what)) from None


def _receive(url: str, part: Path, size: int | None) -> None:
    """Append to `part` what is missing of the file at `url`."""
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]  # as its pages do

    with io.BufferedWriter(io.FileIO(part, "ab")) as file:
        if size is not None and file.tell() > size:
            file.seek(0)
            file.truncate()
        _require_room(part.parent, (size or 0) - file.tell())
        with _quiet():
            try:
                http_get(url, file, resume_size=file.tell(), headers=build_hf_headers(), expected_size=size)
            except HfHubHTTPError as error:
                if error.response.status_code != _RANGE_REFUSED:
                    raise
                file.seek(0)
                file.truncate()
                http_get(url, file, headers=build_hf_headers(), expected_size=size)


def _require_memory(file: str, size: int) -> None:
    if size > (free := memory.available_bytes()):
        raise InputError(
            f"{file} has {size / 1e9:.1f} GB and {free / 1e9:.1f} GB of memory are free; it wasn't downloaded: "
            "choose a smaller model or quantisation"
        )


def _require_room(folder: Path, wanted: int) -> None:
    if wanted > (free := shutil.disk_usage(folder).free):
        raise OSError(errno.ENOSPC, f"it takes {wanted / 1e9:.2f} GB more and {free / 1e9:.2f} GB are free")


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the library logs of each try off the terminal; the error in the end says it."""
    logger = logging.getLogger("huggingface_hub.file_download")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before


def _check(part: Path, etag: str, what: str) -> None:
    """Remove a file whose checksum is wrong.

    Raises:
        InputError: it was.
    """
    if _SHA256.fullmatch(etag) and (found := sha256(part)) != etag:
        part.unlink()
        raise InputError(
            f"{what} arrived with the checksum {found[:12]}…, not {etag[:12]}…; it was removed: try again"
        )


def _no_hub(what: str) -> str:
    return f"can't get {what}: what answered isn't the hub; see HF_ENDPOINT and your network's sign-in page"


def _unreachable(what: str, error: BaseException) -> str:
    why = " ".join(str(error).split()) or type(error).__name__
    return (
        f"can't get {what}: the hub can't be reached or broke off ({why[:120]}); "
        "the same command goes on from there, and the path of a file needs no network"
    )


def _not_kept(what: str, error: OSError) -> str:
    if error.errno is None:  # the library counts what arrived
        return f"{what} didn't arrive whole; the same command goes on from there"
    place = f" ({os.fspath(error.filename)})" if error.filename else ""
    return (
        f"can't keep {what}: {error.strerror}{place}; make room, or name another place with HF_HOME, "
        "and give the same command again"
    )
