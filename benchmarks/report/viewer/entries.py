"""Prepare attempts for the page: turn by turn, each program with its execution.

A model can write a block that looks like an output. `turns_of` tells it from the kernel's, and the page marks it.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.report.attempts import cause_of, tags_of
from benchmarks.report.viewer.highlight import colours
from benchmarks.runs import Run
from mumath_agent.records import Execution, ExecutionStatus, FinishReason, RunRecord
from mumath_agent.runs.executed import Turn, turns_of
from mumath_agent.transcript import Kind, Segment

_FIGURE = re.compile(r"data:image/png;base64,[A-Za-z0-9+/]+={0,2}")
# Fences and special tokens at the ends of a block: a reader needs them only to study the format.
_OPENING = re.compile(r"\s*(?:```[^\n]*\n|<\|[a-z]+\|>)")
_CLOSING = re.compile(r"(?:\n?```[^\n]*\n*|<\|[a-z]+\|>\s*)+\Z")
_TOKENS_BEFORE, _TOKENS_AFTER = re.compile(r"\s*(?:<\|[a-z]+\|>)+"), re.compile(r"(?:<\|[a-z]+\|>\s*)+\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A segment: marks, what stands between them, and marks."""

    kind: str
    """ "rationale", "code", "output", "note", or "invented": an output that the model wrote itself."""
    before: str
    text: str
    after: str
    colours: str = ""
    """The runs of a program's colours, see `highlight`."""
    unclosed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CellResult:
    """What the page says about an execution besides its output."""

    status: str
    failed: bool
    seconds: float
    state: str
    """ "kept", "lost" or "rebuilt"."""
    figures: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnView:
    """A completion and the execution that answered it."""

    parts: tuple[Part, ...]
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cut: bool = False
    """The token limit ended it."""
    ran: CellResult | None = None


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
        turns=tuple(map(_turn, turns_of(record))),
    )


def _turn(turn: Turn) -> TurnView:
    completion = turn.completion
    # Where no completion is known, nothing tells which outputs a model made up.
    parts = [_part(segment, is_real=completion is None) for segment in turn.written]
    parts += [_part(segment, is_real=True) for segment in (turn.output, turn.note) if segment is not None]
    return TurnView(
        parts=tuple(parts),
        prompt_tokens=completion.prompt_tokens if completion else 0,
        completion_tokens=completion.completion_tokens if completion else 0,
        cut=completion is not None and completion.finish_reason is FinishReason.LENGTH,
        ran=_ran(turn.execution) if turn.execution else None,
    )


def _ran(execution: Execution) -> CellResult:
    lost = "lost" if execution.state_lost else "kept"
    return CellResult(
        status=execution.status.value,
        failed=execution.status is not ExecutionStatus.OK,
        seconds=execution.duration_s,
        state="rebuilt" if execution.state_replayed else lost,
        figures=tuple(figure for figure in execution.artefacts if _FIGURE.fullmatch(figure)),
    )


def _part(segment: Segment, *, is_real: bool) -> Part:
    is_prose = segment.kind is Kind.RATIONALE
    opening = (_TOKENS_BEFORE if is_prose else _OPENING).match(segment.text)
    body = segment.text[opening.end() :] if opening else segment.text
    closing = (_TOKENS_AFTER if is_prose else _CLOSING).search(body)
    text = body[: closing.start()] if closing else body
    return Part(
        kind="invented" if segment.kind is Kind.OUTPUT and not is_real else segment.kind.value,
        before=opening.group() if opening else "",
        text=text,
        after=closing.group() if closing else "",
        colours=colours(text) if segment.kind is Kind.CODE else "",
        unclosed=not segment.closed,
    )
