"""One command at a time writes to a file: the lock ends with its process, and is the same by every name of the file."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mumath_agent.errors import InputError
from mumath_agent.runs.jsonl import replace_lines
from mumath_agent.runs.locks import only_user, only_writer
from mumath_agent.runs.replay import Replayer

HOLDER = """
import sys, time
from pathlib import Path
from mumath_agent.runs.locks import only_writer
with only_writer(Path(sys.argv[1])):
    Path(sys.argv[1]).write_text("held")
    print("held", flush=True)
    time.sleep(600)
"""


@contextmanager
def held_elsewhere(path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Hold a file in another process, which is killed at the end."""
    with subprocess.Popen([sys.executable, "-c", HOLDER, path], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"held\n"
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def held(path: Path) -> Iterator[None]:
    with pytest.raises(InputError, match="in use by another command"), only_writer(path):
        raise AssertionError("two have the file")
    yield


def test_a_file_has_one_writer_who_is_named_and_whose_death_frees_it(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    with held_elsewhere(path) as holder:
        named = rf"{path} is in use by another command \(process {holder.pid}\)"
        with pytest.raises(InputError, match=named), only_writer(path):
            raise AssertionError("two have the file")
        assert path.read_text() == "held"
    with only_writer(path):  # killed with SIGKILL
        assert path.read_text() == "held"


@pytest.mark.parametrize("name", ["symbolic", "hard", "of a folder/r.jsonl", "dangling"])
def test_every_name_of_a_file_is_that_file(tmp_path: Path, name: str) -> None:
    path, other = tmp_path / "r.jsonl", tmp_path / name
    if name == "dangling":
        other.symlink_to(path)
    else:
        path.write_text("x")
    if name == "symbolic":
        other.symlink_to(path)
    elif name == "hard":
        os.link(path, other)
    elif name != "dangling":
        other.parent.symlink_to(tmp_path)
    for first, second in ((path, other), (other, path)):
        with only_writer(first), held(second):
            assert path.exists()
    assert path.exists() is (name != "dangling") and (name != "dangling" or other.is_symlink())


def test_after_a_replacement_the_next_one_holds_the_new_file(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    with only_writer(path):
        replace_lines(path, [{"a": 1}])
        with only_writer(path), held(path):
            assert path.read_text() == '{"a": 1}\n'


@pytest.mark.parametrize("content", [None, "", "x"])
def test_only_what_is_new_and_empty_is_removed(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "r.jsonl"
    if content is not None:
        path.write_text(content)
    with only_writer(path):
        assert path.exists()
    assert path.exists() is (content is not None)
    with only_writer(path):
        path.write_text("more")
    assert path.read_text() == "more"


def test_a_folder_has_one_user_and_nothing_is_left_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "work"
    with only_user(folder), pytest.raises(InputError, match=f"{folder} is in use"), only_user(folder):
        raise AssertionError("two have the folder")
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/dev/null", "a device"),
        ("/dev/full", "a device"),
        ("/dev/zero", "a device"),
        ("pipe", "a pipe"),
        ("link", "a pipe"),
        ("folder", "a folder"),
    ],
)
def test_what_can_not_be_gone_on_with_is_refused_at_once(tmp_path: Path, path: str, kind: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match=f"{path}, which is {kind}"), only_writer(tmp_path / path):
        raise AssertionError("it was opened")
    with pytest.raises(InputError, match="can't write to"), only_writer(tmp_path / "no" / "folder"):
        raise AssertionError("it was opened")


@pytest.mark.anyio
async def test_a_log_of_replays_has_one_writer(tmp_path: Path) -> None:
    log = tmp_path / "replays.jsonl"
    async with Replayer(log=log):
        with pytest.raises(InputError, match="in use"):
            async with Replayer(log=log):
                raise AssertionError("two have the log")
    async with Replayer(log=log):
        assert log.exists()
    assert not log.exists()
