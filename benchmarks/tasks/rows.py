r"""Turn a row of a public file into a question, a gold answer and tags: one small function a set.

A set may come in several forms: its own file, the copy the papers' code reads, or the columns on the Hugging Face hub.
Its function takes all of them. Gold answers are rewritten only as far as the grader needs to read them (`#### 1,450` is
1450, `9 (apples)` is 9): the comparison itself, tolerance included, is the grader's. A row in none of these forms, or
without a number where the set promises one, is an error: a benchmark that shrinks in silence gives wrong numbers.
"""

import re
from decimal import Decimal

from benchmarks.tasks.rules import bare_list
from benchmarks.tasks.task import Item, Row
from mumath_agent.answers import boxed_answers
from mumath_agent.errors import InputError
from mumath_agent.problems import split_gsm8k_answer

# A comma only between groups of three digits: "1,2" is two numbers.
_NUMERAL = re.compile(r"[-+]?(?:(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d{1,2})?")
_UNIT = re.compile(r"\s+\([^()]*\)$")
_DEGREES = re.compile(r"\s*\^\{?\\circ\}?$")


def gsm8k(row: Row) -> Item:
    """Read GSM8K: the answer is a rationale that ends in `#### answer`."""
    _, number = split_gsm8k_answer(_text(row, "answer"))
    return Item(question=_text(row, "question"), target=numeral(number))


def math(row: Row) -> Item:
    r"""Read MATH and MATH-500: the gold answer is a column, or the last `\boxed` of the solution."""
    if "answer" in row:
        target = _text(row, "answer")
    elif boxes := boxed_answers(_text(row, "solution")):
        target = boxes[-1]
    else:
        raise InputError("the solution has no \\boxed answer")
    level = str(_value(row, "level")).removeprefix("Level ")
    return Item(
        question=_text(row, "problem"),
        target=target,
        id=_id(row, "unique_id"),
        tags=(f"level:{level}", f"type:{_text(row, 'type', 'subject')}"),
    )


def gsm_hard(row: Row) -> Item:
    """Read GSM-Hard: floats as Python wrote them.

    PAL's absolute tolerance of 1e-3 would take 0 for the small ones, so the grader's own rule stands.
    """
    return Item(question=_text(row, "input"), target=numeral(_value(row, "target")))


def svamp(row: Row) -> Item:
    """Read SVAMP: body and question are two columns; ToRA and MuMath-Code join them with a full stop."""
    body = _text(row, "Body")
    question = f"{body.removesuffix('.')}. {_text(row, 'Question')}"
    target = numeral(_value(row, "Answer"))
    return Item(question=question, target=target, id=_id(row, "ID"), tags=(f"type:{_text(row, 'Type')}",))


def asdiv(row: Row) -> Item | None:
    """Read ASDiv: `9 (apples)`, `5:6`, `Yes`.

    ToRA and MuMath-Code leave out rows with several answers, such as `3 (cats); 4 (dogs)`.
    """
    answer = _text(row, "answer")
    if ";" in answer:
        return None
    return Item(
        question=f"{_text(row, 'body')} {_text(row, 'question')}",
        target=_plain(_UNIT.sub("", answer)),
        tags=(f"type:{_text(row, 'solution_type')}",),
    )


def mawps(row: Row) -> Item:
    """Read MAWPS in ToRA's copy."""
    return Item(question=_text(row, "input"), target=numeral(_value(row, "target")))


def tabmwp(row: Row) -> Item:
    """Read TabMWP: the question as ToRA and MuMath-Code ask it, with its table and, if there are any, its choices."""
    title, choices = row.get("table_title"), row.get("choices")
    regarding = f'regarding "{title}" ' if title else ""
    options = f" Please select from the following options: {choices}" if choices else ""
    return Item(
        question=f"Read the following table {regarding}and answer a question:\n"
        f"{_text(row, 'table')}\n{_text(row, 'question')}{options}",
        target=_plain(_text(row, "answer")),
        id=_id(row, "id"),
        tags=(f"type:{_text(row, 'ans_type')}", f"grade:{_value(row, 'grade')}"),
    )


