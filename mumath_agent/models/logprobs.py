"""Ask a model for the log-probability of what it writes, and read what servers answer.

Servers send a number a token: `token_logprobs` (OpenAI's completions, vLLM) or `content` (chats, llama.cpp).
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mumath_agent.models.calibration import Calibration
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
    """The sum over a completion that arrives in pieces."""

    def __init__(self) -> None:
        """Begin before the first piece."""
        self.value: float | None = None
        """None until the server has sent a number."""

    def add(self, choice: Mapping[str, Any]) -> None:
        """Add the numbers of a server's `choice`; whatever else it sent there is passed over."""
        given = choice.get("logprobs")
        if not isinstance(given, Mapping):
            return
        entries = given.get("content") or given.get("token_logprobs") or ()
        for entry in entries if isinstance(entries, list) else ():
            number = entry.get("logprob") if isinstance(entry, Mapping) else entry
            if isinstance(number, int | float) and math.isfinite(number) and number <= 0:
                self.value = (self.value or 0.0) + number
