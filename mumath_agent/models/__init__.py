"""Language models that continue a text.

A `CompletionModel` gets a prompt as raw text and returns what comes next, up to a stop string. Two are here:
any OpenAI-compatible `/v1/completions` server (`completions.py`, vLLM first) and the small embedded model
(`embedded.py`), which is the default when no server is named. `chat.py` shows either to LangChain as a chat
model.
"""

from collections.abc import Callable
from typing import Protocol

from mumath_agent.records import Completion, Sampling


class CompletionModel(Protocol):
    """The seam between the agent and whatever writes the text. All methods belong to one event loop."""

    @property
    def name(self) -> str:
        """What is written into records, e.g. the name a server serves the model by."""
        ...

    async def warm_up(self) -> None:
        """Load what the first completion needs, or find out early that there will be none. Optional to call.

        Raises:
            ModelUnreachable, ModelRefused: as `complete` would.
        """
        ...

    async def complete(
        self,
        prompt: str,
        *,
        stop: tuple[str, ...],
        max_tokens: int,
        sampling: Sampling,
        on_text: Callable[[str], None] | None = None,
    ) -> Completion:
        """Continue `prompt` until a stop string, the end token or `max_tokens` tokens.

        The stop string is not part of the text. `on_text` is called with each new piece as it arrives; the
        pieces add up to the completion's text, unless a broken stream had to be tried again. Cancelling the
        call ends the generation.

        Raises:
            ModelUnreachable: nothing answered, or the answer broke off, also after retries.
            ModelRefused: the request can't be served as it is (wrong model name, prompt too long).
        """
        ...

    async def aclose(self) -> None:
        """Release connections, threads and memory."""
        ...


__all__ = ["CompletionModel", "Sampling"]
