"""Solve from Python: one question or many, every setting a plain value.

    record = solve("What is 17 times 23?", base_url="http://localhost:8000/v1", limits={"max_turns": 6})
    print(record.answer)

Settings that aren't given come from the environment, as on the command line: MUMATH_BASE_URL, MUMATH_MODEL,
MUMATH_DIALECT, MUMATH_API_KEY, MUMATH_UNSAFE_LOCAL. The synchronous functions work inside a running event loop, too.
"""

import os
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Mapping
from typing import Any, Literal, NoReturn, Unpack, overload

from mumath_agent import __version__
from mumath_agent.agent.failures import RAISED, named
from mumath_agent.agent.settings import SolverSettings, attempts_of, opened_solver, options_of
from mumath_agent.agent.streaming import each_of, put_by
from mumath_agent.bridge import on_bridge, run_sync
from mumath_agent.errors import InputError, ModelError, ModelMisconfigured, MuMathError
from mumath_agent.grading import Grader
from mumath_agent.kernels.forkserver import level_of
from mumath_agent.problems import check_question, problem_of
from mumath_agent.records import BROKEN, Outcome, Problem, RunRecord, Settings, Trajectory
from mumath_agent.solutions import Attempts, Solution
from mumath_agent.transcript import Transcript

Errors = Literal["raise", "record"]
Problems = Iterable[str | Mapping[str, Any] | Problem]


@overload
def solve(  # type: ignore[overload-overlap]  # 1 is an int, too
    question: str, *, attempts: Literal[1] = 1, errors: Errors = "raise", **settings: Unpack[SolverSettings]
) -> RunRecord: ...
@overload
def solve(
    question: str, *, attempts: int | Attempts, errors: Errors = "raise", **settings: Unpack[SolverSettings]
) -> Solution: ...
def solve(
    question: str,
    *,
    attempts: int | Attempts = 1,
    errors: Errors = "raise",
    **settings: Unpack[SolverSettings],
) -> RunRecord | Solution:
    """Answer one question and wait for it.

    >>> solve("What is 17 times 23?").answer
    '391'

    Args:
        question: the whole problem, in words and LaTeX.
        attempts: how many, or an `Attempts`. One is a `RunRecord`, several are a `Solution`.
        errors: "raise" an error of the server or the kernel, or leave it in the "record": `record.trajectory.error`.
        settings: see `SolverSettings`.

    Raises:
        InputError: the question or a setting can't be used; the message names it.
        ModelUnreachable, ModelError, KernelError: machinery broke, unless `errors` is "record".
    """
    return run_sync(asolve(question, attempts=attempts, errors=errors, **settings))


@overload
async def asolve(  # type: ignore[overload-overlap]  # 1 is an int, too
    question: str, *, attempts: Literal[1] = 1, errors: Errors = "raise", **settings: Unpack[SolverSettings]
) -> RunRecord: ...
@overload
async def asolve(
    question: str, *, attempts: int | Attempts, errors: Errors = "raise", **settings: Unpack[SolverSettings]
) -> Solution: ...
async def asolve(
    question: str,
    *,
    attempts: int | Attempts = 1,
    errors: Errors = "raise",
    **settings: Unpack[SolverSettings],
) -> RunRecord | Solution:
    """Answer one question; see `solve`."""
    check_question(question)
    if errors not in ("raise", "record"):
        raise InputError(f'errors is {errors!r}; it must be "raise" or "record"')
    problem, how = Problem(id="question", question=question), attempts_of(attempts)
    try:
        async with opened_solver(settings) as solver:
            if how.is_one:
                found: RunRecord | Solution = await solver.solve(problem)
            else:
                from mumath_agent.agent.attempts import solve_problem

                found = await solve_problem(problem, solver, how)
    except ModelMisconfigured:
        raise
    except ModelError as error:  # before there was an attempt
        if errors == "raise":
            raise
        from mumath_agent.agent.attempts import unsolved

        broken = _never_begun(problem, settings, error)
        return broken if how.is_one else unsolved(how, broken)
    records = found.attempts if isinstance(found, Solution) else [found]
    if errors == "raise" and records and all(one.trajectory.stop_reason in BROKEN for one in records):
        _raise(records[0])
    return found


@overload
def solve_many(  # type: ignore[overload-overlap]  # 1 is an int, too
    problems: Problems,
    *,
    attempts: Literal[1] = 1,
    samples: int = 1,
    concurrency: int = 8,
    **settings: Unpack[SolverSettings],
) -> Generator[RunRecord, None, None]: ...
@overload
def solve_many(
    problems: Problems,
    *,
    attempts: int | Attempts,
    samples: int = 1,
    concurrency: int = 8,
    **settings: Unpack[SolverSettings],
) -> Generator[Solution, None, None]: ...
def solve_many(
    problems: Problems,
    *,
    attempts: int | Attempts = 1,
    samples: int = 1,
    concurrency: int = 8,
    **settings: Unpack[SolverSettings],
) -> Generator[RunRecord, None, None] | Generator[Solution, None, None]:
    """Attempt many problems side by side, and yield each record as its attempt ends.

    Args:
        problems: questions, mappings as the lines of a JSONL file are, or `Problem`s. Where a gold answer is given, the
            record has a verdict.
        attempts: how many, or an `Attempts`, for one answer a problem. With several a `Solution` a problem is yielded.
        samples: attempts per problem, each of which is yielded.
        concurrency: attempts at a time.
        settings: see `SolverSettings`.

    Raises:
        InputError: a problem or a setting can't be used; nothing was attempted.
        ModelUnreachable, ModelError: the model can't be had. What breaks in one attempt is in its record.
    """
    return each_of(
        asolve_many(problems, attempts=attempts, samples=samples, concurrency=concurrency, **settings)
    )


