"""Seed questions: public sets in their published form and our own templates, as `Question`s.

    GSM8K train.jsonl ─┐
    MATH rows ─────────┼─▶ without what is held out, and without doubles ─▶ Questions
    own templates ─────┘

A seed's id is its source and a hash of its text, so it stays the same wherever in a file the row stands. What must
never be trained on is named by the caller; it is recognised by its text, spaces aside. What is near to a benchmark's
question without being it is for `select`.
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from finetune.data.jobs import JobResult
from finetune.data.records import Question
from mumath_agent.answers import boxed_answers
from mumath_agent.errors import InputError
from mumath_agent.problems import check_question, parse_problems, read_text
from mumath_agent.records import Problem

# White space as text or as LaTeX writes it. A line break `\\` is none, and keeps its second backslash.
_SPACE = re.compile(r"(\\\\)|\\[ ,;:!>]|\\q?quad(?![A-Za-z])|~|\s")


def same_form(question: str) -> str:
    """A question without any space: equal for two texts that differ in nothing else."""
    return _SPACE.sub(lambda space: space[1] or "", question)


def held_out(paths: Iterable[Path]) -> frozenset[str]:
    """The forms of all questions of some files, to keep out.

    Raises:
        InputError: a file or a line can't be read, so something might slip through.
    """
    forms = set[str]()
    for path in paths:
        for problem in parse_problems(read_text(path), str(path)):
            if isinstance(problem, InputError):
                raise problem
            forms.add(same_form(problem.question))
    return frozenset(forms)


def chosen(questions: Iterable[Question], excluded: frozenset[str], limit: int | None) -> JobResult[Question]:
    """The first `limit` questions that are neither excluded nor there already, and why the others are not."""
    kept: dict[str, Question] = {}
    counts = Counter[str]()
    for question in questions:
        if limit is not None and len(kept) >= limit:
            break
        form = same_form(question.problem.question)
        if form in excluded:
            counts[f"{question.problem.source} held out"] += 1
        elif form in kept:
            counts[f"{question.problem.source} double"] += 1
        else:
            kept[form] = question
            counts[question.problem.source] += 1
    return JobResult(rows=tuple(kept.values()), counts=dict(counts))


def read_gsm8k(path: Path) -> Iterator[Question]:
    """GSM8K as published: the answer is a rationale with calculator marks, then `####` and the number.

    Raises:
        InputError: a line is no such row.
    """
    for place, row in _rows(path):
        rationale, mark, answer = _text(row, place, "answer").rpartition("####")
        if not mark or not rationale.strip():
            raise InputError(f"{place}: the answer has no rationale and `####` before its number")
        target = answer.strip().replace(",", "")
        yield _question("gsm8k", place, _text(row, place, "question"), target, row["answer"])


def read_math(path: Path) -> Iterator[Question]:
    r"""MATH as published: problem, solution with its answer in `\boxed`, level and type (or subject).

    Raises:
        InputError: a line is no such row.
    """
    for place, row in _rows(path):
        solution = _text(row, place, "solution")
        if not (boxes := boxed_answers(solution)):
            raise InputError(f"{place}: the solution has no \\boxed answer")
        level = str(row.get("level", "?")).removeprefix("Level ")
        tags = (f"level:{level}", f"type:{_text(row, place, 'type', 'subject')}")
        yield _question("math", place, _text(row, place, "problem", "question"), boxes[-1], solution, tags)


def _rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every line that isn't empty, with its place."""
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        place = f"{path} line {number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise InputError(f"{place}: no valid JSON ({error})") from None
        if not isinstance(row, dict):
            raise InputError(f"{place}: a JSON object is expected")
        yield place, row


def _text(row: dict[str, Any], place: str, *keys: str) -> str:
    for key in keys:
        if isinstance(text := row.get(key), str) and text.strip():
            return text
    raise InputError(f"{place}: no text under {' or '.join(keys)}")


def _question(
    source: str, place: str, question: str, target: str, rationale: str, tags: tuple[str, ...] = ()
) -> Question:
    try:
        check_question(question)
    except InputError as error:
        raise InputError(f"{place}: {error}") from None
    digest = hashlib.sha256(same_form(question).encode()).hexdigest()
    problem = Problem(
        id=f"{source}-{digest[:12]}", question=question.strip(), target=target, source=source, tags=tags
    )
    return Question(problem=problem, rationale=rationale)
