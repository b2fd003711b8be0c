"""Run our own programs, many in one process beside ours, and return what each of them prints.

These are programs that the corpus writes itself, so they need no isolation. Programs of a model run in kernels.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace

from finetune.wordproblems.exercise import Exercise, box_of
from finetune.wordproblems.sums import ANSWER
from mumath_agent.errors import InputError

_RUNNER = """
import contextlib, io, json, sys
for code in json.load(sys.stdin):
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        try:
            exec(compile(code, "program", "exec"), {"__name__": "__main__"})
        except Exception as error:
            print(f"{type(error).__name__}: {error}")
    sys.stdout.write(json.dumps(out.getvalue().removesuffix(chr(10))) + chr(10))
"""


def outputs(programs: Sequence[str]) -> list[str]:
    """Return what every program prints, without the last newline; of one that fails, its error.

    Raises:
        InputError: the process that runs them ended early.
    """
    distinct = list(dict.fromkeys(programs))
    done = subprocess.run(
        [sys.executable, "-I", "-c", _RUNNER],
        input=json.dumps(distinct),
        capture_output=True,
        text=True,
        check=False,
    )
    printed = [json.loads(line) for line in done.stdout.splitlines()]
    if len(printed) != len(distinct):
        raise InputError(f"a program of the corpus ended its process: {distinct[len(printed)]!r}")
    found = dict(zip(distinct, printed, strict=True))
    return [found[program] for program in programs]


def solved(exercises: Sequence[Exercise]) -> Iterator[tuple[Exercise, str | None]]:
    """Yield every exercise with what its program prints; None where that isn't its answer.

    A sum learns its answer from its program. An exercise without a program prints nothing, and is taken as it is.
    """
    for one, output in zip(exercises, outputs([one.code for one in exercises]), strict=True):
        box = box_of(output)
        if not one.program:
            yield one, ""
        elif one.answer == ANSWER:
            worked = tuple(line.replace(ANSWER, box) for line in one.worked)
            yield replace(one, answer=box, worked=worked), output if _is_answer(box) else None
        else:
            yield one, output if box == one.answer else None


def _is_answer(box: str) -> bool:
    return bool(box) and "\n" not in box and "Error" not in box
