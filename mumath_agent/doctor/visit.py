"""Hold what the doctor was told about a server and what its checks have found out so far."""

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Any

from mumath_agent.dialects import request_fields
from mumath_agent.dialects.families import Family
from mumath_agent.doctor.endpoint import Endpoint, RawCompletion
from mumath_agent.models.http.messages import TOOL, wire_messages
from mumath_agent.protocols import Dialect, Prompt
from mumath_agent.records import Limits
from mumath_agent.transcript import Transcript

QUESTION = (
    "A box holds 12 pencils. How many pencils are in 14 boxes, and how many boxes are needed for 95 pencils?"
)
_TURN = (
    "Multiply, then divide.\n```python\nprint(12 * 14, 95 / 12)\n```\n```output\n168 7.916666666666667\n```\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedModel:
    """A model as a server lists it."""

    name: str
    root: str | None = None
    """The folder or hub id it was loaded from; None where the server doesn't say."""
    context_tokens: int | None = None
    """None where the server doesn't say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExaminedModel:
    """The model under examination, and the dialect it is prompted in."""

    listed: ListedModel
    family: Family
    dialect: Dialect
    files: str | None
    """The folder or hub id of its files; None if neither the user nor the server said."""

    def prompts(self, question: str = QUESTION) -> tuple[Prompt, Prompt]:
        """Return the prompts of an attempt's first and second turn; the first is a prefix of the second."""
        first = Transcript(question=question)
        second = first.extended(*self.dialect.parse(_TURN))
        return self.dialect.prompt(first), self.dialect.prompt(second)

    def request(self, prompt: Prompt, more: Mapping[str, object]) -> tuple[str, dict[str, object]]:
        """Return the path and the body of a request for `prompt`: greedy, one token, unless `more` overrides it."""
        body = {
            "model": self.listed.name,
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
    """The examination of one server; None is not known yet, or left to the server."""

    endpoint: Endpoint
    limits: Limits
    model: str | None = None
    dialect: str | None = None
    files: str | None = None
    listed: tuple[ListedModel, ...] = ()
    found: ExaminedModel | None = None

    @property
    def examined(self) -> ExaminedModel:
        """The model that the check "model name" has found."""
        assert self.found is not None, "a check that prompts the model needs the check that finds it"
        return self.found

    async def write(self, prompt: Prompt, **more: object) -> RawCompletion:
        """Return the model's completion of `prompt`."""
        return await self.endpoint.write(*self.examined.request(prompt, more))

    def stream(self, prompt: Prompt, **more: object) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the events of the model's completion of `prompt`."""
        return self.endpoint.stream(*self.examined.request(prompt, more))
