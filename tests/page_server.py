"""A real server of the page, on a thread, with a model that follows scripts and waits where a test says so."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread

from mumath_agent.agent.solver import Solver, SolverOptions
from mumath_agent.errors import ModelUnreachable
from mumath_agent.front.listening import Listening, bound, url_of
from mumath_agent.front.security import Access
from mumath_agent.front.web.app import web_app
from mumath_agent.front.web.choices import Choice
from mumath_agent.front.web.desk import opened_desk
from mumath_agent.front.web.history import History
from mumath_agent.protocols import CompletionRequest, OnText
from mumath_agent.records import Completion, FinishReason, Limits
from mumath_agent.solutions import Attempts
from tests.waiting import HANG_S, eventually

Turn = str | Sequence[str | Event]
"""What the model writes: a text, or pieces of it and events that it waits for."""


@dataclass
class ScriptedByQuestion:
    """A model that knows by the question what to write. To others it can't be reached."""

    turns: dict[str, Sequence[Turn]] = field(default_factory=dict)
    """The turns of every attempt at a question."""
    attempts: dict[str, Sequence[Turn]] = field(default_factory=dict)
    """The first turn of each attempt at a question."""
    name: str = "scripted"
    prompts: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    _begun: Counter[str] = field(default_factory=Counter)

    async def warm_up(self) -> None:
        pass

    async def complete(self, request: CompletionRequest, on_text: OnText | None = None) -> Completion:
        prompt = request.prompt
        assert isinstance(prompt, str)
        self.prompts.append(prompt)
        question = max({*self.turns, *self.attempts}, key=prompt.rfind)
        if question not in prompt:
            raise ModelUnreachable("nothing answers at http://nowhere.example/v1")
        if question in self.turns:
            turn = self.turns[question][prompt.rpartition(question)[2].count("```output")]
        else:
            turn = self.attempts[question][self._begun[question] % len(self.attempts[question])]
            self._begun[question] += 1
        try:
            text = await _written(turn, on_text or (lambda _: None))
        except asyncio.CancelledError:
            self.cancelled.append(question)
            raise
        words = len(text.split())
        return Completion(
            text=text, finish_reason=FinishReason.STOP, prompt_tokens=10, completion_tokens=words
        )

    async def aclose(self) -> None:
        pass


async def _written(turn: Turn, on_text: OnText) -> str:
    text = ""
    for piece in [turn] if isinstance(turn, str) else turn:
        if isinstance(piece, Event):
            assert await eventually(piece.is_set)
        else:
            text += piece
            on_text(piece)
    return text


@contextmanager
def page_server(
    model: ScriptedByQuestion,
    history: Path,
    *,
    how: Attempts | None = None,
    access: Access | None = None,
    options: SolverOptions | None = None,
) -> Iterator[str]:
    """Serve the page with this model; yield its address."""
    chosen = options or SolverOptions(limits=Limits(cell_timeout_s=HANG_S))

    @asynccontextmanager
    async def opened() -> AsyncIterator[Solver]:
        yield Solver(model=model, limits=chosen.limits, unsafe_local=chosen.unsafe_local)

    kept = History(history)
    choices = (Choice(name="scripted", label="a scripted model", open=opened),)
    listener = bound("127.0.0.1", 0)
    servers, listens = list[Listening](), Event()

    async def serve() -> None:
        async with opened_desk(choices, chosen, how or Attempts(), kept) as desk:
            servers.append(Listening(web_app(desk, access or Access()), listens.set))
            await servers[0].serve(sockets=[listener])

    thread = Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert listens.wait(HANG_S)
    try:
        yield url_of(listener)
    finally:
        servers[0].stop()
        thread.join()
        listener.close()
        kept.close()
