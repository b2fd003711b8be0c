"""Write the problems that models are measured with: of template schemas that are kept out of all training data."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

from finetune.data.augment.programs import decimal
from finetune.data.jobs import make_parent
from finetune.wordproblems.load import stories
from mumath_agent.records import Problem
from mumath_agent.runs.jsonl import replace_lines


def held_out_problems(size: int, *, seed: int = 0) -> Iterator[Problem]:
    """Yield `size` problems, with answers; equal seeds give equal ones."""
    schemas, rng = stories(held_out=True), Random(f"held out {seed}")
    for number in range(size):
        problem = rng.choice(schemas).problem(rng)
        target = decimal(problem.answer)
        yield Problem(id=f"held-out-{seed}-{number}", question=problem.question, target=target)


def write_held_out(out: Path, *, size: int, seed: int = 0) -> None:
    """Write `size` problems to `out`: id, question, target.

    Raises:
        InputError: it can't be written.
    """
    make_parent(out)
    replace_lines(
        out,
        (
            {"id": problem.id, "question": problem.question, "target": problem.target}
            for problem in held_out_problems(size, seed=seed)
        ),
    )
