"""A Python session as an environment that tool-calling models learn in, in the form of TRL's `environment_factory`.

TRL makes an instance without arguments for each of the attempts that it makes at a time, calls `reset` with the row of
the dataset before each attempt, and gives the model every other public method as a tool. It never closes an instance:
each has at most one kernel, which ends with the next `reset`, with the instance or with the process.

Nothing of TRL's is imported. docs/learning.md shows how it is used.
"""

import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from mumath_agent.agent.solver import AttemptOptions
from mumath_agent.bridge import run_soon, run_sync
from mumath_agent.dialects.arguments import unfenced
from mumath_agent.dialects.marks import unmarked
from mumath_agent.dialects.output import output_text
from mumath_agent.errors import InputError, KernelError
from mumath_agent.kernels import JupyterExecutor
from mumath_agent.problems import target_of
from mumath_agent.records import Limits
from mumath_agent.rewards import reward_of
from mumath_agent.transcript import Kind, Segment, Transcript

Message = Mapping[str, Any]


class PythonEnvironment:
    """A Python session for one attempt at a time."""

    def __init__(self, *, limits: Limits | None = None, unsafe_local: bool = False) -> None:
        """Describe the session; no kernel starts before the first program.

        Args:
            limits: what a program may use; those of the agent without it.
            unsafe_local: run programs with your own rights where this machine can't confine them.
        """
        self._options = AttemptOptions(limits=limits or Limits(), unsafe_local=unsafe_local)
        self._kernels: list[JupyterExecutor] = []
        """The living one, if there is any; shared with the finalizer."""
        self._turn = threading.Lock()
        self._target: str | None = None
        self._is_broken = False
        weakref.finalize(self, _end_soon, self._kernels)

    def reset(self, **row: Any) -> None:
        """Begin an attempt at a row of the dataset, which has the gold answer as its target, answer or solution.

        Raises:
            InputError: the gold answer isn't one text.
        """
        self._end()
        self._target, self._is_broken = target_of(row), False

    def python(self, code: str) -> str:
        """Run Python and read what it prints. Variables, functions and imports last from one call to the next.

        numpy, scipy and sympy are there; the network, files and input() are not. Print what you need to see; the value
        of a last line that is an expression is shown, too.

        Args:
            code: The Python program to run next in the session.

        Returns:
            What the program printed, or the error that it ended with.
        """
        if not isinstance(code, str):  # it is the model's
            raise InputError(f"code is {str(code)[:80]}; it must be a text")
        limits = self._options.limits
        with self._turn:
            try:
                if not self._kernels:
                    self._kernels.append(run_sync(self._options.new_kernel(lazy=True).__aenter__()))
                execution = run_sync(self._kernels[0].run(unfenced(code), timeout_s=limits.cell_timeout_s))
            except KernelError:
                self._is_broken = True
                raise
        return unmarked(output_text(execution, max_chars=limits.output_chars))

    def get_reward(self, completion: str | Sequence[Message] | None = None) -> float | None:
        r"""Return 1.0 if the answer that is boxed in the model's last message is right, else 0.0.

        An answer that was only printed, or said without a box, isn't one. None where nobody can tell: without a gold
        answer, where the grader can't decide, where no kernel could be had, and without the completion. TRL gives none
        to this method: `boxed_reward` does.
        """
        if completion is None or self._is_broken:
            return None
        said = Transcript(question="", segments=(Segment(kind=Kind.RATIONALE, text=_last_said(completion)),))
        return run_sync(reward_of(said, self._target))

    @property
    def close(self) -> Callable[[], None]:
        """End the kernel; `reset` or a program begins anew. A property, because TRL makes tools of public methods."""
        return partial(self._end)  # not a method either, whichever way one looks

    def _end(self) -> None:
        with self._turn:
            while self._kernels:
                run_sync(self._kernels.pop().__aexit__(None, None, None))


def boxed_reward(
    completions: Sequence[str | Sequence[Message]],
    environments: Sequence[PythonEnvironment],
    **_columns: object,
) -> list[float | None]:
    """Return the reward of each completion, as its environment judges it: a reward function for TRL."""
    return [each.get_reward(said) for each, said in zip(environments, completions, strict=True)]


def _end_soon(kernels: list[JupyterExecutor]) -> None:
    """End what an environment left. Finalizers may be called in any thread, so this waits for nothing."""
    while kernels:
        run_soon(kernels.pop().__aexit__(None, None, None))


def _last_said(completion: str | Sequence[Message]) -> str:
    """Return the last message's words if they are the model's and end its attempt, else nothing."""
    if isinstance(completion, str):
        return completion
    last = completion[-1] if completion else {}
    if last.get("role") != "assistant" or last.get("tool_calls"):
        return ""
    content = last.get("content") or ""
    if isinstance(content, str):
        return content
    return "".join(str(part.get("text") or "") for part in content if isinstance(part, Mapping))


__all__ = ["PythonEnvironment", "boxed_reward"]
