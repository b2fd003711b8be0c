"""Hold confidences against what was right: answers of about one confidence, and a diagram of them.

The diagram is an SVG of its own, which loads nothing. A point is a bin, its area the number of answers, its bar the
95 % interval of their accuracy; on the diagonal a confidence of 0.8 is right in 80 of 100 answers.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from xml.sax.saxutils import escape

from benchmarks.report.metrics import Estimate, accuracy

_EDGES = (0.0, 0.5, 0.8, 0.9, 0.95, 1.0)
"""Confidences are gathered between these."""
_SIDE, _LEFT, _TOP = 320, 56, 40
"""Of the square of the diagram, in pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bin:
    """Answers of about one confidence."""

    low: float
    high: float
    answers: int
    confidence: float
    """Their mean."""
    right: Estimate


def reliability(judged: Sequence[tuple[float, bool]]) -> tuple[Bin, ...]:
    """Return the bins of answers, each given by its confidence and whether it is right; empty ones are left out."""
    bins = list[Bin]()
    for low, high in pairwise(_EDGES):
        last = high == _EDGES[-1]
        inside = [(value, right) for value, right in judged if low <= value and (last or value < high)]
        if inside:
            bins.append(
                Bin(
                    low=low,
                    high=high,
                    answers=len(inside),
                    confidence=math.fsum(value for value, _ in inside) / len(inside),
                    right=accuracy([[float(right)] for _, right in inside]),
                )
            )
    return tuple(bins)


def calibration_error(bins: Sequence[Bin]) -> float:
    """Return by how much confidence and accuracy differ, in the mean over answers (ECE)."""
    total = sum(each.answers for each in bins)
    return math.fsum(each.answers * abs(each.confidence - each.right.value) for each in bins) / total


def diagram(bins: Sequence[Bin], title: str) -> str:
    """Return the reliability diagram as an SVG document."""
    most = max(each.answers for each in bins)
    marks = [_tick(step / 5) for step in range(6)]
    marks.append(_line((0, 0), (1, 1), "diagonal"))
    for each in bins:
        at, right = each.confidence, each.right
        marks.append(_line((at, right.low), (at, right.high), "interval"))
        x, y = _place(at, right.value)
        told = f"{each.answers} answers of confidence {at:.2f}: {right.value:.0%} right"
        radius = 3 + 9 * math.sqrt(each.answers / most)
        marks.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"><title>{told}</title></circle>')
    width, height = _LEFT + _SIDE + 24, _TOP + _SIDE + 56
    return _SVG.format(
        width=width,
        height=height,
        left=_LEFT,
        top=_TOP,
        side=_SIDE,
        middle=_LEFT + _SIDE / 2,
        foot=_TOP + _SIDE + 42,
        centre=_TOP + _SIDE / 2,
        title=escape(title),
        error=f"expected calibration error {calibration_error(bins):.2f}",
        marks="\n".join(marks),
    )


def _place(confidence: float, right: float) -> tuple[float, float]:
    return _LEFT + _SIDE * confidence, _TOP + _SIDE * (1 - right)


def _line(start: tuple[float, float], end: tuple[float, float], kind: str) -> str:
    (x1, y1), (x2, y2) = _place(*start), _place(*end)
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _tick(value: float) -> str:
    (x, bottom), (left, y) = _place(value, 0), _place(0, value)
    return (
        f'<text x="{x:.1f}" y="{bottom + 18:.1f}" text-anchor="middle">{value:g}</text>'
        f'<text x="{left - 8:.1f}" y="{y + 4:.1f}" text-anchor="end">{value:.0%}</text>'
    )


_SVG = """<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{width}" height="{height}"
  viewBox="0 0 {width} {height}">
<title>{title}</title>
<style>
svg {{ font: 12px system-ui, sans-serif; background: #fff }} text {{ fill: #333 }}
rect {{ fill: none; stroke: #bbb }} circle {{ fill: #1f6feb; fill-opacity: .75 }}
line {{ stroke: #1f6feb; stroke-width: 2 }} .diagonal {{ stroke: #999; stroke-width: 1; stroke-dasharray: 4 4 }}
</style>
<text x="{left}" y="20" font-weight="bold">{title}</text>
<text x="{left}" y="34">{error}</text>
<rect x="{left}" y="{top}" width="{side}" height="{side}"/>
{marks}
<text x="{middle}" y="{foot}" text-anchor="middle">confidence</text>
<text transform="translate(14 {centre}) rotate(-90)" text-anchor="middle">right</text>
</svg>
"""
