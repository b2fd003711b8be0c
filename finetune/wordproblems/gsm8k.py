"""Turn GSM8K training rows into word problems, and vary them safely.

The `<<48/2=24>>` marks of an answer become steps over the numbers of the question. Numbers and first names are
drawn anew where the reading is unambiguous.
"""

import ast
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import TypedDict

from finetune.wordproblems.general import tied, why_not_general, worded
from finetune.wordproblems.naming import name_of, note_before
from finetune.wordproblems.people import FEMALE, MALE
from finetune.wordproblems.problem import (
    NUMBER_WORDS,
    STEP_NAMES,
    UNTOLD,
    Step,
    WordProblem,
    exact_results,
    number_spans,
)
from mumath_agent.errors import InputError
from mumath_agent.problems import split_gsm8k_answer
from mumath_agent.runs.jsonl import read_objects

_MARKS = re.compile(r"<<[^<>]*>>")
_MARK = re.compile(r"<<([^<>=]+)=([^<>=]*)>>")
_EXPRESSION = re.compile(r"[\d.\s+\-*/()]+")
_OPS = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
_KNOWN = "1 2 3 4 5 6 7 8 10 12 24 30 31 36 48 50 52 60 100 365 1000 .5 .25 .75 .1"
_CONSTANTS = frozenset(map(Fraction, _KNOWN.split()))
# Calendar and clock facts keep their meaning only as they are.
_CALENDAR = "7 12 24 30 52 60 100 365 1000"
_FIXED = frozenset(map(Fraction, _CALENDAR.split()))
_MAX_NUMBERS, _MAX_STEPS, _TRIES = 12, len(STEP_NAMES) - 1, 12
_WORD = re.compile(r"[A-Z][a-z]+")
_GENDER = {**dict.fromkeys(MALE, "m"), **dict.fromkeys(FEMALE, "f")}
# Names that are also English words at the start of a sentence.
_NOT_NAMES = frozenset({"Will", "Mark", "May", "Rose", "Grace", "Daisy", "Penny", "Bill", "Ivy", "Lily"})


class Gsm8kRow(TypedDict):
    """A row as GSM8K publishes it."""

    question: str
    answer: str
    """A rationale with calculator marks, then `####` and the number."""


def read_gsm8k(path: Path) -> Iterator[tuple[str, Gsm8kRow]]:
    """Yield the rows of a file in GSM8K's form, each with its place: "train.jsonl line 3".

    Raises:
        InputError: the file can't be read, or a line isn't such a row; the message names the line.
    """
    for place, row in read_objects(path):
        for key in ("question", "answer"):
            if not isinstance(row.get(key), str) or not row[key].strip():
                raise InputError(f"{place}: no text under {key}")
        if not split_gsm8k_answer(row["answer"])[0].strip():
            raise InputError(f"{place}: the answer has no rationale and `####` before its number")
        yield place, Gsm8kRow(question=row["question"], answer=row["answer"])


def without_marks(rationale: str) -> str:
    """Return a rationale as a reader sees it, without calculator marks."""
    return _MARKS.sub("", rationale)


