"""Define how each model family writes a transcript.

Only a dialect knows the marks: it renders the prompt, names the stop strings, cuts a completion into segments and
writes an execution as an OUTPUT segment. All other code handles segments and never sees a fence.

    fenced, fenced-qwen, fenced-numina   fenced.py: MuMath-Code and ToRA, and families that took over their fences
    blocks                               blocks.py: MathCoder
    chat, chat-examples, chat-program    chat.py: any chat model, with programs in fences
    tools                                chat.py: any chat model, with programs in tool calls
    words                                chat.py: any chat model, without programs

A new family needs a template or a module here and an entry in `_TEXT` or `_ALL`; docs/dialects.md shows how.
"""

from collections.abc import Mapping

from mumath_agent.dialects.blocks import Blocks
from mumath_agent.dialects.chat import Chat, ChatInText, Words
from mumath_agent.dialects.fenced import NUMINA, QWEN, Fenced
from mumath_agent.errors import InputError
from mumath_agent.protocols import Dialect, TextDialect

_TEXT: tuple[TextDialect, ...] = (Fenced(), Fenced(template=QWEN), Fenced(template=NUMINA), Blocks())
_ALL: tuple[Dialect, ...] = (
    *_TEXT,
    Chat(),
    Chat(examples=True),
    Chat(examples=True, begin="```python\n"),
    Chat(tool=True),
    Words(),
)
_DIALECTS: dict[str, Dialect] = {dialect.name: dialect for dialect in _ALL}


def get_dialect(name: str) -> Dialect:
    """Return the dialect called `name`.

    Raises:
        InputError: there is no dialect of that name.
    """
    if name not in _DIALECTS:
        raise InputError(f"unknown dialect {name!r}; known: {', '.join(_DIALECTS)}")
    return _DIALECTS[name]


def get_text_dialect(name: str) -> TextDialect:
    """Return the dialect to train on transcripts of `name`: itself, or `fenced` for chats, which are kept in it.

    Raises:
        InputError: there is no dialect of that name.
    """
    known = get_dialect(name)
    return next((dialect for dialect in _TEXT if dialect.name == known.name), Fenced())


def get_replay_dialect(name: str) -> TextDialect:
    """Return the dialect for replaying recordings made in `name`; that of a chat writes text instead of messages.

    Raises:
        InputError: there is no dialect of that name.
    """
    known = get_dialect(name)
    return ChatInText(known) if isinstance(known, Chat) else get_text_dialect(name)


def request_fields(dialect: Dialect) -> Mapping[str, object]:
    """Return the fields that a request needs besides, so that a server leaves the dialect's special tokens in."""
    if isinstance(dialect, Blocks):
        return {"skip_special_tokens": False, "spaces_between_special_tokens": False}
    return {}


__all__ = [
    "Blocks",
    "Chat",
    "Fenced",
    "Words",
    "get_dialect",
    "get_replay_dialect",
    "get_text_dialect",
    "request_fields",
]
