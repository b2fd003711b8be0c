r"""Write transcripts as the messages of a chat: programs in fences or tool calls, and every output a message.

    system     how to work, in a few sentences
    user       {question}
    assistant  {rationale, then a ```python block}      or: {rationale} and the call python(code)
    user       {an ```output block}                     or: tool: {output}
    assistant  {rationale, with the answer in \boxed{...}}

The transcript is the fenced dialect's, byte for byte, so that a chat model's solution can be read, replayed and trained
on like any other; only the prompt consists of messages. Programs in other fences are rewritten (`fences.py`). Tool
calls arrive here as text, too: the client writes each as a block after the text (`calls.py`). What the model thought
stands in tags at the head of a turn (`reasoning.py`).

A chat model wasn't trained to stop after its program, and what it writes then, often with an output it made up, was
written without having seen the real one. So a turn ends with its first program, or with several that follow each other
immediately and run as one; the rest is cut off, and kept only in the `Completion`. The same holds for what it writes
after its answer, when it goes on with a question of its own. A closed block is complete even if the token limit cut
what came after it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import takewhile

from mumath_agent.dialects.calls import error_of, with_calls_read, without_calls
from mumath_agent.dialects.examples import solved_problems
from mumath_agent.dialects.fenced import HEADER, Fenced
from mumath_agent.dialects.fences import in_fences
from mumath_agent.dialects.reasoning import split_turn, with_reasoning, without_reasoning
from mumath_agent.prose import next_question
from mumath_agent.protocols import Conversation, Message, Role
from mumath_agent.records import Completion, Execution, FinishReason
from mumath_agent.transcript import Kind, Segment, Transcript

_WORK = """\
Solve the mathematical problem you are given. Reason step by step, and compute with Python (numpy, scipy and sympy are \
installed) instead of by hand. {how}
Print every value you want to see. When you have found the final answer, write it as \\boxed{{...}}."""
_IN_FENCES = """\
To run a program, write it in one block that begins with ```python and ends with ```, and stop there: you will be \
answered with what it printed, in an ```output block. Never write an output yourself."""
_IN_WORDS = """\
Solve the mathematical problem you are given. Reason step by step. When you have found the final answer, write it as \
\\boxed{...}."""
_BY_CALLS = "To run a program, call the tool `python` with it: you will be answered with what it printed."

_FENCED = Fenced()


@dataclass(frozen=True, slots=True)
class Chat:
    """The `Dialect` of chat models."""

    tool: bool = False
    """Whether programs are tool calls, for models that were trained on these."""
    examples: bool = False
    """Whether solved problems come before the question, for models that write no programs unless they are shown."""
    begin: str = ""
    """What the first answer begins with; only some servers can continue a message."""
    nudges: int = 1

    @property
    def name(self) -> str:
        """One of "chat", "chat-examples", "chat-program" and "tools"."""
        if self.tool:
            return "tools"
        return "chat-program" if self.begin else "chat-examples" if self.examples else "chat"

    @property
    def stop(self) -> tuple[str, ...]:
        """The fenced dialect's stop string."""
        return _FENCED.stop

    def prompt(self, transcript: Transcript) -> Conversation:
        """Return the system message, the solved problems, the question, and the messages of all turns so far."""
        system = Message(role=Role.SYSTEM, text=_WORK.format(how=_BY_CALLS if self.tool else _IN_FENCES))
        shown = (*(solved_problems() if self.examples else ()), transcript)
        spoken = (message for each in shown for message in self._spoken(each))
        begin = "" if transcript.segments else self.begin
        return Conversation(messages=(system, *spoken), tool=self.tool, begin=begin)

    def _spoken(self, transcript: Transcript) -> Iterator[Message]:
        """Yield a transcript's question and turns as messages."""
        yield Message(role=Role.USER, text=transcript.question)
        messages_of = self._with_call if self.tool else self._in_fences
        for turn in transcript.turns:
            yield from messages_of(turn)

    def parse(self, text: str) -> tuple[Segment, ...]:
        """Cut the text of a solution into segments, as the fenced dialect does."""
        return _FENCED.parse(text)

    def with_completion(self, transcript: Transcript, completion: Completion) -> Transcript:
        """Append a completion up to the end of its first programs, and the header that asks for their output."""
        kept = tuple(self._kept(self._in_one_spelling(completion)))
        if asking := _up_to_first_programs(kept):
            whole = replace(
                completion, text=_without_header(_joined(asking)), finish_reason=FinishReason.STOP
            )
            return _FENCED.with_completion(transcript, whole)
        return transcript.extended(*kept)

    def pending_code(self, transcript: Transcript) -> str | None:
        """Return the programs of the last turn as one, if the transcript ends with the header line."""
        return _FENCED.pending_code(transcript)

    def with_output(self, transcript: Transcript, execution: Execution, *, max_chars: int) -> Transcript:
        """Append what the execution printed, as the fenced dialect does."""
        return _FENCED.with_output(transcript, execution, max_chars=max_chars)

    def with_note(self, transcript: Transcript, note: str) -> Transcript:
        """Append a note, as the fenced dialect does; the model reads it as a message."""
        return _FENCED.with_note(transcript, note)

    def _in_one_spelling(self, completion: Completion) -> str:
        """Return a completion with its reasoning, its calls and its programs as the transcript spells them."""
        thought, said = without_reasoning(completion.text)
        said = with_calls_read(said, has_tool=self.tool)
        ended = completion.finish_reason is FinishReason.STOP
        return with_reasoning(thought, in_fences(said, ended=ended, has_tool=self.tool))

    def _kept(self, text: str) -> Iterator[Segment]:
        """Yield what a model wrote before the first output, or the next question, that it made up."""
        for segment in takewhile(lambda segment: segment.kind is not Kind.OUTPUT, self.parse(text)):
            said = split_turn(segment.text)[1]
            end = next_question(said) if segment.kind is Kind.RATIONALE else None
            if end is not None:
                yield replace(segment, text=segment.text[: len(segment.text) - len(said) + end])
                return
            yield segment

    def _in_fences(self, turn: tuple[Segment, ...]) -> Iterator[Message]:
        """Yield a turn's messages with programs in fences; the output's header is in the user's message."""
        written, output, notes = _split(turn)
        thought, said = split_turn(_joined(written))
        yield Message(role=Role.ASSISTANT, text=_without_header(said), reasoning=thought)
        answer = [f"{HEADER}\n{_joined(output).rstrip()}"] if output else []
        if answer or notes:
            yield Message(role=Role.USER, text="\n\n".join([*answer, *notes]))

    def _with_call(self, turn: tuple[Segment, ...]) -> Iterator[Message]:
        """Yield a turn's messages with its programs as one tool call, and an answer to each call that doesn't run."""
        written, output, notes = _split(turn)
        code = self.pending_code(Transcript(question="", segments=written))
        prose = written if code is None else tuple(s for s in written if s.kind is Kind.RATIONALE)
        thought, said = split_turn(_joined(prose))
        text, failed = without_calls(said)
        yield Message(
            role=Role.ASSISTANT, text=text.strip(), code=code, reasoning=thought, failed_calls=failed
        )
        for call in failed:
            yield Message(role=Role.TOOL, text=error_of(call))
        if output:
            printed = _joined(output).rstrip().removesuffix("```").rstrip("\n")
            # Many templates let nobody but the assistant speak after a tool.
            yield Message(role=Role.TOOL, text="\n\n".join([printed, *notes]))
        elif notes and not failed:  # a call that failed has had its answer
            yield Message(role=Role.USER, text="\n\n".join(notes))