class Unreadable(Exception):
    """The row doesn't give a program; the text is the reason, for counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """A converted row: the text between its numbers, the problem, and whether numbers may change."""

    problem: WordProblem
    gaps: tuple[str, ...]
    written: tuple[str, ...]
    varies: bool


class _Reader:
    """A reader of one answer: it matches literals to question numbers, earlier results and constants."""

    def __init__(self, numbers: Sequence[str], *, first: bool, worded: Collection[Fraction]) -> None:
        self._first = first
        self._worded = worded
        self._used: set[str] = set()
        self.numbers = [Fraction(text) for text in numbers]
        self.steps: list[Step] = []
        self.values: list[Fraction] = []
        self.clear = len(set(self.numbers)) == len(self.numbers)

    def read(self, expression: str) -> None:
        """Append the steps of one marked expression."""
        try:
            tree = ast.parse(expression.strip(), mode="eval").body
        except SyntaxError as error:
            raise Unreadable("not a plain expression") from error
        self._operand(tree)

    def _operand(self, node: ast.expr, *, scales: bool = False) -> str:
        if isinstance(node, ast.BinOp) and type(node.op) in _OPS:
            scales = isinstance(node.op, ast.Mult | ast.Div)
            left, right = self._operand(node.left), self._operand(node.right, scales=scales)
            return self._step(_OPS[type(node.op)], left, right)
        if isinstance(node, ast.Constant):
            value = Fraction(str(node.value))
            if scales and value in self._worded and value in self.numbers:
                self.clear = False
                return _digits(value)  # "half" of something, though the question has a 2 as well
            return self._literal(value)
        raise Unreadable("not a plain expression")

    def _step(self, op: str, left: str, right: str) -> str:
        if len(self.steps) >= _MAX_STEPS:
            raise Unreadable("too many steps")
        self.steps.append(Step(op=op, left=left, right=right))
        try:
            self.values = exact_results([str(n) for n in self.numbers], self.steps)
        except ZeroDivisionError as error:
            raise Unreadable("division by zero") from error
        return STEP_NAMES[len(self.steps) - 1]

    def _literal(self, value: Fraction) -> str:
        places = [i for i, number in enumerate(self.numbers) if number == value]
        earlier = [i for i, result in enumerate(self.values) if result == value]
        if len(places) + len(earlier) > 1:
            self.clear = False
        if found := self._named(places, earlier):
            return found
        if value.denominator != 1 and value * 100 in self.numbers:
            return self._step("/", f"n{self.numbers.index(value * 100)}", "100")
        if value not in _CONSTANTS:
            self.clear = False
        return _digits(value)

    def _named(self, places: Sequence[int], earlier: Sequence[int]) -> str | None:
        """Return the number or result that a literal stands for: one that wasn't used yet, if there are several.

        `first` takes the first number of that value every time, as the first corpus did.
        """
        known = [*(f"n{place}" for place in places), *(STEP_NAMES[step] for step in reversed(earlier))]
        if not known:
            return None
        name = known[0] if self._first else next((name for name in known if name not in self._used), known[0])
        self._used.add(name)
        return name


def _digits(value: Fraction) -> str:
    if value.denominator == 1:
        return str(value.numerator)
    if 10**6 % value.denominator:
        raise Unreadable("not a decimal")
    return f"{float(value):.6f}".rstrip("0")


def convert(row: Gsm8kRow, number: int, *, rounded: bool = False) -> Converted | None:
    """Return the word problem of a GSM8K row, or None if the marks don't give the stated answer; see `read`."""
    try:
        return read(row, number, rounded=rounded)
    except Unreadable:
        return None


def read(row: Gsm8kRow, number: int, *, rounded: bool = False) -> Converted:
    """Return the word problem of a GSM8K row.

    `rounded` takes answers that are right to half a per cent, too, as the first corpus did.

    Raises:
        Unreadable: the marks don't give the stated answer.
    """
    question = " ".join(row["question"].split())
    spans = list(number_spans(question))
    numbers = tuple(digits for _, _, digits in spans)
    body, stated = split_gsm8k_answer(row["answer"])
    try:
        reader = _Reader(numbers, first=rounded, worded=() if rounded else worded(question))
        steps, clear = _steps(body, reader)
        reached, wanted = exact_results(numbers, steps)[-1], Fraction(_plain(stated))
    except (ValueError, ZeroDivisionError):
        raise Unreadable("not a number") from None
    if not (_close(reached, wanted) if rounded else reached == wanted):
        raise Unreadable("the last mark isn't the answer")
    if len(numbers) > _MAX_NUMBERS:
        raise Unreadable("too many numbers")
    edges = [0, *(edge for start, end, _ in spans for edge in (start, end)), len(question)]
    problem = WordProblem(question=question, numbers=numbers, steps=steps, source=f"gsm8k-train/{number}")
    return Converted(
        problem=problem,
        gaps=tuple(question[a:b] for a, b in zip(edges[::2], edges[1::2], strict=True)),
        written=tuple(question[start:end] for start, end, _ in spans),
        varies=clear,
    )


def _steps(body: str, reader: _Reader) -> tuple[tuple[Step, ...], bool]:
    for match in _MARK.finditer(body):
        expression = _plain(re.sub(r"(\d+(?:\.\d+)?)%", r"(\1/100)", match[1]))
        expression = re.sub(r"(?<![\d.])0+(?=\d)", "", expression)
        if not _EXPRESSION.fullmatch(expression):
            raise Unreadable("not a plain expression")
        before = len(reader.steps)
        reader.read(expression)
        if len(reader.steps) == before:
            continue
        if not _close(reader.values[-1], Fraction(_plain(match[2]))):
            raise Unreadable("a mark is wrong")
        note = note_before(body, match.start())
        name = name_of(note, body[match.end() :]) or UNTOLD
        reader.steps[-1] = replace(reader.steps[-1], name=name, note=note)
    if not reader.steps:
        raise Unreadable("no marks")
    return _needed(reader.steps), reader.clear


def _needed(steps: Sequence[Step]) -> tuple[Step, ...]:
    """Keep and rename the steps that the last one depends on; side remarks of an answer fall away."""
    wanted = {STEP_NAMES[len(steps) - 1]}
    for name, step in reversed(list(zip(STEP_NAMES, steps, strict=False))):
        if name in wanted:
            wanted |= {step.left, step.right}
    kept = [(name, step) for name, step in zip(STEP_NAMES, steps, strict=False) if name in wanted]
    names = {old: new for new, (old, _) in zip(STEP_NAMES, kept, strict=False)}
    return tuple(
        replace(step, left=names.get(step.left, step.left), right=names.get(step.right, step.right))
        for _, step in kept
    )


