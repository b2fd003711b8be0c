"""A model's file is found by path, short name or hub name; what can't be had, or has another checksum, is one line."""

import hashlib
from pathlib import Path

import pytest
from huggingface_hub import constants

from mumath_agent.errors import InputError
from mumath_agent.models.local import CATALOGUE, Entry, find_model
from mumath_agent.models.local.find import best_that_fits, cached, from_catalogue

GB = 1_000_000_000


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the hub's cache, an empty one, in a process that can't reach the hub."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path


def put(cache: Path, content: bytes, sha256: str = "") -> Entry:
    """Lay a file into the cache, as the hub's client does; return what the catalogue would say of it."""
    folder = cache / "models--me--tiny"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text("c0ffee")
    (folder / "snapshots" / "c0ffee").mkdir(parents=True)
    (folder / "snapshots" / "c0ffee" / "tiny.gguf").write_bytes(content)
    return Entry(
        name="tiny",
        repository="me/tiny",
        file="tiny.gguf",
        bytes=len(content),
        sha256=sha256 or hashlib.sha256(content).hexdigest(),
        licence="Apache-2.0",
        parameters="0B",
        context_tokens=1,
    )


def test_a_path_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "my model.gguf").touch()
    assert find_model(str(tmp_path / "my model.gguf")) == tmp_path / "my model.gguf"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("nowhere.gguf", "there is no file nowhere.gguf"),
        ("docs", "there is no file docs"),  # a folder
        (
            "gpt-5",
            r"'gpt-5' isn't a GGUF file, nor a name on the hub \(owner/repo.*, auto, or one of qwen",
        ),
        ("What is 2 + 2?", "isn't a GGUF file"),
        (
            "qwen2.5-coder-0.5b",
            "can't get qwen2.5-coder-0.5b-instruct-q4_k_m.gguf of Qwen/.*: HF_HUB_OFFLINE is set",
        ),
        ("me/other:Q8_0", "can't get the list of files of me/other: HF_HUB_OFFLINE is set"),
    ],
)
def test_what_can_not_be_had_is_one_line(cache: Path, name: str, told: str) -> None:
    with pytest.raises(InputError, match=told) as raised:
        find_model(name)
    assert "\n" not in str(raised.value)


def test_a_file_that_is_in_the_cache_needs_no_network(cache: Path) -> None:
    entry = put(cache, b"GGUF and so on")
    assert cached(entry) is not None
    found = from_catalogue(entry)
    assert found.read_bytes() == b"GGUF and so on"
    found.write_bytes(b"changed later")  # its checksum is on record: it isn't computed at each start
    assert from_catalogue(entry) == found


def test_a_wrong_checksum_removes_the_file(cache: Path) -> None:
    entry = put(cache, b"GGUF and so on", sha256="0" * 64)
    with pytest.raises(
        InputError, match=r"has the checksum .*, not 000000000000…; it was removed: try again"
    ):
        from_catalogue(entry)
    assert cached(entry) is None


@pytest.mark.parametrize(("free_gb", "name"), [(24, "qwen2.5-coder-1.5b"), (1.5, "qwen2.5-coder-0.5b")])
def test_the_best_that_fits(free_gb: float, name: str) -> None:
    assert best_that_fits(int(free_gb * GB)).name == name


def test_too_little_memory_for_any() -> None:
    with pytest.raises(InputError, match=r"0\.5 GB of memory are free, too little for any model"):
        best_that_fits(GB // 2)


def test_short_names_are_short_and_checksums_whole() -> None:
    assert all(entry.name == entry.name.lower() and len(entry.sha256) == 64 for entry in CATALOGUE)
