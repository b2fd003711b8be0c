"""Follow an answer that is under way: what happens in its attempts becomes the view that pages look at.

    SolvingEvent ─▶ Following ─▶ AnswerView ─▶ any number of pages, each at its own pace

Nothing is queued for a page: one that reads slowly, or comes in the middle, is given what there is now.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace

from mumath_agent.agent.attempts import SolvingEvent
from mumath_agent.dialects import Fenced
from mumath_agent.dialects.marks import seen
from mumath_agent.front.web.views import AnswerView, Asked, AttemptView, Vote, attempt_view
from mumath_agent.protocols import Dialect
from mumath_agent.records import RunRecord
from mumath_agent.runs.page.turns import CellResult, Part, TurnView, parts_of, shown_figures
from mumath_agent.transcript import Kind, Segment

PRINTED_CHARS = 10_000
"""What a program under way has printed is shown to this length; the record has what the model reads of it."""
_PAUSE = 4
"""How many times as long as it took to make a view nothing is made."""


@dataclass(slots=True)
class _Attempt:
    """An attempt under way: its turns so far, and the one that is being written."""

    sample: int
    state: str = "begun"
    turns: list[TurnView] = field(default_factory=list)
    written: str = ""
    program: str | None = None
    printed: str = ""

    def view(self, dialect: Dialect) -> AttemptView:
        now = (self.turn(dialect),) if self.written or self.program is not None else ()
        return AttemptView(sample=self.sample, state=self.state, turns=(*self.turns, *now))

    def turn(self, dialect: Dialect) -> TurnView:
        # What is still being written isn't closed yet; that is no fault.
        parts = tuple(replace(part, unclosed=False) for part in parts_of(dialect.parse(self.written)))
        if self.program is None:
            return TurnView(parts=parts)
        running = Part(kind="output", before="", text=self.printed[:PRINTED_CHARS], after="")
        return TurnView(parts=(*parts, running), ran=_ran("running"))

    def heard(self, event: SolvingEvent, dialect: Dialect) -> None:
        match event["event"]:
            case "text":
                self.written, self.state = self.written + event["text"], "writing"
            case "program":
                self.program, self.state = event["text"], "running"
            case "stdout" | "stderr":
                if len(self.printed) < PRINTED_CHARS:
                    self.printed += seen(event["text"])
            case "output":
                self.end_turn(event, dialect)
            case "note":
                self.note(event["text"], dialect)

    def note(self, text: str, dialect: Dialect) -> None:
        """Add what the agent told the model to the turn that it follows."""
        note = parts_of([Segment(kind=Kind.NOTE, text=text)])
        if self.written or not self.turns:
            self.turns.append(TurnView(parts=parts_of(dialect.parse(self.written))))
            self.written = ""
        self.turns[-1] = replace(self.turns[-1], parts=(*self.turns[-1].parts, *note))

    def end_turn(self, event: SolvingEvent, dialect: Dialect) -> None:
        """Keep a turn whose program has ended. Until the attempt's record is there, its output is the one we saw."""
        output = parts_of(
            [Segment(kind=Kind.OUTPUT, text=_output(self.written, event["text"], dialect))], real=True
        )
        ran = _ran(event.get("status", "ok"), event.get("figures", ()))
        self.turns.append(TurnView(parts=(*parts_of(dialect.parse(self.written)), *output), ran=ran))
        self.written, self.program, self.printed, self.state = "", None, "", "writing"


class Following:
    """An answer that is under way, for one event loop."""

    def __init__(self, view: AnswerView) -> None:
        """Begin with a question that has just been asked."""
        self._view = view
        self.dialect: Dialect = Fenced()
        """That of the model, once it is there."""
        self._attempts: dict[int, _Attempt | AttemptView] = {}
        self._asked: dict[str, Asked] = {}
        self._changed = asyncio.Event()
        self._made: AnswerView | None = None

    @property
    def view(self) -> AnswerView:
        """What there is now."""
        if self._made is None:
            attempts = [
                each if isinstance(each, AttemptView) else each.view(self.dialect)
                for _, each in sorted(self._attempts.items())
            ]
            self._made = replace(self._view, attempts=tuple(attempts), asked=tuple(self._asked.values()))
        return self._made

    async def views(self, every_s: float) -> AsyncIterator[AnswerView]:
        """Yield the view whenever it has changed, but not more often than `every_s`, and more rarely if it is long."""
        while True:
            changed, started = self._changed, time.monotonic()
            view = self.view
            seconds = time.monotonic() - started
            yield view
            await changed.wait()
            await asyncio.sleep(max(every_s, _PAUSE * seconds))

    def heard(self, event: SolvingEvent) -> None:
        """Take what happened in an attempt."""
        sample = event.get("sample")
        if event["event"] == "votes":
            votes = tuple(Vote(answer=answer, votes=number) for answer, number in event["votes"].items())
            self._view = replace(self._view, votes=votes)
        elif event["event"] == "cancelled" and sample is not None:
            attempt = self._attempt(sample)
            self._attempts[sample] = replace(attempt.view(self.dialect), state="cancelled", line="Not needed")
        elif event["event"] != "ended" and sample is not None:  # then its record has been here
            self._attempt(sample).heard(event, self.dialect)
        self.tell()

    def kept(self, record: RunRecord) -> None:
        """Take the record of an attempt that has ended."""
        self._attempts[record.sample] = attempt_view(record)
        self.tell()

    def ask(self, asked: Asked) -> None:
        """Show a program that waits for a person."""
        self._asked[asked.token] = asked
        self._attempt(asked.sample).state = "asking"
        self.tell()

    def answered(self, token: str) -> None:
        """Take a program away that has been decided on."""
        if asked := self._asked.pop(token, None):
            attempt = self._attempts[asked.sample]
            if isinstance(attempt, _Attempt):
                attempt.state = "running"
        self.tell()

    def note(self, note: str) -> None:
        """Say something to the readers."""
        self._view = replace(self._view, note=note)
        self.tell()

    def tell(self) -> None:
        """Wake whoever waits for a change."""
        self._made = None
        self._changed.set()
        self._changed = asyncio.Event()

    def _attempt(self, sample: int) -> _Attempt:
        attempt = self._attempts.get(sample)
        if not isinstance(attempt, _Attempt):  # it is made again
            attempt = self._attempts[sample] = _Attempt(sample)
        return attempt


def _output(written: str, appended: str, dialect: Dialect) -> str:
    """Return the output that the agent appended to a turn."""
    outputs = [each.text for each in dialect.parse(written + appended) if each.kind is Kind.OUTPUT]
    return outputs[-1] if outputs else appended


def _ran(status: str, artefacts: Sequence[str] = ()) -> CellResult:
    failed = status not in ("ok", "running")
    figures = shown_figures(artefacts)
    return CellResult(status=status, failed=failed, seconds=0.0, state="kept", figures=figures)
