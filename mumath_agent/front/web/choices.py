"""The models that a person can choose in the page, and their solvers, which are opened when they are wanted."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

from mumath_agent.agent.solver import Solver, SolverOptions, open_solver
from mumath_agent.errors import InputError

EMBEDDED = "embedded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A model by the name that the page has for it."""

    name: str
    label: str
    open: Callable[[], AbstractAsyncContextManager[Solver]]
    """Opens a solver with it."""


def choices_of(options: SolverOptions) -> tuple[Choice, ...]:
    """Return what can be chosen: the model of the command line first, then the embedded one and local files."""
    plain = replace(options, base_urls=(), model=None, local=None, weights=None, dialect=None, api_key=None)
    found = [_choice("given", _label(options), options)] if _names_one(options) else []
    found.append(_choice(EMBEDDED, "embedded model", plain))
    if find_spec("xllamacpp") is not None:
        from mumath_agent.models.local.catalogue import CATALOGUE
        from mumath_agent.models.local.find import cached

        found += [
            _choice(entry.name, f"{entry.name} on this machine", replace(plain, local=entry.name))
            for entry in CATALOGUE
            if entry.name != options.local and cached(entry)
        ]
    return tuple(found)


@dataclass(slots=True, eq=False)
class _Open:
    solver: Solver
    closing: AsyncExitStack
    users: int = 0


class Solvers:
    """The solvers of the choices, for one event loop: one model stays open, others as long as they are used."""

    def __init__(self, choices: tuple[Choice, ...]) -> None:
        """Begin without an open one."""
        self.choices = {choice.name: choice for choice in choices}
        self._open: dict[str, _Open] = {}
        self._turns: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._last = ""

    async def __aenter__(self) -> Self:
        """Return this."""
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close all models."""
        for name in tuple(self._open):
            await self._open.pop(name).closing.aclose()

    def choice(self, name: str) -> Choice:
        """Return the choice of that name.

        Raises:
            InputError: there is none.
        """
        if name not in self.choices:
            raise InputError(f"there is no model {name[:40]!r}; choose one of {', '.join(self.choices)}")
        return self.choices[name]

    @asynccontextmanager
    async def use(self, name: str) -> AsyncIterator[Solver]:
        """Yield the solver with that model, opened if need be.

        Raises:
            InputError, ModelError: see `open_solver`.
        """
        async with self._turns[name]:
            found = self._open.get(name) or await self._opened(name)
            found.users += 1
            self._last = name
        try:
            yield found.solver
        finally:
            found.users -= 1
            await self._close_unused()

    async def _opened(self, name: str) -> _Open:
        await asyncio.to_thread(import_module, "mumath_agent.agent.attempts")  # brings LangGraph
        closing = AsyncExitStack()
        solver = await closing.enter_async_context(self.choice(name).open())
        found = self._open[name] = _Open(solver, closing)
        return found

    async def _close_unused(self) -> None:
        for name, found in tuple(self._open.items()):
            if not found.users and name != self._last:
                del self._open[name]
                await found.closing.aclose()


def _choice(name: str, label: str, options: SolverOptions) -> Choice:
    return Choice(name=name, label=label, open=lambda: open_solver(options))


def _names_one(options: SolverOptions) -> bool:
    return bool(options.base_urls or options.model or options.local or options.weights)


def _label(options: SolverOptions) -> str:
    at = f" at {', '.join(options.base_urls)}" if options.base_urls else ""
    file = options.local or options.weights
    name = options.model or (Path(file).name if file else "the model")
    return f"{name}{at}"
