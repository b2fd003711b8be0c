"""Simulate a model's server of a given speed: recorded texts, and the time a server would have taken to write them.

It has a number of slots, each of which writes so many tokens a second. A request that finds no free slot waits in line,
as in a server with continuous batching. Two things are left out: reading a prompt takes no time, and a slot is as fast
in a full server as in an empty one.
"""

import asyncio
from dataclasses import dataclass, replace

from mumath_agent.protocols import CompletionModel, CompletionRequest, OnText
from mumath_agent.records import Completion, FinishReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """How fast a server writes."""

    slots: int
    tokens_per_s: float
    """The rate of each slot."""

    @property
    def total_tokens_per_s(self) -> float:
        """The rate of all slots together."""
        return self.slots * self.tokens_per_s


class SimulatedServer:
    """A `CompletionModel` that takes its time, around one that knows the texts."""

    def __init__(self, texts: CompletionModel, speed: Speed) -> None:
        """Take the model with the texts, and how fast to write them."""
        self._texts = texts
        self._speed = speed
        self._slots = asyncio.Semaphore(speed.slots)

    @property
    def name(self) -> str:
        """The model's name, with the speed."""
        return f"{self._texts.name}, {self._speed.slots} x {self._speed.tokens_per_s:g} tokens/s"

    async def warm_up(self) -> None:
        """See `CompletionModel.warm_up`."""
        await self._texts.warm_up()

    async def complete(self, request: CompletionRequest, on_text: OnText | None = None) -> Completion:
        """See `CompletionModel.complete`; returns when the last token would have been written."""
        whole = await self._texts.complete(request)
        completion = _cut(whole, request.max_tokens)
        async with self._slots:
            await asyncio.sleep(completion.completion_tokens / self._speed.tokens_per_s)
        if on_text:
            on_text(completion.text)
        return completion

    async def aclose(self) -> None:
        """See `CompletionModel.aclose`."""
        await self._texts.aclose()


def _cut(completion: Completion, max_tokens: int) -> Completion:
    """Cut `completion` at the token limit; all its tokens are taken to be equally long."""
    tokens = completion.completion_tokens
    if tokens <= max_tokens:
        return completion
    text = completion.text[: len(completion.text) * max_tokens // tokens]
    return replace(completion, text=text, finish_reason=FinishReason.LENGTH, completion_tokens=max_tokens)
