"""Draw questions that a small model can't answer, with the honest sentence that it says then."""

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mumath_agent.errors import InputError

FILE = Path(__file__).with_name("refusals.toml")
_PLACE = re.compile(r"\{(\w+)\}")


class _Checked(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True, extra="forbid")


class RefusalTable(_Checked):
    """One `[[refusal]]`."""

    name: str
    replies: list[str] = Field(min_length=1)
    forms: list[str] = Field(min_length=1)
    held_back: list[str] = []


class RefusalFile(_Checked):
    """The file: words for its places, and kinds of refusals."""

    words: dict[str, list[str]]
    refusal: list[RefusalTable] = Field(min_length=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A question, and what is said to it: there is no box in it."""

    question: str
    reply: str
    source: str


@cache
def _file() -> RefusalFile:
    try:
        found = RefusalFile.model_validate(tomllib.loads(FILE.read_text(encoding="utf-8")))
    except (ValidationError, ValueError) as error:
        raise InputError(f"{FILE}: {error}") from None
    texts = [text for table in found.refusal for text in (*table.forms, *table.held_back)]
    if unknown := {name for text in texts for name in _PLACE.findall(text)} - found.words.keys():
        raise InputError(f"{FILE}: no words {min(unknown)!r}")
    return found


def forms(*, held_back: bool) -> list[tuple[str, str]]:
    """Return kind and form of every question that is trained on, or of those kept for evaluation."""
    return [
        (table.name, form)
        for table in _file().refusal
        for form in (table.held_back if held_back else table.forms)
    ]


def refusal(rng: Random, *, held_back: bool = False) -> Refusal:
    """Draw a question and its reply."""
    name, form = rng.choice(forms(held_back=held_back))
    return refused(name, form, rng)


def refused(name: str, form: str, rng: Random) -> Refusal:
    """Draw a question of a form, and its reply."""
    table = next(table for table in _file().refusal if table.name == name)
    text = _with_words(form, rng)
    if rng.random() < 0.6:
        text = text[:1].upper() + text[1:]
    return Refusal(question=text, reply=rng.choice(table.replies), source=f"refusal/{name}")


def _with_words(form: str, rng: Random) -> str:
    """Fill the places: the same person throughout, but two cities are different ones."""
    drawn = {name: rng.sample(words, len(words)) for name, words in _file().words.items()}
    seen: dict[str, int] = {}

    def word(match: re.Match[str]) -> str:
        name = match[1]
        place = seen.get(name, 0) if name != "person" or "older" in form else 0
        seen[name] = place + 1
        return drawn[name][min(place, 1) if "older" in form else place]

    return _PLACE.sub(word, form)
