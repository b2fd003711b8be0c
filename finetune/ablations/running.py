"""Makes the runs: every arm with every seed, each kept on disk when it ends; the same command makes what is missing.

    work/design.json                     what is compared; another design is another folder
    work/seed-N/*.jsonl, tokenizer/      what the arms of a seed learn from
    work/seed-N/ARM/stage1, stage2       training goes on from its checkpoints
    work/seed-N/ARM/run.json             written last

The seed draws the questions, the first weights and the order of the rows; the held-out problems are always the same.
Runs share nothing but files, so some of them go side by side, each in a process with a thread.
"""

import fcntl
import hashlib
import json
import multiprocessing
import os
import resource
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, get_args

import anyio

from finetune.ablations.design import ARMS, Arm, Size, Source
from finetune.ablations.material import held_out, questions, rows
from finetune.ablations.solving import Solved, solve
from finetune.data.records import SolutionFormat
from finetune.training.checkpoints import write_atomically
from finetune.training.recipe import RECIPES, Recipe, read_recipe
from finetune.training.tokenizer import train_tokenizer
from finetune.training.train import MANIFEST, train
from mumath_agent.errors import InputError, MuMathError
from mumath_agent.records import from_json, to_json


class RunLost(MuMathError):
    """A run ended without a word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """An arm with one seed: what it took and what it solved."""

    arm: str
    seed: int
    parameters: int
    steps: int
    tokens: int
    """Read in training, over all stages."""
    train_s: float
    """Processor time of the command that ended it."""
    solve_s: float
    """The same, kernels and graders included."""
    solved: tuple[Solved, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A run to be made; what a process is told."""

    arm: Arm
    seed: int
    size: Size
    work: Path

    @property
    def material(self) -> Path:
        return self.work / f"seed-{self.seed}"

    @property
    def out(self) -> Path:
        return self.material / self.arm.name.replace(", ", "-").replace(" ", "-").lower()

    @property
    def result(self) -> Path:
        return self.out / "run.json"


def make_runs(
    size: Size, seeds: int, work: Path, *, workers: int, on_run: Callable[[Sequence[Run]], None]
) -> tuple[Run, ...]:
    """All runs of all arms; `on_run` hears of all that are done, first of those of earlier commands.

    Raises:
        InputError: the folder was begun with another recipe, size or version of the templates, or another command is
            at work in it.
        RunLost: a process was killed.
    """
    with _alone_in(work):
        _refuse_other(size, work)
        return _make(size, seeds, work, workers=workers, on_run=on_run)


def _make(
    size: Size, seeds: int, work: Path, *, workers: int, on_run: Callable[[Sequence[Run]], None]
) -> tuple[Run, ...]:
    jobs = [Job(arm=arm, seed=seed, size=size, work=work) for seed in range(seeds) for arm in ARMS]
    runs = {job: _read(job.result) for job in jobs if job.result.is_file()}

    def done() -> tuple[Run, ...]:
        return tuple(runs[job] for job in jobs if job in runs)

    on_run(done())
    owed = [job for job in jobs if job not in runs]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=spawn) as pool:
        futures: dict[Future[Run], Job] = {}
        try:
            for job in owed:
                prepare(size, job.seed, job.material)
                futures[pool.submit(make_run, job)] = job
            for future in as_completed(futures):
                runs[futures[future]] = future.result()
                on_run(done())
        except BrokenProcessPool:
            raise RunLost(
                "a run's process was killed (no memory left?); fewer --workers take less, and the same command "
                "goes on from the last checkpoints"
            ) from None
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return done()


def prepare(size: Size, seed: int, folder: Path) -> None:
    """Write the rows of a seed and the tokenizer that all of its arms share."""
    tokenizer = folder / "tokenizer"
    if (tokenizer / "tokenizer.json").is_file():
        return
    folder.mkdir(parents=True, exist_ok=True)
    own, made = questions(size.seeds, size.samples, draw=seed)
    texts: list[str] = []
    for format in SolutionFormat:
        for source, some in (("seeds", own), ("augmented", own + made)):
            written = list(rows(some, format))
            texts += [text for row in written for text in (row.question, row.solution)]
            content = "".join(json.dumps(to_json(row), ensure_ascii=False) + "\n" for row in written)
            write_atomically(folder / f"{format}-{source}.jsonl", content.encode())
    train_tokenizer(texts, vocab_size=size.vocabulary).save_pretrained(tokenizer)


