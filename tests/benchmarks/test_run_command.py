"""`python -m benchmarks run` as users run it: killed, out of disk, wrongly called.

By day a run of 60 problems is killed once; one of 500, killed five times, is slow.
"""

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks.replay.agent import replay_model
from benchmarks.replay.recordings import RecordedSolution, load_recorded
from benchmarks.replay.server import serving
from benchmarks.runs import ATTEMPTS, load_run
from mumath_agent.records import Problem
from tests.programs import call

CHECKOUT = Path(__file__).resolve().parents[2]


def problem(number: int) -> Problem:
    target = str(number * 3 + 1 if number % 5 else 0)  # every fifth is answered wrong
    return Problem(id=f"p{number}", question=f"What is 3 times {number}, plus one?", target=target)


def turns(number: int) -> tuple[str, str]:
    return (
        f"```python\nprint(3 * {number} + 1)\n```\n",
        f"The answer is $\\boxed{{{3 * number + 1}}}$.",
    )


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "benchmarks", *map(str, arguments)]


@contextmanager
def served(folder: Path, number: int) -> Iterator[str]:
    """Serve recorded answers; yield the server's address."""
    rows = [
        {
            "idx": n,
            "question": problem(n).question,
            "gt": problem(n).target,
            "code": [f"{turns(n)[0]}```output\n{3 * n + 1}\n```\n{turns(n)[1]}"],
            "pred": [str(3 * n + 1)],
        }
        for n in range(number)
    ]
    file = folder / "recorded.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    solutions = [solution for solution in load_recorded(file) if isinstance(solution, RecordedSolution)]
    with serving(replay_model(solutions)) as url:
        yield url


def problems_file(folder: Path, number: int) -> Path:
    rows = ({"id": p.id, "question": p.question, "answer": p.target} for p in map(problem, range(number)))
    file = folder / "sums.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def content(run: Path) -> list[Any]:
    """Return the attempts of a run without what a clock said."""
    return [timeless(json.loads(line)) for line in (run / ATTEMPTS).read_text().splitlines()]


def timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: timeless(item) for key, item in value.items() if key != "duration_s"}
    return [timeless(item) for item in value] if isinstance(value, list) else value


@pytest.mark.kernel
@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_killed_again_and_again_it_ends_with_the_file_of_an_unbroken_run(tmp_path: Path) -> None:
    kills, number = 5, 500
    chance, progress = random.Random(5), [0]
    with served(tmp_path, number) as url:
        served_at = ["--base-url", url, "--dialect", "fenced", "--concurrency", "8"]
        arguments = ("run", problems_file(tmp_path, number), *served_at, "--out")
        assert call("benchmarks", *arguments, tmp_path / "whole").code == 0
        broken = tmp_path / "broken" / ATTEMPTS
        for _ in range(kills):
            with subprocess.Popen(
                command(*arguments, broken.parent), cwd=CHECKOUT, stderr=subprocess.DEVNULL
            ) as process:
                until = lines_of(broken) + chance.randint(5, number // (2 * kills))
                while lines_of(broken) < until:
                    assert process.poll() is None
                    time.sleep(0.01)
                process.send_signal(signal.SIGKILL)
            progress.append(lines_of(broken))
        assert call("benchmarks", *arguments, broken.parent).code == 0
    assert progress == sorted(set(progress)) and progress[-1] < number
    assert len(content(broken.parent)) == number
    assert content(broken.parent) == content(tmp_path / "whole")


def lines_of(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


@pytest.mark.kernel
def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path: Path) -> None:
    problems = problems_file(tmp_path, 20)
    arguments = ("run", problems, "--out", tmp_path / "run", "--dialect", "fenced")

    def little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, resource.RLIM_INFINITY))

    with served(tmp_path, 20) as url:
        failed = subprocess.run(
            command(*arguments, "--base-url", url),
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            preexec_fn=little_room,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )
        assert failed.returncode == 2
        assert "can't write" in failed.stderr and "Traceback" not in failed.stderr
        assert call("benchmarks", *arguments, "--base-url", url).code == 0
        again = call("benchmarks", *arguments, "--base-url", url, "--no-resume")
    assert len(load_run(tmp_path / "run").records) == 20
    assert again.code == 2 and "holds a run already" in again.stderr


@pytest.mark.kernel
@pytest.mark.worker
def test_the_answer_that_attempts_choose_is_scored_and_all_of_them_are_kept(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with served(tmp_path, 6) as url:
        arguments = [
            "run",
            problems_file(tmp_path, 6),
            "--base-url",
            url,
            "--dialect",
            "fenced",
            "--out",
            run,
        ]
        made = call("benchmarks", *arguments, "--attempts", 2)
        again = call("benchmarks", *arguments, "--attempts", 3, "--no-early-stop")
    assert made.code == 0 == again.code, made.stderr + again.stderr
    assert "66.7% right" in made.stdout and "66.7% right" in again.stdout  # 0 and 5 are answered wrong
    loaded = load_run(run)
    assert loaded.manifest is not None and loaded.manifest.how is not None
    assert (loaded.manifest.samples, loaded.manifest.how.number) == (3, 3)
    assert [record.sample for record in loaded.records] == [0, 1, 2] * 6
    assert [record.settings.sampling.temperature for record in loaded.records[:3]] == [0, 0.7, 0.7]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["no_such_task"], "there is no task"),
        (["none.jsonl"], "can't read none.jsonl"),
        (["gsm8k", "--data-dir", "/none"], "has no file for gsm8k"),
        (["gsm8k", "--samples", "4"], "4 times the same"),
        (["gsm8k", "--samples", "4", "--attempts", "4"], "leave out one"),
        (["{own}", "--model", "big"], "needs --base-url"),
        (["{bad}"], "the question is empty"),
    ],
)
def test_what_cannot_be_run_is_one_line(tmp_path: Path, arguments: list[str], said: str) -> None:
    own, bad = tmp_path / "own.jsonl", tmp_path / "bad.jsonl"
    own.write_text('{"question": "What is 1 + 1?", "target": "2"}\n')
    bad.write_text('{"question": "What is 1 + 1?"}\n{"question": " "}\n')
    done = call("benchmarks", "run", *(argument.format(own=own, bad=bad) for argument in arguments))
    assert done.code == 2 and said in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("name", ["own.jsonl", "own.json", "own.csv", "own.tsv"])
def test_a_file_of_any_form_is_a_task(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_text('{"a": "b"}\n')
    ended = call("benchmarks", "run", file)
    assert ended.code == 2 and ended.stderr.startswith(f"error: {name} line 1: ")
