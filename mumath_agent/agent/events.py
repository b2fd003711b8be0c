"""Tell whoever streams a run what happens while its nodes are at work.

`stream_mode="custom"` yields `Event`s; `stream_mode="messages"` yields what the model writes as message chunks, as if a
chat model wrote it. Both go through LangGraph's run-time values, so all of this is called from inside a node.
"""

import uuid
from collections.abc import Callable
from contextvars import copy_context
from itertools import takewhile
from typing import NotRequired, TypedDict

from langchain_core.messages import AIMessageChunk
from langgraph.config import get_config, get_stream_writer
from langgraph.graph.message import push_message

from mumath_agent.transcript import Transcript


class Event(TypedDict):
    """One thing that happened."""

    event: str
    """"text": the model wrote `text`. "program": `text` starts to run. "stdout", "stderr": it has just printed `text`.
    "output": it has ended, and `text` was appended to the transcript to say how. "note": the agent appended `text`."""
    text: str
    status: NotRequired[str]
    """The `ExecutionStatus`, with "output"."""
    figures: NotRequired[tuple[str, ...]]
    """What the program drew, as data URLs, with "output"."""


def emit(event: Event) -> None:
    """Send an event to whoever streams the run."""
    get_stream_writer()(event)


def writing() -> Callable[[str], None]:
    """Return a function that sends what the model writes, piece by piece."""
    write, identity = get_stream_writer(), str(uuid.uuid4())
    if not getattr(get_config().get("callbacks"), "handlers", None):  # no callback listens to messages
        return lambda text: write({"event": "text", "text": text})

    def tell(text: str) -> None:
        write({"event": "text", "text": text})
        push_message(AIMessageChunk(content=text, id=identity), state_key=None)

    return tell


def printing() -> Callable[[str, str], None]:
    """Return a function that sends what a program prints; the kernel calls it from outside of the node."""
    write, here = get_stream_writer(), copy_context()
    return lambda stream, text: here.run(write, {"event": stream, "text": text})


def unstreamed(transcript: Transcript, before: Transcript, written: str) -> str:
    """Return the part of `transcript` that a reader of the "text" events hasn't seen: an output and a dialect's marks.

    Args:
        transcript: the transcript with the output, or with a note.
        before: the transcript that ends with the model's turn.
        written: the model's last completion. What it holds behind the program was seen, too, but isn't in the
            transcript if the dialect cut it off.
    """
    turn = "".join(segment.text for segment in before.turns[-1])
    alike = takewhile(lambda pair: pair[0] == pair[1], zip(turn, written.rstrip(), strict=False))
    seen = sum(1 for _ in alike)
    last_line = turn.rstrip("\n").rfind("\n")
    if (
        seen < last_line
    ):  # the dialect rewrote the turn: all of it was seen but the line that asks for the output
        seen = last_line
    return transcript.text[len(before.text) - len(turn) + seen :]


__all__ = ["Event", "emit", "printing", "unstreamed", "writing"]
