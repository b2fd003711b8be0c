"""Solve from Python: one question or many, every setting a plain value.

    record = solve("What is 17 times 23?", base_url="http://localhost:8000/v1", limits={"max_turns": 6})
    print(record.answer)

Settings that aren't given come from the environment, as on the command line: MUMATH_BASE_URL, MUMATH_MODEL,
MUMATH_DIALECT, MUMATH_API_KEY, MUMATH_UNSAFE_LOCAL. The synchronous functions work inside a running event loop, too.
"""

import asyncio
import difflib
import os
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import fields, replace
from typing import Any, Literal, NoReturn, TypedDict, TypeVar, Unpack

from mumath_agent import __version__
from mumath_agent.agent.failures import RAISED, named
from mumath_agent.agent.solver import (
    AttemptOptions,
    Solver,
    SolverOptions,
    open_solver,
)
from mumath_agent.bridge import run_sync
from mumath_agent.dialects import get_dialect
from mumath_agent.errors import InputError, ModelError, ModelMisconfigured, MuMathError
from mumath_agent.grading import Grader
from mumath_agent.kernels.forkserver import level_of
from mumath_agent.models.named import named_model
from mumath_agent.problems import check_question, problem_of
from mumath_agent.protocols import CompletionModel, Dialect
from mumath_agent.records import (
    BROKEN,
    Limits,
    Outcome,
    Problem,
    RunRecord,
    Sampling,
    Settings,
    Trajectory,
    from_json,
)
from mumath_agent.transcript import Transcript

T = TypeVar("T")


class SolverSettings(TypedDict, total=False):
    """The settings of `solve` and its like."""

    base_url: str | Sequence[str] | None
    """An OpenAI-compatible server, or several that share the work; without one the embedded model solves."""
    model: str | CompletionModel | None
    """The model's name on the server, ollama/NAME or lmstudio/NAME, or a model of your own."""
    local: str | None
    """A GGUF model that runs on this machine: a file, a name of `mumath-agent models`, or owner/repo of the hub."""
    dialect: str | Dialect | None
    """How the model is spoken to, e.g. "chat"; without it, as its family is."""
    api_key: str | None
    limits: Limits | Mapping[str, Any] | None
    """What an attempt may use, e.g. `{"max_turns": 6}`."""
    sampling: Sampling | Mapping[str, Any] | None
    """How tokens are picked, e.g. `{"temperature": 0.7, "seed": 1}`."""
    fresh_cells: bool
    rebuild_state: bool
    unsafe_local: bool


def solve(
    question: str, *, errors: Literal["raise", "record"] = "raise", **settings: Unpack[SolverSettings]
) -> RunRecord:
    """Answer one question and wait for it.

    >>> solve("What is 17 times 23?").answer
    '391'

    Args:
        question: the whole problem, in words and LaTeX.
        errors: "raise" an error of the server or the kernel, or leave it in the "record": `record.trajectory.error`.
        settings: see `SolverSettings`.

    Raises:
        InputError: the question or a setting can't be used; the message names it.
        ModelUnreachable, ModelError, KernelError: machinery broke, unless `errors` is "record".
    """
    return run_sync(asolve(question, errors=errors, **settings))


async def asolve(
    question: str, *, errors: Literal["raise", "record"] = "raise", **settings: Unpack[SolverSettings]
) -> RunRecord:
    """Answer one question; see `solve`."""
    check_question(question)
    if errors not in ("raise", "record"):
        raise InputError(f'errors is {errors!r}; it must be "raise" or "record"')
    problem = Problem(id="question", question=question)
    try:
        async with _opened(settings) as solver:
            record = await solver.solve(problem)
    except ModelMisconfigured:
        raise
    except ModelError as error:  # before there was an attempt
        if errors == "raise":
            raise
        return _never_begun(problem, settings, error)
    if errors == "raise" and record.trajectory.stop_reason in BROKEN:
        _raise(record)
    return record


