"""`python -m benchmarks run` as users run it: killed, out of disk, wrongly called."""

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

from benchmarks.runs import ATTEMPTS, load_run
from mumath_agent.records import Problem

CHECKOUT = Path(__file__).resolve().parents[2]


def problem(number: int) -> Problem:
    target = str(number * 3 + 1 if number % 5 else 0)  # every fifth is answered wrong
    return Problem(id=f"p{number}", question=f"What is 3 times {number}, plus one?", target=target)


def turns(number: int) -> tuple[str, str]:
    return (
        f"```python\nprint(3 * {number} + 1)\n```\n",
        f"The answer is $\\boxed{{{3 * number + 1}}}$.",
    )


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "benchmarks", *map(str, arguments)]


@contextmanager
def served(folder: Path, number: int) -> Iterator[str]:
    """The address of a server that answers as recorded, in a process of its own."""
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
    with subprocess.Popen(
        command("replay", file, "--serve", "0"), cwd=CHECKOUT, stderr=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stderr is not None
            line = server.stderr.readline()
            yield next(word.rstrip(";") for word in line.split() if word.startswith("http://"))
        finally:
            server.terminate()


def problems_file(folder: Path, number: int) -> Path:
    rows = ({"id": p.id, "question": p.question, "answer": p.target} for p in map(problem, range(number)))
    file = folder / "sums.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def content(run: Path) -> list[Any]:
    """The attempts of a run without what a clock said."""
    return [timeless(json.loads(line)) for line in (run / ATTEMPTS).read_text().splitlines()]


def timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: timeless(item) for key, item in value.items() if key != "duration_s"}
    return [timeless(item) for item in value] if isinstance(value, list) else value


@pytest.mark.kernel
@pytest.mark.timeout(600)
def test_killed_five_times_it_ends_with_the_file_of_an_unbroken_run(tmp_path: Path) -> None:
    chance = random.Random(5)
    number, progress = 500, []
    with served(tmp_path, number) as url:
        served_at = ["--base-url", url, "--dialect", "fenced", "--concurrency", "8"]
        arguments = ["run", problems_file(tmp_path, number), *served_at, "--out"]
        subprocess.run(command(*arguments, tmp_path / "whole"), cwd=CHECKOUT, check=True, capture_output=True)
        broken = tmp_path / "broken" / ATTEMPTS
        for _ in range(5):
            with subprocess.Popen(
                command(*arguments, broken.parent), cwd=CHECKOUT, stderr=subprocess.DEVNULL
            ) as process:
                _wait_for_more(broken, lines_of(broken) + chance.randint(5, 70))
                time.sleep(chance.uniform(0, 0.2))
                process.send_signal(signal.SIGKILL)
            progress.append(lines_of(broken))
        subprocess.run(command(*arguments, broken.parent), cwd=CHECKOUT, check=True, capture_output=True)
    assert 0 < progress[0] < progress[1] < progress[2] < progress[3] < progress[4] < number
    assert len(content(broken.parent)) == number
    assert content(broken.parent) == content(tmp_path / "whole")


def lines_of(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def _wait_for_more(path: Path, lines: int) -> None:
    until = time.monotonic() + 60
    while lines_of(path) < lines:
        assert time.monotonic() < until, "the run makes no progress"
        time.sleep(0.01)


@pytest.mark.kernel
def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path: Path) -> None:
    problems = problems_file(tmp_path, 20)
    arguments = command("run", problems, "--out", tmp_path / "run", "--wall", "20", "--dialect", "fenced")

    def little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, resource.RLIM_INFINITY))

    with served(tmp_path, 20) as url:
        failed = subprocess.run(
            [*arguments, "--base-url", url],
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            preexec_fn=little_room,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )
        assert failed.returncode == 2
        assert "can't write" in failed.stderr and "Traceback" not in failed.stderr
        subprocess.run([*arguments, "--base-url", url], cwd=CHECKOUT, check=True, capture_output=True)
    assert len(load_run(tmp_path / "run").records) == 20
    again = subprocess.run([*arguments, "--no-resume"], cwd=CHECKOUT, capture_output=True, text=True)
    assert again.returncode == 2 and "holds a run already" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["no_such_task"], "there is no task"),
        (["none.jsonl"], "can't read none.jsonl"),
        (["gsm8k", "--data-dir", "/none"], "has no file for gsm8k"),
        (["gsm8k", "--samples", "4"], "4 times the same"),
        (["own.jsonl", "--model", "big"], "needs --base-url"),
        (["bad.jsonl"], "the question is empty"),
    ],
)
def test_what_cannot_be_run_is_one_line(arguments: list[str], said: str, tmp_path: Path) -> None:
    (tmp_path / "own.jsonl").write_text('{"question": "What is 1 + 1?", "target": "2"}\n')
    (tmp_path / "bad.jsonl").write_text('{"question": "What is 1 + 1?"}\n{"question": " "}\n')
    arguments = [str(tmp_path / word) if word in ("own.jsonl", "bad.jsonl") else word for word in arguments]
    done = subprocess.run(command("run", *arguments), cwd=CHECKOUT, capture_output=True, text=True)
    assert done.returncode == 2 and said in done.stderr and len(done.stderr.splitlines()) == 1
