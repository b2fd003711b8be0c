"""Public doubles: a model and a kernel that follow a script.

For tests of code that uses this library, and for ours where the real part would hide the point. They implement the
same protocols as the real ones and record what they were asked.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from mumath_agent.errors import ModelError
from mumath_agent.records import Completion, Execution, ExecutionStatus, FinishReason, Sampling


@dataclass(kw_only=True)
class ScriptedModel:
    """A model that answers the given texts in turn, cut at stop strings like a real one."""

    texts: Iterable[str | Completion | Exception]
    name: str = "scripted"
    prompts: list[str] = field(default_factory=list)
    """Every prompt it was sent."""

    def __post_init__(self) -> None:
        self._texts = iter(self.texts)

    async def warm_up(self) -> None:
        return None

    async def complete(
        self,
        prompt: str,
        *,
        stop: tuple[str, ...],
        max_tokens: int,
        sampling: Sampling,
        on_text: Callable[[str], None] | None = None,
    ) -> Completion:
        self.prompts.append(prompt)
        item = next(self._texts, None)
        if item is None:
            raise ModelError(f"the script has ended after {len(self.prompts) - 1} completions")
        if isinstance(item, Exception):
            raise item
        completion = item if isinstance(item, Completion) else _stopped(item, stop)
        if on_text:
            on_text(completion.text)
        return completion

    async def aclose(self) -> None:
        return None


@dataclass(kw_only=True)
class ScriptedExecutor:
    """A kernel that answers the given executions in turn; a plain string is what the program printed."""

    executions: Iterable[Execution | str]
    isolation: str = "scripted"
    programs: list[str] = field(default_factory=list)
    """Every program it was given."""

    def __post_init__(self) -> None:
        self._executions = iter(self.executions)

    async def run(self, code: str, *, timeout_s: float) -> Execution:
        self.programs.append(code)
        item = next(self._executions)
        return item if isinstance(item, Execution) else Execution(status=ExecutionStatus.OK, stdout=item)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        return None


def _stopped(text: str, stop: tuple[str, ...]) -> Completion:
    end = min((position for s in stop if (position := text.find(s)) >= 0), default=len(text))
    tokens = len(text[:end].split())
    return Completion(
        text=text[:end], finish_reason=FinishReason.STOP, prompt_tokens=0, completion_tokens=tokens
    )
