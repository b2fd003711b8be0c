"""Refuse what a run of the graph can't begin with, in words; its input is `{"question": "..."}`."""

from collections.abc import Callable, Mapping
from typing import Any

from langgraph.runtime import get_runtime

from mumath_agent.errors import GraphInputError, InputError
from mumath_agent.problems import check_question


def checked_context(kind: type[Any]) -> Callable[[], Any]:
    """Return what gives a node the context of its run, which must be of this kind.

    Raises:
        GraphInputError: (when called) it is missing or something else.
    """

    def context() -> Any:
        given = get_runtime(kind).context
        if not isinstance(given, kind):
            raise GraphInputError(
                f"the run's context is {given!r}; pass context={kind.__name__}(model=..., kernel=...)"
            )
        return given

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
