"""Check that attempts go on where they were: killed, cancelled, or broken by a server that went away.

The default run kills a small run once; a large one is killed five times as a slow test.
"""

import itertools
import json
import math
import os
import random
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from typer.testing import CliRunner

from benchmarks.replay.server import serving
from mumath_agent.agent import graph
from mumath_agent.agent.attempts import batch_of
from mumath_agent.agent.batch import Batch, run_batch
from mumath_agent.agent.solver import Solver
from mumath_agent.bridge import run_sync
from mumath_agent.cli import app
from mumath_agent.errors import InputError, ModelUnreachable
from mumath_agent.problems import parse_problems
from mumath_agent.protocols import CompletionRequest, OnText
from mumath_agent.records import (
    Completion,
    Execution,
    ExecutionStatus,
    FinishReason,
    Limits,
    Problem,
    RunRecord,
    StopReason,
    from_json,
)
from mumath_agent.runs.results import ResultsFile
from mumath_agent.solutions import Attempts
from mumath_agent.testing import Recording, ReplayModel, ScriptedExecutor, ScriptedModel
from tests.programs import PROGRAM, mumath_agent

SIZES = [
    pytest.param(10, 1, 1, id="small"),
    pytest.param(50, 1, 5, id="large", marks=[pytest.mark.slow, pytest.mark.timeout(900)]),
    pytest.param(50, 4, 10, id="attempts", marks=[pytest.mark.slow, pytest.mark.timeout(3600)]),
]
"""How many problems a run has, how many attempts each, and how often it is killed."""
CELLS = (
    "import random, time\nx = [{n}, random.random()]\ntime.sleep(0.05)\nprint(x)",
    "x.append(random.random())\ntime.sleep(0.05)\nprint(x)",
    "time.sleep(0.05)\nprint(sum(x))",
)


def program(code: str) -> str:
    return f"```python\n{code}\n```\n```output"


def recording(n: int) -> Recording:
    texts = [program(cell.format(n=n)) for cell in CELLS] + [f"The answer is $\\boxed{{{n}}}$."]
    turns = [
        Completion(text=text, finish_reason=FinishReason.STOP, prompt_tokens=0, completion_tokens=0)
        for text in texts
    ]
    return Recording(question=f"Which number is {n}?", turns=tuple(turns))


@pytest.fixture
def model(problems: int) -> ReplayModel:
    """Solves every problem with three programs, each of which needs what the last one left."""
    return ReplayModel(recordings=[recording(n) for n in range(problems)])


@pytest.fixture
def file(model: ReplayModel, tmp_path: Path) -> Path:
    file = tmp_path / "problems.jsonl"
    file.write_text("".join(json.dumps({"question": each.question}) + "\n" for each in model.recordings))
    return file


@pytest.fixture
def command(model: ReplayModel, file: Path) -> Iterator[list[str]]:
    """Solves the problems of the file, but for where to."""
    with serving(model) as url:
        yield [
            *PROGRAM,
            "solve",
            "--file",
            str(file),
            "--base-url",
            url,
            "--dialect",
            "fenced",
        ]


