"""Prepare an attempt for a page: turn by turn, each program with its execution.

A model can write a block that looks like an output. `turns_of` tells it from the kernel's, and the page marks it.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from mumath_agent.records import Execution, ExecutionStatus, FinishReason, RunRecord
from mumath_agent.runs.executed import Turn, turns_of
from mumath_agent.runs.page.formulas import formulas
from mumath_agent.runs.page.highlight import colours
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
    """The runs of a program's colours (`highlight`), or of the formulas in prose (`formulas`)."""
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
    edited: str | None = None
    """The program that ran in the place of the model's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnView:
    """A completion and the execution that answered it."""

    parts: tuple[Part, ...]
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cut: bool = False
    """The token limit ended it."""
    ran: CellResult | None = None


def turn_views(record: RunRecord) -> tuple[TurnView, ...]:
    """Return the turns of an attempt as a page shows them."""
    return tuple(map(_turn, turns_of(record)))


def parts_of(segments: Sequence[Segment], *, real: bool = False) -> tuple[Part, ...]:
    """Return segments as a page shows them; `real` where a kernel wrote the outputs among them."""
    return tuple(_part(segment, is_real=real) for segment in segments)


def _turn(turn: Turn) -> TurnView:
    completion = turn.completion
    # Where no completion is known, nothing tells which outputs a model made up.
    parts = parts_of(turn.written, real=completion is None)
    parts += parts_of([segment for segment in (turn.output, turn.note) if segment is not None], real=True)
    return TurnView(
        parts=parts,
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
        figures=shown_figures(execution.artefacts),
        edited=execution.edited,
    )


def shown_figures(artefacts: Iterable[str]) -> tuple[str, ...]:
    """Return the artefacts that are pictures, which a program has made: others are never put into a page."""
    return tuple(artefact for artefact in artefacts if _FIGURE.fullmatch(artefact))


@lru_cache(maxsize=64)  # an attempt under way is read again and again
def _part(segment: Segment, *, is_real: bool) -> Part:
    is_prose = segment.kind is Kind.RATIONALE
    opening = (_TOKENS_BEFORE if is_prose else _OPENING).match(segment.text)
    body = segment.text[opening.end() :] if opening else segment.text
    closing = (_TOKENS_AFTER if is_prose else _CLOSING).search(body)
    text = body[: closing.start()] if closing else body
    runs = {Kind.CODE: colours, Kind.RATIONALE: formulas}.get(segment.kind)
    return Part(
        kind="invented" if segment.kind is Kind.OUTPUT and not is_real else segment.kind.value,
        before=opening.group() if opening else "",
        text=text,
        after=closing.group() if closing else "",
        colours=runs(text) if runs else "",
        unclosed=not segment.closed,
    )


__all__ = ["CellResult", "Part", "TurnView", "parts_of", "shown_figures", "turn_views"]