def _plain(text: str) -> str:
    return text.replace(",", "").replace("$", "").replace("%", "").strip()


def _close(left: Fraction, right: Fraction) -> bool:
    scale = max(Fraction(1), abs(right))
    return abs(left - right) <= scale / 200


def load(rows: Iterable[Gsm8kRow]) -> list[Converted]:
    """Convert the rows as the first corpus did: also answers that are only nearly those of their program."""
    converted = (convert(row, number, rounded=True) for number, row in enumerate(rows))
    return [one for one in converted if one is not None]


def vary(one: Converted, rng: Random, *, trusting: bool = False) -> WordProblem:
    """Return the problem with other numbers, if the program holds for them, and other first names.

    `trusting` changes numbers wherever none could be taken for another, as the first corpus did.
    """
    old = one.problem.numbers
    may = one.varies and (trusting or why_not_general(one.problem) is None)
    numbers = (may and rng.random() < 0.75 and _resampled(one, rng, trusting=trusting)) or old
    written = [w if n == o else _like(w, n) for w, n, o in zip(one.written, numbers, old, strict=True)]
    names = _new_names(one.gaps, rng) if rng.random() < 0.7 else {}
    gaps = [_with(names, gap) for gap in one.gaps]
    question = gaps[0] + "".join(number + gap for number, gap in zip(written, gaps[1:], strict=True))
    steps = tuple(_told_of(step, names) for step in one.problem.steps)
    return WordProblem(question=question, numbers=numbers, steps=steps, source=f"{one.problem.source}/varied")


def _like(written: str, digits: str) -> str:
    """Write `digits` in the manner of `written`: as a word, with commas, or plain."""
    if written[0].isalpha():
        word = NUMBER_WORDS.get(int(digits), digits)
        return word.capitalize() if written[0].isupper() else word
    return f"{int(digits):,}" if "," in written else digits


def _resampled(one: Converted, rng: Random, *, trusting: bool) -> tuple[str, ...] | None:
    steps, now = one.problem.steps, one.problem.numbers
    fixed = [False] * len(now) if trusting else tied(one.gaps)
    whole = [value.denominator == 1 for value in exact_results(one.problem.numbers, steps)]
    for _ in range(_TRIES):
        numbers = tuple(now[i] if fixed[i] else _other(one, i, rng) for i in range(len(one.written)))
        if len(set(numbers)) < len(numbers):
            continue
        try:
            reached = exact_results(numbers, steps)
        except ZeroDivisionError:
            continue
        kept = all(not was or value.denominator == 1 for was, value in zip(whole, reached, strict=True))
        if kept and min(reached) > 0:
            return numbers
    return None


def _other(one: Converted, index: int, rng: Random) -> str:
    """Draw another number for place `index`, or return the same where its meaning is fixed."""
    text, written = one.problem.numbers[index], one.written[index]
    before, after = one.gaps[index], one.gaps[index + 1]
    part_of_word = before.endswith(("/", ":")) or after.startswith(
        ("/", ":", "st", "nd", "rd", "th", "-year")
    )
    if "." in text or part_of_word or Fraction(text) in _FIXED or int(text) < 2 or rng.random() < 0.15:
        return text
    value = int(text)
    high = 12 if written[0].isalpha() else 100 if after.startswith(("%", " percent")) else max(6, 2 * value)
    step = 5 if value % 5 == 0 and value >= 20 else 1
    low = max(2, value // 2)
    return str(step * rng.randint(max(1, low // step), max(2, max(low, high) // step)))


def _new_names(gaps: Sequence[str], rng: Random) -> dict[str, str]:
    """Return for first names of a text others of the same gender."""
    present = {word for gap in gaps for word in _WORD.findall(gap)}
    names: dict[str, str] = {}
    for name in sorted(present - _NOT_NAMES):
        if name in _GENDER:
            fresh = rng.choice(MALE if _GENDER[name] == "m" else FEMALE)
            if fresh not in present and fresh not in names.values():
                names[name] = fresh
    return names


def _with(names: Mapping[str, str], text: str) -> str:
    return _WORD.sub(lambda match: names.get(match.group(), match.group()), text)


def _told_of(step: Step, names: Mapping[str, str]) -> Step:
    """Return the step with its name and note about the people that `names` exchanges."""
    lower = {old.lower(): new.lower() for old, new in names.items()}
    name = "_".join(lower.get(word, word) for word in step.name.split("_"))
    return replace(step, name=name, note=_with(names, step.note))
