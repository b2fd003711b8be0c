r"""Write transcripts in the block dialect of MathCoder: every block stands between two special tokens.

    <|system|><|text|>Below is a math problem. …<|endofblock|><|endofmessage|>
    <|user|><|text|>{question}<|endofblock|><|endofmessage|><|assistant|>
    <|text|>{rationale}<|endofblock|>
    <|code|>{program}<|endofblock|>
    <|execution|>{what it printed}<|endofblock|>
    <|text|>{rationale, with the answer in \boxed{...}}<|endofblock|>
    <|text|>{the answer alone}<|endofblock|><|endofmessage|>

(Shown on separate lines; in reality nothing stands between the marks.) MathCoder's own client stops at every block's
end, runs each program at once and writes "<|execution|>" itself, which training masked. Here a turn goes on over blocks
of text until the model asks for an output, ends its message, or has closed a program. Whatever follows was written
without having seen the output: it is cut off, and kept only in the `Completion`. The mark that asks for an output
belongs to CODE; OUTPUT is the body with its end mark. A mark is one token of the vocabulary, so it counts wherever it
stands; inside a block only "<|endofblock|>" counts.
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
    """The `TextDialect` of MathCoder."""

    name: str = "blocks"
    stop: tuple[str, ...] = (_EXECUTION, "<|endofmessage|>")
    nudges: int = 0
    own_tokens: tuple[str, ...] = ()  # as for `Fenced`

    def prompt(self, transcript: Transcript) -> str:
        """Return the system message and the question, followed by the solution so far."""
        system = f"<|system|>{block('text', SYSTEM)}<|endofmessage|>"
        user = f"<|user|>{block('text', transcript.question)}<|endofmessage|>"
        return f"{system}{user}<|assistant|>{transcript.text}"

    def parse(self, text: str) -> tuple[Segment, ...]:
        """Cut the text of a solution into segments whose texts add up to it."""
        return tuple(_segments(text))

    def with_completion(self, transcript: Transcript, completion: Completion) -> Transcript:
        """Append a completion up to the end of its first program, and the mark that asks for the output."""
        segments = self.parse(completion.text)
        for number, segment in enumerate(segments):
            if segment.kind is Kind.CODE and segment.closed:
                program = segment.text.partition(END)[0]
                asked = replace(segment, text=f"{program}{END}{_EXECUTION}")
                return transcript.extended(*segments[:number], asked)
        return transcript.extended(*segments)

    def pending_code(self, transcript: Transcript) -> str | None:
        """Return the programs of the last turn as one, if the transcript ends with the mark that asks for an output."""
        last = transcript.segments[-1] if transcript.segments else None
        if last is None or last.kind is not Kind.CODE or not last.text.endswith(_EXECUTION):
            return None
        programs = (s.text for s in transcript.turns[-1] if s.kind is Kind.CODE and s.closed)
        return "\n".join(program.removeprefix(_CODE).partition(END)[0] for program in programs)

    def with_output(self, transcript: Transcript, execution: Execution, *, max_chars: int) -> Transcript:
        """Append what the execution printed, as text that can't be mistaken for a mark."""
        body = harmless(output_text(execution, max_chars=max_chars), self.own_tokens)
        return transcript.extended(Segment(kind=Kind.OUTPUT, text=body + END))

    def with_note(self, transcript: Transcript, note: str) -> Transcript:
        """Append a note as a whole execution block, after the end of the block before it."""
        end = "" if not transcript.text or transcript.text.endswith(END) else END
        text = f"{end}{_EXECUTION}[{harmless(note)}]{END}"
        return transcript.extended(Segment(kind=Kind.NOTE, text=text))


def block(role: str, content: str) -> str:
    """Return a block as the model writes it; `role` is "text", "code" or "execution"."""
    return f"<|{role}|>{content}{END}"


def last_block(transcript: Transcript) -> str:
    """Return the content of the last closed block, where MathCoder puts the final answer; empty if there is none."""
    closed = transcript.text.rpartition(END)[0]
    return _MARK.split(closed)[-1].strip()


def leaves_block_open(text: str) -> bool:
    """Tell whether a block begins in `text` and doesn't end there."""
    return _MARK.search(text.rpartition(END)[2]) is not None


def holds_program(text: str) -> bool:
    """Tell whether `text` has a closed program."""
    return any(segment.kind is Kind.CODE and segment.closed for segment in _segments(text))


def _segments(text: str) -> Iterator[Segment]:
    """Yield the segments in one pass over the marks: blocks of code and output, and the prose between them."""
    start = 0
    while (opening := _OPEN.search(text, start)) is not None:
        if opening.start() > start:
            yield Segment(kind=Kind.RATIONALE, text=text[start : opening.start()])
        end, closed = _end_of_block(text, opening.end())
        if opening.group() == _EXECUTION:  # without a program before it: output that the model made up
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
    """Return the end of the block whose content begins at `start`, and whether its end mark was found."""
    position = text.find(END, start)
    return (position + len(END), True) if position >= 0 else (len(text), False)
