"""Turn GSM8K training rows into word problems, and vary them safely.

The `<<48/2=24>>` marks of an answer become steps over the numbers of the question. Numbers and first names are
drawn anew where the reading is unambiguous.
"""

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import TypedDict

from finetune.wordproblems.people import FEMALE, MALE
from finetune.wordproblems.problem import (
    NUMBER_WORDS,
    STEP_NAMES,
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


class _Unreadable(Exception):
    """The row doesn't give a program."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """A converted row: the text between its numbers, the problem, and whether numbers may change."""

    problem: WordProblem
    gaps: tuple[str, ...]
    written: tuple[str, ...]
    varies: bool


class _Reader:
    """A reader of one answer: it matches literals to question numbers, earlier results and constants."""

    def __init__(self, numbers: Sequence[str]) -> None:
        self.numbers = [Fraction(text) for text in numbers]
        self.steps: list[Step] = []
        self.values: list[Fraction] = []
        self.clear = len(set(self.numbers)) == len(self.numbers)

    def read(self, expression: str) -> None:
        """Append the steps of one marked expression."""
        try:
            tree = ast.parse(expression.strip(), mode="eval").body
        except SyntaxError as error:
            raise _Unreadable(expression) from error
        self._operand(tree)

    def _operand(self, node: ast.expr) -> str:
        if isinstance(node, ast.BinOp) and type(node.op) in _OPS:
            left, right = self._operand(node.left), self._operand(node.right)
            return self._step(_OPS[type(node.op)], left, right)
        if isinstance(node, ast.Constant):
            return self._literal(Fraction(str(node.value)))
        raise _Unreadable(ast.dump(node))

    def _step(self, op: str, left: str, right: str) -> str:
        if len(self.steps) >= _MAX_STEPS:
            raise _Unreadable("too many steps")
        self.steps.append(Step(op=op, left=left, right=right))
        try:
            self.values = exact_results([str(n) for n in self.numbers], self.steps)
        except ZeroDivisionError as error:
            raise _Unreadable("division by zero") from error
        return STEP_NAMES[len(self.steps) - 1]

    def _literal(self, value: Fraction) -> str:
        places = [i for i, number in enumerate(self.numbers) if number == value]
        earlier = [i for i, result in enumerate(self.values) if result == value]
        if len(places) + len(earlier) > 1:
            self.clear = False
        if places:
            return f"n{places[0]}"
        if earlier:
            return STEP_NAMES[earlier[-1]]
        if value.denominator != 1 and value * 100 in self.numbers:
            return self._step("/", f"n{self.numbers.index(value * 100)}", "100")
        if value not in _CONSTANTS:
            self.clear = False
        return _digits(value)


def _digits(value: Fraction) -> str:
    if value.denominator == 1:
        return str(value.numerator)
    if 10**6 % value.denominator:
        raise _Unreadable("not a decimal")
    return f"{float(value):.6f}".rstrip("0")


def convert(row: Gsm8kRow, number: int) -> Converted | None:
    """Return the word problem of a GSM8K row, or None if the marks don't give the stated answer."""
    question = " ".join(row["question"].split())
    spans = list(number_spans(question))
    numbers = tuple(digits for _, _, digits in spans)
    body, stated = split_gsm8k_answer(row["answer"])
    try:
        steps, clear = _steps(body, numbers)
        right = _close(exact_results(numbers, steps)[-1], Fraction(_plain(stated)))
    except (_Unreadable, ValueError, ZeroDivisionError):
        return None
    if not right or len(numbers) > _MAX_NUMBERS:
        return None
    edges = [0, *(edge for start, end, _ in spans for edge in (start, end)), len(question)]
    problem = WordProblem(question=question, numbers=numbers, steps=steps, source=f"gsm8k-train/{number}")
    return Converted(
        problem=problem,
        gaps=tuple(question[a:b] for a, b in zip(edges[::2], edges[1::2], strict=True)),
        written=tuple(question[start:end] for start, end, _ in spans),
        varies=clear,
    )


def _steps(body: str, numbers: Sequence[str]) -> tuple[tuple[Step, ...], bool]:
    reader = _Reader(numbers)
    for match in _MARK.finditer(body):
        expression = _plain(re.sub(r"(\d+(?:\.\d+)?)%", r"(\1/100)", match[1]))
        expression = re.sub(r"(?<![\d.])0+(?=\d)", "", expression)
        if not _EXPRESSION.fullmatch(expression):
            raise _Unreadable(expression)
        before = len(reader.steps)
        reader.read(expression)
        if len(reader.steps) == before:
            continue
        if not _close(reader.values[-1], Fraction(_plain(match[2]))):
            raise _Unreadable(match[0])
    if not reader.steps:
        raise _Unreadable("no steps")
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
        Step(op=step.op, left=names.get(step.left, step.left), right=names.get(step.right, step.right))
        for _, step in kept
    )


def _plain(text: str) -> str:
    return text.replace(",", "").replace("$", "").replace("%", "").strip()


def _close(left: Fraction, right: Fraction) -> bool:
    scale = max(Fraction(1), abs(right))
    return abs(left - right) <= scale / 200


def load(rows: Iterable[Gsm8kRow]) -> list[Converted]:
    """Convert the rows; leave out those that don't give a program."""
    converted = (convert(row, number) for number, row in enumerate(rows))
    return [one for one in converted if one is not None]


def vary(one: Converted, rng: Random) -> WordProblem:
    """Return the problem with other numbers (if they are unambiguous) and other first names."""
    old = one.problem.numbers
    numbers = (one.varies and rng.random() < 0.75 and _resampled(one, rng)) or old
    written = [w if n == o else _like(w, n) for w, n, o in zip(one.written, numbers, old, strict=True)]
    gaps = _renamed(one.gaps, rng) if rng.random() < 0.7 else one.gaps
    question = gaps[0] + "".join(number + gap for number, gap in zip(written, gaps[1:], strict=True))
    return WordProblem(
        question=question, numbers=numbers, steps=one.problem.steps, source=f"{one.problem.source}/varied"
    )


def _like(written: str, digits: str) -> str:
    """Write `digits` in the manner of `written`: as a word, with commas, or plain."""
    if written[0].isalpha():
        word = NUMBER_WORDS.get(int(digits), digits)
        return word.capitalize() if written[0].isupper() else word
    return f"{int(digits):,}" if "," in written else digits


def _resampled(one: Converted, rng: Random) -> tuple[str, ...] | None:
    steps = one.problem.steps
    whole = [value.denominator == 1 for value in exact_results(one.problem.numbers, steps)]
    for _ in range(_TRIES):
        numbers = tuple(_other(one, i, rng) for i in range(len(one.written)))
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


def _renamed(gaps: Sequence[str], rng: Random) -> tuple[str, ...]:
    """Exchange first names for names of the same gender."""
    present = {word for gap in gaps for word in _WORD.findall(gap)}
    names: dict[str, str] = {}
    for name in sorted(present - _NOT_NAMES):
        if name in _GENDER:
            fresh = rng.choice(MALE if _GENDER[name] == "m" else FEMALE)
            if fresh not in present and fresh not in names.values():
                names[name] = fresh
    return tuple(_WORD.sub(lambda match: names.get(match.group(), match.group()), gap) for gap in gaps)
