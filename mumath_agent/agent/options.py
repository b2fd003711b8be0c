"""Which model solves, how it is spoken to and within which limits: the settings every way in shares.

The command line, benchmarks, synthesis, the LangChain tool and LangGraph's server all describe a solver with
`SolverOptions` and open it with `open_solver`. Nothing here imports LangGraph before a solver is built.
"""

import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mumath_agent.dialects import get_dialect
from mumath_agent.errors import InputError
from mumath_agent.kernels import JupyterExecutor, KernelPool, Sandbox
from mumath_agent.records import Limits, Sampling

if TYPE_CHECKING:
    from mumath_agent.agent.solver import Solver
    from mumath_agent.models.select import SelectedModel


@dataclass(frozen=True, slots=True, kw_only=True)
class SolverOptions:
    """Everything that can be set about a solver, as plain values."""

    base_urls: tuple[str, ...] = ()
    """OpenAI-compatible servers that share the work; without one the embedded model solves."""
    model: str | None = None
    """The model's name on the servers, if they serve several."""
    dialect: str | None = None
    """How the model is spoken to; without it, as its family is."""
    api_key: str | None = field(default=None, repr=False)
    """The servers' key; without it, MUMATH_API_KEY of the environment."""
    weights: Path | None = None
    """A folder in the embedded engine's format, in the place of the embedded model's."""
    limits: Limits = field(default_factory=Limits)
    sampling: Sampling = field(default_factory=Sampling)
    fresh_cells: bool = False
    """Give every program a new Python session, as ToRA and MuMath-Code do, instead of one per attempt."""
    rebuild_state: bool = False
    """Rebuild a lost session by running its programs again; kept only if each does exactly what it did."""
    unsafe_local: bool = False
    """Run programs with your own rights where this machine can't confine them."""

    def __post_init__(self) -> None:
        if self.dialect is not None:
            get_dialect(self.dialect)

    @property
    def sandbox(self) -> Sandbox:
        """How programs are confined."""
        return Sandbox(memory_mb=self.limits.memory_mb, unsafe_local=self.unsafe_local)

    def executor(
        self,
        sandbox: Sandbox | None = None,
        *,
        pool: KernelPool | None = None,
        lazy: bool = False,
        seed: int | None = None,
    ) -> JupyterExecutor:
        """Return a new kernel for one attempt; `sandbox` replaces the one that follows from the options."""
        return JupyterExecutor(
            sandbox or self.sandbox,
            pool=pool,
            fresh_cells=self.fresh_cells,
            rebuild_state=self.rebuild_state,
            lazy=lazy,
            seed=seed,
        )

    async def select_model(self) -> "SelectedModel":
        """Find the model and its dialect; a server is asked only for what the options don't say.

        Raises:
            InputError: an address isn't one, or the options contradict each other.
            ModelUnreachable, ModelRefused: the server doesn't tell what it serves.
        """
        from mumath_agent.models.select import embedded_model, model_at  # brings HTTP and the engine

        if self.base_urls and self.weights is not None:
            raise InputError(
                f"--weights {self.weights} is for the embedded engine; leave out it or --base-url"
            )
        if self.model is not None and not self.base_urls:
            raise InputError(
                f"--model {self.model} needs --base-url, the address of the server that serves it"
            )
        if self.base_urls:
            return await model_at(self.base_urls, self.model, self.dialect, api_key=self.api_key)
        return embedded_model(self.weights, self.dialect)

    def solver(self, selected: "SelectedModel") -> "Solver":
        """Return a solver with this model."""
        from mumath_agent.agent.solver import Solver

        return Solver(
            model=selected.model,
            dialect=selected.dialect,
            limits=self.limits,
            sampling=self.sampling,
            fresh_cells=self.fresh_cells,
            rebuild_state=self.rebuild_state,
            unsafe_local=self.unsafe_local,
        )


@asynccontextmanager
async def open_solver(
    options: SolverOptions, on_notice: Callable[[str], None] = lambda _: None
) -> AsyncIterator["Solver"]:
    """Open a solver: select its model and warm it up; the model is closed at the end.

    `on_notice` is told what is known of the model's family, where the dialect follows from it.

    Raises:
        InputError, ModelUnreachable, ModelRefused: see `SolverOptions.select_model`.
    """
    selected = await options.select_model()
    try:
        if selected.family.notice and options.dialect is None:
            on_notice(selected.family.notice)
        await selected.model.warm_up()
        yield options.solver(selected)
    finally:
        await selected.model.aclose()


def options_from_environment(environment: Mapping[str, str] = os.environ) -> SolverOptions:
    """Return the options that MUMATH_BASE_URL, MUMATH_MODEL, MUMATH_DIALECT and MUMATH_UNSAFE_LOCAL=1 set."""
    return SolverOptions(
        base_urls=tuple(environment.get("MUMATH_BASE_URL", "").split()),
        model=environment.get("MUMATH_MODEL") or None,
        dialect=environment.get("MUMATH_DIALECT") or None,
        unsafe_local=environment.get("MUMATH_UNSAFE_LOCAL") == "1",
    )
