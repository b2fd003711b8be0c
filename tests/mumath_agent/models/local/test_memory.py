"""What is free is what the machine, the container and the process's own limits allow, whichever is least."""

import resource
from pathlib import Path

import psutil
import pytest

from mumath_agent.models.local import memory


def group(folder: Path, **files: str) -> None:
    """Write the files of a control group."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


@pytest.mark.parametrize(
    ("own", "rooms"),
    [
        ("0::/\n", [700]),
        ("0::/outer/inner\n", [700, 250]),
        ("0::/gone\n", [700]),
        ("1:cpu:/\n", []),
        ("", []),
    ],
)
def test_the_second_version_of_control_groups(tmp_path: Path, own: str, rooms: list[int]) -> None:
    group(
        tmp_path / "fs",
        memory__max="1000",
        memory__current="400",
        memory__stat="anon 300\ninactive_file 100\n",
    )
    group(tmp_path / "fs/outer", memory__max="max", memory__current="400", memory__stat="")
    group(tmp_path / "fs/outer/inner", memory__max="300", memory__current="50", memory__stat="anon 50\n")
    (tmp_path / "own").write_text(own)
    assert sorted(memory.cgroup_rooms(tmp_path / "fs", tmp_path / "own")) == sorted(rooms)


def test_the_first_version_of_control_groups(tmp_path: Path) -> None:
    group(
        tmp_path / "fs/memory/docker",
        memory__limit_in_bytes="1000",
        memory__usage_in_bytes="400",
        memory__stat="total_inactive_file 50\n",
    )
    (tmp_path / "own").write_text("9:name=systemd:/\n4:memory:/docker\n")
    assert memory.cgroup_rooms(tmp_path / "fs", tmp_path / "own") == [650]


def test_a_limit_of_the_process_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 0 < memory.available_bytes() <= psutil.virtual_memory().total
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1000, 1000))
    assert memory.available_bytes() == 1000
