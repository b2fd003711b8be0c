"""How well an exported model solves problems of known answer: the project's own solver, real kernels, the grader.

There is no second solving loop for speed: what is measured here is what a user gets.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mumath_agent.agent.batch import Batch, run_batch
from mumath_agent.agent.solver import Solver
from mumath_agent.answers import boxed_answers
from mumath_agent.errors import InputError
from mumath_agent.grading import Grader
from mumath_agent.models.embedded import EmbeddedModel
from mumath_agent.records import Outcome, Problem, RunRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """Counts over the problems of one source."""

    problems: int
    solved: int
    """The answer is right."""
    output_right: int
    """What the last program printed is right, whatever the answer says."""


def read_problems(path: Path, *, limit: int | None = None) -> list[Problem]:
    """Rows with `question` and either `answer` or a `solution` that boxes it.

    Raises:
        InputError: the file isn't there, or a row can't be used.
    """
    if not path.is_file():
        raise InputError(f"no such file: {path}")
    lines = [line for line in path.read_text("utf-8").splitlines() if line.strip()]
    return [_problem(number, line, path) for number, line in enumerate(lines[:limit], start=1)]


async def evaluate(
    folder: Path, problems: Sequence[Problem], *, concurrency: int, on_done: Callable[[], None]
) -> dict[str, Score]:
    """Scores by source, and over all under "all"; greedy."""
    model = EmbeddedModel(folder)
    records: list[RunRecord] = []

    def keep(record: RunRecord) -> None:
        records.append(record)
        on_done()

    try:
        batch = Batch(problems=tuple(problems), solver=Solver(model=model))
        await run_batch(batch, concurrency=concurrency, on_record=keep)
    finally:
        await model.aclose()
    tried: dict[str, list[tuple[bool, bool]]] = defaultdict(list)
    async with Grader() as grader:
        for record in records:
            right = await _right(record, grader)
            tried["all"].append(right)
            tried[record.problem.source].append(right)
    return {source: _score(results) for source, results in sorted(tried.items())}


def table(scores: dict[str, Score]) -> Iterator[str]:
    """The scores as a markdown table."""
    yield "| problems | n | solved | last output right |"
    yield "|---|---|---|---|"
    for source, score in scores.items():
        solved, output = (100 * count / score.problems for count in (score.solved, score.output_right))
        yield f"| {source} | {score.problems} | {solved:.1f} % | {output:.1f} % |"


async def _right(record: RunRecord, grader: Grader) -> tuple[bool, bool]:
    attempt, target = record.trajectory, record.problem.target or ""
    printed = attempt.executions[-1].stdout.strip() if attempt.executions else None
    found = attempt.answer.text if attempt.answer else None
    answer, output = await grader.grade(found, target), await grader.grade(printed, target)
    return answer.outcome is Outcome.CORRECT, output.outcome is Outcome.CORRECT


def _score(results: list[tuple[bool, bool]]) -> Score:
    solved, output_right = (sum(column) for column in zip(*results, strict=True))
    return Score(problems=len(results), solved=solved, output_right=output_right)


def _problem(number: int, line: str, path: Path) -> Problem:
    try:
        row = json.loads(line)
        boxes = boxed_answers(row.get("solution", ""))
        target = str(row["answer"]) if "answer" in row else boxes[-1]
        return Problem(id=str(number), question=row["question"], target=target, source=_kind(row))
    except (ValueError, KeyError, IndexError, AttributeError, TypeError):
        raise InputError(f"{path} line {number} has no question with an answer or a boxed solution") from None


def _kind(row: dict[str, Any]) -> str:
    """`template/change/gain` and `gsm8k-train/3517/varied` without what numbers single rows."""
    first, *rest = str(row.get("source", "unnamed")).split("/")
    return f"{first}/{rest[0]}" if first == "template" else first
