"""Prepare attempts for the page: what the list, the filters and the head of a transcript need."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.report.attempts import cause_of, tags_of
from benchmarks.runs import Run
from mumath_agent.records import RunRecord
from mumath_agent.runs.page.turns import TurnView, turn_views


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An attempt."""

    name: str
    """Its address in the page; no two have the same."""
    facets: dict[str, str]
    """What it can be filtered by."""
    problem: str
    sample: int
    question: str
    gold: str | None
    answer: str | None
    found_in: str | None
    method: str | None
    """How it was graded."""
    detail: str | None
    stop: str
    error: str | None
    seconds: float
    tokens: int
    """Completion tokens."""
    cells: int
    turns: tuple[TurnView, ...]


def entries(runs: Sequence[Run]) -> list[Entry]:
    """Return all attempts of the runs, in order."""
    taken: Counter[str] = Counter()
    several = len(runs) > 1
    found = []
    for number, run in enumerate(runs, start=1):
        run_name = f"{number}: {run.name}" if several else ""
        for record in run.records:
            sample = f"~{record.sample}" if record.sample else ""
            name = f"{f'{number}.' if several else ''}{record.problem.id}{sample}"
            taken[name] += 1
            found.append(_entry(record, f"{name}~~{taken[name]}" if taken[name] > 1 else name, run_name))
    return found


def _entry(record: RunRecord, name: str, run_name: str) -> Entry:
    attempt, verdict = record.trajectory, record.verdict
    outcome = verdict.outcome.replace("_", " ") if verdict else "no verdict"
    facets = {"outcome": outcome, "cause": cause_of(record).value}
    facets |= {f"tag-{key}": value for key, value in tags_of(record).items()}
    return Entry(
        name=name,
        facets={"run": run_name, **facets} if run_name else facets,
        problem=record.problem.id,
        sample=record.sample,
        question=record.problem.question,
        gold=record.problem.target,
        answer=attempt.answer.text if attempt.answer else None,
        found_in=attempt.answer.found_in.value if attempt.answer else None,
        method=verdict.method if verdict else None,
        detail=verdict.detail if verdict else None,
        stop=attempt.stop_reason.replace("_", " "),
        error=attempt.error,
        seconds=attempt.duration_s,
        tokens=sum(completion.completion_tokens for completion in attempt.completions),
        cells=len(attempt.executions),
        turns=turn_views(record),
    )
