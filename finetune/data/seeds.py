"""Collect seed questions: public sets in their published form and our own templates, as `Question`s.

    GSM8K train.jsonl ─┐
    MATH rows ─────────┼─▶ without what is held out, and without doubles ─▶ Questions
    own templates ─────┘

A seed's id is its source and a hash of its text, so it stays the same wherever in a file the row stands. The caller
names what must never be trained on; it is recognised by its text, spaces aside. Questions that are only similar to a
benchmark's are dropped later, by `select`.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from finetune.data.augment.own import own_questions
from finetune.data.jobs import JobIdentity, JobManifest, JobResult, OnProgress, run_job, sha256, silent
from finetune.data.records import Question
from finetune.wordproblems.gsm8k import read_gsm8k
from mumath_agent.answers import boxed_answers
from mumath_agent.errors import InputError
from mumath_agent.problems import check_question, load_problems, split_gsm8k_answer
from mumath_agent.records import Problem
from mumath_agent.runs.jsonl import read_objects

# White space as text or as LaTeX writes it. A line break `\\` isn't one, and keeps its second backslash.
_SPACE = re.compile(r"(\\\\)|\\[ ,;:!>]|\\q?quad(?![A-Za-z])|~|\s")


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedsConfig:
    """The sources of seeds."""

    out: Path
    gsm8k: Path | None = None
    """GSM8K's train.jsonl."""
    math: Path | None = None
    """MATH rows, JSONL: problem, solution, level, type."""
    own: int = 0
    """Questions of our own templates."""
    not_in: tuple[Path, ...] = ()
    """Files whose questions are left out."""
    seed: int = 0
    """Draws the own questions."""
    limit: int | None = None
    """Only so many of each source, the first."""

    def __post_init__(self) -> None:
        """Refuse settings that can't be."""
        if not (self.gsm8k or self.math or self.own):
            raise InputError("no source is named; give --gsm8k, --math or --own")


async def seeds(config: SeedsConfig, on_progress: OnProgress = silent) -> JobManifest:
    """Write the seeds of all sources.

    Raises:
        InputError: a source can't be used, or the output can't be written or belongs to another job.
    """
    files = {"gsm8k": config.gsm8k, "math": config.math, **{f"not in {path}": path for path in config.not_in}}
    identity = JobIdentity(
        stage="seeds",
        inputs={f"{name}: {path.name}": sha256(path) for name, path in files.items() if path},
        settings={"own": config.own, "seed": config.seed, "limit": config.limit},
    )
    excluded = held_out(config.not_in)

    async def read(source: tuple[int, Iterable[Question]]) -> JobResult[Question]:
        return chosen(source[1], excluded, config.limit)

    sources = list(enumerate(_sources(config)))
    return await run_job(
        sources,
        read,
        out=config.out,
        identity=identity,
        key=lambda source: str(source[0]),
        on_progress=on_progress,
    )


def count_seeds(config: SeedsConfig) -> dict[str, int]:
    """Return the counts that `seeds` would report; write nothing."""
    excluded = held_out(config.not_in)
    counts: Counter[str] = Counter()
    for source in _sources(config):
        counts.update(chosen(source, excluded, config.limit).counts)
    return dict(sorted(counts.items()))


def _sources(config: SeedsConfig) -> Iterator[Iterable[Question]]:
    if config.gsm8k:
        yield gsm8k_questions(config.gsm8k)
    if config.math:
        yield math_questions(config.math)
    if config.own:
        yield islice(own_questions(config.seed), config.own)


def same_form(question: str) -> str:
    """Return a question without any space: equal for two texts that differ in nothing else."""
    return _SPACE.sub(lambda space: space[1] or "", question)


def held_out(paths: Iterable[Path]) -> frozenset[str]:
    """Return the forms of all questions of some files, to keep out.

    Raises:
        InputError: a file or a line can't be read, so something might slip through.
    """
    return frozenset(same_form(problem.question) for path in paths for problem in load_problems(path))


def chosen(questions: Iterable[Question], excluded: frozenset[str], limit: int | None) -> JobResult[Question]:
    """Return the first `limit` questions that are neither excluded nor doubles; count the others by reason."""
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


def gsm8k_questions(path: Path) -> Iterator[Question]:
    """Yield GSM8K's questions, with their rationales as published.

    Raises:
        InputError: a line isn't such a row.
    """
    for place, row in read_gsm8k(path):
        _, number = split_gsm8k_answer(row["answer"])
        yield _question("gsm8k", place, row["question"], number.replace(",", ""), row["answer"])


def math_questions(path: Path) -> Iterator[Question]:
    r"""Yield MATH's questions: rows of problem, solution with its answer in `\boxed`, level and type (or subject).

    Raises:
        InputError: a line isn't such a row.
    """
    for place, row in read_objects(path):
        solution = _text(row, place, "solution")
        if not (boxes := boxed_answers(solution)):
            raise InputError(f"{place}: the solution has no \\boxed answer")
        level = str(row.get("level", "?")).removeprefix("Level ")
        tags = (f"level:{level}", f"type:{_text(row, place, 'type', 'subject')}")
        yield _question("math", place, _text(row, place, "problem", "question"), boxes[-1], solution, tags)


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
