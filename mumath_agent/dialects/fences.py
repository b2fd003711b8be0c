r"""Rewrite the code blocks of a chat model's text in the fenced dialect's bytes, however it spelled them.

    a labelled block      ```python, ``` Python3, ~~~py, ````{.python}, ```tool_code, <code>, …: a program
    an unlabelled block   a program if it parses as one that does something, and no labelled block is there
    any other label       text, latex, json, bash, …: never a program
    a label of output     never a program, and the end of one whose own end was forgotten

A block may be indented, in a list, begin at the end of a line, and lack its end if the model ended there and it parses.
What is spelled rightly stays as it is, byte for byte; what is no program is made harmless, so that `Fenced` reads none
in it.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

from mumath_agent.dialects.arguments import unfenced
from mumath_agent.dialects.calls import call_in, fenced_call
from mumath_agent.dialects.fenced import HEADER
from mumath_agent.dialects.programs import is_program, parses

_PYTHON = re.compile(r"[{.\s]*(?:i?python|py|tool_code|code_interpreter)[\d.]*(?![\w-])", re.IGNORECASE)
_OUTPUT = re.compile(r"[{.\s]*(?:tool_)?outputs?\b", re.IGNORECASE)
_UNLABELLED = re.compile(r"(?:code)?", re.IGNORECASE)
_OPENING = re.compile(
    r"(?P<lead>[ \t]*(?:(?:[-*+]|\d{1,3}[.)])[ \t]+)?)(?P<fence>`{3,}|~{3,}|'{3}(?=python|py\b))(?P<label>[^`]*)"
)
_ONE_LINE = re.compile(
    r"(?P<lead>[ \t]*)```[ \t]*(?:python3?|py)[ \t](?P<code>[^`]+)```[ \t\r]*", re.IGNORECASE
)
_TAG = re.compile(
    r"[ \t]*(?P<mark>[<\[])(?P<tag>code|python|tool_code|execute|execute_python)(?:[ \t][^>\]]*)?[>\]]",
    re.IGNORECASE,
)
_PROMPTS = (">>> ", "... ")
_MOST_LINES = 500
"""The longest program in tags."""
_RIGHT = re.compile(r"```(?:python|py|python3)\n", re.ASCII)
_READ_BY_FENCED = re.compile(r"```(?:python|py|python3|output)\s*", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Block:
    """A block of code, as lines with their ends."""

    kind: str
    """One of "python", "unlabelled", "output" and "other"."""
    before: str = ""
    """What stands before the block in its first line."""
    written: str
    """The block, verbatim."""
    code: str
    closed: bool


def in_fences(text: str, *, ended: bool, has_tool: bool = False) -> str:
    """Return a completion with its programs in ```python blocks.

    Args:
        text: what the model wrote.
        ended: whether it ended by itself, so that a block without an end lacks only that.
        has_tool: whether it was given a tool, so that a block of JSON can be a call of it.
    """
    pieces = list(_pieces(_lines(text), ended))
    labelled = any(isinstance(piece, _Block) and piece.kind == "python" and piece.closed for piece in pieces)
    return "".join(
        piece if isinstance(piece, str) else _rewritten(piece, labelled, has_tool) for piece in pieces
    )


def _rewritten(block: _Block, labelled: bool, has_tool: bool) -> str:
    if _lines(block.written)[0].rstrip() == HEADER:  # `Chat` cuts it off
        return block.before + block.written
    if block.kind == "unlabelled" and block.closed and not labelled and is_program(block.code):
        block = replace(block, kind="python")
    before = f"{block.before.rstrip()}\n" if block.before.strip() else ""
    if has_tool and block.kind != "python" and (call := call_in(block.code)):
        return before + call
    if block.kind != "python":
        return block.before + "".join(_harmless(line) for line in _lines(block.written))
    if _is_right(block):
        return block.written
    call = fenced_call(block.code)
    return before + (call if block.closed else call.removesuffix("```\n"))


def _is_right(block: _Block) -> bool:
    """Tell whether the fenced dialect reads the block as it is."""
    lines = _lines(block.written)
    ends = [number for number, line in enumerate(lines[1:], start=1) if line.rstrip() == "```"]
    right = ends == [len(lines) - 1] if block.closed else not ends
    right = right and not block.written.partition("\n")[2].startswith(_PROMPTS)
    return right and not block.before and "\r" not in block.written and _RIGHT.fullmatch(lines[0]) is not None


def _harmless(line: str) -> str:
    return f" {line}" if _READ_BY_FENCED.fullmatch(line) else line


def _pieces(lines: list[str], ended: bool) -> Iterator[str | _Block]:
    """Yield the blocks, and the lines between them, in one pass."""
    position = 0
    while position < len(lines):
        line = lines[position]
        found = (
            _tagged(lines, position, ended) or _one_line(line, position) or _fenced(lines, position, ended)
        )
        if found is None:
            yield line
            position += 1
        else:
            block, position = found
            yield block


