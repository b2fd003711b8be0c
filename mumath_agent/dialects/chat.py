r"""The dialect of chat models: programs in fences, or in calls of a tool, and every output a message.

    system     how to work, in a few sentences
    user       {question}
    assistant  {rationale, then a ```python block}      or: {rationale} and the call python(code)
    user       {an ```output block}                     or: tool: {output}
    assistant  {rationale, with the answer in \boxed{...}}

The transcript is the fenced dialect's, byte for byte, so that what a chat model solved can be read, replayed and
trained on like any other solution; only the prompt is made of messages. Calls of the tool reach here as text as well:
the client writes each as a fenced block behind what was said (`fenced_call`).

A chat model was never trained to stop behind its program, and what it writes then, with an output it made up, was
written without having seen the real one. So a turn ends with its first program, or with the blocks that follow it
immediately and run with it as one; the rest is cut off, and stands only in the `Completion`. A block that is closed is
whole even when the token limit cut what came after.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import takewhile

from mumath_agent.dialects.fenced import HEADER, Fenced
from mumath_agent.records import Completion, Conversation, Execution, FinishReason, Message, Role
from mumath_agent.transcript import Kind, Segment, Transcript

_WORK = """\
Solve the mathematical problem you are given. Reason step by step, and compute with Python (numpy, scipy and sympy are \
installed) instead of by hand. {how}
Print every value you want to see. When you have found the final answer, write it as \\boxed{{...}}."""
_IN_FENCES = """\
To run a program, write it in one block that begins with ```python and ends with ```, and stop there: you will be \
answered with what it printed, in an ```output block. Never write an output yourself."""
_BY_CALLS = "To run a program, call the tool `python` with it: you will be answered with what it printed."

_FENCED = Fenced()
_INDENTED = re.compile(
    r"^(?P<indent>[ \t]+)```(?:python|py)[ \t]*\n(?P<program>(?:(?!^[ \t]*```).*\n)*)(?P=indent)```[ \t]*$",
    re.MULTILINE | re.IGNORECASE,
)
"""A block within a list, as chat models like to write it."""


@dataclass(frozen=True, slots=True)
class Chat:
    """See the module; implements `dialects.Dialect`."""

    tool: bool = False
    """Programs go to and fro as calls of a tool, for models that were trained on these."""

    @property
    def name(self) -> str:
        return "tools" if self.tool else "chat"

    @property
    def stop(self) -> tuple[str, ...]:
        return _FENCED.stop

    def prompt(self, transcript: Transcript) -> Conversation:
        system = _WORK.format(how=_BY_CALLS if self.tool else _IN_FENCES)
        opening = (
            Message(role=Role.SYSTEM, text=system),
            Message(role=Role.USER, text=transcript.question),
        )
        turn = self._called if self.tool else self._fenced
        said = (message for segments in transcript.turns for message in turn(segments))
        return Conversation(messages=(*opening, *said), tool=self.tool)

    def parse(self, text: str) -> tuple[Segment, ...]:
        return _FENCED.parse(text)

    def with_completion(self, transcript: Transcript, completion: Completion) -> Transcript:
        for text in (completion.text, _INDENTED.sub(_outdented, completion.text)):
            if asking := _up_to_first_programs(self._written(text)):
                whole = replace(
                    completion, text=_without_header(_joined(asking)), finish_reason=FinishReason.STOP
                )
                return _FENCED.with_completion(transcript, whole)
        return transcript.extended(*self._written(completion.text))

    def pending_code(self, transcript: Transcript) -> str | None:
        return _FENCED.pending_code(transcript)

    def with_output(self, transcript: Transcript, execution: Execution, *, max_chars: int) -> Transcript:
        return _FENCED.with_output(transcript, execution, max_chars=max_chars)

    def _written(self, text: str) -> tuple[Segment, ...]:
        """What a model wrote, up to an output it made up."""
        return tuple(takewhile(lambda segment: segment.kind is not Kind.OUTPUT, self.parse(text)))

    def _fenced(self, turn: tuple[Segment, ...]) -> Iterator[Message]:
        """A turn in words: the header that asks for an output is the user's."""
        said, output = _parted(turn)
        yield Message(role=Role.ASSISTANT, text=_without_header(_joined(said)))
        if output:
            yield Message(role=Role.USER, text=f"{HEADER}\n{_joined(output).rstrip()}")

    def _called(self, turn: tuple[Segment, ...]) -> Iterator[Message]:
        """A turn with its programs as one call."""
        said, output = _parted(turn)
        code = self.pending_code(Transcript(question="", segments=said))
        words = said if code is None else tuple(s for s in said if s.kind is Kind.RATIONALE)
        yield Message(role=Role.ASSISTANT, text=_joined(words).strip(), code=code)
        if output:
            printed = _joined(output).rstrip().removesuffix("```").rstrip("\n")
            yield Message(role=Role.TOOL, text=printed)


@dataclass(frozen=True, slots=True)
class ChatInText:
    """A chat under the fenced dialect's prompt: how what was recorded of one is replayed, where no model reads it."""

    chat: Chat

    @property
    def name(self) -> str:
        return self.chat.name

    @property
    def stop(self) -> tuple[str, ...]:
        return self.chat.stop

    def prompt(self, transcript: Transcript) -> str:
        return _FENCED.prompt(transcript)

    def parse(self, text: str) -> tuple[Segment, ...]:
        return self.chat.parse(text)

    def with_completion(self, transcript: Transcript, completion: Completion) -> Transcript:
        return self.chat.with_completion(transcript, completion)

    def pending_code(self, transcript: Transcript) -> str | None:
        return self.chat.pending_code(transcript)

    def with_output(self, transcript: Transcript, execution: Execution, *, max_chars: int) -> Transcript:
        return self.chat.with_output(transcript, execution, max_chars=max_chars)


def _outdented(block: re.Match[str]) -> str:
    lines = (line.removeprefix(block["indent"]) for line in block["program"].split("\n"))
    return "```python\n" + "\n".join(lines) + "```"


def fenced_call(code: str) -> str:
    """A call of the tool as text, to stand on a line of its own.

    A line of the program that is a fence, inside a string then, moves by a space: it would end the block.
    """
    lines = (f" {line}" if line.startswith("```") else line for line in code.strip("\n").split("\n"))
    return "```python\n" + "\n".join(lines) + "\n```\n"


def _up_to_first_programs(segments: tuple[Segment, ...]) -> tuple[Segment, ...]:
    """All up to the first closed program and those that follow it with nothing between; empty if there is none."""
    runnable = [segment.kind is Kind.CODE and segment.closed for segment in segments]
    if True not in runnable:
        return ()
    start = runnable.index(True)
    return segments[: start + sum(takewhile(bool, runnable[start:]))]


def _parted(turn: tuple[Segment, ...]) -> tuple[tuple[Segment, ...], tuple[Segment, ...]]:
    """What the model wrote, and the output that answers it, if it has come."""
    written = turn[:-1] if turn[-1].kind is Kind.OUTPUT else turn
    return written, turn[len(written) :]


def _without_header(text: str) -> str:
    return text.rstrip().removesuffix(HEADER).rstrip()


def _joined(segments: tuple[Segment, ...]) -> str:
    return "".join(segment.text for segment in segments)
