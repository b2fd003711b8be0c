"""Serve the graph with LangGraph's Agent Server: `langgraph dev`, Studio, a deployment.

`langgraph.json` names the factory `solver`, which the server enters for each run: a run over HTTP brings only JSON, so
the factory opens the run's kernel, and closes it when the run ends, is cancelled, or stops to ask a person. A run that
waits for days holds no kernel; when it goes on, `graph.execute` brings the next one to where the last one was.

A run's context is its `Choices`. Which model runs, and with which rights programs run, is the operator's choice, by
environment variables: MUMATH_BASE_URL, MUMATH_MODEL and MUMATH_API_KEY as on the command line (without a server, the
embedded model), MUMATH_DIALECT, and MUMATH_UNSAFE_LOCAL=1. The checkpointer is the server's.
"""

import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.graph.state import CompiledStateGraph
from langgraph_sdk.runtime import ServerRuntime

from mumath_agent.agent.graph import Handles, Question, Solved, State, build_graph
from mumath_agent.agent.settings import options_from_environment
from mumath_agent.agent.solver import SolverOptions
from mumath_agent.errors import GraphInputError, InputError
from mumath_agent.models.select import SelectedModel
from mumath_agent.records import Limits, Sampling, from_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What a run may choose: the fields of its JSON `context`."""

    limits: Limits = field(default_factory=Limits)
    sampling: Sampling = field(default_factory=Sampling)
    fresh_cells: bool = False
    """Give every program a new Python session."""
    rebuild_state: bool = False
    """Rebuild a session that a program broke by running its programs again."""
    approve: bool = False
    """Stop before each program, until a person approves, edits or rejects it."""


@asynccontextmanager
async def solver(
    config: RunnableConfig, runtime: ServerRuntime[Choices]
) -> AsyncIterator[CompiledStateGraph[State, Any, Question, Solved]]:
    """Yield the graph for one run, with a kernel of its own; where the server only inspects it, without.

    Raises:
        GraphInputError: the run's context doesn't fit `Choices`.
    """
    execution = runtime.execution_runtime
    if execution is None:
        yield build_graph(context_schema=Choices)
        return
    choices = _choices(execution.context)
    options = replace(
        options_from_environment(),
        limits=choices.limits,
        fresh_cells=choices.fresh_cells,
        rebuild_state=choices.rebuild_state,
    )
    # When the run goes on in another kernel, that one begins with the same seed.
    seed = zlib.crc32(str(config["configurable"].get("thread_id")).encode())
    async with options.new_kernel(lazy=True, seed=seed) as kernel:
        selected = await _model(options)
        handles = Handles(
            model=selected.model,
            kernel=kernel,
            dialect=selected.dialect,
            limits=choices.limits,
            sampling=choices.sampling,
            approve=choices.approve,
        )
        yield build_graph(context_schema=Choices, handles=lambda: handles)


def _choices(context: object) -> Choices:
    try:
        return from_json(Choices, context or {})
    except InputError as error:
        raise GraphInputError(f"the run's context can't be used: {error}") from None


_models: list[SelectedModel] = []
"""The one model of this process; open as long as the process lives."""


async def _model(options: SolverOptions) -> SelectedModel:
    if not _models:
        _models.append(await options.select_model())
    return _models[0]
