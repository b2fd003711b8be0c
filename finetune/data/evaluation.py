"""Write the questions that nobody trains on: everyday problems, plain sums in other spellings, and what to decline."""

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from random import Random

from finetune.data.corpus import held_out_side
from finetune.data.executed import solved
from finetune.data.jobs import make_parent
from finetune.wordproblems.exercise import Exercise, exercise
from finetune.wordproblems.gsm8k import Gsm8kRow
from finetune.wordproblems.load import everyday_stories
from finetune.wordproblems.refusals import forms, refused
from finetune.wordproblems.sums import held_back
from mumath_agent.problems import split_gsm8k_answer
from mumath_agent.runs.jsonl import replace_lines

EVERYDAY_EACH, SUMS_EACH = 3, 3
"""Questions of every schema and of every form."""


@cache
def evaluation_exercises() -> tuple[Exercise, ...]:
    """Return all questions that are held back, always the same."""
    return (*everyday(), *other_sums())


def everyday() -> Iterator[Exercise]:
    """Yield everyday problems of one to three steps, of schemas that no training row is told from."""
    rng = Random("everyday")
    for schema in everyday_stories():
        for _ in range(EVERYDAY_EACH):
            yield exercise(schema.problem(rng))


def other_sums() -> Iterator[Exercise]:
    """Yield plain sums in spellings that no training row has."""
    rng = Random("sums")
    for kind in held_back():
        for form in kind.forms:
            for _ in range(SUMS_EACH):
                yield kind.asked(form, rng)


def write_evaluation(folder: Path, gsm8k: Sequence[Gsm8kRow] = ()) -> dict[str, int]:
    """Write everyday.jsonl, sums.jsonl, refusals.jsonl and gsm8k.jsonl, of held-out rows, into a folder.

    Returns:
        How many questions each has.

    Raises:
        InputError: they can't be written.
    """
    files = {
        "everyday": [_problem(f"everyday-{n}", *one) for n, one in enumerate(solved(list(everyday())))],
        "sums": [_problem(f"sum-{n}", *one) for n, one in enumerate(solved(list(other_sums())))],
        "refusals": list(_to_decline()),
    }
    if gsm8k:
        files["gsm8k"] = [_published(f"gsm8k-{n}", row) for n, row in enumerate(held_out_side(gsm8k))]
    make_parent(folder / "everyday.jsonl")
    for name, rows in files.items():
        replace_lines(folder / f"{name}.jsonl", rows)
    return {name: len(rows) for name, rows in files.items()}


def _problem(id: str, exercise: Exercise, output: str | None) -> dict[str, str]:
    assert output is not None, exercise.question  # a test holds that every one's program gives its answer
    return {"id": id, "question": exercise.question, "target": exercise.answer}


def _published(id: str, row: Gsm8kRow) -> dict[str, str]:
    target = split_gsm8k_answer(row["answer"])[1].replace(",", "").strip()
    return {"id": id, "question": row["question"], "target": target}


def _to_decline() -> Iterator[dict[str, str]]:
    """Yield questions without a target: an honest sentence without a box is right."""
    rng = Random("refusals")
    for number, (name, form) in enumerate(forms(held_back=True)):
        yield {"id": f"refusal-{number}", "question": refused(name, form, rng).question}
