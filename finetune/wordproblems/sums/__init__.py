"""Draw plain sums in the spellings that people type first, from `forms.toml`, and held-back ones for evaluation.

    forms.toml ────── kinds: numbers, program, forms ──▶ sums()      trained on
    held_back.toml ── other forms of the same kinds ───▶ held_back() never trained on

`docs/wordproblems.md` explains the files to those who write them.
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from finetune.wordproblems.exercise import Exercise
from finetune.wordproblems.formula import Formula, results
from finetune.wordproblems.numbers import Draw, Value
from finetune.wordproblems.problem import NUMBER_WORDS
from finetune.wordproblems.table import condition, numbers_table
from mumath_agent.errors import InputError

FORMS, HELD_BACK = (Path(__file__).with_name(name) for name in ("forms.toml", "held_back.toml"))
ANSWER = "{answer}"
"""Stands for what the program prints, which is known when it has run."""
_TRIES = 500
_PLACE = re.compile(r"(\$?)\{(\w+)(?::(words|commas))?\}")
_PHRASE = re.compile(r"<(\w+)>")
_OPERATOR = re.compile(r" ([-+*/×÷:%]|x) ")
_ENDINGS = ("", "", "", "=", " =", " = ?", "?")


class SumTable(BaseModel):
    """One `[[sum]]`."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")
    name: str = Field(pattern=r"^[a-z]\w*$")
    numbers: dict[str, str] = Field(min_length=1)
    where: list[str] = []
    plan: str
    program: str
    work: str
    forms: list[str] = Field(min_length=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """A kind of sum: its numbers, the program that computes it, and how people ask for it."""

    name: str
    draws: Mapping[str, Draw]
    derived: Mapping[str, Formula]
    where: tuple[Formula, ...]
    plan: str
    program: str
    work: str
    forms: tuple[str, ...]
    phrases: Mapping[str, Sequence[str]]

    def exercise(self, rng: Random) -> Exercise:
        """Draw a sum in one of its forms; its answer is what the program will print."""
        return self.asked(rng.choice(self.forms), rng)

    def asked(self, form: str, rng: Random) -> Exercise:
        """Draw a sum in a form."""
        values = self._draw(rng)
        return Exercise(
            question=_spelled(_filled(_with_phrases(form, self.phrases, rng), values), rng),
            source=f"sum/{self.name}",
            plan=self.plan,
            program=tuple(_filled(self.program, values).split("\n")),
            worked=tuple(_filled(self.work, values).split("\n")),
            answer=ANSWER,
        )

    def _draw(self, rng: Random) -> dict[str, Value]:
        for _ in range(_TRIES):
            values = {name: draw(rng, "small") for name, draw in self.draws.items()}
            for name, derived in self.derived.items():
                values[name] = results(derived, values)[-1]
            if all(results(where, values)[-1] > 0 for where in self.where):
                return values
        raise ValueError(f"{self.name}: no numbers found in {_TRIES} tries; loosen where or the ranges")


@cache
def sums() -> tuple[Sum, ...]:
    """Return the kinds of sums that are trained on."""
    return read_sums(FORMS)


@cache
def held_back() -> tuple[Sum, ...]:
    """Return the same kinds with the forms that are kept for evaluation."""
    forms = tomllib.loads(HELD_BACK.read_text(encoding="utf-8"))["forms"]
    known = {kind.name: kind for kind in sums()}
    if unknown := forms.keys() - known.keys():
        raise InputError(f"{HELD_BACK}: no sum {min(unknown)!r} in {FORMS.name}")
    return tuple(replace(known[name], forms=tuple(texts)) for name, texts in forms.items())


def read_sums(path: Path) -> tuple[Sum, ...]:
    """Read a file of sums.

    Raises:
        InputError: it can't be used; the message names file, sum and key.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: {error}") from None
    found: dict[str, Sum] = {}
    for table in data.get("sum", []):
        try:
            kind = _compiled(SumTable.model_validate(table), data.get("phrases", {}))
            if kind.name in found:
                raise ValueError("name: an earlier sum has it")
        except ValueError as error:
            raise InputError(f"{path}: {table.get('name', '?')}: {_message(error)}") from None
        found[kind.name] = kind
    return tuple(found.values())


def _message(error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    first: Any = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"


def _compiled(table: SumTable, phrases: Mapping[str, Sequence[str]]) -> Sum:
    draws, derived = numbers_table(table.numbers)
    for text in (table.program, table.work, *table.forms):
        if unknown := {name for _, name, _ in _PLACE.findall(text)} - table.numbers.keys() - {"answer"}:
            raise ValueError(f"no number {min(unknown)!r} for {text!r}")
        if missing := set(_PHRASE.findall(text)) - phrases.keys():
            raise ValueError(f"no phrase {min(missing)!r} for {text!r}")
    return Sum(
        name=table.name,
        draws=draws,
        derived=derived,
        where=tuple(condition(text, table.numbers) for text in table.where),
        plan=table.plan,
        program=table.program,
        work=table.work,
        forms=tuple(table.forms),
        phrases=phrases,
    )


def _with_phrases(form: str, phrases: Mapping[str, Sequence[str]], rng: Random) -> str:
    return _PHRASE.sub(lambda match: rng.choice(phrases[match[1]]), form)


def _filled(text: str, values: Mapping[str, Value]) -> str:
    def shown(match: re.Match[str]) -> str:
        return match[0] if match[2] == "answer" else match[1] + _shown(values[match[2]], match[1] or match[3])

    return _PLACE.sub(shown, text)


def _shown(value: Value, manner: str) -> str:
    """Show a number as money ("$"), in words, with commas, or plainly."""
    if value.denominator != 1:
        return (
            f"{float(Fraction(value)):.2f}" if manner == "$" else f"{float(Fraction(value)):.2f}".rstrip("0")
        )
    if manner == "words":
        return in_words(int(value))
    return f"{int(value):,}" if manner == "commas" else str(value)


def in_words(number: int) -> str:
    """Return a whole number below a thousand in English words; a larger one in digits."""
    if number < 2:
        return ("zero", "one")[number]
    if number >= 1000:
        return str(number)
    if number >= 100:
        hundreds, rest = divmod(number, 100)
        return f"{in_words(hundreds)} hundred{f' and {in_words(rest)}' if rest else ''}"
    tens, ones = number // 10 * 10, number % 10
    return NUMBER_WORDS.get(number) or f"{NUMBER_WORDS[tens]}-{in_words(ones)}"


def _spelled(text: str, rng: Random) -> str:
    """Return a question as one of many would type it: spaces, capitals and marks vary."""
    bare = text.startswith("=")
    text = " ".join(text.removeprefix("=").split())
    if bare:
        text = _OPERATOR.sub(r"\1", text) if rng.random() < 0.4 else text
        return text + rng.choice(_ENDINGS)
    chance = rng.random()
    if chance < 0.6:
        text = text[:1].upper() + text[1:]
    elif chance < 0.63:
        text = text.upper() if len(text) < 30 and "$" not in text else text
    if text.endswith(("?", ".", "=", "is", "equals", "gives")):
        return text
    asks = text.split(" ", 1)[0].lower() in _QUESTION_WORDS
    return text + (rng.choice(("?", "?", "?", "")) if asks else rng.choice(("", "", ".", "?")))


_QUESTION_WORDS = frozenset(["what", "what's", "whats", "how", "which", "is", "can", "does", "if"])
