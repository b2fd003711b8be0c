"""Language models that continue a prompt.

A `CompletionModel` gets a prompt and returns what comes next, up to a stop string. There are two kinds of prompt, and a
model takes one of them: raw text, which families like MuMath-Code are trained on byte for byte, or the messages of a
chat. Text is continued by any OpenAI-compatible `/v1/completions` server (`completions.py`, vLLM first; MathCoder's
family through `blockwise.py`) and by the small embedded model (`embedded.py`), the default when no server is named.
Messages are answered by `/v1/chat/completions` (`chat_completions.py`) and by any chat model of LangChain
(`langchain.py`). `choosing.py` finds out which of these a server's model wants. `chat.py` goes the other way: it shows
a model of text to LangChain as a chat model.
"""

from collections.abc import Callable
from typing import Protocol

from mumath_agent.errors import ModelRefused
from mumath_agent.records import Completion, Conversation, Prompt, Sampling


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
        prompt: Prompt,
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
            ModelRefused: the request can't be served as it is (wrong model name, prompt of the wrong kind).
        """
        ...

    async def aclose(self) -> None:
        """Release connections, threads and memory."""
        ...


def as_text(prompt: Prompt, model: str) -> str:
    """The prompt of a model that continues raw text.

    Raises:
        ModelRefused: it is a conversation.
    """
    if isinstance(prompt, str):
        return prompt
    raise ModelRefused(
        f"{model} continues raw text and was sent messages; choose a dialect of text, e.g. fenced"
    )


def as_conversation(prompt: Prompt, model: str) -> Conversation:
    """The prompt of a model that answers messages.

    Raises:
        ModelRefused: it is raw text.
    """
    if isinstance(prompt, Conversation):
        return prompt
    raise ModelRefused(f"{model} answers messages and was sent raw text; choose the dialect chat or tools")


__all__ = ["CompletionModel", "Conversation", "Prompt", "Sampling", "as_conversation", "as_text"]