@pytest.mark.kernel
@pytest.mark.parametrize(("problems", "attempts", "kills"), SIZES)
def test_killed_several_times_a_run_goes_on_in_the_middle_of_its_problems(
    problems: int,
    attempts: int,
    kills: int,
    model: ReplayModel,
    file: Path,
    command: list[str],
    tmp_path: Path,
) -> None:
    seed = int(os.environ.get("MUMATH_TEST_SEED") or time.time_ns() % 10**6)
    print(f"MUMATH_TEST_SEED={seed}")  # shown when it fails
    chance = random.Random(seed)
    environment = {**os.environ, "LANGGRAPH_STRICT_MSGPACK": "true"}
    output, checkpoints = tmp_path / "broken.jsonl", tmp_path / "broken.db"
    how = Attempts(number=attempts, early_stop=False)
    several = ["--attempts", str(attempts), "--no-early-stop"] if attempts > 1 else []
    arguments = [*command, *several, "--output", str(output), "--checkpoint", str(checkpoints)]
    under_way: set[tuple[str, int]] = set()
    for _ in range(kills):
        kill_at_random(arguments, checkpoints, environment, chance)
        under_way |= executed(checkpoints)
    subprocess.run(arguments, check=True, capture_output=True, env=environment)
    broken = [from_json(RunRecord, json.loads(line)) for line in output.read_text().splitlines()]

    whole = unbroken(model, file, how)
    assert {substance(record) for record in broken} == {substance(record) for record in whole}
    assert len(broken) == problems * attempts
    assert {record.trajectory.answer.text for record in broken if record.trajectory.answer} == {
        str(n) for n in range(problems)
    }
    # Every program has one execution, and those that came after a kill in a session that was brought back say so.
    assert all(len(record.trajectory.executions) == len(CELLS) for record in broken)
    replayed = {
        (record.key, number)
        for record in broken
        for number, execution in enumerate(record.trajectory.executions)
        if execution.state_replayed
    }
    assert replayed == {(attempt, done) for attempt, done in under_way if 0 < done < len(CELLS)}
    assert len(replayed) >= kills
    assert not any(e.state_lost for record in broken for e in record.trajectory.executions)
    assert executed(checkpoints) == set()  # what is finished is forgotten


def unbroken(model: ReplayModel, file: Path, how: Attempts) -> list[RunRecord]:
    problems = tuple(p for p in parse_problems(file.read_text(), file.name) if isinstance(p, Problem))
    batch = batch_of(problems, Solver(model=model, checkpointer=InMemorySaver()), how)
    records: list[RunRecord] = []
    run_sync(run_batch(batch, concurrency=8, on_record=records.append))
    return records


def kill_at_random(
    arguments: list[str], checkpoints: Path, environment: dict[str, str], chance: random.Random
) -> None:
    """Start the command and kill it some time after it has executed a program."""
    before = executed(checkpoints)
    said = checkpoints.with_suffix(".log")
    with (
        said.open("w") as log,
        subprocess.Popen(arguments, env=environment, stdout=subprocess.DEVNULL, stderr=log) as process,
    ):
        while not any(done for _, done in executed(checkpoints) - before):
            assert process.poll() is None, said.read_text()
            time.sleep(0.02)
        time.sleep(chance.uniform(0, 0.3))
        assert process.poll() is None, "it has finished too early to be killed"
        process.send_signal(signal.SIGKILL)


def executed(checkpoints: Path) -> set[tuple[str, int]]:
    """Return the attempts that are kept, by their keys, and how many programs each has executed."""
    found = set()
    with closing(sqlite3.connect(checkpoints, timeout=60)) as connection:
        saver = SqliteSaver(connection)
        saver.setup()
        threads = connection.execute("SELECT DISTINCT thread_id FROM checkpoints").fetchall()
        for (thread,) in threads:
            kept = saver.get_tuple({"configurable": {"thread_id": thread}})
            if kept is None:  # finished meanwhile
                continue
            values: dict[str, Any] = kept.checkpoint["channel_values"]
            values |= {channel: value for _, channel, value in kept.pending_writes or ()}
            found.add((thread, len(values.get("executions", []))))
    return found


def substance(record: RunRecord) -> tuple[object, ...]:
    """Return what a record says, except for what a clock or a kill changes."""
    attempt = record.trajectory
    executions = tuple((e.status, e.stdout, e.result, e.error) for e in attempt.executions)
    return record.key, attempt.transcript, attempt.answer, attempt.stop_reason, executions


ASK = program("print(x)")


