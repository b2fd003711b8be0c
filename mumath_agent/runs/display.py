r"""Show an attempt to a reader: as plain text, and as Markdown for Jupyter.

Jupyter takes what stands between two dollar signs for a formula, so a price ("$4 each") must have its sign escaped, and
a formula between \( and \) must get dollar signs.
"""

import re
from collections.abc import Iterator
from dataclasses import replace

from mumath_agent.dialects import get_dialect
from mumath_agent.dialects.output import output_text
from mumath_agent.errors import InputError
from mumath_agent.records import Execution, Problem, RunRecord
from mumath_agent.runs.executed import printed, turns_of
from mumath_agent.runs.page.formulas import dollar_formulas
from mumath_agent.runs.wording import (
    answer_line,
    cautions,
    ending,
    solution_ending,
    solution_line,
    votes_line,
)
from mumath_agent.solutions import Solution
from mumath_agent.transcript import Kind, Segment

_MATHS = re.compile(r"(?<!\\)\\([()\[\]])")
_DOLLAR = re.compile(r"\\?\$")
_THOUGHT = re.compile(r"<think>\n(.*?)\n</think>\n", re.DOTALL)
_SHOWN_CHARS = 10_000


def as_text(record: RunRecord) -> str:
    """Return the transcript and the answer, as the command line prints them."""
    text = record.trajectory.transcript.text.rstrip()
    return f"{text}\n\n{ending(record)}".lstrip()


def as_markdown(record: RunRecord) -> str:
    """Return the whole attempt: question, words, programs, outputs, figures, answer."""
    return "\n\n".join(_parts(record))


def solution_text(solution: Solution) -> str:
    """Return the best attempt's transcript, the votes and the answer, as the command line prints them."""
    text = solution.best.trajectory.transcript.text.rstrip() if solution.best else ""
    return f"{text}\n\n{solution_ending(solution)}".lstrip()


def solution_markdown(solution: Solution) -> str:
    """Return the best attempt, the votes and the answer."""
    shown = list(_attempt(solution.best)) if solution.best else [_question(solution.problem)]
    said = (votes_line(solution), f"**{readable(solution_line(solution))}**", solution.caution)
    return "\n\n".join([*shown, *filter(None, said)])


def readable(text: str) -> str:
    r"""Return prose as Jupyter shows it rightly: thoughts quoted, formulas in dollar signs, and no other sign bare."""
    text = _THOUGHT.sub(lambda thought: "> " + thought[1].replace("\n", "\n> ") + "\n\n", text)
    return _MATHS.sub(lambda mark: "$" if mark[1] in "()" else "$$", _without_prices(text))


def _parts(record: RunRecord) -> Iterator[str]:
    yield from _attempt(record)
    yield f"**{readable(answer_line(record.trajectory))}**"
    if known := cautions(record):
        yield known


def _question(problem: Problem) -> str:
    return f"**Problem.** {readable(problem.question)}"


def _attempt(record: RunRecord) -> Iterator[str]:
    yield _question(record.problem)
    try:
        dialect = get_dialect(record.settings.dialect)
    except InputError:  # a record of somebody's own dialect
        yield _fenced(record.trajectory.transcript.text, "")
    else:
        for turn in turns_of(record):
            ran = turn.cell(dialect)
            yield from _prose(s for s in turn.segments if s.kind is Kind.RATIONALE or ran is None)
            if ran is not None:
                yield _fenced(ran.code, "python")
                yield _fenced(output_text(_in_order(ran.execution), max_chars=_SHOWN_CHARS), "text")
                yield from (f"![figure]({figure})" for figure in ran.execution.artefacts)
                yield from _prose(filter(None, [turn.note]))


def _in_order(execution: Execution) -> Execution:
    """Return an execution whose streams are one, as they came."""
    if not execution.stream_order:
        return execution
    return replace(
        execution, stdout="".join(text for _, text in printed(execution)), stderr="", stream_order=()
    )


def _prose(segments: Iterator[Segment]) -> Iterator[str]:
    text = "".join(readable(s.text) if s.kind is Kind.RATIONALE else s.text for s in segments).strip()
    if text:
        yield text


def _fenced(text: str, language: str) -> str:
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def _without_prices(text: str) -> str:
    """Escape each dollar sign that doesn't begin or end a formula."""
    out, position = [], 0
    for start, end in dollar_formulas(text):
        out += [_escaped(text[position:start]), text[start:end]]
        position = end
    return "".join([*out, _escaped(text[position:])])


def _escaped(text: str) -> str:
    return _DOLLAR.sub(r"\\$", text)
