"""Select from files of attempts: write the training rows, why the others were dropped, and last the manifest."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from finetune.data.jobs import JobIdentity, JobManifest, begin, sha256, write_manifest
from finetune.data.records import SolutionFormat
from finetune.data.select.attempts import read_attempts
from finetune.data.select.contamination import Index
from finetune.data.select.questions import read_questions
from finetune.data.select.report import Report, make_report
from finetune.data.select.rules import Length, in_characters, in_tokens
from finetune.data.select.selection import Rules, Selection, sift
from mumath_agent.errors import InputError
from mumath_agent.grading import Grader
from mumath_agent.runs.jsonl import replace_lines


@dataclass(frozen=True, slots=True, kw_only=True)
class SelectConfig:
    """The attempts to select from, and the rules."""

    attempts: tuple[Path, ...]
    """JSONL of `RunRecord`s."""
    out: Path
    format: SolutionFormat | None = None
    """None: both, each by its own rules."""
    min_share: float = Rules().min_share
    min_votes: int = Rules().min_votes
    tokenizer: Path | None = None
    """Folder of a tokenizer, for `max_tokens`."""
    max_tokens: int | None = None
    """The longest row, prompt and solution."""
    max_chars: int | None = None
    """The same limit without a tokenizer."""
    against: tuple[Path, ...] = ()
    """Test questions never to train on."""
    similar: float = Rules().similar
    per_question: int | None = None
    limit: int | None = None
    """Only so many attempts, the first."""

    def __post_init__(self) -> None:
        """Refuse settings that can't be."""
        if self.max_tokens is not None and self.max_chars is not None:
            raise InputError("--max-tokens and --max-chars are two ways to say it; name one")
        if (self.tokenizer is None) is not (self.max_tokens is None):
            raise InputError("--tokenizer and --max-tokens go together; --max-chars needs no tokenizer")


async def select(config: SelectConfig, on_rule: Callable[[str], None] = lambda _: None) -> Report:
    """Write the training rows, and beside them why the other attempts were dropped.

    Raises:
        InputError: a file can't be used, or the output can't be written or belongs to another job.
    """
    rules = _rules(config)
    identity = _identity(config, rules.length)
    begin(config.out, identity)
    selection = await _sift(config, rules, on_rule)
    report = make_report(selection)
    replace_lines(dropped_path(config.out), selection.dropped)
    replace_lines(config.out, (attempt.solution for attempt in selection.kept))
    write_manifest(config.out, JobManifest(identity=identity, rows=report.kept, counts=report.counts))
    return report


async def count_selected(config: SelectConfig, on_rule: Callable[[str], None] = lambda _: None) -> Report:
    """Return the report of `select`; write nothing."""
    return make_report(await _sift(config, _rules(config), on_rule))


def dropped_path(out: Path) -> Path:
    """Return where the reasons lie for what was dropped."""
    return out.with_name(f"{out.name}.dropped.jsonl")


async def _sift(config: SelectConfig, rules: Rules, on_rule: Callable[[str], None]) -> Selection:
    workers = os.cpu_count() or 1
    on_rule("reading")
    async with Grader(workers=workers) as grader:
        attempts = islice(read_attempts(config.attempts), config.limit)
        return await sift(attempts, rules, grader, concurrency=workers, on_rule=on_rule)


def _rules(config: SelectConfig) -> Rules:
    test_questions = [question for path in config.against for question in read_questions(path)]
    return Rules(
        format=config.format,
        min_share=config.min_share,
        min_votes=config.min_votes,
        length=_length(config),
        against=Index(test_questions) if test_questions else None,
        similar=config.similar,
        per_question=config.per_question,
    )


def _length(config: SelectConfig) -> Length | None:
    if config.tokenizer is not None and config.max_tokens is not None:
        return in_tokens(config.max_tokens, config.tokenizer)
    return None if config.max_chars is None else in_characters(config.max_chars)


def _identity(config: SelectConfig, length: Length | None) -> JobIdentity:
    files = [*config.attempts, *config.against]
    if config.tokenizer is not None:
        files.append(config.tokenizer / "tokenizer.json")
    return JobIdentity(
        stage="select",
        inputs={str(path): sha256(path) for path in files},
        settings={
            "format": config.format.value if config.format else "auto",
            "min_share": config.min_share,
            "min_votes": config.min_votes,
            "length": f"{length.limit} {length.unit}" if length else None,
            "similar": config.similar,
            "per_question": config.per_question,
            "limit": config.limit,
        },
    )