@pytest.mark.anyio
@pytest.mark.kernel
@pytest.mark.parametrize(
    ("first", "told"),
    [("x = 5", "5\n```"), ("import time\nx = 5\nprint(time.time())", "The Python session was restarted")],
    ids=["repeatable", "unrepeatable"],
)
async def test_a_session_is_brought_back_by_doing_the_same_again_or_the_model_is_told(
    first: str, told: str
) -> None:
    keeper, problem = InMemorySaver(), Problem(id="1", question="q")
    broken = ScriptedModel(texts=[program(first), ModelUnreachable("the server went away")])
    record = await Solver(model=broken, checkpointer=keeper).solve(problem, thread="t")
    assert record.trajectory.stop_reason is StopReason.MODEL_UNREACHABLE
    model = ScriptedModel(texts=[ASK, "So \\boxed{5}."])
    record = await Solver(model=model, checkpointer=keeper).solve(problem, thread="t")
    attempt = record.trajectory
    assert attempt.stop_reason is StopReason.ANSWERED and len(attempt.executions) == 2
    assert told in attempt.transcript.segments[-2].text
    assert attempt.executions[1].state_lost is (told != "5\n```")
    assert len(model.prompts) == 2  # the first program was not written again


@pytest.mark.anyio
async def test_an_attempt_that_came_to_its_end_is_not_made_again() -> None:
    keeper, problem = InMemorySaver(), Problem(id="1", question="q")
    first = await Solver(model=ScriptedModel(texts=["\\boxed{1}"]), checkpointer=keeper).solve(
        problem, thread="t", kernel=ScriptedExecutor(executions=[])
    )
    again = await Solver(model=ScriptedModel(texts=[]), checkpointer=keeper).solve(
        problem, thread="t", kernel=ScriptedExecutor(executions=[])
    )
    assert again.trajectory == first.trajectory


