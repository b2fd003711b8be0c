"""Write solutions that begin with a mistake: a wrong program, what the kernel really says, a remark, the right program.

The wrong program is the right one with one typical fault planted. Both are run in a kernel, as an attempt's would be;
where the fault does no harm, or the right program doesn't give the answer, there is no row.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from finetune.wordproblems.exercise import Exercise, box_of
from finetune.wordproblems.problem import tail
from mumath_agent.concurrency import map_each
from mumath_agent.dialects import Fenced
from mumath_agent.kernels.jupyter import JupyterExecutor
from mumath_agent.kernels.pool import KernelPool
from mumath_agent.records import Execution, ExecutionStatus, Limits
from mumath_agent.transcript import Transcript

TIMEOUT_S = 20.0
_ASSIGNED = re.compile(r"([a-z_]\w*) = (.+)")
_IMPORTED = re.compile(r"from \w+ import (\w+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A program with one fault, and what is said when it shows."""

    kind: str
    program: tuple[str, ...]
    remark: str


Plant = Callable[[Sequence[str], Random], Fault | None]


def undefined(lines: Sequence[str], rng: Random) -> Fault | None:
    """Leave out a definition."""
    assigned = [(i, match[1]) for i, line in enumerate(lines) if (match := _ASSIGNED.fullmatch(line))]
    if not assigned:
        return None
    index, name = rng.choice(assigned)
    remark = rng.choice(
        (f"{name} was never given a value. I define it first.", f"I forgot to define {name}.")
    )
    return Fault(kind="undefined", program=(*lines[:index], *lines[index + 1 :]), remark=remark)


def misspelt(lines: Sequence[str], rng: Random) -> Fault | None:
    """Misspell a name where it is used."""
    names = [match[1] for line in lines if (match := _ASSIGNED.fullmatch(line)) and len(match[1]) > 3]
    if not names:
        return None
    name = rng.choice(names)
    at = rng.randrange(1, len(name) - 1)
    wrong = name[:at] + name[at + 1 :]
    uses = [i for i, line in enumerate(lines) if re.search(rf"(?:= .*|\(.*)\b{name}\b", line)]
    if not uses or wrong == name:
        return None
    index = rng.choice(uses)
    head, equals, rest = lines[index].partition(" = ") if " = " in lines[index] else ("", "", lines[index])
    line = head + equals + re.sub(rf"\b{name}\b", wrong, rest, count=1)
    return Fault(
        kind="misspelt",
        program=(*lines[:index], line, *lines[index + 1 :]),
        remark=f"I wrote {wrong}, but the name is {name}.",
    )


def not_imported(lines: Sequence[str], rng: Random) -> Fault | None:
    """Leave out an import."""
    found = [(i, match[1]) for i, line in enumerate(lines) if (match := _IMPORTED.fullmatch(line))]
    if not found:
        return None
    index, name = found[0]
    rest = [line for i, line in enumerate(lines) if i != index]
    while rest and not rest[0]:
        del rest[0]
    return Fault(kind="not imported", program=tuple(rest), remark=f"{name} has to be imported first.")


def wrong_import(lines: Sequence[str], rng: Random) -> Fault | None:
    """Import a name from the wrong module."""
    for index, line in enumerate(lines):
        if match := _IMPORTED.fullmatch(line):
            module = line.split()[1]
            other = "random" if module != "random" else "math"
            return Fault(
                kind="wrong import",
                program=(*lines[:index], line.replace(module, other, 1), *lines[index + 1 :]),
                remark=f"{match[1]} isn't in {other}; it is in {module}.",
            )
    return None


def not_printed(lines: Sequence[str], rng: Random) -> Fault | None:
    """Leave out what prints the result."""
    if not lines[-1].startswith("print(") or len([line for line in lines if line]) < 2:
        return None
    kept = list(lines[:-1])
    while kept and not kept[-1]:
        del kept[-1]
    if not any(_ASSIGNED.fullmatch(line) for line in kept):
        return None
    remark = rng.choice(("Nothing was printed. I print the result.", "I forgot to print the result."))
    return Fault(kind="not printed", program=tuple(kept), remark=remark)


