"""Measure another project's agent on the same model and problems: `run --agent smolagents`.

A peer is a `Solver` that hands the problem to the other agent and writes what that did as one of our records, so
`report`, `compare` and the viewer work as for any run. It gets the question, the sampling, and the numbers of turns and
tokens that our agent gets. Its programs run as it runs them: in this process, with your rights.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import anyio

from mumath_agent import __version__
from mumath_agent.agent.solver import Solver
from mumath_agent.answers import extract_answer
from mumath_agent.dialects import Words
from mumath_agent.errors import MissingExtra, MuMathError
from mumath_agent.protocols import CompletionRequest, Conversation, Message, Role
from mumath_agent.records import (
    Completion,
    Execution,
    ExecutionStatus,
    Problem,
    RunRecord,
    Settings,
    StopReason,
    Trajectory,
)
from mumath_agent.transcript import Kind, Segment, Transcript

if TYPE_CHECKING:
    from smolagents.models import ChatMessage

PEERS = ("smolagents",)
UNCONFINED = "none"
"""The isolation of programs that run in our own process."""
_IMPORTS = ["fractions", "functools", "numpy", "numpy.*", "scipy", "scipy.*", "sympy", "sympy.*"]
"""What our kernels have ready and its interpreter would refuse."""
_TASK = "{question}\n\nThe final answer must be one number or expression, without words."
_ROLES = {"system": Role.SYSTEM, "assistant": Role.ASSISTANT, "tool-call": Role.ASSISTANT}


@dataclass(frozen=True, slots=True, kw_only=True)
class Smolagents(Solver):
    """smolagents' CodeAgent on this solver's model."""

    @property
    def settings(self) -> Settings:
        """The settings of the run; the model is named together with the agent around it."""
        return Settings(
            model=f"{self.model.name} in smolagents {version('smolagents')}",
            dialect=Words().name,
            limits=self.limits,
            sampling=self.sampling,
        )

    async def solve(self, problem: Problem, **_: Any) -> RunRecord:
        """Make one attempt; the arguments that concern our own loop aren't used."""
        started, completions = time.monotonic(), list[Completion]()
        try:
            transcript, executions = await anyio.to_thread.run_sync(self._run, problem.question, completions)
            stop, error = StopReason.ANSWERED, None
        except Exception as failed:
            cause = failed.__cause__ or failed  # smolagents wraps what the model raises
            if not isinstance(cause, MuMathError):
                raise
            transcript, executions = Transcript(question=problem.question), ()
            stop, error = StopReason.MODEL_ERROR, str(cause)
        attempt = Trajectory(
            transcript=transcript,
            completions=tuple(completions),
            executions=executions,
            answer=extract_answer(transcript),
            stop_reason=stop,
            error=error,
            duration_s=time.monotonic() - started,
        )
        return RunRecord(
            problem=problem,
            settings=self.settings,
            isolation=UNCONFINED,
            version=__version__,
            trajectory=attempt,
        )

    def _run(self, question: str, completions: list[Completion]) -> tuple[Transcript, tuple[Execution, ...]]:
        """Have the agent solve it, in a thread; its completions are added to `completions` as they come."""
        from smolagents import CodeAgent, LogLevel
        from smolagents.models import ChatMessage, MessageRole, Model, TokenUsage

        def complete(conversation: Conversation, stop: tuple[str, ...]) -> Completion:
            request = CompletionRequest(
                prompt=conversation,
                stop=stop,
                max_tokens=self.limits.max_new_tokens,
                sampling=self.sampling,
            )
            completions.append(anyio.from_thread.run(self.model.complete, request))
            return completions[-1]

        class OurModel(Model):  # type: ignore[misc]  # smolagents is untyped
            def generate(
                self, messages: list[ChatMessage], stop_sequences: list[str] | None = None, **_: Any
            ) -> ChatMessage:
                written = complete(_conversation(messages), tuple(stop_sequences or ()))
                used = TokenUsage(written.prompt_tokens, written.completion_tokens)
                return ChatMessage(role=MessageRole.ASSISTANT, content=written.text, token_usage=used)

        agent = CodeAgent(
            tools=[],
            model=OurModel(),
            max_steps=self.limits.max_turns,
            additional_authorized_imports=_IMPORTS,
            verbosity_level=LogLevel.OFF,
            executor_kwargs={"timeout_seconds": int(self.limits.cell_timeout_s)},
        )
        output = agent.run(_TASK.format(question=question))
        steps = [step for step in agent.memory.steps if getattr(step, "model_output", None) is not None]
        segments = [segment for step in steps for segment in _segments(step)]
        answer = Segment(kind=Kind.RATIONALE, text=f"final_answer: \\boxed{{{output}}}\n")
        return Transcript(question=question, segments=(*segments, answer)), tuple(map(_execution, steps))


def peer(name: str, solver: Solver) -> Solver:
    """Return the peer of that name, with the solver's model and limits.

    Raises:
        MissingExtra: it isn't installed.
    """
    if find_spec("smolagents") is None:
        raise MissingExtra(f"--agent {name}", "peers")
    return Smolagents(model=solver.model, limits=solver.limits, sampling=solver.sampling, dialect=Words())


def _conversation(messages: "list[ChatMessage]") -> Conversation:
    """Return smolagents' messages as ours, those of one role that follow each other as one."""
    spoken: list[Message] = []
    for message in messages:
        role = _ROLES.get(message.role.value, Role.USER)
        parts = [message.content] if isinstance(message.content, str) else message.content or []
        text = "\n".join(part if isinstance(part, str) else str(part.get("text", "")) for part in parts)
        if spoken and spoken[-1].role is role:
            text = f"{spoken.pop().text}\n{text}"
        spoken.append(Message(role=role, text=text))
    return Conversation(messages=tuple(spoken))


def _segments(step: Any) -> Iterator[Segment]:
    yield Segment(kind=Kind.RATIONALE, text=f"{str(step.model_output).rstrip()}\n")
    yield Segment(kind=Kind.OUTPUT, text=f"```output\n{_execution(step).stdout.rstrip()}\n```\n")


def _execution(step: Any) -> Execution:
    status = ExecutionStatus.OK if step.error is None else ExecutionStatus.ERROR
    return Execution(status=status, stdout=f"{step.observations or ''}{step.error or ''}")
