"""Send recorded completions through the real agent: our loop, kernels, answer extraction and grader, and no model.

Every recorded solution becomes a problem of an ordinary batch; only its model is a `ReplayModel`. So the records on
disk are those of any run, and `report` and the viewer show them. A program prints what it prints here, and the recorded
text goes on as it did.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

from benchmarks.data import digest
from benchmarks.manifest import commit, isolation_of, now, versions
from benchmarks.replay.recordings import RecordedSolution, answer_rule
from benchmarks.runs import ATTEMPTS, RunFolder, RunManifest
from mumath_agent.agent.batch import Batch, run_batch
from mumath_agent.agent.solver import Solver
from mumath_agent.dialects import get_replay_dialect
from mumath_agent.errors import InputError
from mumath_agent.grading import Grader
from mumath_agent.records import Completion, Problem, RunRecord, Settings
from mumath_agent.testing import Recording, ReplayModel


async def replay_agent(
    solutions: Sequence[RecordedSolution],
    *,
    source: Path,
    timeout_s: float,
    concurrency: int,
    grader: Grader,
    out: Path | None = None,
    on_record: Callable[[RunRecord], None] = lambda _: None,
) -> list[RunRecord]:
    """Return what our agent makes of `solutions`, in their order.

    Records are kept in the folder `out`, where the same call goes on.

    Raises:
        InputError: the solutions were made with different settings, or `out` can't be used.
    """
    batch = _batch(solutions, source.stem, timeout_s)
    records: list[RunRecord] = []

    def keep(record: RunRecord) -> None:
        records.append(record)
        on_record(record)

    with RunFolder(out, await _manifest(batch, source)) if out else nullcontext() as folder:
        for record in batch.finished(folder) if folder else ():
            keep(record)
        await run_batch(batch, folder, concurrency=concurrency, grader=grader, on_record=keep)
        if folder:
            folder.sort(batch.problems, batch.samples)
    return _in_order(solutions, records)


def replay_model(solutions: Sequence[RecordedSolution]) -> ReplayModel:
    """Return a model that writes what was recorded.

    Raises:
        InputError: the solutions were made with different settings.
    """
    settings = _common_settings(solutions)
    recordings = [Recording(question=solution.question, turns=solution.turns) for solution in solutions]
    return ReplayModel(
        recordings=recordings,
        dialect=get_replay_dialect(settings.dialect),
        name=f"replay of {settings.model}",
    )


def _batch(solutions: Sequence[RecordedSolution], source: str, timeout_s: float) -> Batch:
    recorded = _common_settings(solutions)
    # Room for the recording's own ending: after its last turn it may break off.
    turns = max(recorded.limits.max_turns, *(len(solution.turns) + 1 for solution in solutions))
    model = replay_model(solutions)
    return Batch(
        problems=tuple(
            Problem(id=solution.id, question=solution.question, target=solution.target, source=source)
            for solution in solutions
        ),
        solver=Solver(
            model=model,
            dialect=model.dialect,
            limits=replace(recorded.limits, max_turns=turns, cell_timeout_s=timeout_s),
            sampling=recorded.sampling,
            fresh_cells=recorded.fresh_cells,
            rebuild_state=recorded.rebuild_state,
        ),
        answer_of=answer_rule(solutions[0].runtime),
    )


async def _manifest(batch: Batch, source: Path) -> RunManifest:
    return RunManifest(
        task=f"replay of {source.stem}",
        source=f"{source.name} {digest(_file(source).read_bytes())}",
        problems=len(batch.problems),
        samples=batch.samples,
        seed=None,
        settings=batch.solver.settings,
        isolation=await isolation_of(batch.solver.sandbox),
        started_at=now(),
        versions=versions(),
        commit=commit(),
    )


def _in_order(solutions: Sequence[RecordedSolution], records: Sequence[RunRecord]) -> list[RunRecord]:
    """Return the record of each solution.

    Recordings of one question are served in turn, so their texts tell which attempt got which.
    """
    by_id = {record.problem.id: record for record in records}
    by_text = {(r.problem.question, _texts(r.trajectory.completions)): r for r in records}
    return [by_text.get((s.question, _texts(s.turns)), by_id[s.id]) for s in solutions]


def _texts(completions: Sequence[Completion]) -> tuple[str, ...]:
    """Return what was written, without the empty completion of a recording that broke off."""
    return tuple(completion.text for completion in completions if completion.text)


def _common_settings(solutions: Sequence[RecordedSolution]) -> Settings:
    settings = solutions[0].settings
    for solution in solutions:
        if solution.settings != settings:
            raise InputError(
                f"{solution.id} was made with other settings than {solutions[0].id}; replay them apart"
            )
    return settings


def _file(source: Path) -> Path:
    return source / ATTEMPTS if source.is_dir() else source
