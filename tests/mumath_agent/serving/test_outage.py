"""A server killed with -9 in the middle of a run and started again: the run ends complete, and nothing is done twice.

The kernels themselves say what ran: every program of every attempt, also of those that the outage broke off, ran once,
in the kernel of its attempt, and stands in its record. By day the embedded engine is the server, and attempts are
broken off; the outage that they outlive, and a real vLLM, which starts twice and solves a hundred problems, are slow.
"""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import pytest

from mumath_agent.agent.batch import Batch, run_batch
from mumath_agent.agent.solver import Solver
from mumath_agent.grading import Grader
from mumath_agent.kernels import JupyterExecutor, KernelPool
from mumath_agent.models.http.completions import CompletionsModel
from mumath_agent.protocols import Executor
from mumath_agent.records import Execution, Outcome, Problem, RunRecord, StopReason
from mumath_agent.serving import ServeOptions, build_command, free_port, running
from mumath_agent.transcript import Kind
from tests.toy import TOY

pytestmark = pytest.mark.kernel

HANGS_AFTER_S = 800.0
Start = Callable[[], "AbstractContextManager[subprocess.Popen[Any]]"]
"""Starts a server, always at the same address; at the end of the block it is gone."""


class WatchedKernel(JupyterExecutor):
    """A kernel that remembers what it was given to run."""

    programs: tuple[str, ...] = ()

    async def run(self, code: str, **settings: Any) -> Execution:
        self.programs += (code,)
        return await super().run(code, **settings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """An attempt that was made, to its end or not."""

    record: RunRecord
    ran: tuple[str, ...]
    """In its kernel."""

    @property
    def answered(self) -> tuple[str, ...]:
        """Return the programs in its transcript that are followed by an output."""
        segments = self.record.trajectory.transcript.segments
        pairs = pairwise(segments)
        return tuple(
            code.text.partition("\n")[2].partition("\n```")[0] + "\n"
            for code, output in pairs
            if code.kind is Kind.CODE and output.kind is Kind.OUTPUT
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchedSolver(Solver):
    """A solver that keeps all attempts."""

    attempts: list[Attempt] = field(default_factory=list)

    def new_kernel(
        self, pool: KernelPool | None = None, *, lazy: bool = True, seed: int | None = None
    ) -> WatchedKernel:
        return WatchedKernel(self.sandbox, pool=pool, lazy=lazy, seed=seed)

    async def solve(self, problem: Problem, *, kernel: Executor | None = None, **others: Any) -> RunRecord:
        assert isinstance(kernel, WatchedKernel)
        record = await Solver.solve(self, problem, kernel=kernel, **others)
        self.attempts.append(Attempt(record=record, ran=kernel.programs))
        return record


def problem(number: int) -> Problem:
    """Return a problem that the toy solves; no two have the same numbers."""
    boxes, pencils, gone = 12 + number % 9, 11 + number % 7, 20 + number
    question = (
        f"A school orders {boxes} boxes of pencils with {pencils} pencils in each box. "
        f"The teachers hand out {gone} pencils. How many pencils are left?"
    )
    return Problem(id=str(number), question=question, target=str(boxes * pencils - gone))


def disturbed(start: Start, model: CompletionsModel, problems: int) -> tuple[list[RunRecord], list[Attempt]]:
    """Return the batch's records and all attempts it made, with its server killed once when a fifth was done."""
    records, a_fifth = list[RunRecord](), threading.Event()
    solver = WatchedSolver(model=model)

    def keep(record: RunRecord) -> None:
        records.append(record)
        if len(records) >= problems // 5:
            a_fifth.set()

    async def run() -> None:
        batch = Batch(problems=tuple(map(problem, range(problems))), solver=solver)
        async with Grader() as grader:
            await run_batch(batch, concurrency=8, grader=grader, on_record=keep)
        await model.aclose()

    running_batch = threading.Thread(target=anyio.run, args=[run])
    with start() as server:
        running_batch.start()
        assert a_fifth.wait(HANGS_AFTER_S)
        server.kill()
        assert running_batch.is_alive()
    with start():
        running_batch.join(HANGS_AFTER_S)
    assert not running_batch.is_alive()
    return records, solver.attempts


def check(records: list[RunRecord], attempts: list[Attempt], problems: int) -> None:
    assert sorted(int(record.problem.id) for record in records) == list(range(problems))
    assert {record.verdict.outcome for record in records if record.verdict} == {Outcome.CORRECT}
    assert all(record.verdict for record in records)
    for attempt in attempts:
        assert attempt.ran == attempt.answered, "a program ran twice, or without a record"
        assert len(attempt.ran) == len(attempt.record.trajectory.executions)
    finished = [
        attempt for attempt in attempts if attempt.record.trajectory.stop_reason is StopReason.ANSWERED
    ]
    assert len(finished) == problems
    assert {attempt.record.trajectory.stop_reason for attempt in attempts if attempt not in finished} <= {
        StopReason.MODEL_UNREACHABLE
    }


SERVER = """
import sys
import time
from benchmarks.replay.server import serving
from mumath_agent.models.embedded import EmbeddedModel
from tests.toy import TOY

with serving(EmbeddedModel(TOY), int(sys.argv[1])):
    print("ready", flush=True)
    time.sleep(3600)
"""


@contextmanager
def small_server(port: int) -> Iterator["subprocess.Popen[bytes]"]:
    """Serve the embedded engine from a process of its own."""
    with subprocess.Popen([sys.executable, "-c", SERVER, str(port)], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == b"ready\n"
            yield process
        finally:
            process.kill()


@contextmanager
def vllm(python: Path, port: int, log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    options = ServeOptions(model=str(TOY), name="mumath", port=port)
    with running(build_command(options, python, ()), log=log) as server:
        yield server.process


@pytest.mark.slow
def test_attempts_outlive_a_short_outage() -> None:
    """What was asked is asked again, in the same attempt: no attempt is broken off, no kernel used in vain."""
    port = free_port()
    model = CompletionsModel(f"http://127.0.0.1:{port}", attempts=12)
    records, attempts = disturbed(lambda: small_server(port), model, 20)
    check(records, attempts, 20)
    assert len(attempts) == 20


def test_attempts_that_an_outage_breaks_off_are_made_again() -> None:
    port = free_port()
    model = CompletionsModel(f"http://127.0.0.1:{port}", attempts=1)
    records, attempts = disturbed(lambda: small_server(port), model, 20)
    check(records, attempts, 20)
    assert len(attempts) > 20


@pytest.mark.vllm
@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_real_vllm_killed_in_a_run_of_a_hundred_problems(vllm_python: Path, tmp_path: Path) -> None:
    port = free_port()
    model = CompletionsModel(f"http://127.0.0.1:{port}")
    records, attempts = disturbed(lambda: vllm(vllm_python, port, tmp_path / "vllm.log"), model, 100)
    check(records, attempts, 100)
    assert len(attempts) > 100
