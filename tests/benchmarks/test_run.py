"""A run: every attempt once, on disk when it ends, whatever breaks on the way."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.manifest import commit, now, versions
from benchmarks.runs import ATTEMPTS, RunFolder, RunManifest, load_run
from mumath_agent.agent.batch import Batch, Sample, run_batch
from mumath_agent.agent.solver import Solver
from mumath_agent.answers import extract_answer
from mumath_agent.errors import InputError, ModelRefused, ModelUnreachable
from mumath_agent.grading import Grader
from mumath_agent.protocols import CompletionModel, CompletionRequest, OnText
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

    async def complete(self, request: CompletionRequest, on_text: OnText | None = None) -> Completion:
        self.asked += 1
        self.seeds.append(request.sampling.seed)
        if self.moods:
            raise self.moods.pop()
        return await ReplayModel.complete(self, request, on_text)


def moody(number: int, *moods: Exception) -> Moody:
    return Moody(recordings=[recording(n) for n in range(number)], moods=list(moods))


def batch(model: CompletionModel, number: int, samples: int = 1, seed: int | None = None) -> Batch:
    sampling = Sampling(temperature=0.0 if seed is None else 1.0, seed=seed)
    return Batch(
        problems=tuple(problem(n) for n in range(number)),
        samples=samples,
        solver=Solver(model=model, sampling=sampling),
    )


def manifest(of: Batch, **changes: Any) -> RunManifest:
    made = RunManifest(
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
    """Run a batch and return the records that this call made."""
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
        ({"seed": 3}, "seed not set, now it is 3"),
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
