r"""Do gold answers count as correct? Each is put where a model would put it and scored as a model's answer is.

    gold ─ two spellings ─ "The answer is $\boxed{…}$." ─▶ the task's answer rule ─▶ grader ─▶ CORRECT, or a failure

The gold as it stands shows that it survives extraction; the gold as models like to write it (`1,450.0`, `\dfrac`,
`\left(`, `\text{…}`) shows that the grader reads it. Whether a wrong answer is refused is for the grader's own tests.
"""

import re
import time
from dataclasses import dataclass
from decimal import Decimal

import anyio

from benchmarks.tasks import Task
from benchmarks.tasks.loaders import Loaded
from mumath_agent.grading import Grader
from mumath_agent.records import Outcome, Problem, Verdict
from mumath_agent.transcript import Kind, Segment, Transcript

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_ROUND = re.compile(r"(?<!\\)[()]")
_WORDS = re.compile(r"[A-Za-z][A-Za-z' .,-]*[A-Za-z]{2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A spelling of a gold answer that isn't correct."""

    id: str
    target: str
    spelling: str
    answer: str | None
    """What the task's rule found of it."""
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfCheck:
    """What came of a task's gold answers."""

    task: str
    source: str
    problems: int
    correct: int
    """Problems whose gold is correct in every spelling."""
    failures: tuple[Failure, ...]
    remarks: tuple[str, ...]
    duration_s: float


async def self_check(task: Task, loaded: Loaded, grader: Grader) -> SelfCheck:
    """Score every gold answer of a task as a model's answer is scored."""
    started = time.monotonic()
    found: dict[str, list[Failure]] = {}

    async def check(problem: Problem) -> None:
        target = problem.target or ""
        graded = [await _failure(task, problem, target, spelling, grader) for spelling in spellings(target)]
        found[problem.id] = [failure for failure in graded if failure is not None]

    async with anyio.create_task_group() as checks:
        for problem in loaded.problems:
            checks.start_soon(check, problem)
    return SelfCheck(
        task=task.name,
        source=loaded.source,
        problems=len(loaded.problems),
        correct=sum(not failures for failures in found.values()),
        failures=tuple(failure for problem in loaded.problems for failure in found[problem.id]),
        remarks=loaded.remarks,
        duration_s=time.monotonic() - started,
    )


def spellings(gold: str) -> tuple[str, ...]:
    """A gold answer as it stands and, where that differs, as models like to write it."""
    return tuple(dict.fromkeys((gold, _as_models_write(gold))))


def _as_models_write(gold: str) -> str:
    if _NUMBER.fullmatch(gold):
        return f"{Decimal(gold):,f}{'0' if '.' in gold else '.0'}"
    if _WORDS.fullmatch(gold):
        return f"\\text{{{gold}}}"
    bare = gold.replace("\\left", "").replace("\\right", "").replace("\\frac", "\\dfrac")
    return _ROUND.sub(lambda bracket: f"\\{'left' if bracket[0] == '(' else 'right'}{bracket[0]}", bare)


async def _failure(
    task: Task, problem: Problem, target: str, spelling: str, grader: Grader
) -> Failure | None:
    answer = task.answer_of(_solution(problem.question, spelling))
    text = None if answer is None else answer.text
    verdict = await grader.grade(text, target)
    if verdict.outcome is Outcome.CORRECT:
        return None
    return Failure(id=problem.id, target=target, spelling=spelling, answer=text, verdict=verdict)


def _solution(question: str, answer: str) -> Transcript:
    text = f"The answer is $\\boxed{{{answer}}}$."
    return Transcript(question=question, segments=(Segment(kind=Kind.RATIONALE, text=text),))
