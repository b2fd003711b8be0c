"""A run: every attempt once, on disk when it ends, whatever breaks on the way."""

import json
import os
import random
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.manifest import commit, now, versions
from benchmarks.runs import ATTEMPTS, Manifest, RunFolder, load_run
from mumath_agent.answers import extract_answer
from mumath_agent.batch import Batch, Sample, run_batch
from mumath_agent.errors import InputError, ModelRefused, ModelUnreachable
from mumath_agent.grading import Grader
from mumath_agent.models import CompletionModel
from mumath_agent.records import (
    BROKEN,
    Answer,
    AnswerSource,
    Completion,
    FinishReason,
    Outcome,
    Problem,
    RunRecord,
    Sampling,
    StopReason,
)
from mumath_agent.solver import Solver
from mumath_agent.testing import Recording, ReplayModel

CHECKOUT = Path(__file__).resolve().parents[2]
asynchronous = pytest.mark.anyio


def problem(number: int) -> Problem:
    target = str(number * 3 + 1 if number % 5 else 0)  # every fifth is answered wrong
    return Problem(id=f"p{number}", question=f"What is 3 times {number}, plus one?", target=target)


def turns(number: int) -> tuple[str, str]:
    return (
        f"```python\nprint(3 * {number} + 1)\n```\n",
        f"The answer is $\\boxed{{{3 * number + 1}}}$.",
    )


def recording(number: int) -> Recording:
    return Recording(
        question=problem(number).question,
        turns=tuple(
            Completion(text=text, finish_reason=FinishReason.STOP, prompt_tokens=9, completion_tokens=9)
            for text in turns(number)
        ),
    )


@dataclass(kw_only=True)
class Moody(ReplayModel):
    """Answers as recorded, but first raises what the test gives it."""

    moods: list[Exception] = field(default_factory=list)
    seeds: list[int | None] = field(default_factory=list)
    asked: int = 0

    async def complete(
        self,
        prompt: str,
        *,
        stop: tuple[str, ...],
        max_tokens: int,
        sampling: Sampling,
        on_text: Callable[[str], None] | None = None,
    ) -> Completion:
        self.asked += 1
        self.seeds.append(sampling.seed)
        if self.moods:
            raise self.moods.pop()
        return await ReplayModel.complete(
            self, prompt, stop=stop, max_tokens=max_tokens, sampling=sampling, on_text=on_text
        )


def moody(number: int, *moods: Exception) -> Moody:
    return Moody(recordings=[recording(n) for n in range(number)], moods=list(moods))


def batch(model: CompletionModel, number: int, samples: int = 1, seed: int | None = None) -> Batch:
    sampling = Sampling(temperature=0.0 if seed is None else 1.0, seed=seed)
    return Batch(
        problems=tuple(problem(n) for n in range(number)),
        samples=samples,
        solver=Solver(model=model, sampling=sampling),
    )


def manifest(of: Batch, **changes: Any) -> Manifest:
    made = Manifest(
        task="sums",
        source="here",
        problems=len(of.problems),
        samples=of.samples,
        seed=of.solver.sampling.seed,
        settings=of.solver.settings,
        isolation="full",
        started_at=now(),
        versions=versions(),
        commit=commit(),
    )
    return replace(made, **changes)


async def make(of: Batch, path: Path, **options: Any) -> list[RunRecord]:
    """The records this call made."""
    made: list[RunRecord] = []
    with RunFolder(path, manifest(of)) as folder:
        async with Grader() as grader:
            await run_batch(of, folder, concurrency=4, grader=grader, on_record=made.append, **options)
        folder.sort(of.problems, of.samples)
    return made


@pytest.mark.kernel
@asynchronous
async def test_every_attempt_is_made_graded_and_in_order(tmp_path: Path) -> None:
    await make(batch(moody(10), 10), tmp_path)
    run = load_run(tmp_path)
    assert [record.problem.id for record in run.records] == [f"p{n}" for n in range(10)]
    right = [r.verdict is not None and r.verdict.outcome is Outcome.CORRECT for r in run.records]
    assert right == [n % 5 != 0 for n in range(10)]
    assert len({record.key for record in run.records}) == 10
    assert run.manifest is not None and run.manifest.problems == 10


@pytest.mark.kernel
@asynchronous
async def test_a_finished_run_makes_nothing_again_and_a_longer_one_only_what_is_missing(
    tmp_path: Path,
) -> None:
    await make(batch(moody(4), 4), tmp_path)
    model = moody(6)
    assert await make(batch(model, 4), tmp_path) == [] and model.asked == 0
    assert sorted(r.problem.id for r in await make(batch(model, 6), tmp_path)) == ["p4", "p5"]
    assert len(load_run(tmp_path).records) == 6


@pytest.mark.kernel
@asynchronous
async def test_a_server_that_is_away_for_a_while_costs_time_and_nothing_else(tmp_path: Path) -> None:
    told: list[str] = []
    model = moody(6, *(ModelUnreachable("nothing answers") for _ in range(7)))
    made = await make(batch(model, 6), tmp_path, on_outage=told.append)
    assert sorted(record.problem.id for record in made) == [f"p{n}" for n in range(6)]
    assert not any(record.trajectory.stop_reason in BROKEN for record in load_run(tmp_path).records)
    assert told and all("nothing answers" in line for line in told)


