"""Grade answers: by their characters where that is enough, else in worker processes that are killed when they stall.

math-verify can't be interrupted from a thread, and its own time limit needs signals, so each comparison runs in a
worker process (`worker`). The clock starts when the worker begins with a pair and counts the CPU seconds it uses, so
neither waiting for a worker nor a busy machine makes an answer ungraded. A worker that stalls is killed; the spare that
was started meanwhile goes on with the next pair.
"""

import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import anyio
from anyio.abc import Process
from anyio.streams.buffered import BufferedByteReceiveStream

from mumath_agent.errors import InputError
from mumath_agent.grading.comparison import (
    Pair,
    WorkerReport,
    compare,
    conclude,
    over_limit,
    pairs,
    ungraded,
    verdict_on,
)
from mumath_agent.records import Outcome, Verdict, from_json

_WORKER = Path(__file__).with_name("worker.py")
_START_S = 120.0
"""Importing sympy takes a second, and much longer on an overloaded machine."""
_REPLY_BYTES = 10_000
_WALL_PER_CPU = 5
"""A worker is killed from outside after this many times its limit in CPU seconds."""
_SPARE_AFTER = 0.25
"""A spare is started when a pair has taken this part of its limit."""
_MOST_STALLS = 3
"""After so many pairs of one answer without an end the others aren't tried."""
_BROKEN = (
    anyio.EndOfStream,
    anyio.IncompleteRead,
    anyio.BrokenResourceError,
    OSError,
    ValueError,
    InputError,
)


_TOO_LONG = "the comparison took longer than {:g} s"


class _NotStarted(Exception):
    """A worker didn't begin."""


class Grader:
    r"""An async context manager that grades answers with worker processes.

        async with Grader() as grader:
            verdict = await grader.grade("0.5", r"\frac{1}{2}")

    Any number of tasks may grade at once. Workers start when they are first needed.
    """

    def __init__(self, *, workers: int = 1, timeout_s: float = 3.0) -> None:
        """Set the largest number of worker processes, and the CPU seconds that the comparison of two values may take.

        A list is compared item by item; all of it may take five times as long.

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
        verdicts = list[Verdict]()
        for _ in range(_MOST_STALLS):
            async with self._worker() as worker:
                verdicts += await worker.grade(asked[len(verdicts) :], self._timeout_s, self._warm_spare)
            if len(verdicts) == len(asked):
                break
        rest = [ungraded("limit", "other items took too long")] * (len(asked) - len(verdicts))
        if len(asked) == 1:
            return conclude(step, {asked[0]: verdicts[0]})
        return conclude(step, dict(zip(asked, verdicts + rest, strict=True)))

    async def second_opinion(self, answer: str, target: str) -> Verdict:
        """Return what math-verify says by itself, with none of our rules; UNGRADED if it can't read the two texts."""
        if answer.strip() == target.strip():
            return Verdict(outcome=Outcome.CORRECT, method="text")
        if (too_large := over_limit(answer, target)) is not None:
            return too_large
        asked = [Pair(answer=answer, target=target, alone=True)]
        async with self._worker() as worker:
            (verdict,) = await worker.grade(asked, self._timeout_s, self._warm_spare)
        return verdict

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

    async def _warm_spare(self) -> None:
        if not self._idle and not self._is_closed:
            with anyio.CancelScope(shield=True):
                self._idle.append(await _start(self._timeout_s))

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

    async def grade(
        self, asked: Sequence[Pair], timeout_s: float, on_slow: Callable[[], Awaitable[None]]
    ) -> list[Verdict]:
        """Return a verdict on each pair, up to the first one that has none, whose verdict says why.

        Args:
            asked: the pairs.
            timeout_s: the limit of each, in seconds of computing.
            on_slow: called when one of them has used a part of its limit.
        """
        self.is_ready = False
        verdicts = list[Verdict]()
        try:
            await self._begin(asked)
            for pair in asked:
                line = await self._line_within(_SPARE_AFTER * timeout_s)
                if line is None:
                    await on_slow()
                    line = await self._line_within(_WALL_PER_CPU * timeout_s)
                if line is None:
                    raise TimeoutError
                verdicts.append(self._verdict(pair, json.loads(line)))
            self.is_ready = True
        except TimeoutError:
            verdicts.append(ungraded("limit", _TOO_LONG.format(timeout_s)))
        except _NotStarted:
            verdicts.append(ungraded("worker", f"no grading process started within {_START_S:g} s"))
        except _BROKEN as error:  # no reply, or only a part of one
            ended = isinstance(error, anyio.EndOfStream | anyio.IncompleteRead)
            reason = await self.process.wait() if ended else error
            its_own_limit = reason == -signal.SIGPROF
            told = _TOO_LONG.format(timeout_s) if its_own_limit else f"the grading process ended ({reason})"
            verdicts.append(ungraded("limit" if its_own_limit else "worker", told))
        return verdicts

    async def kill(self) -> None:
        with anyio.CancelScope(shield=True):
            if self.process.returncode is None:
                self.process.kill()
            await self.process.aclose()

    async def _begin(self, asked: Sequence[Pair]) -> None:
        assert self.process.stdin is not None
        request = json.dumps([[pair.answer, pair.target, pair.alone] for pair in asked])
        with anyio.move_on_after(_START_S):
            await self.process.stdin.send(f"{request}\n".encode())
        if await self._line_within(_START_S) is None:  # "started"
            raise _NotStarted

    async def _line_within(self, seconds: float) -> bytes | None:
        """Return the next line, or None if there is none by then; what came of it stays for the next call."""
        with anyio.move_on_after(seconds):
            return await self.replies.receive_until(b"\n", _REPLY_BYTES)
        return None

    @staticmethod
    def _verdict(pair: Pair, reply: dict[str, object]) -> Verdict:
        if "late" in reply:
            return ungraded("limit", "other items took too long")
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
