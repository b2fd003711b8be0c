"""Language models that continue a prompt.

A `CompletionModel` gets a prompt and returns what comes next, up to a stop string. There are two kinds of prompt, and a
model takes one of them: raw text, which families like MuMath-Code are trained on byte for byte, or the messages of a
chat. Text is continued by any OpenAI-compatible `/v1/completions` server (`completions.py`, vLLM first; MathCoder's
family through `blockwise.py`) and by the small embedded model (`embedded.py`), the default when no server is named.
Messages are answered by `/v1/chat/completions` (`chat_completions.py`) and by any chat model of LangChain
(`langchain.py`). `choosing.py` finds out which of these a server's model wants. `chat.py` goes the other way: it shows
a model of text to LangChain as a chat model.
"""

from mumath_agent.errors import ModelRefused
from mumath_agent.records import Conversation, Prompt


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


__all__ = ["as_conversation", "as_text"]
