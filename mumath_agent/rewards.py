r"""The reward of a solution: whether its boxed answer is right, and nothing else.

Credit for code that runs, for a form that is kept or for a number that was only printed is what models learn to get
without solving anything. So an answer counts in `\boxed{…}` and in prose; several alternatives are one wrong answer.
"""

from mumath_agent.agent.api import agrade
from mumath_agent.answers import extract_answer
from mumath_agent.records import AnswerSource, Outcome
from mumath_agent.transcript import Transcript


async def reward_of(transcript: Transcript, target: str | None, *, is_finished: bool = True) -> float | None:
    """Return 1.0 if the boxed answer is right, 0.0 if it isn't or there is none, None where nobody can tell.

    Args:
        transcript: the solution.
        target: the gold answer; without one there is no reward.
        is_finished: the model ended it by itself. A solution that a limit cut off has no answer, whatever it holds.
    """
    if target is None:
        return None
    answer = extract_answer(transcript) if is_finished else None
    if answer is None or answer.found_in is not AnswerSource.BOXED:
        return 0.0
    outcome = await agrade(answer.text, target)
    return None if outcome is None else float(outcome is Outcome.CORRECT)


__all__ = ["reward_of"]
