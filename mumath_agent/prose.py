r"""Tell which prose of a solution counts for its answer: none in fenced blocks, none after the next problem begins."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from mumath_agent.transcript import Kind, Segment

FENCE = "```"
_ANSWERED = re.compile(r"\\(?:boxed|fbox)(?![a-zA-Z])|\banswer\s+is\b", re.IGNORECASE)
_NEXT_PROBLEM = re.compile(
    r"^[ \t]*(?:#+[ \t]*|\*\*)?(?:question|problem|instruction|user|human)(?:[ \t]*\d+)?(?:\*\*)?[ \t]*:",
    re.IGNORECASE | re.MULTILINE,
)
_OR = re.compile(r"[\s$]*(?:,\s*)?(?:\\(?:text|mbox)\s*\{\s*or\s*\}|\bor\b)[\s$]*", re.IGNORECASE)


def own_segments(segments: Sequence[Segment]) -> tuple[Segment, ...]:
    """Return what belongs to the problem: a model may go on to a next one, "Question: …", after its answer."""
    answered = False
    for position, segment in enumerate(segments):
        if segment.kind is not Kind.RATIONALE:
            continue
        first = _ANSWERED.search(segment.text)
        start = 0 if answered else first.end() if first else len(segment.text)
        if following := _NEXT_PROBLEM.search(segment.text, start):
            return (*segments[:position], replace(segment, text=segment.text[: following.start()]))
        answered = answered or first is not None
    return tuple(segments)


def without_fenced_blocks(text: str) -> str:
    """Return the prose of a rationale. An unclosed block goes on to the end, as in Markdown."""
    return "\n".join(_prose_lines(text))


def is_or(text: str) -> bool:
    r"""Tell whether what stands between two boxes joins them as alternatives: `\boxed{3}$ or $\boxed{5}`."""
    return _OR.fullmatch(text) is not None


def _prose_lines(text: str) -> Iterator[str]:
    inside = False
    for line in text.split("\n"):
        mark = line.strip()
        if mark.startswith(FENCE) and "`" not in mark[len(FENCE) :].lstrip("`"):
            inside = not inside
        elif not inside:
            yield line