class Clock:
    """A clock that only the test moves."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


class Ticking(ScriptedModel):
    """A model whose completions take a second of a clock."""

    def __init__(self, clock: Clock, texts: list[str | Exception]) -> None:
        super().__init__(texts=texts)
        self._clock = clock

    async def complete(self, request: CompletionRequest, on_text: OnText | None = None) -> Completion:
        self._clock.now += 1
        return await super().complete(request, on_text)


@pytest.mark.anyio
async def test_time_between_two_runs_does_not_count_and_taking_up_costs_no_recovery(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock()
    monkeypatch.setattr(graph, "time", clock)
    keeper, problem = InMemorySaver(), Problem(id="1", question="q")
    limits = Limits(wall_s=100, max_recoveries=0)
    replayed = Execution(status=ExecutionStatus.OK, state_replayed=True)
    away: list[str | Exception] = [ASK, ModelUnreachable("away")]
    back: list[str | Exception] = ["\\boxed{1}"]
    for texts in (away, away, back):
        solver = Solver(model=Ticking(clock, texts), checkpointer=keeper, limits=limits)
        kernel = ScriptedExecutor(executions=[replayed])
        record = await solver.solve(problem, thread="t", kernel=kernel)
        clock.now += 1000
    assert record.trajectory.stop_reason is StopReason.ANSWERED
    assert len(record.trajectory.completions) == record.trajectory.duration_s == 3


@pytest.mark.anyio
@pytest.mark.kernel
async def test_a_batch_goes_on_in_mid_attempt_when_its_server_is_back_and_forgets_what_is_done(
    tmp_path: Path,
) -> None:
    keeper, problems = InMemorySaver(), (Problem(id="1", question="q"),)
    model = ScriptedModel(
        texts=[program("import random\nx = random.random()"), ModelUnreachable("away"), ASK, "\\boxed{1}"]
    )
    batch = Batch(problems=problems, solver=Solver(model=model, checkpointer=keeper))
    store = ResultsFile(tmp_path / "r.jsonl")
    await run_batch(batch, store, concurrency=1)
    record = next(batch.finished(store))
    assert [e.state_replayed for e in record.trajectory.executions] == [False, True]
    assert len(model.prompts) == 4
    assert not keeper.storage


class Failing(InMemorySaver):
    """Takes so many writes and then none, as a process does that is killed."""

    room: float = math.inf

    async def aput(self, *args: Any, **kwargs: Any) -> Any:
        self._take()
        return await super().aput(*args, **kwargs)

    async def aput_writes(self, *args: Any, **kwargs: Any) -> None:
        self._take()
        await super().aput_writes(*args, **kwargs)

    def _take(self) -> None:
        self.room -= 1
        if self.room < 0:
            raise OSError("killed")


@pytest.mark.anyio
async def test_whichever_write_is_the_last_an_attempt_goes_on_to_the_same_end() -> None:
    problem, model = Problem(id="1", question=recording(1).question), ReplayModel(recordings=[recording(1)])
    whole = await Solver(model=model).solve(
        problem, kernel=ScriptedExecutor(executions=[str(n) for n in range(3)])
    )
    stops: list[StopReason] = []
    for room in itertools.count():
        keeper, runs = Failing(), []
        solver = Solver(model=model, checkpointer=keeper)
        for keeper.room in (room, math.inf):
            done = len(await recorded(keeper))
            kernel = ScriptedExecutor(executions=[str(n) for n in range(done, 3)])
            record = await solver.solve(problem, thread="t", kernel=kernel)
            stops.append(record.trajectory.stop_reason)
            runs.append((done, len(kernel.programs)))
        assert substance(record) == substance(whole), room
        # What has a record is not run again: the second kernel got the programs after those, and no other.
        (_, _), (kept, again) = runs
        assert again == len(CELLS) - kept, room
        if stops[-2] is StopReason.ANSWERED:
            break
    assert stops.count(StopReason.INTERNAL_ERROR) > 20


async def recorded(keeper: InMemorySaver) -> list[Any]:
    kept = await keeper.aget_tuple({"configurable": {"thread_id": "t"}})
    if kept is None:
        return []
    pending = [value for _, channel, value in kept.pending_writes or () if channel == "executions"]
    found: list[Any] = pending[-1] if pending else kept.checkpoint["channel_values"].get("executions", [])
    return found


@pytest.mark.anyio
@pytest.mark.parametrize("how", ["scope", "task"])
async def test_when_a_cancelled_attempt_is_over_nothing_of_it_runs_any_more(how: str) -> None:
    class Slow(ScriptedExecutor):
        running = False

        def __init__(self) -> None:
            super().__init__(executions=[])
            self.started = anyio.Event()

        async def run(self, *_: object, **__: object) -> Execution:
            self.running = True
            try:
                self.started.set()
                await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(0.1)  # a kernel is told to stop
                self.running = False
            raise AssertionError

    kernel = Slow()

    async def attempt() -> None:
        solver = Solver(model=ScriptedModel(texts=[ASK]))
        await solver.solve(Problem(id="1", question="q"), kernel=kernel)

    async def cancel(scope: anyio.CancelScope) -> None:
        await kernel.started.wait()
        assert kernel.running
        scope.cancel()

    async with anyio.create_task_group() as tasks:
        if how == "scope":
            with anyio.CancelScope() as scope:
                tasks.start_soon(cancel, scope)
                await attempt()
        else:
            tasks.start_soon(attempt)
            await cancel(tasks.cancel_scope)
    assert not kernel.running


def test_checkpoints_need_a_place_for_what_is_finished(tmp_path: Path) -> None:
    file = tmp_path / "p.txt"
    file.write_text("q\n")
    done = CliRunner().invoke(app, ["solve", "--file", str(file), "--checkpoint", "c.db"])
    assert isinstance(done.exception, InputError) and "--output" in str(done.exception)


def test_a_file_of_something_else_is_no_place_for_checkpoints(tmp_path: Path) -> None:
    file = tmp_path / "p.txt"
    file.write_text("q\n" * 100)
    arguments = ["--file", str(file), "--output", str(tmp_path / "r.jsonl"), "--checkpoint", str(file)]
    done = mumath_agent("solve", *arguments)
    assert done.code == 2 and "can't keep checkpoints" in done.stderr
    assert file.read_text() == "q\n" * 100