@pytest.mark.kernel
@asynchronous
async def test_a_server_that_stays_away_ends_the_run_and_the_next_goes_on(tmp_path: Path) -> None:
    first = await make(batch(moody(2), 2), tmp_path)
    with pytest.raises(ModelUnreachable, match="the same command goes on"):
        await make(
            batch(moody(6, *(ModelUnreachable("away") for _ in range(99))), 6), tmp_path, patience_s=0.2
        )
    rest = await make(batch(moody(6), 6), tmp_path)
    assert (len(first), len(rest), len(load_run(tmp_path).records)) == (2, 4, 6)


@pytest.mark.kernel
@asynchronous
async def test_what_machinery_broke_is_never_scored_and_made_again_by_the_next_run(tmp_path: Path) -> None:
    model = moody(5, ModelRefused("too long"), RuntimeError("a fault"), RuntimeError("a fault"))
    made = await make(batch(model, 5), tmp_path)
    broken = [record for record in made if record.trajectory.stop_reason in BROKEN]
    assert [(r.trajectory.stop_reason, r.verdict) for r in broken] == [(StopReason.MODEL_ERROR, None)]
    assert len(await make(batch(moody(5), 5), tmp_path)) == 1
    assert len((tmp_path / ATTEMPTS).read_text().splitlines()) == 5


@pytest.mark.kernel
@asynchronous
async def test_a_fault_that_does_not_pass_is_recorded_after_a_few_tries(tmp_path: Path) -> None:
    made = await make(batch(moody(1, *(RuntimeError("a fault") for _ in range(9))), 1), tmp_path)
    assert [record.trajectory.stop_reason for record in made] == [StopReason.INTERNAL_ERROR]


@pytest.mark.kernel
@asynchronous
async def test_samples_have_seeds_of_their_own_the_same_in_every_run(tmp_path: Path) -> None:
    one, two = moody(2), moody(2)
    await make(batch(one, 2, samples=3, seed=7), tmp_path / "one")
    await make(batch(two, 2, samples=3, seed=7), tmp_path / "two")
    assert set(one.seeds) == set(two.seeds) and len(set(one.seeds)) == 6
    records = load_run(tmp_path / "one").records
    assert [(r.problem.id, r.sample) for r in records] == [(f"p{p}", s) for p in (0, 1) for s in (0, 1, 2)]
    assert {record.settings.sampling.seed for record in records} == set(one.seeds)


@pytest.mark.kernel
@asynchronous
async def test_the_rule_of_a_task_says_which_answer_is_scored(tmp_path: Path) -> None:
    always = Answer(text="1", found_in=AnswerSource.PHRASE)
    await make(replace(batch(moody(1), 1), answer_of=lambda _: always), tmp_path)
    (record,) = load_run(tmp_path).records
    assert record.trajectory.answer == always and extract_answer(record.trajectory.transcript) != always


def test_the_key_names_everything_that_makes_an_attempt() -> None:
    base, sample = batch(moody(1), 1, seed=1), Sample(problem=problem(1), number=0)
    keys = {
        base.key(sample),
        base.key(replace(sample, number=1)),
        base.key(Sample(problem=problem(2), number=0)),
        base.key(Sample(problem=replace(problem(1), question="What?"), number=0)),
        batch(moody(1), 1, seed=2).key(sample),
        replace(base, solver=replace(base.solver, fresh_cells=True)).key(sample),
        replace(base, solver=replace(base.solver, limits=replace(base.solver.limits, max_turns=9))).key(
            sample
        ),
    }
    assert len(keys) == 7
    assert base.key(sample) == batch(moody(1), 1, seed=1).key(sample)
    assert base.key(sample) == base.key(Sample(problem=replace(problem(1), target="5"), number=0))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"task": "products"}, "task sums, now it is products"),
        ({"source": "there"}, "source here"),
        ({"seed": 3}, "seed None, now it is 3"),
        ({"problems": 3}, "problems 4, now it is 3"),
        ({"settings": batch(moody(0), 0, seed=1).solver.settings}, "temperature 0.0, now it is 1.0"),
    ],
)
def test_another_run_is_not_mixed_in(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    first = manifest(batch(moody(4), 4))
    with RunFolder(tmp_path, first):
        pass
    with pytest.raises(InputError, match=said), RunFolder(tmp_path, replace(first, **changes)):
        pass


def test_two_commands_do_not_write_the_same_run(tmp_path: Path) -> None:
    of = manifest(batch(moody(1), 1))
    with RunFolder(tmp_path, of), pytest.raises(InputError, match="in use"), RunFolder(tmp_path, of):
        pass
    with RunFolder(tmp_path, of):
        pass


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
        arguments = ["run", problems_file(tmp_path, number), "--base-url", url, "--concurrency", "8", "--out"]
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
    arguments = command("run", problems, "--out", tmp_path / "run", "--wall", "20")

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
        (["gsm8k", "--model", "big"], "needs --base-url"),
    ],
)
def test_what_cannot_be_run_is_one_line(arguments: list[str], said: str) -> None:
    done = subprocess.run(command("run", *arguments), cwd=CHECKOUT, capture_output=True, text=True)
    assert done.returncode == 2 and said in done.stderr and len(done.stderr.splitlines()) == 1
