"""Give LangChain and LangGraph agents executed mathematics, as tools and as a middleware.

    MuMathTool          "solve this": a whole attempt, with a model and a kernel of its own, behind one tool call
    PythonKernelTool    the isolated Python session alone, one per conversation
    MuMathMiddleware    the session as a part of a `create_agent` agent: its programs are in the agent's state, so it
                        outlives interrupts and restarts

`session.py` is one conversation's Python session, `session_pool.py` keeps all of them, on the event loop of
`bridge.py`; `tool.py` is what both tools share. `agent_server.py` is for LangGraph's server. The middleware needs
LangChain (the extra `langchain`), the tools don't.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mumath_agent.errors import MissingExtra

if TYPE_CHECKING:
    from mumath_agent.langchain.middleware import MuMathMiddleware
    from mumath_agent.langchain.python_tool import PythonKernelTool
    from mumath_agent.langchain.solve_tool import MuMathTool

_MODULES = {"MuMathMiddleware": "middleware", "MuMathTool": "solve_tool", "PythonKernelTool": "python_tool"}


def __getattr__(name: str) -> Any:
    """Import a name on first use, so that the tools don't need LangChain, or wait for it."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != "langchain":
            raise
        raise MissingExtra(name, "langchain") from None


__all__ = ["MuMathMiddleware", "MuMathTool", "PythonKernelTool"]
