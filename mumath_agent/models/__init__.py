"""Provide the language models that continue a prompt.

A `CompletionModel` gets a prompt and returns what comes next, up to a stop string. A model takes one of two kinds of
prompt:

    raw text    which families like MuMath-Code are trained on byte for byte
                http/completions.py       an OpenAI-compatible `/v1/completions`, vLLM first
                blockwise.py              the same for MathCoder's family, one block at a time
                embedded.py               the small embedded model, the default without a server
    messages    of a chat
                http/chat_completions.py  an OpenAI-compatible `/v1/chat/completions`
                langchain.py              any chat model of LangChain
    either      local/                    a GGUF file on this machine
                http/ollama.py            a running Ollama

`replicas.py` makes several servers of one model look like one model, and `select.py` picks the dialect and the client
that a server's model needs.
"""

from mumath_agent.errors import ModelRefused
from mumath_agent.protocols import Conversation, Prompt


def as_text(prompt: Prompt, model: str) -> str:
    """Return the prompt for a model that continues raw text; `model` is its name.

    Raises:
        ModelRefused: the prompt is a conversation.
    """
    if isinstance(prompt, str):
        return prompt
    raise ModelRefused(
        f"{model} continues raw text and was sent messages; choose a text dialect, e.g. fenced"
    )


def as_conversation(prompt: Prompt, model: str) -> Conversation:
    """Return the prompt for a model that answers messages; `model` is its name.

    Raises:
        ModelRefused: the prompt is raw text.
    """
    if isinstance(prompt, Conversation):
        return prompt
    raise ModelRefused(f"{model} answers messages and was sent raw text; choose the dialect chat or tools")


__all__ = ["as_conversation", "as_text"]
