"""Check the form of what a teacher wrote: does it ask, does it hold what it must, and did only that change?

Form is all that can be checked without solving. A question whose form is right may have lost its answer all the same;
where that can be, its target is tagged as unconfirmed, and `select` confirms it by the vote of the attempts at it.
"""

import re
from collections import Counter
from difflib import SequenceMatcher
from fractions import Fraction

from finetune.data.augment.perspectives import Unusable
from finetune.wordproblems.problem import numbers_in

_IMPERATIVES = (
    "find determine calculate compute evaluate solve express simplify give work name state write list prove show "
    "estimate round convert factor expand count tell report figure"
)
_ASKS = re.compile(
    rf"\?|(?:^|[.!:;,]|\band\b|\bthen\b|\bplease\b)\s*(?:{'|'.join(_IMPERATIVES.split())})\b", re.IGNORECASE
)
_SENTENCE = re.compile(r"(?<=[.?!])\s+(?=[A-Z\"'(])")
_WORD = re.compile(r"[a-z]+")
_LISTED = re.compile(r"(?m)^\s*(?:\d+[.)]|[-*])\s")
_SOLVES = re.compile(
    r"\\boxed|```|####|<<|\d\s*[-+*/×÷]\s*\$?\d[\d.,]*\s*=\s*\$?\d|\b(?:final )?answer(?: is|:)|^solution\b|^step \d|"
    r"\bwe (?:can|need to|must|have to|know|first)\b",
    re.IGNORECASE | re.MULTILINE,
)
_TALKS = re.compile(
    r"\b(?:rewritten|rephrased|new question|original question|the question (?:below|above)|as an ai)\b"
    r"|^(?:sure|certainly|of course|here is|here's|okay)\b",
    re.IGNORECASE,
)
_PLACEHOLDER = re.compile(
    r"\[(?!asy\])[a-z][a-z' ]{2,}\]|(?<![\\\w}])\{[a-z_ ]{3,}\}|</?(?:new_)?(?:question|solution|answer)>|___",
    re.IGNORECASE,
)
_WORDED = {
    "half": ("2", "0.5"),
    "twice": ("2",),
    "double": ("2",),
    "triple": ("3",),
    "thrice": ("3",),
    "dozen": ("12",),
}
_MULTIPLIERS = (
    (("twice", "double", "doubles", "doubled", "doubling"), "2"),
    (("thrice", "triple", "triples", "tripled"), "3"),
    (("half", "halves", "halved", "halve"), "2"),
    (("third", "thirds"), "3"),
    (("quarter", "quarters", "fourth", "fourths"), "4"),
    (("fifth", "fifths"), "5"),
    (("tenth", "tenths"), "10"),
    (("dozen", "dozens"), "12"),
)
"""Words that are numbers, too: one may stand for another of its row, or for its number."""
_SAME_STORY = 0.75
_SAME_GOAL = 0.85
_LEAST_ADDED = 3

Numbers = Counter[Fraction]


def numbers_of(text: str) -> Numbers:
    """Return how often each number is in a text; a one may be an article and doesn't count."""
    found = Counter(Fraction(number) for number in numbers_in(text))
    del found[Fraction(1)]
    return found


def require_asking(text: str, seed: str) -> None:
    """Require a text that asks for something, in its own words only.

    Raises:
        Unusable: it is a statement, a solution, talk about the task or a form with blanks.
    """
    if _PLACEHOLDER.search(text):
        raise Unusable("blanks left open")
    if _TALKS.search(text):
        raise Unusable("talks about the task")
    if _SOLVES.search(text):
        raise Unusable("solves it")
    if not _ASKS.search(last_sentence(text)) and "?" not in text:
        raise Unusable("asks nothing")
    if (
        text.count("?") > max(1, seed.count("?"))
        or len(_LISTED.findall(text)) > len(_LISTED.findall(seed)) + 1
    ):
        raise Unusable("asks several things")


def last_sentence(text: str) -> str:
    """Return the last sentence that isn't empty."""
    return _SENTENCE.split(text.strip())[-1]


def require_same_numbers(text: str, seed: str) -> None:
    """Require all numbers of the seed, and no other ones; how often each is said may differ.

    Raises:
        Unusable: one is lost, or there is another.
    """
    require_numbers(text, numbers_of(seed))
    require_no_others(text, seed)
    if _unsaid(seed, text):
        raise Unusable("number lost")
    if _unsaid(text, seed):
        raise Unusable("number added")


def _unsaid(one: str, other: str) -> bool:
    """Return whether one text has a word such as "twice" that the other says neither so nor as a number."""
    said, numbers = set(_WORD.findall(other.lower())), numbers_of(other)
    words = set(_WORD.findall(one.lower()))
    rows = [(row, number) for row, number in _MULTIPLIERS if not words.isdisjoint(row)]
    return any(said.isdisjoint(row) and Fraction(number) not in numbers for row, number in rows)


