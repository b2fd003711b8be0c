"""Read training rows and turn them into token ids and labels: the loss mask is made here.

    file ─▶ rows ─▶ ids and labels ─▶ rows to train on, rows held out

A row's whole text (prompt, solution, end token) is tokenised once, the way a server tokenises a prompt (with its begin
token, where the tokenizer has one). A token is trained exactly if none of its characters belongs to the prompt or to an
OUTPUT segment; `Transcript.spans` says which characters those are. A recipe may leave out programs that failed, too
(`Recipe.mask_failures`). Rows that are too long are dropped whole and counted, because half a solution teaches nothing.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from random import Random

import numpy as np
import numpy.typing as npt
from transformers import PreTrainedTokenizerFast

from finetune.training.recipe import Recipe
from mumath_agent.dialects import get_text_dialect
from mumath_agent.errors import InputError
from mumath_agent.protocols import TextDialect
from mumath_agent.runs.jsonl import read_lines
from mumath_agent.transcript import Kind, Segment, Transcript

_ERROR = re.compile(r"[\w.]*(?:Error|Exception|Interrupt)(?::.*)?")
"""The last line of what a program says that ended in an error."""
_NOTHING = ("", "Done")
"""What stands for an output in which nothing was printed."""
UNTRAINED = -100
"""The label that the losses of torch and transformers leave out."""

Ids = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A question and the whole text of its solution."""

    question: str
    solution: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Encoded:
    """A row in ids. `labels` has the shape of `ids`; a label is the id itself or UNTRAINED."""

    ids: Ids
    labels: Ids
    prompt_tokens: int
    """Number of tokens that touch the prompt. They come first, and none of them is trained."""

    @property
    def prompt(self) -> bytes:
        """The ids of the prompt: rows with the same question have the same."""
        return self.ids[: self.prompt_tokens].tobytes()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EncodedRows:
    """The rows of a file, split into those to train on and those held out."""

    trained: list[Encoded]
    held_out: list[Encoded]
    dropped: int
    """Number of rows that were too long."""

    @property
    def lengths(self) -> list[int]:
        """Tokens of each row to train on."""
        return [len(row.ids) for row in self.trained]


def encoded_rows(recipe: Recipe, tokenizer: PreTrainedTokenizerFast, data: Path) -> EncodedRows:
    """Read, encode, shuffle and split the rows of a file as the recipe says.

    Raises:
        InputError: the file can't be used, or has too few rows that are short enough.
    """
    dialect = get_text_dialect(recipe.dialect)
    rows, dropped = encode(
        read_rows(data), tokenizer, dialect, max_tokens=recipe.max_tokens, mask_failures=recipe.mask_failures
    )
    Random(recipe.seed).shuffle(rows)
    held = _held_out_prompts(rows, recipe.eval_rows)
    trained = [row for row in rows if row.prompt not in held]
    if not trained:
        raise InputError(
            f"{data} has {len(rows)} usable rows; more than eval_rows={recipe.eval_rows} are needed, of other "
            "questions than those"
        )
    return EncodedRows(trained=trained, held_out=[row for row in rows if row.prompt in held], dropped=dropped)


def _held_out_prompts(rows: Sequence[Encoded], eval_rows: int) -> set[bytes]:
    """Return the first prompts that have `eval_rows` rows together: a question is held out with all its solutions."""
    held: set[bytes] = set()
    for prompt, count in Counter(row.prompt for row in rows).items():
        if eval_rows <= 0:
            break
        held.add(prompt)
        eval_rows -= count
    return held


def read_rows(path: Path) -> list[Row]:
    """Return the rows of a JSONL file; keys other than question and solution are ignored.

    Raises:
        InputError: the file can't be read, or a line isn't a JSON object with both strings.
    """
    return [_row(line.text, f"{path} line {line.number}") for line in read_lines(path)]


def _row(line: str, where: str) -> Row:
    try:
        value = json.loads(line)
        row = Row(question=value["question"], solution=value["solution"])
    except (ValueError, TypeError, KeyError):
        raise InputError(f"{where} isn't a JSON object with question and solution") from None
    if not (isinstance(row.question, str) and isinstance(row.solution, str)):
        raise InputError(f"{where}: question and solution must be strings")
    return row


def encode(
    rows: Sequence[Row],
    tokenizer: PreTrainedTokenizerFast,
    dialect: TextDialect,
    *,
    max_tokens: int,
    mask_failures: bool = False,
) -> tuple[list[Encoded], int]:
    """Return the rows in ids, in order, and how many were dropped for being longer than `max_tokens`."""
    encoded: list[Encoded] = []
    for start in range(0, len(rows), 1024):
        chunk = rows[start : start + 1024]
        texts = [whole_text(row, tokenizer, dialect) for row in chunk]
        batch = tokenizer(texts, return_offsets_mapping=True)
        for row, ids, offsets in zip(chunk, batch["input_ids"], batch["offset_mapping"], strict=True):
            if len(ids) <= max_tokens:
                encoded.append(_encoded(row, ids, offsets, dialect, mask_failures))
    return encoded, len(rows) - len(encoded)


def whole_text(row: Row, tokenizer: PreTrainedTokenizerFast, dialect: TextDialect) -> str:
    """Return everything the model sees of a row: prompt, solution, end token."""
    return f"{dialect.prompt(Transcript(question=row.question))}{row.solution}{tokenizer.eos_token}"


def _encoded(
    row: Row,
    ids: list[int],
    offsets: list[tuple[int, int]],
    dialect: TextDialect,
    mask_failures: bool,
) -> Encoded:
    prompt = len(dialect.prompt(Transcript(question=row.question)))
    segments = dialect.parse(row.solution)
    failures = _failures(segments) if mask_failures else set()
    given = [(0, prompt)] + [
        (prompt + span.start, prompt + span.end)
        for number, span in enumerate(Transcript(question=row.question, segments=segments).spans)
        if number in failures or not span.trained
    ]
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


def _failures(segments: Sequence[Segment]) -> set[int]:
    """Return which segments are programs whose output is an error, or nothing."""
    return {
        number
        for number, (program, output) in enumerate(pairwise(segments))
        if program.kind is Kind.CODE and output.kind is Kind.OUTPUT and _says_failure(output.text)
    }


def _says_failure(output: str) -> bool:
    text = output.strip().removesuffix("```").strip()
    return text in _NOTHING or _ERROR.fullmatch(text.rsplit("\n", 1)[-1]) is not None


def characters(offsets: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield the characters each token stands for, from the offsets a tokenizer reports.

    Some tokenizers leave white space out of their offsets: it belongs to the token that follows. A begin token and a
    SentencePiece space that isn't in the text have no characters: they count as the character they stand before.
    """
    reached = 0
    for start, end in offsets:
        first = min(start, reached)
        reached = max(reached, end)
        yield first, max(end, first + 1)
