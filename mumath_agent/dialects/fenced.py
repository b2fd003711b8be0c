r"""Write transcripts in the fenced dialect of MuMath-Code, ToRA and their descendants.

    <|user|>
    {question}
    <|assistant|>
    {rationale}
    ```python
    {program}
    ```
    ```output
    {what it printed}
    ```
    {rationale, with the answer in \boxed{...}}

The bytes are those of MuMath-Code's `infer/inference.py`: white space after a program's closing fence is dropped, then
"\n```output\n{output}\n```\n" follows. The stop string is "```output". That header line belongs to CODE, because the
model is trained to write it (stage 2 of MuMath-Code); OUTPUT is the body with its closing fence.

Descendants took over the fences and put other words around the question: those are a `Template`.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from mumath_agent.dialects.marks import unmarked
from mumath_agent.dialects.output import output_text
from mumath_agent.records import Completion, Execution, FinishReason
from mumath_agent.transcript import Kind, Segment, Transcript

HEADER = "```output"
_FENCE = "```"
_OPEN = re.compile(r"```(?:python|py|python3)\s*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """The text around the question in a prompt."""

    name: str
    """The dialect's name."""
    before: str
    after: str


MUMATH = Template(name="fenced", before="<|user|>\n", after="\n<|assistant|>\n")
"""MuMath-Code and ToRA; the marks are plain text."""
QWEN = Template(
    name="fenced-qwen",
    before="<|im_start|>system\nPlease integrate natural language reasoning with programs to solve the problem above, "
    "and put your final answer within \\boxed{}.<|im_end|>\n<|im_start|>user\n",
    after="<|im_end|>\n<|im_start|>assistant\n",
)
"""Qwen2.5-Math-Instruct; the marks are special tokens, and the sentence is its authors'."""
NUMINA = Template(name="fenced-numina", before="### Problem: ", after="\n### Solution: ")
"""NuminaMath-TIR, from its chat template."""


@dataclass(frozen=True, slots=True)
class Fenced:
    """The fenced `TextDialect`, with the prompt of one family."""

    template: Template = MUMATH
    stop: tuple[str, ...] = (HEADER,)
    nudges: int = 0
    own_tokens: tuple[str, ...] = ()  # of the model's tokenizer, where they are known; no output holds one

    @property
    def name(self) -> str:
        """The template's name."""
        return self.template.name

    def prompt(self, transcript: Transcript) -> str:
        """Return the question in its template, followed by the solution so far."""
        return f"{self.template.before}{transcript.question}{self.template.after}{transcript.text}"

    def parse(self, text: str) -> tuple[Segment, ...]:
        """Cut the text of a solution into segments whose texts add up to it."""
        return tuple(_segments(_lines(text)))

    def with_completion(self, transcript: Transcript, completion: Completion) -> Transcript:
        """Append a completion, and after a program the header line that the stop string cut off."""
        if completion.finish_reason is FinishReason.STOP:
            segments = self.parse(completion.text.rstrip())
            if segments and _lacks_header(segments[-1]):
                asking = replace(segments[-1], text=f"{segments[-1].text}\n{HEADER}\n")
                return transcript.extended(*segments[:-1], asking)
        return transcript.extended(*self.parse(completion.text))

    def pending_code(self, transcript: Transcript) -> str | None:
        """Return the programs of the last turn as one, if the transcript ends with the header line."""
        last = transcript.segments[-1] if transcript.segments else None
        if last is None or last.kind is not Kind.CODE or not last.text.endswith(f"\n{HEADER}\n"):
            return None
        programs = (_program(s.text) for s in transcript.turns[-1] if s.kind is Kind.CODE and s.closed)
        return "\n".join(programs)

    def with_output(self, transcript: Transcript, execution: Execution, *, max_chars: int) -> Transcript:
        """Append what the execution printed, as text that can't be mistaken for a fence or a special token."""
        body = harmless(output_text(execution, max_chars=max_chars), self.own_tokens)
        return transcript.extended(Segment(kind=Kind.OUTPUT, text=f"{body}\n{_FENCE}\n"))

    def with_note(self, transcript: Transcript, note: str) -> Transcript:
        """Append a note as a whole output block, which begins on a line of its own."""
        begin = "" if not transcript.text or transcript.text.endswith("\n") else "\n"
        text = f"{begin}{HEADER}\n[{harmless(note)}]\n{_FENCE}\n"
        return transcript.extended(Segment(kind=Kind.NOTE, text=text))


def harmless(body: str, own_tokens: tuple[str, ...] = ()) -> str:
    """Return `body` with a space in every fence and special token, so that none of them counts."""
    lines = (f" {line}" if line.startswith(_FENCE) else line for line in body.split("\n"))
    return unmarked("\n".join(lines), own_tokens)


def _segments(lines: list[str]) -> Iterator[Segment]:
    """Yield the segments of a solution in one pass over its lines.

    A fence is a whole line that starts in column 0. Inside a block only a closing fence counts.
    """
    start = position = 0
    while position < len(lines):
        opens_code = _OPEN.fullmatch(lines[position]) is not None
        if not opens_code and not _is(HEADER, lines[position]):
            position += 1
            continue
        if position > start:
            yield Segment(kind=Kind.RATIONALE, text="".join(lines[start:position]))
        block, end, closed = _block(lines, position, body=position + 1)
        if not opens_code:  # a header without a program before it: output that the model made up
            yield Segment(kind=Kind.OUTPUT, text=block, closed=closed)
        elif closed and (header := _header_after(lines, end)) is not None:
            yield Segment(kind=Kind.CODE, text=block + "".join(lines[end : header + 1]))
            output, end, closed = _block(lines, header + 1, body=header + 1)
            if output:
                yield Segment(kind=Kind.OUTPUT, text=output, closed=closed)
        else:
            yield Segment(kind=Kind.CODE, text=block, closed=closed)
        start = position = end
    if position > start:
        yield Segment(kind=Kind.RATIONALE, text="".join(lines[start:position]))


def _block(lines: list[str], start: int, *, body: int) -> tuple[str, int, bool]:
    """Read a block from line `start` to the first closing fence at or after line `body`.

    Returns:
        Its text, the line after it, and whether the closing fence was found.
    """
    for position in range(body, len(lines)):
        if _is(_FENCE, lines[position]):
            return "".join(lines[start : position + 1]), position + 1, True
    return "".join(lines[start:]), len(lines), False


def _header_after(lines: list[str], position: int) -> int | None:
    """Return the line of the output header if only blank lines come before it."""
    while position < len(lines) and not lines[position].strip():
        position += 1
    return position if position < len(lines) and _is(HEADER, lines[position]) else None


def _lacks_header(segment: Segment) -> bool:
    """Tell whether a segment is a closed program without the header line."""
    return segment.kind is Kind.CODE and segment.closed and not _is(HEADER, segment.text.rsplit("\n", 1)[-1])


def _program(code: str) -> str:
    """Return the lines between the opening and the closing fence of a CODE segment."""
    lines = _lines(code)
    closing = max(position for position, line in enumerate(lines) if _is(_FENCE, line))
    return "".join(lines[1:closing])


def _is(fence: str, line: str) -> bool:
    return line.rstrip() == fence


def _lines(text: str) -> list[str]:
    r"""Split text after each "\n" only; `str.splitlines` would also split at "\r", "\x0c", "\u2028" and others."""
    return re.findall(r"[^\n]*\n|[^\n]+", text)
