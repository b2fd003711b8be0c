"""Grade answers: by their characters where that is enough, else in worker processes that are killed when they stall.

math-verify can't be interrupted from a thread, and its own time limit needs signals, so each comparison runs in a
worker process (`worker`). The clock starts when the worker begins with a pair and counts the CPU seconds it uses, so
neither waiting for a worker nor a busy machine makes an answer ungraded.
"""

import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from mumath_agent.errors import InputError
from mumath_agent.grading.comparison import Pair, WorkerReport, compare, conclude, pairs, ungraded, verdict_on
from mumath_agent.records import Verdict, from_json

_WORKER = Path(__file__).with_name("worker.py")
_START_S = 120.0
"""Importing sympy takes a second, and much longer on an overloaded machine."""
_REPLY_BYTES = 10_000
_WALL_PER_CPU = 5
"""A worker is killed from outside after this many times its limit in CPU seconds."""
_BROKEN = (
    anyio.EndOfStream,
    anyio.IncompleteRead,
    anyio.BrokenResourceError,
    OSError,
    ValueError,
    InputError,
)


class Grader:
    r"""An async context manager that grades answers with worker processes.

        async with Grader() as grader:
            verdict = await grader.grade("0.5", r"\frac{1}{2}")

    Any number of tasks may grade at once. Workers start when they are first needed.
    """

    def __init__(self, *, workers: int = 1, timeout_s: float = 3.0) -> None:
        """Set the largest number of worker processes, and the CPU seconds that one comparison may take.

        Raises:
            InputError: one of them isn't positive.
        """
        if workers < 1 or timeout_s <= 0:
            raise InputError(
                f"a grader needs at least one worker and some time, not {workers} and {timeout_s} s"
            )
        self._timeout_s = timeout_s
        self._free = anyio.Semaphore(workers)
        self._idle: list[_Worker] = []
        self._is_closed = False

    async def grade(self, answer: str | None, target: str) -> Verdict:
        """Return whether `answer` equals `target`; neither is ever evaluated in this process."""
        step = compare(answer, target)
        asked = list(dict.fromkeys(pairs(step)))
        if not asked:
            return conclude(step, {})
        async with self._worker() as worker:
            verdicts = await worker.grade(asked, self._timeout_s)
        if isinstance(verdicts, Verdict):
            return verdicts
        return conclude(step, dict(zip(asked, verdicts, strict=True)))

    async def __aenter__(self) -> Self:
        """Return this grader."""
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """End the workers."""
        self._is_closed = True
        while self._idle:
            await self._idle.pop().kill()

    @asynccontextmanager
    async def _worker(self) -> "AsyncIterator[_Worker]":
        """Yield an idle worker or a new one; keep it only if it is ready for another pair."""
        async with self._free:
            worker = self._idle.pop() if self._idle else await _start(self._timeout_s)
            try:
                yield worker
            finally:
                if worker.is_ready and not self._is_closed:
                    self._idle.append(worker)
                else:
                    await worker.kill()


@dataclass(slots=True)
class _Worker:
    process: Process
    replies: BufferedByteReceiveStream
    is_ready: bool = True

    async def grade(self, asked: Sequence[Pair], timeout_s: float) -> Verdict | list[Verdict]:
        """Return a verdict on each pair, or the one that says why there are none."""
        self.is_ready = False
        too_long = ungraded("limit", f"the comparison took longer than {timeout_s:g} s")
        try:
            await self._begin(asked)
            with anyio.move_on_after(_WALL_PER_CPU * timeout_s):
                verdicts = [self._verdict(pair, json.loads(await self._line())) for pair in asked]
                self.is_ready = True
                return verdicts
        except TimeoutError:
            return ungraded("worker", f"no grading process started within {_START_S:g} s")
        except _BROKEN as error:  # no reply, or only a part of one
            ended = isinstance(error, anyio.EndOfStream | anyio.IncompleteRead)
            reason = await self.process.wait() if ended else error
            if reason != -signal.SIGPROF:  # its own time limit
                return ungraded("worker", f"the grading process ended ({reason})")
        return too_long

    async def kill(self) -> None:
        with anyio.CancelScope(shield=True):
            if self.process.returncode is None:
                self.process.kill()
            await self.process.aclose()

    async def _begin(self, asked: Sequence[Pair]) -> None:
        assert self.process.stdin is not None
        request = json.dumps([[pair.answer, pair.target] for pair in asked])
        with anyio.fail_after(_START_S):
            await self.process.stdin.send(f"{request}\n".encode())
            await self._line()  # "started"

    async def _line(self) -> bytes:
        return await self.replies.receive_until(b"\n", _REPLY_BYTES)

    @staticmethod
    def _verdict(pair: Pair, reply: dict[str, object]) -> Verdict:
        if "error" in reply:
            return ungraded("math-verify", str(reply["error"]))
        return verdict_on(pair, from_json(WorkerReport, reply))


async def _start(timeout_s: float) -> _Worker:
    # -P keeps the worker's folder and the current one out of its import path: either may hold a `numbers.py`.
    # Its own session, so that Ctrl-C reaches only this process, which then ends its workers.
    process = await anyio.open_process(
        [sys.executable, "-P", str(_WORKER), str(timeout_s)],
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    assert process.stdout is not None
    return _Worker(process=process, replies=BufferedByteReceiveStream(process.stdout))