def solve_many(
    problems: Iterable[str | Mapping[str, Any] | Problem],
    *,
    samples: int = 1,
    concurrency: int = 8,
    **settings: Unpack[SolverSettings],
) -> Generator[RunRecord, None, None]:
    """Attempt many problems side by side, and yield each record as its attempt ends.

    Args:
        problems: questions, mappings as the lines of a JSONL file are, or `Problem`s. Where a gold answer is given, the
            record has a verdict.
        samples: attempts per problem.
        concurrency: attempts at a time.
        settings: see `SolverSettings`.

    Raises:
        InputError: a problem or a setting can't be used; nothing was attempted.
        ModelUnreachable, ModelError: the model can't be had. What breaks in one attempt is in its record.
    """
    records = asolve_many(problems, samples=samples, concurrency=concurrency, **settings)
    try:
        while (record := run_sync(_next(records))) is not None:
            yield record
    finally:
        run_sync(_close(records))


async def asolve_many(
    problems: Iterable[str | Mapping[str, Any] | Problem],
    *,
    samples: int = 1,
    concurrency: int = 8,
    **settings: Unpack[SolverSettings],
) -> AsyncGenerator[RunRecord, None]:
    """Attempt many problems side by side, and yield each record as its attempt ends; see `solve_many`."""
    from mumath_agent.agent.batch import Batch, run_batch

    known = _problems(problems)
    for name, value in (("samples", samples), ("concurrency", concurrency)):
        if not isinstance(value, int) or value < 1:
            raise InputError(f"{name} is {value!r}; it must be 1 or more")
    ended: asyncio.Queue[RunRecord | None] = asyncio.Queue()

    async def attempt_all() -> None:
        try:
            async with _opened(settings) as solver, Grader() as grader:
                batch = Batch(problems=known, samples=samples, solver=solver)
                await run_batch(batch, concurrency=concurrency, grader=grader, on_record=ended.put_nowait)
        finally:
            ended.put_nowait(None)

    attempts = asyncio.ensure_future(attempt_all())
    try:
        while (record := await ended.get()) is not None:
            yield record
        await attempts
    finally:
        attempts.cancel()
        await asyncio.wait({attempts})


def _never_begun(problem: Problem, settings: SolverSettings, error: ModelError) -> RunRecord:
    """Return the record of an attempt for which there was no model."""
    options = _options(settings)
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


def _problems(given: Iterable[str | Mapping[str, Any] | Problem]) -> tuple[Problem, ...]:
    if isinstance(given, str | Mapping | Problem):
        raise InputError(f"problems is {given!r}; it must be a list of problems, even if there is one")
    problems = tuple(problem_of(each, number) for number, each in enumerate(given, start=1))
    seen = Counter(problem.id for problem in problems)
    if problems and (most := seen.most_common(1)[0])[1] > 1:
        raise InputError(f"{most[1]} problems have the id {most[0]!r}; every problem needs one of its own")
    return problems


def options_from_environment(environment: Mapping[str, str] = os.environ) -> SolverOptions:
    """Return the options that MUMATH_BASE_URL, _MODEL, _LOCAL, _DIALECT and MUMATH_UNSAFE_LOCAL=1 set."""
    return SolverOptions(
        base_urls=tuple(environment.get("MUMATH_BASE_URL", "").split()),
        model=environment.get("MUMATH_MODEL") or None,
        local=environment.get("MUMATH_LOCAL") or None,
        dialect=environment.get("MUMATH_DIALECT") or None,
        unsafe_local=environment.get("MUMATH_UNSAFE_LOCAL") == "1",
    )


def grade(answer: str | None, target: str) -> Outcome | None:
    """Say whether an answer equals the gold answer: a reward that never raises.

    Returns:
        `Outcome.CORRECT`, `INCORRECT` or `NO_ANSWER`; None where the grader can't decide. Leave such a sample out.
    """
    try:
        outcome = run_sync(_graded(answer, target))
    except MuMathError:
        return None
    return None if outcome is Outcome.UNGRADED else outcome


async def _graded(answer: str | None, target: str) -> Outcome:
    grader = _graders.setdefault(os.getpid(), Grader(workers=2))
    return (await grader.grade(answer, target)).outcome


_graders: dict[int, Grader] = {}
"""The one grader of `grade`, on the background loop, as long as the process lives; a forked one needs its own."""