def require_no_others(text: str, seed: str) -> None:
    """Require that the text says no number that the seed doesn't.

    Raises:
        Unusable: it does.
    """
    if set(numbers_of(text)) - set(numbers_of(seed)) - _worded(seed):
        raise Unusable("number added")


def _worded(text: str) -> set[Fraction]:
    words = set(_WORD.findall(text.lower()))
    return {Fraction(value) for word, values in _WORDED.items() if word in words for value in values}


def require_numbers(text: str, wanted: Numbers) -> None:
    """Require that every wanted number is said.

    Raises:
        Unusable: one isn't.
    """
    said = set(numbers_of(text)) | _worded(text)
    if any(number not in said for number in wanted):
        raise Unusable("number lost")


def require_backward(text: str, masked: str, seed: str, answer: str) -> None:
    """Require the facts of a masked question, its answer, no other number, and another question than the seed's.

    Raises:
        Unusable: something is missing, added or asked forwards.
    """
    others = numbers_of(masked)
    require_numbers(text, others)
    require_answer(text, answer, others)
    if set(numbers_of(text)) - set(others) - _worded(seed) - {as_number(answer)}:
        raise Unusable("number added")
    if _likeness(last_sentence(text), last_sentence(seed)) > _SAME_GOAL:
        raise Unusable("asks the forward question")


def require_answer(text: str, answer: str, besides: Numbers) -> None:
    """Require that the known answer is said, beside the other numbers.

    Raises:
        Unusable: it isn't, or only as one of the others.
    """
    value = as_number(answer)
    if value is None:
        if answer not in text:
            raise Unusable("known answer missing")
    elif value != 1 and numbers_of(text)[value] < besides[value] + 1:
        raise Unusable("known answer missing")


def require_untold(text: str, target: str | None, allowed: Numbers) -> None:
    """Require that the target isn't said more often than it may be.

    Raises:
        Unusable: it is.
    """
    value = as_number(target)
    if value is not None and value != 1 and numbers_of(text)[value] > allowed[value]:
        raise Unusable("target told")


def require_new_numbers(text: str, seed: str) -> None:
    """Require other numbers in the same places, and nearly the same words.

    Raises:
        Unusable: the numbers are the same, or more than the numbers has changed.
    """
    now, before = numbers_of(text), numbers_of(seed)
    if now == before:
        raise Unusable("numbers unchanged")
    if now.total() != before.total():
        raise Unusable("number added" if now.total() > before.total() else "number lost")
    if _likeness(text, seed) < _SAME_STORY:
        raise Unusable("story changed")


def require_added_condition(text: str, seed: str) -> None:
    """Require the old numbers and something more.

    Raises:
        Unusable: a number is lost, or nothing is added.
    """
    require_numbers(text, numbers_of(seed))
    if len(_WORD.findall(text.lower())) < len(_WORD.findall(seed.lower())) + _LEAST_ADDED:
        raise Unusable("nothing added")


def require_new_context(text: str, seed: str) -> None:
    """Require another story.

    Raises:
        Unusable: most of the words are the seed's.
    """
    if _likeness(text, seed) >= _SAME_STORY:
        raise Unusable("story unchanged")


def require_changed_goal(text: str, seed: str) -> None:
    """Require the old numbers and another question at the end.

    Raises:
        Unusable: a number is lost, or the same is asked.
    """
    require_numbers(text, numbers_of(seed))
    if _likeness(last_sentence(text), last_sentence(seed)) > _SAME_GOAL:
        raise Unusable("goal unchanged")


def require_harder(text: str, seed: str) -> None:
    """Require at least as many numbers and words as the seed has.

    Raises:
        Unusable: there are fewer.
    """
    if numbers_of(text).total() < numbers_of(seed).total() or len(_words(text)) < len(_words(seed)):
        raise Unusable("not harder")


def require_other(text: str, seed: str) -> None:
    """Require a text that isn't the seed again with other spaces, capitals or marks.

    Raises:
        Unusable: it is.
    """
    if _words(text) == _words(seed) and numbers_in(text) == numbers_in(seed):
        raise Unusable("unchanged")


def as_number(text: str | None) -> Fraction | None:
    """Return the value of an answer that is a plain number."""
    try:
        return Fraction((text or "").replace(",", "").replace("$", ""))
    except (ValueError, ZeroDivisionError):
        return None


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower())


def _likeness(text: str, seed: str) -> float:
    return SequenceMatcher(None, _words(text), _words(seed), autojunk=False).ratio()
