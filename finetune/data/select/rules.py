"""Apply the short rules of the sieve: each looks at all attempts that are left and returns the faults it finds.

They rely on the sieve's order: attempts that say the same follow each other, by id.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from tokenizers import Tokenizer

from finetune.data.records import SolutionFormat
from finetune.data.select.attempts import Attempt
from finetune.data.select.contamination import Hit, Index
from finetune.data.select.reasons import Fault, Faults, Reason
from mumath_agent.dialects import get_text_dialect
from mumath_agent.errors import InputError
from mumath_agent.problems import read_text
from mumath_agent.transcript import Transcript

_NAMED_HITS = 10
"""Hits of one question that a detail names: a phrase of MAWPS may be in hundreds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Length:
    """The longest a row may be, prompt and solution, in some unit."""

    limit: int
    unit: str
    size: Callable[[str], int]


def in_characters(limit: int) -> Length:
    """Return a limit in characters."""
    return Length(limit=limit, unit="characters", size=len)


def in_tokens(limit: int, folder: Path) -> Length:
    """Return a limit in tokens of the tokenizer in `folder`; the token that ends a row counts.

    Raises:
        InputError: there is no tokenizer.json in it, or it can't be read.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise InputError(f"no tokenizer.json in {folder}; name the folder of a tokenizer")
    text = read_text(path)
    if not _is_tokenizer(text):  # the library itself raises what can't be caught by name
        raise InputError(f"{path} isn't a file of the tokenizers library; name the folder of a tokenizer")
    tokenizer: Tokenizer = Tokenizer.from_str(text)
    return Length(
        limit=limit,
        unit="tokens",
        size=lambda text: len(tokenizer.encode(text, add_special_tokens=False)) + 1,
    )


def _is_tokenizer(text: str) -> bool:
    try:
        return json.loads(text)["model"]["type"] in ("BPE", "Unigram", "WordPiece", "WordLevel")
    except (ValueError, TypeError, KeyError, RecursionError):
        return False


def repeated(attempts: Sequence[Attempt]) -> Faults:
    """Find lines that stand twice; they have one vote together."""
    return {
        position: Fault(reason=Reason.REPEATED)
        for position, (before, one) in enumerate(pairwise(attempts), start=1)
        if _says(one) == _says(before) and one.id == before.id
    }


def duplicates(attempts: Sequence[Attempt]) -> Faults:
    """Find attempts that say the same as the one before."""
    return {
        position: Fault(reason=Reason.DUPLICATE)
        for position, (before, one) in enumerate(pairwise(attempts), start=1)
        if _says(one) == _says(before)
    }


def other_format(attempts: Sequence[Attempt], wanted: SolutionFormat) -> Faults:
    """Find attempts in another format than the wanted one."""
    return {
        position: Fault(reason=Reason.OTHER_FORMAT, detail=attempt.format.value)
        for position, attempt in enumerate(attempts)
        if attempt.format is not wanted
    }


def too_long(attempts: Sequence[Attempt], length: Length) -> Faults:
    """Find attempts that are longer than allowed."""
    faults: Faults = {}
    for position, attempt in enumerate(attempts):
        prompt = get_text_dialect(attempt.dialect).prompt(Transcript(question=attempt.question))
        size = length.size(prompt + attempt.text)
        if size > length.limit:
            faults[position] = Fault(reason=Reason.TOO_LONG, detail=f"{size:,} {length.unit}")
    return faults


def contaminated(attempts: Sequence[Attempt], against: Index) -> Faults:
    """Find attempts at test questions; a question is looked up once for all its attempts."""
    questions = list(dict.fromkeys(attempt.question for attempt in attempts))
    hits = dict(zip(questions, against.hits(questions), strict=True))
    return {
        position: Fault(reason=Reason.CONTAMINATED, detail=_named(found, against))
        for position, attempt in enumerate(attempts)
        if (found := hits[attempt.question])
    }


def _named(hits: Sequence[Hit], against: Index) -> str:
    names = [f"{against.questions[hit.position].id} ({hit.likeness} {hit.score:.2f})" for hit in hits]
    more = [f"and {len(names) - _NAMED_HITS} more"] if len(names) > _NAMED_HITS else []
    return ", ".join([*names[:_NAMED_HITS], *more])


def _says(attempt: Attempt) -> tuple[str, str]:
    return attempt.question, attempt.text
