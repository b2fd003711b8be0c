"""The graph as LangGraph's Agent Server runs it: `langgraph dev`, Studio, a deployment. `langgraph.json` names it.

A run over HTTP brings JSON, and no live things. So `solver` is a factory, which the server enters for each run: it
opens the run's kernel, and closes it when the run ends, is cancelled, or stops to ask somebody. A run that waits for
days holds no kernel; when it goes on, `graph.execute` brings the next one to where the last one was.

Who starts a run makes `Choices`. What runs and with which rights is the operator's, by environment: MUMATH_BASE_URL,
MUMATH_MODEL and MUMATH_API_KEY as on the command line (without a server, the embedded model), MUMATH_DIALECT, and
MUMATH_UNSAFE_LOCAL=1. The checkpointer is the server's.
"""

import os
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.graph.state import CompiledStateGraph
from langgraph_sdk.runtime import ServerRuntime

from mumath_agent.agent.graph import Handles, Question, Solved, State, build_graph
from mumath_agent.dialects import Dialect, Fenced
from mumath_agent.kernels import JupyterExecutor, Sandbox
from mumath_agent.models import CompletionModel
from mumath_agent.models.embedded import EmbeddedModel
from mumath_agent.models.select import model_at
from mumath_agent.records import Limits, Sampling, from_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What a run may choose: the JSON of its `context`."""

    limits: Limits = field(default_factory=Limits)
    sampling: Sampling = field(default_factory=Sampling)
    fresh_cells: bool = False
    """A new Python session for every program."""
    rebuild_state: bool = False
    """Rebuild a session that a program broke by running its programs again."""
    approve: bool = False
    """Stop before each program, until somebody approves, edits or rejects it."""


@asynccontextmanager
async def solver(
    config: RunnableConfig, runtime: ServerRuntime[Choices]
) -> AsyncIterator[CompiledStateGraph[State, Any, Question, Solved]]:
    """The graph for one run, with a kernel of its own; for a look at it only, without.

    Raises:
        InputError: the run's context is no `Choices`.
    """
    execution = runtime.execution_runtime
    if execution is None:
        yield build_graph(context_schema=Choices)
        return
    choices = from_json(Choices, execution.context or {})
    sandbox = Sandbox(
        memory_mb=choices.limits.memory_mb,
        unsafe_local=os.environ.get("MUMATH_UNSAFE_LOCAL") == "1",
        seed=zlib.crc32(str(config["configurable"].get("thread_id")).encode()),  # its next kernel's as well
    )
    kernel = JupyterExecutor(
        sandbox, fresh_cells=choices.fresh_cells, rebuild_state=choices.rebuild_state, lazy=True
    )
    async with kernel:
        model, dialect = await _model()
        handles = Handles(
            model=model,
            kernel=kernel,
            dialect=dialect,
            limits=choices.limits,
            sampling=choices.sampling,
            approve=choices.approve,
        )
        yield build_graph(context_schema=Choices, handles=lambda: handles)


_models: list[tuple[CompletionModel, Dialect]] = []
"""The one model of this process and how it is spoken to; open as long as the process lives."""


async def _model() -> tuple[CompletionModel, Dialect]:
    if not _models:
        base_url, dialect = os.environ.get("MUMATH_BASE_URL"), os.environ.get("MUMATH_DIALECT")
        if base_url is None:
            _models.append((EmbeddedModel(), Fenced()))
        else:
            chosen = await model_at([base_url], os.environ.get("MUMATH_MODEL"), dialect)
            _models.append((chosen.model, chosen.dialect))
    return _models[0]
