r"""Nudge a model that would end its attempt badly: one note, and it goes on.

A model that wasn't trained on the loop ends without program and box, is cut off in the middle of a long calculation,
boxes a number that its own program didn't print, or would still compute when its last turn is over. Where nudges are
allowed (`Limits.max_nudges`; by default only in chats), the agent then writes a NOTE into the transcript that says what
is missing. An attempt that had ended with an answer before it was nudged keeps that answer if nothing better comes.
"""

import re
from collections.abc import Sequence

from mumath_agent.agent.events import emit
from mumath_agent.answers import extract_answer
from mumath_agent.dialects.calls import unreadable_call
from mumath_agent.dialects.output import plain
from mumath_agent.protocols import Dialect
from mumath_agent.records import AnswerSource, Completion, Execution, ExecutionStatus, FinishReason, Limits
from mumath_agent.transcript import Kind, Transcript

NO_ANSWER = (
    "There is neither a program to run nor a final answer in \\boxed{} in your message. Write a Python program that "
    "computes what is missing, or give the final answer as \\boxed{...}."
)
NO_BOX = "Give the final answer as \\boxed{...}."
CUT_OFF = (
    "Your message was cut off: it was too long. Compute it with a short Python program instead of by hand, or give the "
    "final answer as \\boxed{...}."
)
UNCLOSED = "Your program was not run, because its block has no end. Write the whole program again."
FAILED = (
    "Your last program failed, so this answer is not computed. Write a program that works, or give the final answer as "
    "\\boxed{...} again if you are sure."
)
LAST_TURN = "There is no turn left for another program. Give the final answer as \\boxed{...} now."
_CONTRADICTION = (
    "Your answer {answer} is not among the values your programs printed ({printed}). Find out which is right, and give "
    "the final answer as \\boxed{{...}}."
)

_QUESTION = "The question was: "
_PLAIN = re.compile(r"[-+]?(?:\d[\d,]*\.?\d*|\.\d+)")
_PRINTED = re.compile(
    r"(?<![\w.])[-+]?(?:\d+(?:,\d{3})+(?:\.\d+)?|\d+\.?\d*(?:e[-+]?\d+)?|\.\d+)(?!\w)", re.IGNORECASE
)

_SHOWN_CHARS = 60
_END_CHARS = 40


def allowed(limits: Limits, dialect: Dialect) -> int:
    """Return how often an attempt may be nudged."""
    return dialect.nudges if limits.max_nudges is None else limits.max_nudges


def noted(transcript: Transcript, note: str, dialect: Dialect) -> Transcript:
    """Return the transcript with a note, of which whoever streams the run is told."""
    after = dialect.with_note(transcript, note)
    emit({"event": "note", "text": after.text[len(transcript.text) :]})
    return after


def nudges_of(transcript: Transcript) -> int:
    """Return how many notes the agent wrote."""
    return sum(segment.kind is Kind.NOTE for segment in transcript.segments)


def nudge(
    transcript: Transcript, completion: Completion, executions: Sequence[Execution], *, at_most: int
) -> str | None:
    """Return what to say to a model whose last turn asks for no program; None if it ended well.

    The note ends with the question: after a note alone small models go on with a problem of the examples.

    Args:
        transcript: the solution with that turn.
        completion: the turn as the model wrote it.
        executions: those of the whole attempt.
        at_most: nudges that an attempt may get.
    """
    fault = _fault(transcript, completion, executions) if nudges_of(transcript) < at_most else None
    return f"{fault} {_QUESTION}{transcript.question}" if fault else None


def _fault(transcript: Transcript, completion: Completion, executions: Sequence[Execution]) -> str | None:
    if is_cut(transcript, completion):
        return CUT_OFF
    if error := unreadable_call(transcript):
        return error
    if transcript.segments and not transcript.segments[-1].closed:
        return UNCLOSED
    answer = extract_answer(transcript)
    if answer is None:
        return NO_ANSWER
    if answer.found_in is not AnswerSource.BOXED:
        return NO_BOX
    if executions and executions[-1].status not in (ExecutionStatus.OK, ExecutionStatus.REFUSED):
        return FAILED
    return _contradiction(answer.text, executions)


def is_cut(transcript: Transcript, completion: Completion) -> bool:
    """Tell whether the token limit cut the transcript's end, and not something behind it that its dialect dropped."""
    end = completion.text.rstrip()[-_END_CHARS:]
    return completion.finish_reason is FinishReason.LENGTH and transcript.text.rstrip().endswith(end)


def ended_before(transcript: Transcript) -> bool:
    """Tell whether the attempt had ended by itself, with an answer, before it was nudged."""
    segments = transcript.segments
    nudged = (
        position
        for position, segment in enumerate(segments)
        if segment.kind is Kind.NOTE and (position == 0 or segments[position - 1].kind.written)
    )
    return any(extract_answer(Transcript(question="", segments=segments[:end])) for end in nudged)


def _contradiction(answer: str, executions: Sequence[Execution]) -> str | None:
    """Say that a plain number differs from everything that was printed, if the last program printed numbers."""
    if not executions or executions[-1].status is not ExecutionStatus.OK or not _PLAIN.fullmatch(answer):
        return None
    value = float(answer.replace(",", ""))
    if not _numbers(executions[-1]) or value == float("inf"):
        return None
    digits = len(answer.partition(".")[2])
    values = [number for execution in executions for number in _numbers(execution)]
    if any(_agree(value, number, digits) for number in values):
        return None
    printed = " ".join(plain(executions[-1].stdout + (executions[-1].result or "")).split())
    return _CONTRADICTION.format(answer=answer, printed=printed[-_SHOWN_CHARS:])


def _agree(value: float, printed: float, digits: int) -> bool:
    """Tell whether `value` is `printed`, rounded to so many digits, or as a percentage, whatever its sign."""
    value, printed = abs(value), abs(printed)
    tolerance = max(0.5 * 10**-digits, 1e-6 * value) * 1.0001
    return any(abs(value - scale * printed) <= tolerance for scale in (1, 100))


def _numbers(execution: Execution) -> list[float]:
    text = f"{execution.stdout}\n{execution.result or ''}"
    return [float(number[0].replace(",", "")) for number in _PRINTED.finditer(text)]
