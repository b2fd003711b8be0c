"""A server under examination: what is wanted of it, and what the checks so far have found out."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any

from mumath_agent.dialects import request_fields
from mumath_agent.dialects.families import Family
from mumath_agent.doctor.endpoint import Endpoint, Written
from mumath_agent.models.http.chat_completions import TOOL, wire_messages
from mumath_agent.protocols import Dialect
from mumath_agent.records import Limits, Prompt
from mumath_agent.transcript import Transcript

QUESTION = (
    "A box holds 12 pencils. How many pencils are in 14 boxes, and how many boxes are needed for 95 pencils?"
)
_TURN = (
    "Multiply, then divide.\n```python\nprint(12 * 14, 95 / 12)\n```\n```output\n168 7.916666666666667\n```\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A model as a server lists it."""

    name: str
    root: str | None = None
    """The folder or hub id it was loaded from; None where the server doesn't say."""
    context_tokens: int | None = None
    """The same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """The model that is examined, and how it is spoken to."""

    served: Served
    family: Family
    dialect: Dialect
    files: str | None
    """Where its files are, a folder or a hub id, if anybody said so."""

    def prompts(self, question: str = QUESTION) -> tuple[Prompt, Prompt]:
        """Of the first turn and the second of one attempt; the first is a prefix of the second."""
        begun = Transcript(question=question)
        answered = begun.extended(*self.dialect.parse(_TURN))
        return self.dialect.prompt(begun), self.dialect.prompt(answered)

    def request(self, prompt: Prompt, more: Mapping[str, object]) -> tuple[str, dict[str, object]]:
        """The path for this kind of prompt, and what to send there: greedy and one token, unless `more` says else."""
        body = {
            "model": self.served.name,
            "temperature": 0.0,
            "max_tokens": 1,
            **request_fields(self.dialect),
        }
        if isinstance(prompt, str):
            return "/completions", {**body, "prompt": prompt, **more}
        tools = {"tools": [TOOL]} if prompt.tool else {}
        return "/chat/completions", {**body, "messages": wire_messages(prompt), **tools, **more}


@dataclass(slots=True, kw_only=True)
class Visit:
    """See the module. What is None has not been found out yet, or was left to the server to say."""

    endpoint: Endpoint
    limits: Limits
    model: str | None = None
    dialect: str | None = None
    files: str | None = None
    listed: tuple[Served, ...] = ()
    found: Subject | None = None

    @property
    def subject(self) -> Subject:
        assert self.found is not None, "a check that asks the model needs the one that finds it"
        return self.found

    async def write(self, prompt: Prompt, **more: object) -> Written:
        """What the model makes of it."""
        return await self.endpoint.write(*self.subject.request(prompt, more))

    def stream(self, prompt: Prompt, **more: object) -> AsyncGenerator[dict[str, Any], None]:
        """The same, event by event."""
        return self.endpoint.stream(*self.subject.request(prompt, more))