@overload
def asolve_many(  # type: ignore[overload-overlap]  # 1 is an int, too
    problems: Problems,
    *,
    attempts: Literal[1] = 1,
    samples: int = 1,
    concurrency: int = 8,
    **settings: Unpack[SolverSettings],
) -> AsyncGenerator[RunRecord, None]: ...
@overload
def asolve_many(
    problems: Problems,
    *,
    attempts: int | Attempts,
    samples: int = 1,
    concurrency: int = 8,
    **settings: Unpack[SolverSettings],
) -> AsyncGenerator[Solution, None]: ...
async def asolve_many(
    problems: Problems,
    *,
    attempts: int | Attempts = 1,
    samples: int = 1,
    concurrency: int = 8,
    **settings: Unpack[SolverSettings],
) -> AsyncGenerator[Any, None]:
    """Attempt many problems side by side, and yield each record as its attempt ends; see `solve_many`."""
    known, how = _problems(problems), attempts_of(attempts)
    for name, value in (("samples", samples), ("concurrency", concurrency)):
        if not isinstance(value, int) or value < 1:
            raise InputError(f"{name} is {value!r}; it must be 1 or more")
    if samples > 1 and not how.is_one:
        raise InputError(
            f"samples is {samples} beside attempts; leave out one: attempts are voted on, samples aren't"
        )

    async def attempt_all(put: Callable[[RunRecord | Solution], None]) -> None:
        from mumath_agent.agent import attempts as several
        from mumath_agent.agent.batch import Batch, run_batch

        async with opened_solver(settings) as solver, Grader(workers=2) as grader:
            if how.is_one:
                batch = Batch(problems=known, samples=samples, solver=solver)
                await run_batch(batch, concurrency=concurrency, grader=grader, on_record=put)
            else:
                batch = several.batch_of(known, solver, how)
                await several.solve_problems(
                    batch, how, concurrency=concurrency, grader=grader, on_solution=put
                )

    async for record in put_by(attempt_all):
        yield record


def _never_begun(problem: Problem, settings: SolverSettings, error: ModelError) -> RunRecord:
    """Return the record of an attempt for which there was no model."""
    options = options_of(settings)
    named_model, named_dialect = settings.get("model") or options.model, settings.get("dialect")
    return RunRecord(
        problem=problem,
        settings=Settings(
            model=named_model if isinstance(named_model, str) else "",
            dialect=named_dialect if isinstance(named_dialect, str) else options.dialect or "",
            limits=options.limits,
            sampling=options.sampling,
        ),
        isolation=level_of(options.sandbox),
        version=__version__,
        trajectory=Trajectory(
            transcript=Transcript(question=problem.question),
            completions=(),
            executions=(),
            answer=None,
            stop_reason=named(error)[1],
            error=str(error),
        ),
    )


def _problems(given: Problems) -> tuple[Problem, ...]:
    if isinstance(given, str | Mapping | Problem):
        raise InputError(f"problems is {given!r}; it must be a list of problems, even if there is one")
    problems = tuple(problem_of(each, number) for number, each in enumerate(given, start=1))
    seen = Counter(problem.id for problem in problems)
    if problems and (most := seen.most_common(1)[0])[1] > 1:
        raise InputError(f"{most[1]} problems have the id {most[0]!r}; every problem needs one of its own")
    return problems


def grade(answer: str | None, target: str) -> Outcome | None:
    """Say whether an answer equals the gold answer: a reward that never raises.

    Returns:
        `Outcome.CORRECT`, `INCORRECT` or `NO_ANSWER`; None where the grader can't decide. Leave such a sample out.
    """
    return run_sync(agrade(answer, target))


async def agrade(answer: str | None, target: str) -> Outcome | None:
    """Say whether an answer equals the gold answer; see `grade`."""
    try:
        outcome = await on_bridge(_graded(answer, target))
    except MuMathError:
        return None
    return None if outcome is Outcome.UNGRADED else outcome


async def _graded(answer: str | None, target: str) -> Outcome:
    grader = _graders.setdefault(os.getpid(), Grader(workers=2))
    return (await grader.grade(answer, target)).outcome


_graders: dict[int, Grader] = {}
"""The one grader of `grade`, on the background loop, as long as the process lives; a forked one needs its own."""


def _raise(record: RunRecord) -> NoReturn:
    kind = RAISED.get(record.trajectory.stop_reason, MuMathError)
    raise kind(record.trajectory.error or record.trajectory.stop_reason.value)


__all__ = [
    "agrade",
    "asolve",
    "asolve_many",
    "grade",
    "solve",
    "solve_many",
]