@asynccontextmanager
async def _opened(settings: SolverSettings) -> AsyncIterator[Solver]:
    """Open the solver that the settings describe; a model of the caller's own stays open."""
    _refuse_unknown(settings)
    options = _options(settings)
    model, dialect = settings.get("model"), settings.get("dialect")
    if isinstance(dialect, str):
        options, dialect = replace(options, dialect=dialect), None
    if model is None or isinstance(model, str):
        async with open_solver(replace(options, model=model or options.model)) as solver:
            yield replace(solver, dialect=dialect) if dialect else solver
        return
    if not hasattr(model, "complete"):
        raise InputError(f"model is {model!r}; it must be a name or have the methods of a CompletionModel")
    shared: dict[str, Any] = {option.name: getattr(options, option.name) for option in fields(AttemptOptions)}
    yield Solver(model=model, dialect=dialect or get_dialect(options.dialect or "fenced"), **shared)


def _options(given: Mapping[str, Any]) -> SolverOptions:
    """Return the environment's options with what is given in their place."""
    options = options_from_environment()
    if "base_url" in given:
        base_url = given["base_url"]
        urls = (base_url,) if isinstance(base_url, str) else tuple(base_url or ())
        options = replace(options, base_urls=urls, model=options.model if urls else None, local=None)
    if isinstance(given.get("model"), str) and named_model(given["model"]) and not given.get("base_url"):
        options = replace(options, base_urls=(), local=None)
    if given.get("local"):
        options = replace(options, local=str(given["local"]))
        if "base_url" not in given:  # what the environment says is for when nothing is said
            options = replace(options, base_urls=(), model=None)
    return replace(
        options,
        api_key=given.get("api_key"),
        limits=record_of(Limits, "limits", given.get("limits")),
        sampling=record_of(Sampling, "sampling", given.get("sampling")),
        fresh_cells=_flag(given, "fresh_cells", options.fresh_cells),
        rebuild_state=_flag(given, "rebuild_state", options.rebuild_state),
        unsafe_local=_flag(given, "unsafe_local", options.unsafe_local),
    )


def record_of(record_type: type[T], name: str, value: object) -> T:
    """Return a setting as its record; a mapping may leave out what has a default."""
    if value is None:
        return record_type()
    if isinstance(value, record_type):
        return value
    if not isinstance(value, Mapping):
        kind = record_type.__name__
        raise InputError(
            f"{name} is {value!r}; it must be a {kind} or a dict such as {_example(record_type)}"
        )
    try:
        return from_json(record_type, dict(value))
    except InputError as error:
        known = ", ".join(field.name for field in fields(record_type))  # type: ignore[arg-type]
        raise InputError(f"{name}: {error}; known are {known}") from None


def _example(record_type: type[Any]) -> str:
    first = fields(record_type)[0]
    return repr({first.name: first.default})


def _flag(given: Mapping[str, Any], name: str, default: bool) -> bool:
    value = given.get(name, default)
    if not isinstance(value, bool):
        raise InputError(f"{name} is {value!r}; it must be True or False")
    return value


def _refuse_unknown(settings: Mapping[str, Any]) -> None:
    """Name the first setting there is none of, and the one that was probably meant."""
    for name in settings:
        if name in SolverSettings.__annotations__:
            continue
        for place, record_type in (("limits", Limits), ("sampling", Sampling)):
            if name in {field.name for field in fields(record_type)}:
                raise InputError(
                    f"unknown setting {name!r}; it is one of the {place}: {place}={{{name!r}: …}}"
                )
        known = sorted(SolverSettings.__annotations__)
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}"
        raise InputError(f"unknown setting {name!r}; {hint}")


def _raise(record: RunRecord) -> NoReturn:
    kind = RAISED.get(record.trajectory.stop_reason, MuMathError)
    raise kind(record.trajectory.error or record.trajectory.stop_reason.value)


async def _next(records: AsyncIterator[RunRecord]) -> RunRecord | None:
    return await anext(records, None)


async def _close(records: AsyncGenerator[RunRecord, None]) -> None:
    await records.aclose()


__all__ = [
    "SolverSettings",
    "asolve",
    "asolve_many",
    "grade",
    "options_from_environment",
    "record_of",
    "solve",
    "solve_many",
]
