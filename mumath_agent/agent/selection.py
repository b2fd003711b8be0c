r"""Choose between the answers that the votes leave in doubt, by asking the model once more (`Attempts.select`).

    choose   reads a solution of each answer and boxes the number of the right one (GenSelect)
    verify   checks one answer after the other with a program, the heaviest first; the first that isn't refuted wins

Whatever is asked is an ordinary attempt: greedy, with a kernel of its own, at a question made of the problem. So it
takes a model that follows instructions. What comes to nothing leaves the votes' answer as it is.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from mumath_agent.problems import MAX_QUESTION_CHARS
from mumath_agent.records import ExecutionStatus, Problem, RunRecord
from mumath_agent.solutions import Select, Selection, VoteClass

Ask = Callable[[str], Awaitable[RunRecord]]
"""Makes an attempt at a question."""

_MOST_ANSWERS = 4
_SOLUTION_CHARS = 3000
_ROOM_CHARS = 1000
"""For our own words."""
_CHOOSE = """\
Several solutions of one problem came to different answers; at most one is right.

Problem:
{question}

{solutions}

Read the problem again, check with a program what the solutions claim, and decide. Don't write a solution of your own. \
Write only the number of the solution that is right as the final answer: \\boxed{{1}}, or \\boxed{{2}}, and so on."""
_VERIFY = """\
Somebody claims to know the answer of a problem. Check the claim.

Problem:
{question}

Claimed answer: {answer}

Write a program that checks this answer: put it into every condition of the problem, or go through all cases. Then \
write \\boxed{{1}} if the answer is right and \\boxed{{0}} if it is wrong."""


async def select(
    by: Select, problem: Problem, classes: Sequence[VoteClass], records: Sequence[RunRecord], ask: Ask
) -> Selection:
    """Ask about the classes that have votes, and return what was asked and which answer it is for."""
    asked = list[RunRecord]()

    async def number(question: str) -> int | None:
        if len(question) > MAX_QUESTION_CHARS:
            return None
        asked.append(await ask(question))
        return _number(asked[-1], needs_program=by is Select.VERIFY)

    in_doubt = [each for each in classes if each.votes][:_MOST_ANSWERS]
    way = _chosen if by is Select.CHOOSE else _verified
    found = await way(problem.question, in_doubt, {record.sample: record for record in records}, number)
    return Selection(by=by, asked=tuple(asked), answer=found.answer if found else None)


_AskNumber = Callable[[str], Awaitable[int | None]]


async def _chosen(
    question: str, classes: Sequence[VoteClass], records: Mapping[int, RunRecord], number: _AskNumber
) -> VoteClass | None:
    """Show a solution of each class, in the order in which they were made, so that the place tells nothing."""
    shown = sorted(classes, key=lambda each: each.samples[0])
    room = min(_SOLUTION_CHARS, (MAX_QUESTION_CHARS - len(question) - _ROOM_CHARS) // len(shown))
    texts = [
        f"Solution {place} (its answer: {each.answer}):\n{_end_of(records[each.samples[0]], room)}"
        for place, each in enumerate(shown, start=1)
    ]
    place = await number(_CHOOSE.format(question=question, solutions="\n\n".join(texts)))
    return shown[place - 1] if place is not None and 1 <= place <= len(shown) else None


async def _verified(
    question: str, classes: Sequence[VoteClass], _: Mapping[int, RunRecord], number: _AskNumber
) -> VoteClass | None:
    """Check one answer after the other. A check that comes to nothing refutes nothing."""
    for each in classes:
        if await number(_VERIFY.format(question=question, answer=each.answer)) != 0:
            return each
    return None


def _end_of(record: RunRecord, most_chars: int) -> str:
    """Return what was written, without its beginning if it is long."""
    text = record.trajectory.transcript.text.strip()
    return text if len(text) <= most_chars else f"…{text[len(text) - max(0, most_chars) :]}"


def _number(record: RunRecord, *, needs_program: bool) -> int | None:
    """Return the number that an attempt answers with; None if it has none, or rests on no program that ran."""
    attempt = record.trajectory
    ran = bool(attempt.executions) and attempt.executions[-1].status is ExecutionStatus.OK
    if attempt.answer is None or (needs_program and not ran):
        return None
    text = attempt.answer.text.strip()
    return int(text) if text.isdecimal() and text.isascii() and len(text) < 4 else None


__all__ = ["Ask", "select"]