def mathematics(row: Row) -> Item:
    """Read DeepMind's Mathematics: numbers, and lists as `[2, 3]` or, where a question asks for an order, `3 1 -4`.

    All lists are graded in any order.
    """
    item = mathcoder(row)
    return Item(question=item.question, target=bare_list(_plain(item.target)), id=item.id)


def simuleq(row: Row) -> Item:
    """Read SimulEq: the gold answer is one number, the first unknown, although most questions ask for two."""
    item = mathcoder(row)
    return Item(question=item.question, target=numeral(item.target), id=item.id)


def mathcoder(row: Row) -> Item:
    """Read MathCoder's test files: chat messages, and the answer under `ground_truth`."""
    messages, truth = _value(row, "messages"), _value(row, "ground_truth")
    try:
        user = next(message for message in messages if message["role"] == "user")  # type: ignore[attr-defined]
        question = "\n".join(part["content"] for part in user["content"])
        return Item(question=question.strip(), target=str(truth["answer"]).strip(), id=_id(row, "id"))  # type: ignore[index]
    except (TypeError, KeyError, StopIteration):
        raise InputError(
            "no user message or no ground_truth answer, as MathCoder's files have them"
        ) from None


def contest(row: Row) -> Item:
    """Read AIME and AMC: an integer, on the hub sometimes with leading zeros, as a float or with a degree sign."""
    answer = _DEGREES.sub("", str(_value(row, "answer", "Answer")))
    question = _text(row, "problem", "Problem", "question")
    return Item(question=question, target=numeral(answer), id=_id(row, "id", "ID"))


def olympiadbench(row: Row) -> Item | None:
    """Read OlympiadBench: open-ended, English, without pictures.

    A tolerance of the set's own is kept as a tag; the grader's applies.
    """
    if row.get("language", "English") != "English" or any(row.get(f"image_{n}") for n in range(1, 6)):
        return None
    answers = _value(row, "final_answer")
    if not isinstance(answers, list) or not answers:
        raise InputError("final_answer isn't a list of answers")
    context = f"{row['context']}\n" if row.get("context") else ""
    columns = {"type": "subfield", "answer": "answer_type", "unit": "unit", "tolerance": "error"}
    return Item(
        question=f"{context}{_text(row, 'question')}",
        target=", ".join(str(answer).strip("$ \n") for answer in answers),
        id=_id(row, "id"),
        tags=tuple(f"{tag}:{row[column]}" for tag, column in columns.items() if row.get(column)),
    )


def numeral(value: object) -> str:
    """Write a number as digits: 145.0 is 145, "1,450" 1450, 2.5e-06 0.0000025, "-0.0" 0, "073" 73.

    Raises:
        InputError: it isn't a number.
    """
    text = str(value).strip()
    if not _NUMERAL.fullmatch(text):
        raise InputError(f"the gold answer {text!r} isn't a number")
    digits = format(Decimal(text.replace(",", "")), "f")
    if "." in digits:
        digits = digits.rstrip("0").rstrip(".")
    return "0" if digits in ("-0", "") else digits


def _plain(text: str) -> str:
    """Return `text`, by its digits if it is a number."""
    try:
        return numeral(text)
    except InputError:
        return text.strip()


def _value(row: Row, *names: str) -> object:
    """Return the value of the first of these columns that is there and filled."""
    for name in names:
        if row.get(name) is not None:
            return row[name]
    raise InputError(f"no {' or '.join(names)}; its columns are {', '.join(row) or 'none'}")


def _text(row: Row, *names: str) -> str:
    value = _value(row, *names)
    if not isinstance(value, str) or not value.strip():
        raise InputError(f"{' or '.join(names)} is {value!r}, a text is expected")
    return value.strip()


def _id(row: Row, *names: str) -> str | None:
    return next((str(row[name]) for name in names if row.get(name) is not None), None)
