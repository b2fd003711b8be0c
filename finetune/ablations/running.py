"""Make the runs: every arm with every seed. Each is kept on disk; the same command makes those that are missing.

    work/design.json                     the design; another design needs another folder
    work/seed-N/*.jsonl, tokenizer/      the training data of a seed's arms
    work/seed-N/ARM/stage1, stage2       training, which continues from its checkpoints
    work/seed-N/ARM/run.json             the result, written last

The seed draws the questions, the first weights and the order of the rows; the held-out problems are always the same.
Runs share nothing but files, so several are made side by side, each in a process with one thread.
"""

import hashlib
import json
import multiprocessing
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

from finetune.ablations.design import ARMS, AblationSize, Arm, Source
from finetune.ablations.material import held_out, questions, rows
from finetune.ablations.solving import ProblemResult, solve
from finetune.data.records import SolutionFormat
from finetune.training.recipe import RECIPES, Recipe, read_recipe
from finetune.training.tokenizer import train_tokenizer
from finetune.training.train import MANIFEST, train
from mumath_agent.errors import MuMathError
from mumath_agent.records import from_json, to_json
from mumath_agent.runs.identity import require_same
from mumath_agent.runs.jsonl import replace_file, replace_lines
from mumath_agent.runs.locks import only_user


class RunLost(MuMathError):
    """A run's process was killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The result of an arm with one seed: its costs, and the outcome of each problem."""

    arm: str
    seed: int
    parameters: int
    steps: int
    tokens: int
    """Tokens read in training, over all stages."""
    train_s: float
    """Processor seconds of training, in the command that ended the run."""
    solve_s: float
    """Processor seconds of solving, kernels and graders included."""
    results: tuple[ProblemResult, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedRun:
    """A run to be made: the input of a process."""

    arm: Arm
    seed: int
    size: AblationSize
    work: Path

    @property
    def material(self) -> Path:
        """Folder of the seed's training data."""
        return self.work / f"seed-{self.seed}"

    @property
    def out(self) -> Path:
        """Folder of the run."""
        return self.material / self.arm.name.replace(", ", "-").replace(" ", "-").lower()

    @property
    def result(self) -> Path:
        """File of the result; a run that has it is done."""
        return self.out / "run.json"


def make_runs(
    size: AblationSize, seeds: int, work: Path, *, workers: int, on_run: Callable[[Sequence[Run]], None]
) -> tuple[Run, ...]:
    """Make the missing runs and return all. `on_run` gets all that are done: first those of earlier commands.

    Raises:
        InputError: the folder was begun with another recipe, size or version of the templates, or another command is
            using it.
        RunLost: a run's process was killed.
    """
    with only_user(work):
        _require_same_design(size, work)
        return _make(size, seeds, work, workers=workers, on_run=on_run)


def _make(
    size: AblationSize, seeds: int, work: Path, *, workers: int, on_run: Callable[[Sequence[Run]], None]
) -> tuple[Run, ...]:
    plan = [PlannedRun(arm=arm, seed=seed, size=size, work=work) for seed in range(seeds) for arm in ARMS]
    runs = {planned: _read(planned.result) for planned in plan if planned.result.is_file()}

    def done() -> tuple[Run, ...]:
        return tuple(runs[planned] for planned in plan if planned in runs)

    on_run(done())
    missing = [planned for planned in plan if planned not in runs]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=spawn) as pool:
        futures: dict[Future[Run], PlannedRun] = {}
        try:
            for planned in missing:
                prepare(size, planned.seed, planned.material)
                futures[pool.submit(make_run, planned)] = planned
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


def prepare(size: AblationSize, seed: int, folder: Path) -> None:
    """Write the training rows of a seed and the tokenizer that all of its arms share."""
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
            replace_lines(folder / f"{format}-{source}.jsonl", written)
    train_tokenizer(texts, vocab_size=size.vocabulary).save_pretrained(tokenizer)


def make_run(planned: PlannedRun) -> Run:
    """Train the arm's stages, solve the held-out problems, write and return the result."""
    planned.out.mkdir(parents=True, exist_ok=True)
    with (planned.out / "log.txt").open("a", encoding="utf-8") as log, _printing_to(log):
        began_s = _cpu_s()
        start = planned.material / "tokenizer"
        stages = []
        for number, recipe in enumerate(recipes(planned), start=1):
            stage, out = planned.arm.stages[number - 1], planned.out / f"stage{number}"
            train(
                recipe, data=planned.material / f"{stage.format}-{stage.source}.jsonl", start=start, out=out
            )
            stages.append(json.loads((out / MANIFEST).read_text("utf-8")))
            start = out
        problems = tuple(held_out(planned.size.problems))
        attempts = partial(solve, start, problems, max_new_tokens=planned.size.max_new_tokens)
        trained_s = _cpu_s()
        results = anyio.run(attempts)
    run = Run(
        arm=planned.arm.name,
        seed=planned.seed,
        parameters=stages[-1]["parameters"],
        steps=sum(stage["identity"]["recipe"]["steps"] for stage in stages),
        tokens=sum(stage["tokens"] for stage in stages),
        train_s=round(trained_s - began_s, 1),
        solve_s=round(_cpu_s() - trained_s, 1),
        results=results,
    )
    replace_file(planned.result, json.dumps(to_json(run)))
    return run


def recipes(planned: PlannedRun) -> Iterator[Recipe]:
    """Yield the recipe of each stage: the size's for the stage's units, with a new model in the first stage."""
    recipe = unit(planned.size)
    assert recipe.steps is not None
    for number, stage in enumerate(planned.arm.stages):
        changes = {
            "name": f"{planned.arm.name}, seed {planned.seed}, stage {number + 1}",
            "seed": planned.seed,
            "steps": recipe.steps * stage.units,
            "model": recipe.model if number == 0 else None,
        }
        yield recipe.model_copy(update=changes)


def unit(size: AblationSize) -> Recipe:
    """Return the recipe whose steps are a unit of compute."""
    return read_recipe(RECIPES / f"{size.recipe}.toml")


def count_rows(work: Path) -> dict[str, float]:
    """Return the number of training rows by source, as means over the seeds whose rows are written."""
    counts: dict[str, float] = {}
    for source in get_args(Source):
        files = list(work.glob(f"seed-*/{SolutionFormat.CODE}-{source}.jsonl"))
        lines = [len(file.read_text("utf-8").splitlines()) for file in files]
        if lines:
            counts[source] = sum(lines) / len(lines)
    return counts


def _read(path: Path) -> Run:
    return from_json(Run, json.loads(path.read_text("utf-8")))


def _require_same_design(size: AblationSize, work: Path) -> None:
    """Refuse a folder that was begun with another design: their results must not be mixed."""
    problems = [[one.problem.question, one.problem.target] for one in held_out(size.problems)]
    design = {
        "size": to_json(size),
        "recipe": unit(size).model_dump(mode="json"),
        "arms": {arm.name: to_json(arm) for arm in ARMS},
        "problems_sha256": hashlib.sha256(json.dumps(problems).encode()).hexdigest(),
    }
    file = work / "design.json"
    if not file.is_file():
        replace_file(file, json.dumps(design, indent=1))
    require_same(json.loads(file.read_text("utf-8")), design, str(work))


@contextmanager
def _printing_to(log: IO[str]) -> Iterator[None]:
    with redirect_stdout(log), redirect_stderr(log):
        yield


def _cpu_s() -> float:
    """Return the processor seconds of this process and of those of its descendants that were waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)
