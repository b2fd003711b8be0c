"""The block dialect of MathCoder: every block stands between two special tokens.

    <|system|><|text|>Below is a math problem. …<|endofblock|><|endofmessage|>
    <|user|><|text|>{question}<|endofblock|><|endofmessage|><|assistant|>
    <|text|>{rationale}<|endofblock|>
    <|code|>{program}<|endofblock|>
    <|execution|>{what it printed}<|endofblock|>
    <|text|>{rationale, with the answer in \\boxed{...}}<|endofblock|>
    <|text|>{the answer alone}<|endofblock|><|endofmessage|>

(Shown on lines; in truth nothing stands between the marks.) MathCoder's own client stops at every block's end, runs
each program at once and writes "<|execution|>" itself, which training masked. Here a turn goes on over blocks of text
until the model asks for an output, ends its message, or has closed a program. What follows that was written without
having seen the output: it is cut off, and stands only in the `Completion`. The mark that asks belongs to CODE, OUTPUT
is the body with its end mark. A mark is one token of the vocabulary, so it counts wherever it stands, and inside a
block only "<|endofblock|>" does.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from mumath_agent.dialects.fenced import harmless
from mumath_agent.dialects.output import output_text
from mumath_agent.records import Completion, Execution
from mumath_agent.transcript import Kind, Segment, Transcript

SYSTEM = "Below is a math problem. Please solve it step by step."

END = "<|endofblock|>"
_CODE, _EXECUTION = "<|code|>", "<|execution|>"
_OPEN = re.compile(r"<\|(?:code|execution)\|>")
_ASKED = re.compile(r"\s*<\|execution\|>")
_MARK = re.compile(r"<\|(?:text|code|execution|endofblock)\|>")


@dataclass(frozen=True, slots=True)
class Blocks:
    """See the module; implements `dialects.TextDialect`."""

    name: str = "blocks"
    stop: tuple[str, ...] = (_EXECUTION, "<|endofmessage|>")

    def prompt(self, transcript: Transcript) -> str:
        system = f"<|system|>{block('text', SYSTEM)}<|endofmessage|>"
        user = f"<|user|>{block('text', transcript.question)}<|endofmessage|>"
        return f"{system}{user}<|assistant|>{transcript.text}"

    def parse(self, text: str) -> tuple[Segment, ...]:
        return tuple(_segments(text))

    def with_completion(self, transcript: Transcript, completion: Completion) -> Transcript:
        segments = self.parse(completion.text)
        for number, segment in enumerate(segments):
            if segment.kind is Kind.CODE and segment.closed:
                program = segment.text.partition(END)[0]
                asked = replace(segment, text=f"{program}{END}{_EXECUTION}")
                return transcript.extended(*segments[:number], asked)
        return transcript.extended(*segments)

    def pending_code(self, transcript: Transcript) -> str | None:
        last = transcript.segments[-1] if transcript.segments else None
        if last is None or last.kind is not Kind.CODE or not last.text.endswith(_EXECUTION):
            return None
        programs = (s.text for s in transcript.turns[-1] if s.kind is Kind.CODE and s.closed)
        return "\n".join(program.removeprefix(_CODE).partition(END)[0] for program in programs)

    def with_output(self, transcript: Transcript, execution: Execution, *, max_chars: int) -> Transcript:
        body = harmless(output_text(execution, max_chars=max_chars))
        return transcript.extended(Segment(kind=Kind.OUTPUT, text=body + END))


def block(role: str, content: str) -> str:
    """A block as the model writes it; `role` is "text", "code" or "execution"."""
    return f"<|{role}|>{content}{END}"


def last_block(transcript: Transcript) -> str:
    """What stands in the last closed block: MathCoder's slot for the final answer, empty if there is none."""
    closed = transcript.text.rpartition(END)[0]
    return _MARK.split(closed)[-1].strip()


def leaves_block_open(text: str) -> bool:
    """Whether a block that begins in `text` doesn't end there."""
    return _MARK.search(text.rpartition(END)[2]) is not None


def holds_program(text: str) -> bool:
    """Whether a program is closed in `text`."""
    return any(segment.kind is Kind.CODE and segment.closed for segment in _segments(text))


def _segments(text: str) -> Iterator[Segment]:
    """Scan the marks once, from one block of code or output to the next; all between them is prose."""
    start = 0
    while (opening := _OPEN.search(text, start)) is not None:
        if opening.start() > start:
            yield Segment(kind=Kind.RATIONALE, text=text[start : opening.start()])
        end, closed = _end_of_block(text, opening.end())
        if opening.group() == _EXECUTION:  # without a program before it: output the model made up
            yield Segment(kind=Kind.OUTPUT, text=text[opening.start() : end], closed=closed)
        elif (asked := _ASKED.match(text, end)) is not None:
            yield Segment(kind=Kind.CODE, text=text[opening.start() : asked.end()])
            end, closed = _end_of_block(text, asked.end())
            if end > asked.end():
                yield Segment(kind=Kind.OUTPUT, text=text[asked.end() : end], closed=closed)
        else:
            yield Segment(kind=Kind.CODE, text=text[opening.start() : end], closed=closed)
        start = end
    if start < len(text):
        yield Segment(kind=Kind.RATIONALE, text=text[start:])


def _end_of_block(text: str, start: int) -> tuple[int, bool]:
    """Where the block ends whose content begins at `start`, and whether its end mark was found."""
    position = text.find(END, start)
    return (position + len(END), True) if position >= 0 else (len(text), False)
