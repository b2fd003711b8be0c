"""Find names for the results of a program in the words around a worked answer's marks.

"<<48/2=24>>24 clips in May."  ->  clips_may
"""

import builtins
import keyword
import re
import unicodedata
from collections.abc import Iterator, Sequence

from finetune.wordproblems.people import FEMALE, MALE
from finetune.wordproblems.problem import numbers_in

_STOP_WORDS = """
    means therefore thus hence
    a an the of his her their its my your our this that these those to in on at for from by with and or but is are
    was were be been has have had he she it they we you i if then than as so also too more less fewer many much
    most least per each every all both some any no not only just about into onto over under out up down off after
    before during while when which who whom whose what how there here now one ones other others another same such
    total_of equal them him us me do does did will would can could should may might must get gets got make makes
    made need needs left because since until still already even again ago later extra additional different own
    times dollars dollar
"""
_STOP = frozenset(_STOP_WORDS.split())
_PEOPLE = frozenset((*MALE, *FEMALE))
_TIME = "hour day week month year minute second night trip visit lesson class game"
_WORD = re.compile(r"[^\W\d_]+(?:'[a-z]+)?")
_END = re.compile(r"[.,;:?!()\d$=<>]|\band\b|\bbut\b|\bif\b|\bthat\b|\bwhich\b|\bfor\b|\bthan\b")
_CALCULATION = re.compile(r"[\s$(]*[\d.,$%()+\-*/x×÷\s]*=?\s*\$?\s*<<[^<>]*>>\s*[\d.,]*\d%?")
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n")
_MOST_WORDS, _LEAST_NOTE, _MOST_NOTE = 2, 3, 14


def result_name(after: str) -> str:
    """Return a name for a result, given the text behind its mark in a worked answer: "24 clips in May."."""
    text = re.sub(r"^\s*\$?[\d.,]*\d", "", after)
    per = re.match(r"\s*(\w+)?\s*(?:per|an?|each) (\w+)", text)
    if per and per[2] in _TIME.split() and (per[1] or "dollars") not in _STOP:
        return f"{(per[1] or 'dollars').lower()}_per_{per[2]}"
    return _name(text, _MOST_WORDS)


def _name(text: str, most: int) -> str:
    head = _END.split(text, maxsplit=1)[0]
    words = [_plain(word.lower()) for word in _WORD.findall(head)]
    words = [word for word in words if word not in _STOP and len(word) > 1][:most]
    return "_".join(words)


def _plain(word: str) -> str:
    """Return a word in letters that every keyboard has."""
    letters = unicodedata.normalize("NFKD", word.removesuffix("'s"))
    return "".join(letter for letter in letters if letter.isascii() and letter.isalpha())


def name_of(note: str, after: str) -> str:
    """Return a name for a result: whose it is, if the note begins with a person, and what it is."""
    words = _WORD.findall(note)
    what = result_name(after) or "_".join(_name(" ".join(words), len(words)).split("_")[-_MOST_WORDS:])
    person = words[0].removesuffix("'s") if words else ""
    if what and person in _PEOPLE and not what.startswith(person.lower()):
        return f"{person.lower()}_{what}"
    return what


def note_before(body: str, at: int) -> str:
    """Return the sentence of a worked answer around the mark at `at`, without its calculation; "" if little is left."""
    start = max((match.end() for match in _SENTENCE.finditer(body, 0, at)), default=0)
    end = _SENTENCE.search(body, at)
    sentence = body[start : end.start() if end else len(body)]
    said = _CALCULATION.sub(" ", sentence)
    said = re.sub(r"\s+([.,])", r"\1", " ".join(said.split())).strip(" .,=:$-")
    words = said.split()
    plain = not numbers_in(said) and not any(mark in said for mark in "<>=÷×*+")
    return said if _LEAST_NOTE <= len(words) <= _MOST_NOTE and plain else ""


def distinct(names: Sequence[str], fallback: Sequence[str]) -> Iterator[str]:
    """Yield the names as identifiers that Python doesn't use, each once: a later one of the same gets a number."""
    seen: dict[str, int] = {}
    for name, other in zip(names, fallback, strict=True):
        plain = name if name.isidentifier() and name.isascii() else other
        plain = f"{plain}_" if keyword.iskeyword(plain) or hasattr(builtins, plain) else plain
        seen[plain] = seen.get(plain, 0) + 1
        yield plain if seen[plain] == 1 else f"{plain}_{seen[plain]}"