@dataclass(frozen=True, slots=True)
class Words(Chat):
    """A chat without programs: chain of thought, to compare with."""

    nudges: int = 0

    @property
    def name(self) -> str:
        """Return "words"."""
        return "words"

    def prompt(self, transcript: Transcript) -> Conversation:
        """Return the system message, the question, and what the model has answered."""
        system = Message(role=Role.SYSTEM, text=_IN_WORDS)
        return Conversation(messages=(system, *self._spoken(transcript)))

    def with_completion(self, transcript: Transcript, completion: Completion) -> Transcript:
        """Append a completion whole."""
        return transcript.extended(*self.parse(completion.text))

    def pending_code(self, transcript: Transcript) -> str | None:
        """Return None: whatever looks like a program is shown, not run."""
        return None


@dataclass(frozen=True, slots=True)
class ChatInText:
    """A chat with the fenced dialect's prompt, to replay a recorded chat; no model reads that prompt."""

    chat: Chat

    @property
    def name(self) -> str:
        """The chat dialect's name."""
        return self.chat.name

    @property
    def stop(self) -> tuple[str, ...]:
        """The chat dialect's stop strings."""
        return self.chat.stop

    @property
    def nudges(self) -> int:
        """The chat dialect's."""
        return self.chat.nudges

    def prompt(self, transcript: Transcript) -> str:
        """Return the fenced dialect's prompt."""
        return _FENCED.prompt(transcript)

    def parse(self, text: str) -> tuple[Segment, ...]:
        """Cut the text of a solution into segments, as the chat dialect does."""
        return self.chat.parse(text)

    def with_completion(self, transcript: Transcript, completion: Completion) -> Transcript:
        """Append a completion, as the chat dialect does."""
        return self.chat.with_completion(transcript, completion)

    def pending_code(self, transcript: Transcript) -> str | None:
        """Return the pending program, as the chat dialect does."""
        return self.chat.pending_code(transcript)

    def with_output(self, transcript: Transcript, execution: Execution, *, max_chars: int) -> Transcript:
        """Append what the execution printed, as the chat dialect does."""
        return self.chat.with_output(transcript, execution, max_chars=max_chars)

    def with_note(self, transcript: Transcript, note: str) -> Transcript:
        """Append a note, as the chat dialect does."""
        return self.chat.with_note(transcript, note)


def _up_to_first_programs(segments: tuple[Segment, ...]) -> tuple[Segment, ...]:
    """Return all up to the first closed program and those that follow it immediately; empty if there is none."""
    runnable = [segment.kind is Kind.CODE and segment.closed for segment in segments]
    if True not in runnable:
        return ()
    start = runnable.index(True)
    return segments[: start + sum(takewhile(bool, runnable[start:]))]


def _split(turn: tuple[Segment, ...]) -> tuple[tuple[Segment, ...], tuple[Segment, ...], list[str]]:
    """Return what the model wrote in a turn, the output that followed, if any, and the agent's notes."""
    written = tuple(segment for segment in turn if segment.kind.written)
    output = tuple(segment for segment in turn if segment.kind is Kind.OUTPUT)
    notes = [
        segment.text.strip().removeprefix(f"{HEADER}\n[").removesuffix("]\n```")
        for segment in turn
        if segment.kind is Kind.NOTE
    ]
    return written, output, notes


def _without_header(text: str) -> str:
    return text.rstrip().removesuffix(HEADER).rstrip()


def _joined(segments: tuple[Segment, ...]) -> str:
    return "".join(segment.text for segment in segments)
