"""The fenced dialect of MuMath-Code, ToRA and their descendants.

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
    {rationale, with the answer in \\boxed{...}}

Bytes are those of MuMath-Code's `infer/inference.py`: white space after a closing fence is dropped, then
"\\n```output\\n{output}\\n```\\n" follows. The stop string is "```output"; the header line belongs to CODE, because
the model is trained to write it (stage 2 of MuMath-Code), and OUTPUT is the body with its closing fence.

Descendants took over the fences and put other words around the question: a `Template` says which.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from mumath_agent.dialects.output import output_text
from mumath_agent.records import Completion, Execution, FinishReason
from mumath_agent.transcript import Kind, Segment, Transcript

_OPEN = re.compile(r"```(?:python|py|python3)\s*", re.ASCII)
HEADER = "```output"
_FENCE = "```"
# Marks of this and neighbouring families. A space after the first character breaks them for every tokenizer.
_MARK = re.compile(
    r"<(?=[|｜][a-z0-9_▁]{1,40}[|｜]|/?s>|/?unk>|pad>|(?:start|end)_of_turn>)|\[(?=/?INST\])", re.IGNORECASE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """What stands around the question in a prompt."""

    name: str
    """The dialect's."""
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
"""Qwen2.5-Math-Instruct; the marks are special tokens, the sentence is its makers'."""
NUMINA = Template(name="fenced-numina", before="### Problem: ", after="\n### Solution: ")
"""NuminaMath-TIR, as its chat template has it."""


@dataclass(frozen=True, slots=True)
class Fenced:
    """See the module; implements `dialects.TextDialect`."""

    template: Template = MUMATH
    stop: tuple[str, ...] = (HEADER,)

    @property
    def name(self) -> str:
        return self.template.name

    def prompt(self, transcript: Transcript) -> str:
        return f"{self.template.before}{transcript.question}{self.template.after}{transcript.text}"

    def parse(self, text: str) -> tuple[Segment, ...]:
        return tuple(_segments(_lines(text)))

    def with_completion(self, transcript: Transcript, completion: Completion) -> Transcript:
        if completion.finish_reason is FinishReason.STOP:
            segments = self.parse(completion.text.rstrip())
            if segments and _wants_output(segments[-1]):
                asked = replace(segments[-1], text=f"{segments[-1].text}\n{HEADER}\n")
                return transcript.extended(*segments[:-1], asked)
        return transcript.extended(*self.parse(completion.text))

    def pending_code(self, transcript: Transcript) -> str | None:
        last = transcript.segments[-1] if transcript.segments else None
        if last is None or last.kind is not Kind.CODE or not last.text.endswith(f"\n{HEADER}\n"):
            return None
        programs = (_program(s.text) for s in transcript.turns[-1] if s.kind is Kind.CODE and s.closed)
        return "\n".join(programs)

    def with_output(self, transcript: Transcript, execution: Execution, *, max_chars: int) -> Transcript:
        body = harmless(output_text(execution, max_chars=max_chars))
        return transcript.extended(Segment(kind=Kind.OUTPUT, text=f"{body}\n{_FENCE}\n"))


def harmless(body: str) -> str:
    """`body` so that no line of it is a fence and no part of it a special token."""
    lines = (f" {line}" if line.startswith(_FENCE) else line for line in body.split("\n"))
    return _MARK.sub(lambda mark: f"{mark.group()} ", "\n".join(lines))


def _segments(lines: list[str]) -> Iterator[Segment]:
    """Scan lines once. A fence is a whole line that starts in column 0; inside a block only "```" ends it."""
    start = position = 0
    while position < len(lines):
        opens_code = _OPEN.fullmatch(lines[position]) is not None
        if not opens_code and not _is(lines[position], HEADER):
            position += 1
            continue
        if position > start:
            yield Segment(kind=Kind.RATIONALE, text="".join(lines[start:position]))
        # A header with no program before it opens a block of its own: output the model made up.
        block, position, closed = _block(lines, position, 1)
        if not opens_code:
            yield Segment(kind=Kind.OUTPUT, text=block, closed=closed)
        elif closed and (header := _header_after(lines, position)) is not None:
            yield Segment(kind=Kind.CODE, text=block + "".join(lines[position : header + 1]))
            output, position, closed = _block(lines, header + 1, 0)
            if output:
                yield Segment(kind=Kind.OUTPUT, text=output, closed=closed)
        else:
            yield Segment(kind=Kind.CODE, text=block, closed=closed)
        start = position
    if position > start:
        yield Segment(kind=Kind.RATIONALE, text="".join(lines[start:position]))


def _block(lines: list[str], start: int, opening_lines: int) -> tuple[str, int, bool]:
    """The block that begins at `start`: its text, the line after it, and whether a closing fence was found."""
    for position in range(start + opening_lines, len(lines)):
        if _is(lines[position], _FENCE):
            return "".join(lines[start : position + 1]), position + 1, True
    return "".join(lines[start:]), len(lines), False


def _header_after(lines: list[str], position: int) -> int | None:
    """Where the output header stands if nothing but blank lines comes before it."""
    while position < len(lines) and not lines[position].strip():
        position += 1
    return position if position < len(lines) and _is(lines[position], HEADER) else None


def _wants_output(segment: Segment) -> bool:
    return segment.kind is Kind.CODE and segment.closed and not _is(segment.text.rsplit("\n", 1)[-1], HEADER)


def _program(code: str) -> str:
    """The lines between the opening and the closing fence of a CODE segment."""
    lines = _lines(code)
    closing = max(position for position, line in enumerate(lines) if _is(line, _FENCE))
    return "".join(lines[1:closing])


def _is(line: str, fence: str) -> bool:
    return line.rstrip() == fence


def _lines(text: str) -> list[str]:
    """Lines with their newline. Only "\\n" ends a line: `str.splitlines` would also cut at \\r, \\x0c, \\u2028, …"""
    return re.findall(r"[^\n]*\n|[^\n]+", text)
