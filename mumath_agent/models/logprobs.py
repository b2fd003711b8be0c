"""Ask a model for the log-probability of what it writes, and read what servers answer.

Servers send a number a token: `token_logprobs` (OpenAI's completions, vLLM), `content` (chats, llama.cpp), or a plain
list (Ollama).
"""

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mumath_agent.models.calibration import TAIL_TOKENS, Calibration
from mumath_agent.protocols import CompletionModel, CompletionRequest, OnText
from mumath_agent.records import Completion


class LogprobModel:
    """A model whose completions have a log-probability, where it can say one."""

    def __init__(self, model: CompletionModel) -> None:
        """Take the model; closing it stays with whoever opened it, through `aclose`."""
        self._model = model
        self.caution: str = getattr(model, "caution", "")
        self.at_once: int | None = getattr(model, "at_once", None)
        self.calibration: Calibration | None = getattr(model, "calibration", None)

    @property
    def name(self) -> str:
        """The model's name."""
        return self._model.name

    async def warm_up(self) -> None:
        """Warm the model up."""
        await self._model.warm_up()

    async def complete(self, request: CompletionRequest, on_text: OnText | None = None) -> Completion:
        """Continue the prompt, and ask for log-probabilities; see `CompletionModel.complete`."""
        return await self._model.complete(replace(request, logprobs=True), on_text)

    async def aclose(self) -> None:
        """Close the model."""
        await self._model.aclose()


class LogprobSum:
    """The sum over a completion that arrives in pieces, and its end."""

    def __init__(self) -> None:
        """Begin before the first piece."""
        self.value: float | None = None
        """None until the server has sent a number."""
        self._tail = deque[float](maxlen=TAIL_TOKENS)

    def add(self, choice: Mapping[str, Any]) -> None:
        """Add the numbers of a server's `choice`; whatever else it sent there is passed over."""
        for number in _numbers(choice):
            self.value = (self.value or 0.0) + number
            self._tail.append(number)

    @property
    def tail(self) -> tuple[float, ...] | None:
        """The last numbers; None if there were none."""
        return tuple(self._tail) or None


class TokenList:
    """The ids of a completion's tokens, and their log-probabilities, as they arrive in pieces."""

    def __init__(self) -> None:
        """Begin before the first piece."""
        self._ids, self._logprobs = list[int](), list[float]()

    def add(self, choice: Mapping[str, Any]) -> None:
        """Add what a server's `choice` tells."""
        given = choice.get("token_ids")
        self._ids += [one for one in given if isinstance(one, int)] if isinstance(given, list) else []
        self._logprobs += _numbers(choice)

    @property
    def ids(self) -> tuple[int, ...] | None:
        """All ids; None if there were none."""
        return tuple(self._ids) or None

    @property
    def logprobs(self) -> tuple[float, ...] | None:
        """All log-probabilities; None if there were none."""
        return tuple(self._logprobs) or None


def _numbers(choice: Mapping[str, Any]) -> list[float]:
    """Return the log-probabilities in a server's `choice`; whatever else it sent there is passed over."""
    entries = choice.get("logprobs")
    if isinstance(entries, Mapping):
        entries = entries.get("content") or entries.get("token_logprobs")
    numbers = [
        entry.get("logprob") if isinstance(entry, Mapping) else entry
        for entry in (entries if isinstance(entries, list) else ())
    ]
    return [n for n in numbers if isinstance(n, int | float) and math.isfinite(n) and n <= 0]
