"""Run recorded programs again: the one engine behind `mumath-agent replay` and `python -m benchmarks replay`.

    session ─▶ new isolated kernels, with the limits it was recorded with ─▶ an execution of each program

Nothing is compared here. What our own records and notebooks gave is compared in `reproduction`, what other projects
published in `benchmarks.replay`. No model is asked.
"""

import hashlib
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Self

from mumath_agent.errors import InputError
from mumath_agent.kernels import JupyterExecutor, KernelPool, Sandbox
from mumath_agent.records import Execution, Limits
from mumath_agent.runs.jsonl import append_line, dump_line, mend, read_records
from mumath_agent.runs.locks import only_writer


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Programs that run one after the other in a Python session of their own."""

    id: str
    programs: tuple[str, ...]
    limits: Limits
    """Of these, `cell_timeout_s` and `memory_mb` count."""
    fresh_cells: bool = False
    """Every program gets a new session, as in ToRA's and MuMath-Code's inference."""
    rebuild_state: bool = False
    restarts: tuple[int, ...] = ()
    """Positions of programs, counted from 0 and rising, before which the recorded session was lost, so this one is."""

    @property
    def key(self) -> str:
        """A hash of all that decides what its programs do, so that a changed file or time limit is replayed again."""
        return hashlib.sha256(dump_line(self).encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """What the programs of a session did here. Raw, so that a better comparison needs no new run."""

    id: str
    key: str
    """The session's."""
    isolation: str
    executions: tuple[Execution, ...]


class Replayer:
    """Runs sessions again, any number at once: `async with Replayer() as replayer: await replayer.run(session)`."""

    def __init__(self, *, unsafe_local: bool = False, log: Path | None = None) -> None:
        """Say how programs are confined, and where results are kept; nothing starts yet.

        Args:
            unsafe_local: run programs even where this machine can't confine them.
            log: a file that gets each result as a line when it comes. What it holds already isn't run again.
        """
        self._unsafe_local = unsafe_local
        self._log = log
        self._done: dict[str, Replay] = {}
        self._pools: dict[int, KernelPool] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Read the log; kernels start with the first session.

        Raises:
            InputError: the log can't be used, or is in use.
        """
        if self._log is not None:
            async with AsyncExitStack() as stack:
                stack.enter_context(only_writer(self._log))
                self._done = _read_log(self._log)
                self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End all kernels."""
        await self._stack.aclose()

    async def run(self, session: Session) -> Replay:
        """Run the programs of a session in order, or return what the log holds of them.

        Raises:
            InputError: the log can't be written.
            KernelError: no kernel could be started.
        """
        key = session.key
        if key not in self._done:
            executions, isolation = await self._executed(session)
            replay = Replay(id=session.id, key=key, isolation=isolation, executions=executions)
            if self._log is None:
                return replay
            append_line(self._log, replay)
            self._done[key] = replay
        return self._done[key]

    async def _executed(self, session: Session) -> tuple[tuple[Execution, ...], str]:
        pool = await self._pool(session.limits.memory_mb)
        executions: list[Execution] = []
        isolation = "nothing ran"
        for start, end in pairwise((0, *session.restarts, len(session.programs))):
            if start == end:
                continue
            async with JupyterExecutor(
                pool=pool, fresh_cells=session.fresh_cells, rebuild_state=session.rebuild_state
            ) as executor:
                for program in session.programs[start:end]:
                    executions.append(await executor.run(program, timeout_s=session.limits.cell_timeout_s))
                isolation = executor.isolation
        return tuple(executions), isolation

    async def _pool(self, memory_mb: int) -> KernelPool:
        """Return the pool of kernels that may use so much memory."""
        if memory_mb not in self._pools:
            sandbox = Sandbox(memory_mb=memory_mb, unsafe_local=self._unsafe_local)
            self._pools[memory_mb] = KernelPool(sandbox, spares=0)
            await self._stack.enter_async_context(self._pools[memory_mb])
        return self._pools[memory_mb]


def _read_log(path: Path) -> dict[str, Replay]:
    mend(path)
    done = {}
    for replay in read_records(path, Replay):
        if isinstance(replay, InputError):
            raise InputError(f"{replay}: it holds something else than replays; name another file")
        done[replay.key] = replay
    return done
