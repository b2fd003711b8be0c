"""How an attempt ended, in words: one wording for the terminal, the notebook and the LangChain tool."""

from mumath_agent.records import RunRecord, StopReason, Trajectory

STOP_IN_WORDS = {
    StopReason.NO_ANSWER: "the model ended without an answer",
    StopReason.MAX_TURNS: "the model reached the limit of turns without an answer",
    StopReason.MAX_TOKENS: "the token limit cut off what the model wrote",
    StopReason.WALL_CLOCK: "the time limit was reached without an answer",
    StopReason.KERNEL_DIED: "the model's programs broke their Python session too often",
}
"""Why there is no answer, for the stop reasons that a model can cause."""


def ending(record: RunRecord) -> str:
    """Return what stands at the end of an attempt: the model's caution, if it has one, and the answer line."""
    line = answer_line(record.trajectory)
    return f"{record.caution}\n{line}" if record.caution else line


def answer_line(attempt: Trajectory) -> str:
    """Return one line: the answer, or why there is none."""
    if attempt.answer:
        return f"Answer: {attempt.answer.text}"
    why = attempt.error or STOP_IN_WORDS.get(attempt.stop_reason, attempt.stop_reason.value)
    return f"No answer: {why}"
