r"""Check that gold answers count as correct: put each where a model would, and score it as a model's answer.

    gold ─ two spellings ─ "The answer is $\boxed{…}$." ─▶ the task's answer rule ─▶ grader ─▶ CORRECT, or a failure

The gold as it stands shows that it survives extraction; the gold as models like to write it (`1,450.0`, `\dfrac`,
`\left(`, `\text{…}`) shows that the grader reads it. The grader's own tests check that wrong answers are refused.
"""

import re
import time
from dataclasses import dataclass
from decimal import Decimal

from benchmarks.tasks import Task
from benchmarks.tasks.loaders import LoadedProblems
from mumath_agent.concurrency import map_each
from mumath_agent.grading import Grader
from mumath_agent.records import Outcome, Problem, Verdict
from mumath_agent.transcript import Kind, Segment, Transcript

_CHECKED_AT_ONCE = 64
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_ROUND = re.compile(r"(?<!\\)[()]")
_WORDS = re.compile(r"[A-Za-z][A-Za-z' .,-]*[A-Za-z]{2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldFailure:
    """A spelling of a gold answer that isn't correct."""

    id: str
    target: str
    spelling: str
    answer: str | None
    """What the task's rule found in it."""
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfCheck:
    """The outcome for a task's gold answers."""

    task: str
    source: str
    problems: int
    correct: int
    """Problems whose gold is correct in every spelling."""
    failures: tuple[GoldFailure, ...]
    remarks: tuple[str, ...]
    duration_s: float


async def self_check(task: Task, loaded: LoadedProblems, grader: Grader) -> SelfCheck:
    """Score every gold answer of a task as a model's answer is scored."""
    started = time.monotonic()

    async def failures(problem: Problem) -> list[GoldFailure]:
        target = problem.target or ""
        graded = [await _failure(task, problem, target, spelling, grader) for spelling in spellings(target)]
        return [failure for failure in graded if failure is not None]

    found = await map_each(loaded.problems, failures, concurrency=_CHECKED_AT_ONCE)
    return SelfCheck(
        task=task.name,
        source=loaded.source,
        problems=len(loaded.problems),
        correct=sum(not failures for failures in found),
        failures=tuple(failure for failures in found for failure in failures),
        remarks=loaded.remarks,
        duration_s=time.monotonic() - started,
    )


def spellings(gold: str) -> tuple[str, ...]:
    """Return a gold answer as it stands and, where that differs, as models like to write it."""
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
) -> GoldFailure | None:
    answer = task.answer_of(_solution(problem.question, spelling))
    text = None if answer is None else answer.text
    verdict = await grader.grade(text, target)
    if verdict.outcome is Outcome.CORRECT:
        return None
    return GoldFailure(id=problem.id, target=target, spelling=spelling, answer=text, verdict=verdict)


def _solution(question: str, answer: str) -> Transcript:
    text = f"The answer is $\\boxed{{{answer}}}$."
    return Transcript(question=question, segments=(Segment(kind=Kind.RATIONALE, text=text),))
