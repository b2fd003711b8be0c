"""Run the programs of recorded solutions again and compare what each prints.

The programs are strangers' programs: one published solution answers a failing import with
`!pip install --force-reinstall tensorflow`. They run in isolated kernels (`mumath_agent.runs.replay`), and what
isolation refuses has a cause of its own. Nothing is graded here and no model is asked.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.replay.outputs import (
    DifferenceCause,
    OutputPair,
    difference_cause,
    our_output,
    recorded_output,
)
from benchmarks.replay.recordings import RecordedSolution
from mumath_agent.concurrency import map_each
from mumath_agent.records import Execution, ExecutionStatus
from mumath_agent.runs.replay import Replay, Replayer


@dataclass(frozen=True, slots=True, kw_only=True)
class CellDifference:
    """A cell whose output here isn't the recorded one."""

    id: str
    """The solution's."""
    cell: int
    """Counted from 1."""
    cause: DifferenceCause
    code: str
    recorded: str
    ours: str


_NOT_RUN = Execution(status=ExecutionStatus.REFUSED, error="this cell was not run here")


def differences(solution: RecordedSolution, executions: Sequence[Execution]) -> tuple[CellDifference, ...]:
    """Return the cells of `solution` that printed something else in our `executions` of them, each with its cause."""
    pairs: list[OutputPair] = []
    found: list[CellDifference] = []
    for position, cell in enumerate(solution.cells, start=1):
        execution = executions[position - 1] if position <= len(executions) else _NOT_RUN
        pair = OutputPair(
            code=cell.code,
            recorded=recorded_output(cell.output, solution.runtime),
            ours=our_output(execution, solution.runtime),
        )
        later = [recorded_output(after.output, solution.runtime) for after in solution.cells[position:]]
        if (cause := difference_cause(pair, pairs, later)) is not DifferenceCause.EQUAL:
            texts = {"code": pair.code, "recorded": pair.recorded.text, "ours": pair.ours.text}
            found.append(CellDifference(id=solution.id, cell=position, cause=cause, **texts))
        pairs.append(pair)
    return tuple(found)


async def replay_cells(
    solutions: Sequence[RecordedSolution],
    *,
    timeout_s: float,
    concurrency: int,
    out: Path | None = None,
    on_replay: Callable[[Replay], None] = lambda _: None,
) -> list[Replay]:
    """Run the programs of `solutions` again, at most `concurrency` solutions at once; the result is in their order.

    Each result is appended to the file `out` when it comes; the same call later continues there.

    Raises:
        InputError: `out` can't be used.
        KernelError: no kernel could be started.
    """
    async with Replayer(log=out) as replayer:

        async def replay(solution: RecordedSolution) -> Replay:
            done = await replayer.run(solution.session(timeout_s))
            on_replay(done)
            return done

        return await map_each(solutions, replay, concurrency=concurrency)
