"""A code-nested solution: a question, and verbatim text cut into segments.

Everything works on the same `Transcript`: the agent extends it, the dialects write it, the benchmarks store it, and
`finetune` takes its loss mask from `spans`. This module knows the kinds of segment and who wrote them; the marks that
separate them (fences, special tokens) belong to `dialects`.

Invariant: segments hold text verbatim, markup included, so joining them gives back every byte.
"""

from dataclasses import dataclass, replace
from enum import StrEnum


class Kind(StrEnum):
    """Who wrote a segment and what for."""

    RATIONALE = "rationale"
    """Prose of the model."""
    CODE = "code"
    """A program of the model, with the marks that open it, close it and ask for its output."""
    OUTPUT = "output"
    """The kernel's answer. The model did not write it, so it isn't trained on."""
    NOTE = "note"
    """A nudge of the agent's (`agent.nudges`), in the form of an output; not trained on either."""

    @property
    def written(self) -> bool:
        """Whether the model wrote it."""
        return self in (Kind.RATIONALE, Kind.CODE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A maximal run of text of one kind."""

    kind: Kind
    text: str
    closed: bool = True
    """False for a CODE or OUTPUT block whose end mark is missing: it must not be executed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """Characters `start:end` of `Transcript.text`, and whether a model is trained to write them."""

    start: int
    end: int
    trained: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcript:
    """A question and its solution so far."""

    question: str
    segments: tuple[Segment, ...] = ()

    @property
    def text(self) -> str:
        """The solution, every byte of it, without question and prompt marks."""
        return "".join(segment.text for segment in self.segments)

    @property
    def turns(self) -> tuple[tuple[Segment, ...], ...]:
        """The segments by turn: one completion, and the OUTPUT or NOTE or both that answer it."""
        turns: list[list[Segment]] = []
        answered = True
        for segment in self.segments:
            if not turns or (answered and segment.kind is not Kind.NOTE):
                turns.append([])
            turns[-1].append(segment)
            answered = not segment.kind.written
        return tuple(map(tuple, turns))

    @property
    def spans(self) -> tuple[Span, ...]:
        """Where each segment lies in `text`; trained is everything but OUTPUT (MuMath-Code, stage 2)."""
        spans: list[Span] = []
        start = 0
        for segment in self.segments:
            end = start + len(segment.text)
            spans.append(Span(start=start, end=end, trained=segment.kind.written))
            start = end
        return tuple(spans)

    def extended(self, *segments: Segment) -> "Transcript":
        """Return this transcript with `segments` appended; empty ones are dropped."""
        return replace(self, segments=self.segments + tuple(s for s in segments if s.text))