def make_run(job: Job) -> Run:
    """Train the arm's stages, solve the held-out problems, write the result down."""
    job.out.mkdir(parents=True, exist_ok=True)
    with (job.out / "log.txt").open("a", encoding="utf-8") as log, _told_to(log):
        began_s = _cpu_s()
        start = job.material / "tokenizer"
        stages = []
        for number, recipe in enumerate(recipes(job), start=1):
            stage, out = job.arm.stages[number - 1], job.out / f"stage{number}"
            train(recipe, data=job.material / f"{stage.format}-{stage.source}.jsonl", start=start, out=out)
            stages.append(json.loads((out / MANIFEST).read_text("utf-8")))
            start = out
        asked = tuple(held_out(job.size.problems))
        attempts = partial(solve, start, asked, max_new_tokens=job.size.max_new_tokens)
        trained_s = _cpu_s()
        solved = anyio.run(attempts)
    run = Run(
        arm=job.arm.name,
        seed=job.seed,
        parameters=stages[-1]["parameters"],
        steps=sum(stage["identity"]["recipe"]["steps"] for stage in stages),
        tokens=sum(stage["tokens"] for stage in stages),
        train_s=round(trained_s - began_s, 1),
        solve_s=round(_cpu_s() - trained_s, 1),
        solved=solved,
    )
    write_atomically(job.result, json.dumps(to_json(run)).encode())
    return run


def recipes(job: Job) -> Iterator[Recipe]:
    """One for each stage: the size's recipe for so many units, with a new model in the first."""
    recipe = unit(job.size)
    assert recipe.steps is not None
    for number, stage in enumerate(job.arm.stages):
        changes = {
            "name": f"{job.arm.name}, seed {job.seed}, stage {number + 1}",
            "seed": job.seed,
            "steps": recipe.steps * stage.units,
            "model": recipe.model if number == 0 else None,
        }
        yield recipe.model_copy(update=changes)


def unit(size: Size) -> Recipe:
    """The recipe whose steps are a unit of compute."""
    return read_recipe(RECIPES / f"{size.recipe}.toml")


def count_rows(work: Path) -> dict[str, float]:
    """Rows of training data by source: means over the seeds whose rows are written."""
    counts: dict[str, float] = {}
    for source in get_args(Source):
        files = list(work.glob(f"seed-*/{SolutionFormat.CODE}-{source}.jsonl"))
        lines = [len(file.read_text("utf-8").splitlines()) for file in files]
        if lines:
            counts[source] = sum(lines) / len(lines)
    return counts


def _read(path: Path) -> Run:
    return from_json(Run, json.loads(path.read_text("utf-8")))


def _refuse_other(size: Size, work: Path) -> None:
    """Results of another design must not be mixed with these."""
    asked = [[one.problem.question, one.problem.target] for one in held_out(size.problems)]
    identity = {
        "size": str(size),
        "recipe": str(unit(size)),
        "arms": str(ARMS),
        "problems": hashlib.sha256(json.dumps(asked).encode()).hexdigest(),
    }
    file = work / "design.json"
    if not file.is_file():
        write_atomically(file, json.dumps(identity, indent=1).encode())
    before = json.loads(file.read_text("utf-8"))
    for name, value in identity.items():
        if before.get(name) != value:
            raise InputError(f"{work} was begun with another {name}; name another --work")


@contextmanager
def _alone_in(work: Path) -> Iterator[None]:
    """Two commands in one folder would train the same runs over each other."""
    try:
        work.mkdir(parents=True, exist_ok=True)
        folder = os.open(work, os.O_RDONLY)
    except OSError as error:
        raise InputError(f"can't use {work}: {error.strerror}; name another --work") from None
    try:
        _lock(folder, work)
        yield
    finally:
        os.close(folder)


def _lock(folder: int, work: Path) -> None:
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(
            f"another command is at work in {work}; wait for it or name another --work"
        ) from None


@contextmanager
def _told_to(log: IO[str]) -> Iterator[None]:
    with redirect_stdout(log), redirect_stderr(log):
        yield


def _cpu_s() -> float:
    """Of this process and of its descendants that have ended and been waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)
