"""Training rows as token ids and labels.

Owns the loss mask. A row's whole text (prompt, solution, end token) is tokenised once, the way a server tokenises a
prompt (with its begin token, where the tokenizer has one), and a token is trained exactly if none of its characters
belongs to the prompt or to an OUTPUT segment; which characters those are is `Transcript.spans`' business. Rows that
are too long are dropped whole and counted: half a solution teaches nothing.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from transformers import PreTrainedTokenizerFast

from mumath_agent.errors import InputError
from mumath_agent.protocols import TextDialect
from mumath_agent.transcript import Transcript

UNTRAINED = -100
"""The label that the loss of torch and transformers leaves out."""

Ids = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A question and the whole text of its solution."""

    question: str
    solution: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Encoded:
    """One row in ids. `labels` has the shape of `ids`; a label is the id itself or UNTRAINED."""

    ids: Ids
    labels: Ids
    prompt_tokens: int
    """Tokens that touch the prompt: all of them come first, none is trained."""


def read_rows(path: Path) -> list[Row]:
    """The rows of a JSONL file; keys other than question and solution are left alone.

    Raises:
        InputError: the file is missing, or a line is no JSON object with both strings.
    """
    if not path.is_file():
        raise InputError(f"no such file: {path}")
    with path.open(encoding="utf-8") as lines:
        return [_row(line, f"{path}:{number}") for number, line in enumerate(lines, start=1) if line.strip()]


def encode(
    rows: Sequence[Row], tokenizer: PreTrainedTokenizerFast, dialect: TextDialect, *, max_tokens: int
) -> tuple[list[Encoded], int]:
    """The rows in ids, in order, and how many were dropped for being longer than `max_tokens`."""
    encoded: list[Encoded] = []
    for start in range(0, len(rows), 1024):
        chunk = rows[start : start + 1024]
        texts = [whole_text(row, tokenizer, dialect) for row in chunk]
        batch = tokenizer(texts, return_offsets_mapping=True)
        for row, ids, offsets in zip(chunk, batch["input_ids"], batch["offset_mapping"], strict=True):
            if len(ids) <= max_tokens:
                encoded.append(_encoded(row, ids, offsets, dialect))
    return encoded, len(rows) - len(encoded)


def whole_text(row: Row, tokenizer: PreTrainedTokenizerFast, dialect: TextDialect) -> str:
    """Everything the model sees of a row: prompt, solution, end token."""
    return f"{dialect.prompt(Transcript(question=row.question))}{row.solution}{tokenizer.eos_token}"


def _encoded(row: Row, ids: list[int], offsets: list[tuple[int, int]], dialect: TextDialect) -> Encoded:
    prompt = len(dialect.prompt(Transcript(question=row.question)))
    spans = Transcript(question=row.question, segments=dialect.parse(row.solution)).spans
    given = [(0, prompt)] + [(prompt + s.start, prompt + s.end) for s in spans if not s.trained]
    touched = list(characters(offsets))
    labels = [
        UNTRAINED if any(start < last and first < end for first, last in given) else token
        for token, (start, end) in zip(ids, touched, strict=True)
    ]
    return Encoded(
        ids=np.array(ids, dtype=np.int32),
        labels=np.array(labels, dtype=np.int32),
        prompt_tokens=sum(start < prompt for start, _ in touched),
    )


def characters(offsets: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The characters each token stands for, from the offsets a tokenizer reports.

    Some tokenizers leave white space out of their offsets: it belongs to the token that follows. A begin token and a
    SentencePiece space that was made up have none: they count as the character they stand before.
    """
    reached = 0
    for start, end in offsets:
        first = min(start, reached)
        reached = max(reached, end)
        yield first, max(end, first + 1)


def trained_texts(rows: Iterable[Encoded], tokenizer: PreTrainedTokenizerFast) -> list[str]:
    """What the loss sees of each row, decoded: for tests and for looking at one's data."""
    return [str(tokenizer.decode(row.ids[row.labels != UNTRAINED].tolist())) for row in rows]


def _row(line: str, where: str) -> Row:
    try:
        value = json.loads(line)
        row = Row(question=value["question"], solution=value["solution"])
    except (ValueError, TypeError, KeyError):
        raise InputError(f"{where}: no JSON object with question and solution") from None
    if not (isinstance(row.question, str) and isinstance(row.solution, str)):
        raise InputError(f"{where}: question and solution must be strings")
    return row
