"""Write what the agent found in the form of OpenAI's chat completions, whole or in pieces."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mumath_agent.dialects.output import plain
from mumath_agent.front.api.requests import error_body
from mumath_agent.records import RunRecord, StopReason
from mumath_agent.runs.wording import answer_line, cautions, solution_line, votes_line
from mumath_agent.solutions import Solution

BOXED = r"The answer is \(\boxed{{}}\)."
"""The last line of a message, with {} where the answer stands."""
_CUT = (StopReason.MAX_TOKENS, StopReason.MAX_TURNS, StopReason.WALL_CLOCK)
DONE = b"data: [DONE]\n\n"
WAITING = b": still at work\n\n"
"""A comment, which keeps those from giving up who count the seconds without a byte."""


def content_of(result: RunRecord | Solution, stops: Sequence[str], line: str) -> str:
    """Return the message that a client reads: a line with the answer, last, or why there is none."""
    parts = [cautions(result)]
    if isinstance(result, Solution):
        parts.append(votes_line(result))
    if result.answer is not None:
        parts.append(line.replace("{}", plain(result.answer)))
    else:
        parts.append(
            solution_line(result) if isinstance(result, Solution) else answer_line(result.trajectory)
        )
    text = "\n\n".join(filter(None, parts))
    ends = [at for stop in stops if (at := text.find(stop)) >= 0]
    return text[: min(ends, default=len(text))]


def reasoning_of(result: RunRecord | Solution) -> str:
    """Return how the answer was found: the transcript, of several attempts that of the best one."""
    shown = result.best if isinstance(result, Solution) else result
    return plain("".join(segment.text for segment in shown.trajectory.transcript.segments)) if shown else ""


def finish_of(result: RunRecord | Solution) -> str:
    """Return why it ended, in OpenAI's words."""
    shown = result.best if isinstance(result, Solution) else result
    is_cut = result.answer is None and shown is not None and shown.trajectory.stop_reason in _CUT
    return "length" if is_cut else "stop"


def records_of(result: RunRecord | Solution) -> Sequence[RunRecord]:
    """Return the attempts that were made."""
    return result.attempts if isinstance(result, Solution) else [result]


def usage_of(results: Sequence[RunRecord | Solution]) -> dict[str, int]:
    """Return the tokens of all turns of all attempts."""
    records = [record for result in results for record in records_of(result)]
    completions = [each for record in records for each in record.trajectory.completions]
    read = sum(each.prompt_tokens for each in completions)
    written = sum(each.completion_tokens for each in completions)
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What all parts of an answer have in common."""

    id: str
    created: int
    model: str
    line: str

    def whole(self, results: Sequence[RunRecord | Solution], stops: Sequence[str]) -> dict[str, Any]:
        """Return the answer in one piece, a choice for each result."""
        choices = [
            {
                "index": index,
                "message": {
                    "role": "assistant",
                    "content": content_of(result, stops, self.line),
                    "reasoning_content": reasoning_of(result),
                    "refusal": None,
                },
                "finish_reason": finish_of(result),
                "logprobs": None,
            }
            for index, result in enumerate(results)
        ]
        return {**self._shared("chat.completion"), "choices": choices, "usage": usage_of(results)}

    def piece(self, index: int, delta: dict[str, Any], finish: str | None = None) -> bytes:
        """Return a piece of a choice."""
        choice = {"index": index, "delta": delta, "finish_reason": finish, "logprobs": None}
        return _event({**self._shared("chat.completion.chunk"), "choices": [choice]})

    def usage(self, results: Sequence[RunRecord | Solution]) -> bytes:
        """Return the last piece, for a client that asked for it."""
        return _event({**self._shared("chat.completion.chunk"), "choices": [], "usage": usage_of(results)})

    def _shared(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}


def broken_off(status: int, message: str) -> bytes:
    """Return the piece that says that no more will come, and why."""
    return _event(error_body(status, message))


def as_json(value: dict[str, Any]) -> bytes:
    """Return a value as JSON in UTF-8; half characters, which a model may write, become question marks."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")


def _event(value: dict[str, Any]) -> bytes:
    return b"data: " + as_json(value) + b"\n\n"