def _fenced(lines: list[str], start: int, ended: bool) -> tuple[_Block, int] | None:
    opening = _opening(lines[start])
    if opening is None:
        return None
    before, indent, fence, label = opening
    kind = _kind(label)
    end, following, closed = _end(lines, start + 1, indent, fence, kind, ended)
    code = "".join(_outdented(lines[start + 1 : end], indent)).replace("\r\n", "\n")
    code = _without_prompts(code)
    if kind == "unlabelled" and re.match(r"(?:python3?|py)\n", code, re.IGNORECASE):
        kind, code = "python", code.partition("\n")[2]
    if not closed and ended:
        code, closed = _without_fence(code, fence)
        closed = closed or parses(code)
    written = "".join(lines[start:following]).removeprefix(before)
    return _Block(kind=kind, before=before, written=written, code=code, closed=closed), following


def _opening(line: str) -> tuple[str, str, str, str] | None:
    """Return what comes before the block's marks in a line, its indentation, its fence and its label."""
    if found := _OPENING.fullmatch(line.rstrip("\n")):
        lead = found["lead"]
        before = lead if lead.strip() else ""
        return before, " " * len(lead) if before else lead, found["fence"], found["label"].strip()
    before, fence, label = line.rpartition("```")
    if fence and before.strip(" \t>") and "`" not in before and _PYTHON.match(label):
        return before, "", fence, label
    return None


def _kind(label: str) -> str:
    if _OUTPUT.match(label):
        return "output"
    if _UNLABELLED.fullmatch(label):
        return "unlabelled"
    return "python" if _PYTHON.match(label) else "other"


def _end(
    lines: list[str], start: int, indent: str, fence: str, kind: str, ended: bool
) -> tuple[int, int, bool]:
    """Return the end of a block's code, the line after the block, and whether its end was found.

    A fence that is indented more than the block ends it only if nothing else does. Where the next block begins, the end
    of a program was forgotten.
    """
    deeper = None
    for position in range(start, len(lines)):
        mark = lines[position].strip()
        if mark and mark == fence[0] * len(mark) and len(mark) >= len(fence):
            if len(lines[position]) - len(lines[position].lstrip()) <= len(indent):
                return position, position + 1, True
            deeper = position if deeper is None else deeper
        elif kind != "other" and _begins_another(lines[position], len(indent), fence):
            return (position, position, True) if deeper is None else (deeper, deeper + 1, True)
    return (len(lines), len(lines), False) if deeper is None or not ended else (deeper, deeper + 1, True)


def _begins_another(line: str, indent: int, fence: str) -> bool:
    opening = _OPENING.fullmatch(line.rstrip("\n"))
    return (
        opening is not None
        and len(opening["lead"]) <= indent
        and opening["fence"].startswith(fence)
        and _kind(opening["label"].strip()) in ("python", "output")
    )


def _outdented(lines: list[str], indent: str) -> list[str]:
    """Return the lines without the block's indentation, if the first of them has it."""
    first = next(filter(str.strip, lines), "")
    return [line.removeprefix(indent) for line in lines] if indent and first.startswith(indent) else lines


def _without_prompts(code: str) -> str:
    """Return the lines behind prompts as in a Python session, if the code begins with one; the others were printed."""
    if not code.startswith(_PROMPTS):
        return code
    return "".join(line[len(_PROMPTS[0]) :] for line in _lines(code) if line.startswith(_PROMPTS))


def _without_fence(code: str, fence: str) -> tuple[str, bool]:
    """Return the code without a fence at the end of its last line, and whether there was one."""
    bare = code.rstrip()
    return (bare.removesuffix(fence), True) if bare.endswith(fence) else (code, False)


def _one_line(line: str, position: int) -> tuple[_Block, int] | None:
    found = _ONE_LINE.fullmatch(line.rstrip("\n"))
    if found is None:
        return None
    return _Block(kind="python", written=line, code=found["code"].strip(), closed=True), position + 1


def _tagged(lines: list[str], start: int, ended: bool) -> tuple[_Block, int] | None:
    """Return the block in tags that begins in this line, if it is a program."""
    opening = _TAG.match(lines[start])
    if opening is None:
        return None
    rest = [lines[start][opening.end() :], *lines[start + 1 : start + _MOST_LINES]]
    end = f"</{opening['tag']}>" if opening["mark"] == "<" else f"[/{opening['tag']}]"
    last = next((number for number, line in enumerate(rest) if end in line), None)
    if last is None and not (ended and start + len(rest) == len(lines)):
        return None
    inside = rest if last is None else [*rest[:last], rest[last].partition(end)[0]]
    after = "" if last is None else rest[last].partition(end)[2]
    code = unfenced("".join(inside).replace("\r\n", "\n").strip("\n"))
    if after.strip() or not is_program(code):
        return None
    following = len(lines) if last is None else start + last + 1
    return _Block(kind="python", written="".join(lines[start:following]), code=code, closed=True), following


def _lines(text: str) -> list[str]:
    return re.findall(r"[^\n]*\n|[^\n]+", text)
