"""How an attempt ended, in words: one wording for the terminal, the notebook and the tools of other agents."""

from mumath_agent.dialects.output import output_text, plain
from mumath_agent.records import AnswerSource, RunRecord, StopReason, Trajectory
from mumath_agent.solutions import Ending, Select, Solution

STOP_IN_WORDS = {
    StopReason.NO_ANSWER: "the model ended without an answer",
    StopReason.MAX_TURNS: "the model reached the limit of turns without an answer",
    StopReason.MAX_TOKENS: "the token limit cut off what the model wrote",
    StopReason.WALL_CLOCK: "the time limit was reached without an answer",
    StopReason.KERNEL_DIED: "the model's programs broke their Python session too often",
}
"""Why there is no answer, for the stop reasons that a model can cause."""

_WALLS = {
    Ending.PROBLEM_WALL: "the time for this problem was over",
    Ending.RUN_WALL: "the time for all problems was over",
}
_SELECTED = {
    Select.CHOOSE: "the model chose between the answers",
    Select.VERIFY: "the model checked the answers",
}
_FOUND_IN = {
    AnswerSource.BOXED: "The solver stated it as its final answer",
    AnswerSource.PHRASE: "It is read from the solver's last sentences",
    AnswerSource.OUTPUT: "It is only what the last program printed: the solver did not state an answer",
}
_OUTPUT_CHARS = 400
"""How much the agent reads of the last program's output."""
_SHOWN_CLASSES = 4
_SHOWN_CHARS = 24


def ending(record: RunRecord) -> str:
    """Return what stands at the end of an attempt: what a reader must know of it, if anything, and the answer line."""
    line = answer_line(record.trajectory)
    return f"{known}\n{line}" if (known := cautions(record)) else line


def cautions(record: RunRecord | Solution) -> str:
    """Return what a reader must know of the model and of this answer, in a sentence each; often nothing."""
    if isinstance(record, Solution):
        # Several attempts have a confidence of their own, in the answer line.
        return cautions(record.attempts[0]) if len(record.attempts) == 1 else record.caution
    doubt = (
        "This answer is doubtful: when the model is as unsure as here, it is right about "
        f"{100 * record.confidence:.0f} % of the time."
        if record.is_doubtful and record.confidence is not None
        else ""
    )
    return " ".join(filter(None, (record.caution, doubt)))


def answer_line(attempt: Trajectory) -> str:
    """Return one line: the answer, or why there is none."""
    if attempt.answer:
        return f"Answer: {attempt.answer.text}"
    why = attempt.error or STOP_IN_WORDS.get(attempt.stop_reason, attempt.stop_reason.value)
    return f"No answer: {why}"


def solution_ending(solution: Solution) -> str:
    """Return what stands at the end of several attempts: the model's caution, the votes and the answer line."""
    return "\n".join(filter(None, (cautions(solution), votes_line(solution), solution_line(solution))))


def solution_line(solution: Solution) -> str:
    """Return one line: the answer and whether there is much to say for it, or why there is none."""
    if solution.answer is not None:
        return f"Answer: {plain(solution.answer)}{_doubt(solution)}"
    errors = [record.trajectory.error for record in solution.attempts if record.trajectory.error]
    if solution.attempts and len(errors) == len(solution.attempts):
        return f"No answer: {errors[0]}"
    if wall := _WALLS.get(solution.budget.ending):
        return f"No answer: {wall}"
    return "No answer: no attempt came to one"


def votes_line(solution: Solution) -> str:
    """Return one line: who voted for what, and what became of the other attempts."""
    classes, budget = solution.votes, solution.budget
    counted = [f"{short(each.answer)} ({each.votes})" for each in classes[:_SHOWN_CLASSES]]
    if rest := sum(each.votes for each in classes[_SHOWN_CLASSES:]):
        counted.append(f"others ({rest})")
    if silent := budget.finished - sum(each.votes for each in classes):
        counted.append(f"no vote ({silent})")
    left, asked = budget.cancelled + budget.unbegun, solution.selection
    parts = [f"Votes: {', '.join(counted) or 'none'}", f"confidence {solution.confidence.value:.2f}"]
    if asked:
        parts.append(_SELECTED[asked.by] if asked.answer else "asked again, the model decided nothing")
    if wall := _WALLS.get(budget.ending):
        parts.append(f"{wall} with {_attempts(left)} missing")
    elif left:
        saved = f", about {budget.saved_tokens:,} tokens saved" if budget.saved_tokens else ""
        parts.append(f"{_attempts(left)} not needed{saved}")
    return "; ".join(parts)


def short(answer: str, most_chars: int = _SHOWN_CHARS) -> str:
    """Return an answer for a line that shows several: plain characters, and not many."""
    text = " ".join(plain(answer).split())
    return text if len(text) <= most_chars else f"{text[: most_chars - 1]}…"


def report(record: RunRecord | Solution) -> str:
    """Write what an agent's model reads of it: the answer, or why there is none, and what it rests on."""
    line = solution_line(record) if isinstance(record, Solution) else answer_line(record.trajectory)
    shown = record.best if isinstance(record, Solution) else record
    caution = f"{known}\n" if (known := cautions(record)) else ""
    votes = f"{votes_line(record)}.\n" if isinstance(record, Solution) else ""
    attempt = shown.trajectory if shown else None
    if attempt is None or attempt.answer is None:
        return f"{line}. {caution}{votes}{_programs(attempt)}"
    return f"{line}\n{caution}{votes}{_FOUND_IN[attempt.answer.found_in]}. {_programs(attempt)}"


def _doubt(solution: Solution) -> str:
    if not solution.confidence.is_low:
        return ""
    votes, ended = solution.votes[0].votes, solution.budget.finished
    return f" (low confidence: {votes} of {_attempts(ended)} voted for it)"


def _attempts(number: int) -> str:
    return "1 attempt" if number == 1 else f"{number} attempts"


def _programs(attempt: Trajectory | None) -> str:
    if attempt is None or not attempt.executions:
        return "No program was run."
    count = len(attempt.executions)
    ran = "1 program was run; it" if count == 1 else f"{count} programs were run; the last one"
    return f"{ran} printed:\n{output_text(attempt.executions[-1], max_chars=_OUTPUT_CHARS)}"
