"""A stage on Ray gives what it gives in one process, and goes on where it was stopped.

A start of Ray takes seconds of both cores, so by day there is one.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from finetune.data.jobs import read_manifest
from finetune.data.shards import cut, join
from mumath_agent.errors import InputError
from tests.programs import call
from tests.toy import WITH_TOY

CHECKOUT = Path(__file__).resolve().parents[3]


def questions(path: Path, number: int) -> Path:
    rows = (
        {"problem": {"id": f"q{n}", "question": f"Ann has {n} pens and buys {n} more. How many has she?"}}
        for n in range(number)
    )
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def finetune(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "finetune", *map(str, arguments)]
    return subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True)


def content(path: Path) -> list[Any]:
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [(r["problem"], r["sample"], r["key"], r["trajectory"]["transcript"]) for r in rows]


@given(lines=st.integers(1, 50), number=st.integers(1, 9))
def test_shards_hold_all_lines_in_order_and_none_is_empty(
    tmp_path_factory: pytest.TempPathFactory, lines: int, number: int
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    source = questions(folder / "q.jsonl", lines)
    shards = cut(source, folder / "out.jsonl", number)
    assert "".join(shard.source.read_text() for shard in shards) == source.read_text()
    assert len(shards) == min(lines, number) and all(shard.source.read_text() for shard in shards)


@pytest.mark.slow
@pytest.mark.network  # Ray asks whose cloud it runs in
@pytest.mark.kernel
def test_two_processes_of_ray_write_what_one_process_writes(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is in the scale extra")
    source = questions(tmp_path / "q.jsonl", 5)
    one, many = made_both_ways(source, tmp_path)
    assert content(many) == content(one)
    alone, joined = read_manifest(one), read_manifest(many)
    assert (joined.rows, joined.counts, joined.finished) == (alone.rows, alone.counts, True)


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.kernel
def test_what_a_shard_lost_is_made_again(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is in the scale extra")
    source = questions(tmp_path / "q.jsonl", 5)
    one, many = made_both_ways(source, tmp_path)
    shard = next((tmp_path / "many.jsonl.shards").glob("00001*2.jsonl"))
    kept = shard.read_text().splitlines(keepends=True)
    shard.write_text("".join(kept[1:]))
    before = many.read_text()
    made_both_ways(source, tmp_path)
    assert content(many) == content(one)
    made_again = set(many.read_text().splitlines()) - set(before.splitlines())
    assert len(made_again) == 1


def made_both_ways(source: Path, folder: Path) -> tuple[Path, Path]:
    """Solve questions in this process and in two of Ray's; return both files of attempts."""
    one, many = folder / "one.jsonl", folder / "many.jsonl"
    options = ("--teacher", "embedded", *WITH_TOY, "--samples", "2")
    assert call("finetune", "synthesize", source, "--out", one, *options).code == 0
    spread = finetune("on-ray", "synthesize", source, "--out", many, "--shards", "2", "--", *options)
    assert spread.returncode == 0, spread.stderr
    return one, many


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.kernel
def test_a_shard_that_fails_says_why_and_the_others_finish(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is in the scale extra")
    source = questions(tmp_path / "q.jsonl", 3)
    source.write_text(source.read_text() + "{}\n")
    out = tmp_path / "out.jsonl"
    failed = finetune(
        "on-ray",
        "synthesize",
        source,
        "--out",
        out,
        "--shards",
        "2",
        "--",
        "--teacher",
        "embedded",
        *WITH_TOY,
    )
    assert failed.returncode == 3
    assert "1 of 2 shards failed" in failed.stderr and "line 2" in failed.stderr
    assert "Traceback" not in failed.stderr
    first, second = cut(source, out, 2)
    assert read_manifest(first.out).finished
    with pytest.raises(InputError, match="can't read"):
        join((first, second), out)


def test_an_empty_input_is_refused(tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text("\n")
    with pytest.raises(InputError, match="is empty"):
        cut(tmp_path / "q.jsonl", tmp_path / "out.jsonl", 2)
