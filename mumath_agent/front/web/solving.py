"""Solve a question for the page: with a person who is asked about programs, in a Python session that can go on.

One attempt runs in the session it is lent; several have kernels of their own.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mumath_agent.agent.solver import Solver
from mumath_agent.protocols import Executor
from mumath_agent.records import Problem, RunRecord

if TYPE_CHECKING:
    from mumath_agent.agent.approval import Decision
    from mumath_agent.agent.attempt import Listener, Reviewer

Review = Callable[[str, "Listener"], Awaitable["Decision"]]
"""Decides on a program of the attempt that the listener hears."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageSolver(Solver):
    """A solver that asks about each program, and can be lent a kernel that outlives the attempt."""

    ask: Review | None = None
    lent: Executor | None = None

    @classmethod
    def of(cls, solver: Solver, *, ask: Review | None, lent: Executor | None) -> "PageSolver":
        """Return a solver that is otherwise as `solver`."""
        own = {name: getattr(solver, name) for name in Solver.__dataclass_fields__}
        return cls(**own, ask=ask, lent=lent)

    async def solve(
        self,
        problem: Problem,
        *,
        on_event: "Listener | None" = None,
        kernel: Executor | None = None,
        review: "Reviewer | None" = None,
        thread: str | None = None,
    ) -> RunRecord:
        """Make one attempt; see `Solver.solve`."""
        kernel = self.lent or kernel  # the other one is lazy: it has never begun
        if (ask := self.ask) is not None and on_event is not None:
            hear = on_event

            async def reviewed(program: str) -> "Decision":
                return await ask(program, hear)

            review = reviewed
        return await Solver.solve(
            self, problem, on_event=on_event, kernel=kernel, review=review, thread=thread
        )


class Records:
    """The records of an answer's attempts, as they come: what remains of it when a person stops it."""

    def __init__(self, on_record: Callable[[RunRecord], None]) -> None:
        """Begin without any; `on_record` is told each."""
        self.kept: list[RunRecord] = []
        self._tell = on_record

    def done(self, problem: Problem, sample: int, key: str) -> RunRecord | None:
        """Return a finished attempt: none at first; when the others were stopped, those that are kept."""
        return self.kept[sample] if sample < len(self.kept) else None

    def append(self, record: RunRecord) -> None:
        """Keep a record."""
        self.kept.append(record)
        self._tell(record)


__all__ = ["PageSolver", "Records", "Review"]
