"""Servers and models for the tests of the fronts: real sockets, scripted words."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
from starlette.types import ASGIApp

from mumath_agent.front.listening import Listening, bound, url_of
from mumath_agent.protocols import CompletionRequest, OnText
from mumath_agent.records import Completion, FinishReason


@asynccontextmanager
async def served(app: ASGIApp) -> AsyncIterator[str]:
    """Serve an app on a free port of this machine, in this loop; yield its address."""
    listener = bound("127.0.0.1", 0)
    server = Listening(app)
    running = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield url_of(listener)
    finally:
        server.stop()
        await running
        listener.close()


@dataclass(kw_only=True)
class Adding:
    """A model that adds the last two numbers it is asked for, with a program or, where `programs` is off, at once."""

    name: str = "adding"
    programs: bool = True
    at_once: int = 1000

    async def warm_up(self) -> None: ...

    async def complete(self, request: CompletionRequest, on_text: OnText | None = None) -> Completion:
        prompt = str(request.prompt)
        first, second = re.findall(r"(\d+) \+ (\d+)", prompt.partition("```")[0])[-1]
        printed = re.findall(r"```output\n(\d+)\n", prompt)
        text = f"We add {first} and {second}.\n"
        if printed or not self.programs:
            answer = printed[-1] if printed else int(first) + int(second)
            text = f"{'' if printed else text}It is $\\boxed{{{answer}}}$."
        else:
            text += f"```python\nprint({first} + {second})\n```\n"
        for piece in re.findall(r"\S+\s*", text):
            await asyncio.sleep(0)
            if on_text:
                on_text(piece)
        return Completion(text=text, finish_reason=FinishReason.STOP, prompt_tokens=7, completion_tokens=5)

    async def aclose(self) -> None: ...


@dataclass(kw_only=True)
class Stuck:
    """A model that begins to write and doesn't end before it is cancelled."""

    name: str = "stuck"
    begun: int = 0
    cancelled: int = 0
    released: asyncio.Event = field(default_factory=asyncio.Event)
    """Lets it end with an answer."""

    async def warm_up(self) -> None: ...

    async def complete(self, request: CompletionRequest, on_text: OnText | None = None) -> Completion:
        self.begun += 1
        if on_text:
            on_text("Hm. ")
        try:
            await self.released.wait()
        except anyio.get_cancelled_exc_class():
            self.cancelled += 1
            raise
        text = "Hm. $\\boxed{1}$"
        return Completion(text=text, finish_reason=FinishReason.STOP, prompt_tokens=1, completion_tokens=1)

    async def aclose(self) -> None: ...
