"""What a run of the graph gets from its caller, and how it is refused where it can't be used.

`Handles` are the live things: the run's context, never a part of its state. The input is `{"question": "..."}`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from langgraph.runtime import get_runtime

from mumath_agent.dialects import Fenced
from mumath_agent.errors import GraphInputError, InputError
from mumath_agent.problems import check_question
from mumath_agent.protocols import CompletionModel, Dialect, Executor
from mumath_agent.records import Limits, Sampling


@dataclass(frozen=True, slots=True, kw_only=True)
class Handles:
    """The live things and settings of one attempt. They stay outside the state and outside checkpoints."""

    model: CompletionModel
    kernel: Executor
    dialect: Dialect = field(default_factory=Fenced)
    limits: Limits = field(default_factory=Limits)
    sampling: Sampling = field(default_factory=Sampling)
    approve: bool = False
    """Ask before each program (`approval.py`); needs a checkpointer."""


def handles_of_context() -> Handles:
    """Return the context of the run whose node calls this.

    Raises:
        GraphInputError: it is missing or something else.
    """
    context = get_runtime(Handles).context
    if not isinstance(context, Handles):
        raise GraphInputError(
            f"the run's context is {context!r}; pass context=Handles(model=..., kernel=...)"
        )
    return context


def check_input(state: Mapping[str, Any]) -> None:
    """Refuse a run whose input holds no question that can be asked.

    Raises:
        GraphInputError: the question is missing, empty, too long, or not text.
    """
    try:
        check_question(state.get("question"))
    except InputError as error:
        raise GraphInputError(f"{error}; the graph's input is {{'question': '...'}}") from None
