"""The settings of `solve` and its like as plain values, checked, and the solver that they describe.

Settings that aren't given come from the environment, as on the command line.
"""

import difflib
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import fields, replace
from typing import Any, TypedDict, TypeVar

from mumath_agent.agent.solver import AttemptOptions, Solver, SolverOptions, open_solver
from mumath_agent.dialects import get_dialect
from mumath_agent.errors import InputError
from mumath_agent.models.named import named_model
from mumath_agent.protocols import CompletionModel, Dialect
from mumath_agent.records import Limits, Sampling, from_json
from mumath_agent.solutions import Attempts

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


def options_from_environment(environment: Mapping[str, str] = os.environ) -> SolverOptions:
    """Return the options that MUMATH_BASE_URL, _MODEL, _LOCAL, _DIALECT and MUMATH_UNSAFE_LOCAL=1 set."""
    return SolverOptions(
        base_urls=tuple(environment.get("MUMATH_BASE_URL", "").split()),
        model=environment.get("MUMATH_MODEL") or None,
        local=environment.get("MUMATH_LOCAL") or None,
        dialect=environment.get("MUMATH_DIALECT") or None,
        unsafe_local=environment.get("MUMATH_UNSAFE_LOCAL") == "1",
    )


@asynccontextmanager
async def opened_solver(settings: SolverSettings) -> AsyncIterator[Solver]:
    """Open the solver that the settings describe; a model of the caller's own stays open."""
    _refuse_unknown(settings)
    options = options_of(settings)
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


def options_of(given: Mapping[str, Any]) -> SolverOptions:
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


def attempts_of(value: object) -> Attempts:
    """Return how many attempts there are, of a number, a dict such as {"number": 4}, or an `Attempts`.

    Raises:
        InputError: it is none of these.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return Attempts(number=value)
    if isinstance(value, str) and value.isdecimal():  # of the environment
        return Attempts(number=int(value))
    if not isinstance(value, Mapping | Attempts):
        raise InputError(f"attempts is {value!r}; it must be a number, 1 or more, or an Attempts")
    return record_of(Attempts, "attempts", value)


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


__all__ = [
    "SolverSettings",
    "attempts_of",
    "opened_solver",
    "options_from_environment",
    "options_of",
    "record_of",
]