def not_closed(lines: Sequence[str], rng: Random) -> Fault | None:
    """Leave a parenthesis open."""
    if not lines[-1].endswith(")"):
        return None
    return Fault(
        kind="not closed", program=(*lines[:-1], lines[-1][:-1]), remark="A parenthesis wasn't closed."
    )


def swapped(lines: Sequence[str], rng: Random) -> Fault | None:
    """Swap the operands of a difference, which makes it negative."""
    for index in reversed(range(len(lines))):
        if match := re.fullmatch(r"(\w+) = ([\w.]+) - ([\w.]+)", lines[index]):
            line = f"{match[1]} = {match[3]} - {match[2]}"
            return Fault(
                kind="swapped",
                program=(*lines[:index], line, *lines[index + 1 :]),
                remark="That can't be negative. I took the difference the wrong way round.",
            )
    return None


PLANTS: tuple[Plant, ...] = (
    undefined,
    misspelt,
    not_imported,
    wrong_import,
    not_printed,
    not_closed,
    swapped,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """An exercise, with the fault that its first program has."""

    exercise: Exercise
    fault: Fault


def planted(exercise: Exercise, rng: Random) -> Repair | None:
    """Return the exercise with one fault that its program can have."""
    faults = [fault for plant in PLANTS if (fault := plant(exercise.program, rng)) is not None]
    faults = [fault for fault in faults if fault.program != exercise.program]
    if len(faults) > 1 and rng.random() < 0.9:  # every program can lack a parenthesis
        faults = [fault for fault in faults if fault.kind != "not closed"]
    return Repair(exercise=exercise, fault=rng.choice(faults)) if faults else None


async def repaired(repairs: Sequence[Repair], *, concurrency: int = 2) -> list[str | None]:
    """Run both programs of each in a kernel of its own; return their texts, None where there is none.

    Raises:
        KernelError: no kernel could be started.
    """
    async with KernelPool(spares=concurrency) as pool:

        async def text(repair: Repair) -> str | None:
            async with JupyterExecutor(pool=pool) as kernel:
                wrong = await kernel.run("\n".join(repair.fault.program), timeout_s=TIMEOUT_S)
                right = await kernel.run(repair.exercise.code, timeout_s=TIMEOUT_S)
            return solution(repair, wrong, right)

        return await map_each(repairs, text, concurrency=concurrency)


def solution(repair: Repair, wrong: Execution, right: Execution) -> str | None:
    """Return the text of a repair; None where the fault did no harm, or the right program doesn't give the answer."""
    answer = box_of(right.stdout.strip())
    if (
        right.status is not ExecutionStatus.OK
        or answer != repair.exercise.answer
        or not _shows(repair, wrong)
    ):
        return None
    dialect, transcript = Fenced(), Transcript(question=repair.exercise.question)
    parts: tuple[str | Execution, ...] = (
        f"{repair.exercise.plan}\n{_block(repair.fault.program)}",
        wrong,
        f"{repair.fault.remark}\n{_block(repair.exercise.program)}",
        right,
        tail(repair.exercise.answer),
    )
    for part in parts:
        if isinstance(part, Execution):
            transcript = dialect.with_output(transcript, part, max_chars=Limits().output_chars)
        else:
            transcript = transcript.extended(*dialect.parse(part))
    return transcript.text


def _block(lines: Sequence[str]) -> str:
    return "```python\n" + "\n".join(lines) + "\n```\n```output\n"


def _shows(repair: Repair, wrong: Execution) -> bool:
    """Return whether a reader of the output can tell that something is wrong."""
    if wrong.status is ExecutionStatus.ERROR:
        return True
    printed = wrong.stdout.strip()
    return printed.startswith("-") if repair.fault.kind == "swapped" else not printed
