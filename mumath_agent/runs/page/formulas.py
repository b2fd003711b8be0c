r"""Find the formulas and the few marks of Markdown in prose, as runs of characters: "p6i9" is 6 plain, a formula of 9.

p plain, i a formula in the line, d one on a line of its own, s strong, t typewriter, h a heading. Marks count as
part of their run. Like a program's colours (`highlight`) the runs say where something begins, not what it becomes.

A dollar sign may be a price ("$4 each"): then it doesn't begin a formula.
"""

import re
from collections.abc import Iterator

MAX_CHARS = 2_000
"""A formula that is longer is shown as it was written."""
_BOX_CHARS = 400
_PROSE = re.compile(
    r"\n\s*\n|^\s|\s$"  # a new paragraph; space beside a sign
    r"|^\d[\d,.]*(?:[,;:!?)]|\s+(?:[A-Za-z]{2,}|a\b|I\b)|\.\s)"  # an amount, and how a sentence goes on
    r"|[.!?]\s+[A-Z]"  # another sentence
)
"""What a formula between dollar signs doesn't look like: a price and the words after it."""
_MARK = re.compile(
    r"\\\$|\$\$|\$|\\\(|\\\[|\\begin\{(?P<environment>[a-z]{1,20}\*?)\}|(?P<box>\\boxed\{)|\\."
    r"|\*\*|`+|^#{1,6} [^\n]*",
    re.MULTILINE | re.DOTALL,
)
_DOLLARS = re.compile(r"\\\$|\$\$|\$")
_KINDS = {"$": "i", "$$": "d", r"\(": "i", r"\[": "d", "**": "s"}
_CLOSING = {r"\(": r"\)", r"\[": r"\]"}
_BRACES = re.compile(r"\\.|[{}]", re.DOTALL)


def formulas(prose: str) -> str:
    """Return the runs of a text; their lengths, in code points, add up to its own."""
    runs, position = "", 0
    for start, end, kind in _spans(prose):
        runs += f"p{start - position}" * (start > position) + f"{kind}{end - start}"
        position = end
    return runs + f"p{len(prose) - position}" * (position < len(prose))


def dollar_formulas(prose: str) -> Iterator[tuple[int, int]]:
    """Yield where formulas between dollar signs begin and end, signs included."""
    missing: set[str] = set()
    position = 0
    while (found := _DOLLARS.search(prose, position)) is not None:
        position = found.end()
        if found[0] != r"\$" and (end := _end(prose, found[0], position, missing)):
            yield found.start(), end
            position = end


def _spans(prose: str) -> Iterator[tuple[int, int, str]]:
    missing: set[str] = set()
    position = 0
    while (found := _MARK.search(prose, position)) is not None:
        position, mark = found.end(), found[0]
        if mark[0] == "#":
            yield found.start(), position, "h"
        elif found["environment"]:
            closing = rf"\end{{{found['environment']}}}"
            if (end := _closed(prose, closing, position, missing)) > 0:
                yield found.start(), end, "d"
                position = end
        elif found["box"]:
            if (end := _box_end(prose, position)) > 0:
                yield found.start(), end, "i"
                position = end
        elif (mark in _KINDS or mark[0] == "`") and (end := _end(prose, mark, position, missing)):
            yield found.start(), end, _KINDS.get(mark, "t")
            position = end


def _end(prose: str, mark: str, start: int, missing: set[str]) -> int:
    """Return where what the mark opens ends, 0 if it opens nothing."""
    closing = _CLOSING.get(mark, mark)
    if (end := _closed(prose, closing, start, missing)) <= start + len(closing):
        return 0
    inside = prose[start : end - len(closing)]
    is_price = mark == "$" and _PROSE.search(inside)
    is_block = mark == "**" and ("\n\n" in inside or inside != inside.strip())
    return 0 if is_price or is_block else end


def _closed(prose: str, closing: str, start: int, missing: set[str]) -> int:
    """Return the end of the next `closing`, -1 if there is none near; a mark that is nowhere is looked for once."""
    if closing in missing:
        return -1
    if (found := prose.find(closing, start)) < 0:
        missing.add(closing)
        return -1
    return found + len(closing) if found - start <= MAX_CHARS else -1


def _box_end(prose: str, start: int) -> int:
    depth = 1
    for brace in _BRACES.finditer(prose, start, start + _BOX_CHARS):
        depth += {"{": 1, "}": -1}.get(brace[0], 0)
        if depth == 0:
            return brace.end()
    return -1


__all__ = ["MAX_CHARS", "dollar_formulas", "formulas"]
