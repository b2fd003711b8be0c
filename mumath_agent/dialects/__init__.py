"""How a model family writes a transcript.

A dialect owns the marks: it renders the prompt, names the stop strings, cuts a completion into segments and writes
an execution as an OUTPUT segment. Everything else in the house handles segments and never sees a fence.

    fenced, fenced-qwen, fenced-numina   fenced.py: MuMath-Code and ToRA, and those that took over their fences
    blocks                               blocks.py: MathCoder
    chat, tools                          chat.py: any chat model, by its words or by tool calls

Adding a family means adding one module or one template here and a line to `_DIALECTS`; docs/dialects.md shows it.
"""

from collections.abc import Mapping

from mumath_agent.dialects.blocks import Blocks
from mumath_agent.dialects.chat import Chat, ChatInText
from mumath_agent.dialects.fenced import NUMINA, QWEN, Fenced
from mumath_agent.errors import InputError
from mumath_agent.protocols import Dialect, TextDialect

_TEXT: tuple[TextDialect, ...] = (Fenced(), Fenced(template=QWEN), Fenced(template=NUMINA), Blocks())
_ALL: tuple[Dialect, ...] = (*_TEXT, Chat(), Chat(tool=True))
_DIALECTS: dict[str, Dialect] = {dialect.name: dialect for dialect in _ALL}


def get_dialect(name: str) -> Dialect:
    """The dialect called `name`.

    Raises:
        InputError: there is none of that name.
    """
    if name not in _DIALECTS:
        raise InputError(f"unknown dialect {name!r}; known: {', '.join(_DIALECTS)}")
    return _DIALECTS[name]


def get_text_dialect(name: str) -> TextDialect:
    """The dialect that transcripts of `name` are trained in: itself, or the fenced one, in which chats are kept.

    Raises:
        InputError: there is none of that name.
    """
    known = get_dialect(name)
    return next((dialect for dialect in _TEXT if dialect.name == known.name), Fenced())


def get_replay_dialect(name: str) -> TextDialect:
    """The dialect that recordings made in `name` are read with again: a chat's needs no messages then.

    Raises:
        InputError: there is none of that name.
    """
    known = get_dialect(name)
    return ChatInText(known) if isinstance(known, Chat) else get_text_dialect(name)


def request_fields(dialect: Dialect) -> Mapping[str, object]:
    """What a request to a server must carry besides, so that special tokens which are marks stay in its text."""
    if isinstance(dialect, Blocks):
        return {"skip_special_tokens": False, "spaces_between_special_tokens": False}
    return {}


__all__ = [
    "Blocks",
    "Chat",
    "Fenced",
    "get_dialect",
    "get_replay_dialect",
    "get_text_dialect",
    "request_fields",
]
