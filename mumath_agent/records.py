"""The records that flow through the library: problems, completions, executions, answers, attempts.

All are frozen, slotted, keyword-only dataclasses; sequences are tuples; units are in the names. `to_json` and
`from_json` (`json_form.py`) turn any of them into plain JSON values and back, which is also how they live in the
graph's state and in JSONL files. Records have no behaviour; their docstrings say who fills them.
"""

from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Annotated, Literal

from mumath_agent.bounds import check_limits, check_sampling
from mumath_agent.json_form import OMITTED_IF_NONE
from mumath_agent.json_form import from_json as from_json
from mumath_agent.json_form import to_json as to_json
from mumath_agent.transcript import Transcript

SCHEMA = 2
"""Version of the JSON form of `RunRecord`. 1 called `Settings.rebuild_state` "replay"; such records are still read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The limits of one attempt. Every limit ends in a `StopReason` or an `ExecutionStatus`, never in an exception."""

    max_turns: int = 4
    """Completions per attempt. MuMath-Code's own inference allows 4 (its 4th program is never read back)."""
    max_new_tokens: int = 1024
    """Tokens per completion."""
    cell_timeout_s: float = 5.0
    """Wall-clock seconds per executed cell."""
    output_chars: int = 400
    """Characters of an execution shown to the model; longer ones lose their middle, visibly. 400 as in ToRA."""
    memory_mb: int = 2048
    """Address space a kernel may take on top of what it starts with."""
    wall_s: float = 600.0
    """Wall-clock seconds per attempt."""
    max_recoveries: int = 3
    """Kernels that may be replaced within an attempt before it is given up."""
    max_nudges: int | None = None
    """Times a model that would end badly is told so and goes on (`agent.nudges`). None: chats once, others never."""

    def __post_init__(self) -> None:
        """Refuse a limit that isn't positive."""
        check_limits({field.name: getattr(self, field.name) for field in fields(self)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """The way a model picks tokens. The default is greedy, as the papers evaluate."""

    temperature: float = 0.0
    top_p: float = 1.0
    seed: int | None = None
    """Makes sampling repeatable on one engine; two engines give different texts for the same seed."""

    def __post_init__(self) -> None:
        """Refuse what nothing can be sampled with."""
        check_sampling({field.name: getattr(self, field.name) for field in fields(self)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings that have to be equal for two results to be comparable."""

    model: str
    dialect: str
    limits: Limits
    sampling: Sampling
    fresh_cells: bool = False
    """Every program got a new Python session, as in ToRA and MuMath-Code."""
    rebuild_state: bool = False
    """Lost sessions were rebuilt where running their programs again gave the same outputs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """A question to answer, from a user, a benchmark or an augmentation."""

    id: str
    question: str
    target: str | None = None
    """The gold answer, where one is known."""
    source: str = "user"
    seed_id: str | None = None
    augmentation: str | None = None
    tags: tuple[str, ...] = ()


class FinishReason(StrEnum):
    """Why a completion ended. A server's "abort" or a missing reason is an error, never one of these."""

    STOP = "stop"
    """A stop string or the end-of-sequence token."""
    LENGTH = "length"
    """The token limit: the text is cut off."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """One answer of a model. `text` ends before the stop string."""

    text: str
    finish_reason: FinishReason
    prompt_tokens: int
    completion_tokens: int
    logprob: float | None = None
    """Sum of the natural log-probabilities of the completion's tokens, where the model reports them."""
    token_ids: Annotated[tuple[int, ...] | None, OMITTED_IF_NONE] = None
    """All that was written, the stop string and the end token too, where that was asked for and the model tells."""
    token_logprobs: Annotated[tuple[float, ...] | None, OMITTED_IF_NONE] = None
    """The natural log-probability of each of them, at temperature 1."""
    tail_logprobs: Annotated[tuple[float, ...] | None, OMITTED_IF_NONE] = None
    """Those of its last 32 tokens, where log-probabilities were asked for."""


class ExecutionStatus(StrEnum):
    """How an executed program ended."""

    OK = "ok"
    ERROR = "error"
    """It raised an exception."""
    TIMEOUT = "timeout"
    """It ran past `Limits.cell_timeout_s`."""
    MEMORY = "memory"
    """It ran out of memory and raised MemoryError."""
    DIED = "died"
    """Its kernel process ended."""
    REFUSED = "refused"
    """It was not run."""


StreamName = Literal["stdout", "stderr"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """The outcome of a program that ran in a kernel."""

    status: ExecutionStatus
    stdout: str = ""
    stderr: str = ""
    result: str | None = None
    """Text of the last expression's value; None where there is none."""
    error: str | None = None
    """The failing line of the program, then the error's name and message; None unless something went wrong."""
    artefacts: tuple[str, ...] = ()
    """Figures, as `data:image/png;base64,...`."""
    duration_s: float = 0.0
    state_lost: bool = False
    """The kernel had to be replaced: everything defined before is gone."""
    state_replayed: bool = False
    """The kernel had to be replaced, and running the earlier programs again brought back what it held."""
    edited: str | None = None
    """The program that ran in the place of the model's, where a person changed it."""
    stream_order: tuple[tuple[StreamName, int], ...] = ()
    """Which stream printed how many characters in turn; empty if all of stdout came first, or nobody knows."""


class AnswerSource(StrEnum):
    """Where a final answer was found, from the strictest to the most lenient place."""

    BOXED = "boxed"
    PHRASE = "phrase"
    OUTPUT = "output"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A final answer, as text. It is never evaluated in this process."""

    text: str
    found_in: AnswerSource


class Outcome(StrEnum):
    """A wrong answer, no answer and a grader that failed are different things."""

    CORRECT = "correct"
    INCORRECT = "incorrect"
    NO_ANSWER = "no_answer"
    UNGRADED = "ungraded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The grader's verdict on an answer: the outcome, the method, and why."""

    outcome: Outcome
    method: str
    detail: str | None = None


class StopReason(StrEnum):
    """Why an attempt ended."""

    ANSWERED = "answered"
    NO_ANSWER = "no_answer"
    """The model ended its text without code to run and without an answer."""
    MAX_TURNS = "max_turns"
    MAX_TOKENS = "max_tokens"
    """A completion was cut by the token limit. Whatever it holds is not taken as an answer."""
    WALL_CLOCK = "wall_clock"
    KERNEL_DIED = "kernel_died"
    """More kernels had to be replaced than `Limits.max_recoveries` allows."""
    MODEL_ERROR = "model_error"
    """The model's server said no."""
    MODEL_UNREACHABLE = "model_unreachable"
    """Nothing answered, also after retries: the same attempt may go well later."""
    KERNEL_ERROR = "kernel_error"
    INTERNAL_ERROR = "internal_error"
    """A fault of this library."""


BROKEN = frozenset(
    {
        StopReason.MODEL_ERROR,
        StopReason.MODEL_UNREACHABLE,
        StopReason.KERNEL_ERROR,
        StopReason.INTERNAL_ERROR,
    }
)
"""Attempts that machinery ended. They say nothing of the model: never scored, and made again on the next occasion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trajectory:
    """One attempt: its transcript and what happened while it was written."""

    transcript: Transcript
    completions: tuple[Completion, ...]
    executions: tuple[Execution, ...]
    answer: Answer | None
    stop_reason: StopReason
    error: str | None = None
    """Set only when machinery broke (`BROKEN`)."""
    duration_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRecord:
    """One JSONL line: a problem, an attempt at it, and the settings that make it comparable."""

    schema: int = SCHEMA
    problem: Problem
    sample: int = 0
    """Counted from 0, where a problem is attempted several times."""
    key: str = ""
    """Hash of all that makes the attempt what it is, where a run can be resumed."""
    settings: Settings
    isolation: str
    """How model-written code was confined; "none" says it ran with the user's own rights."""
    version: str
    """Version of mumath_agent."""
    caution: str = ""
    """What a reader must know of the model, in one sentence; empty for most models."""
    confidence: float | None = None
    """How probable it is that the answer is right; None without an answer, or if the model isn't calibrated."""
    trajectory: Trajectory
    verdict: Verdict | None = None
    """None: not graded, for want of a gold answer or because machinery broke."""

    @property
    def answer(self) -> str | None:
        """The final answer as text; None if there is none."""
        return self.trajectory.answer.text if self.trajectory.answer else None

    @property
    def ok(self) -> bool:
        """Whether the attempt came to an answer. Whether that is right, a verdict says, where there is one."""
        return self.trajectory.answer is not None and self.trajectory.error is None

    @property
    def is_doubtful(self) -> bool:
        """Whether the answer is more probably wrong than right, as far as the model can tell."""
        return self.confidence is not None and self.confidence < 0.5

    def __str__(self) -> str:
        """Return the transcript and the answer, as the command line prints them."""
        from mumath_agent.runs.display import as_text

        return as_text(self)

    def _repr_markdown_(self) -> str:
        """Return the attempt for a notebook: words, programs, outputs, figures, answer."""
        from mumath_agent.runs.display import as_markdown

        return as_markdown(self)
