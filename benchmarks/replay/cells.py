"""Runs every recorded program of every recorded solution again and compares the outputs.

A solution gets one kernel for all its cells, as in the agent. Each finished solution is appended to a file as one line;
the same command later continues behind the last whole line. Nothing is graded here and no model is asked.

Recorded programs are strangers' programs: one published solution answers a failing import with
`!pip install --force-reinstall tensorflow`. They run in isolated kernels, and what isolation refuses is told apart.
"""

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio

from benchmarks.replay.outputs import Cause, Pair, cause_of, our_output, recorded_output
from benchmarks.replay.recordings import RecordedSolution
from mumath_agent.errors import InputError
from mumath_agent.kernels import JupyterExecutor, KernelPool
from mumath_agent.records import Execution, ExecutionStatus, from_json, to_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What the cells of one solution did here. Raw, so that a better comparison needs no new run."""

    id: str
    key: str
    """Names the cells and the settings, so that a changed file or time limit is replayed again."""
    executions: tuple[Execution, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A cell whose output here is not the recorded one."""

    id: str
    """The solution's."""
    cell: int
    """Counted from 1."""
    cause: Cause
    code: str
    recorded: str
    ours: str


_NOT_RUN = Execution(status=ExecutionStatus.REFUSED, error="this cell was not run here")


def differences(solution: RecordedSolution, executions: Sequence[Execution]) -> tuple[Difference, ...]:
    """The cells of `solution` that printed something else in our `executions` of them, each with its cause."""
    pairs: list[Pair] = []
    found: list[Difference] = []
    for position, cell in enumerate(solution.cells, start=1):
        execution = executions[position - 1] if position <= len(executions) else _NOT_RUN
        pair = Pair(
            code=cell.code,
            recorded=recorded_output(cell.output, solution.runtime),
            ours=our_output(execution, solution.runtime),
        )
        later = [recorded_output(after.output, solution.runtime) for after in solution.cells[position:]]
        if (cause := cause_of(pair, pairs, later)) is not Cause.EQUAL:
            texts = {"code": pair.code, "recorded": pair.recorded.text, "ours": pair.ours.text}
            found.append(Difference(id=solution.id, cell=position, cause=cause, **texts))
        pairs.append(pair)
    return tuple(found)


async def replay_all(
    solutions: list[RecordedSolution],
    *,
    timeout_s: float,
    concurrency: int,
    out: Path | None = None,
    on_replay: Callable[[Replay], None] = lambda _: None,
) -> list[Replay]:
    """Replay `solutions`, at most `concurrency` at once; the result is in their order.

    Raises:
        InputError: `out` can't be used.
        KernelError: no kernel could be started.
    """
    log = _Log(out)
    replays: dict[int, Replay] = {}
    free = anyio.CapacityLimiter(concurrency)

    async def one(position: int, solution: RecordedSolution) -> None:
        key = _key(solution, timeout_s)
        async with free:
            if (replay := log.done.get(key)) is None:
                log.append(replay := await replay_solution(solution, pool, key=key, timeout_s=timeout_s))
        replays[position] = replay
        on_replay(replay)

    async with KernelPool(spares=0) as pool, anyio.create_task_group() as tasks:
        for position, solution in enumerate(solutions):
            tasks.start_soon(one, position, solution)
    return [replays[position] for position in range(len(solutions))]


async def replay_solution(
    solution: RecordedSolution, pool: KernelPool, *, key: str, timeout_s: float
) -> Replay:
    """Run the cells of one solution, in order, in a kernel of its own."""
    async with JupyterExecutor(pool=pool, fresh_cells=solution.settings.fresh_cells) as executor:
        executions = [await executor.run(cell.code, timeout_s=timeout_s) for cell in solution.cells]
    return Replay(id=solution.id, key=key, executions=tuple(executions))


class _Log:
    """Finished replays on disk, one line each. A torn last line is cut off; its solution is replayed again."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self.done: dict[str, Replay] = {}
        if path is not None and path.exists():
            self._read(path)

    def append(self, replay: Replay) -> None:
        if self._path is not None:
            with self._path.open("ab") as file:
                file.write(json.dumps(to_json(replay)).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())

    def _read(self, path: Path) -> None:
        text = path.read_bytes()
        whole = text[: text.rfind(b"\n") + 1]
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                replay = from_json(Replay, json.loads(line))
            except (ValueError, InputError) as error:
                raise InputError(f"{path} line {number} is no replay ({error}); name another file") from None
            self.done[replay.key] = replay
        if whole != text:
            os.truncate(path, len(whole))


def _key(solution: RecordedSolution, timeout_s: float) -> str:
    cells = [to_json(cell) for cell in solution.cells]
    content = json.dumps([solution.id, cells, solution.settings.fresh_cells, timeout_s])
    return hashlib.sha256(content.encode()).hexdigest()[:16]
