"""The plugin for LangChain and LangGraph: executed mathematics as a tool of any agent.

    MuMathTool          "solve this": a whole attempt, with its own model and kernel, behind one tool call
    PythonKernelTool    the isolated Python session alone, one per conversation
    MuMathMiddleware    the session as a part of a `create_agent` agent: its programs are in the agent's state, so it
                        outlives interrupts and restarts

`session.py` is one conversation's kernel, `sessions.py` keeps them, on the event loop of `bridge.py`.
Nothing here solves anything itself: that is `solver.py`'s. The middleware needs LangChain (the extra
`langchain`), the tools don't.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mumath_agent.errors import InputError

if TYPE_CHECKING:
    from mumath_agent.langchain.middleware import MuMathMiddleware
    from mumath_agent.langchain.python import PythonKernelTool
    from mumath_agent.langchain.solving import MuMathTool

_MODULES = {"MuMathMiddleware": "middleware", "MuMathTool": "solving", "PythonKernelTool": "python"}


def __getattr__(name: str) -> Any:
    """Import on first use: whoever wants a tool doesn't wait for LangChain, or need it."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != "langchain":
            raise
        raise InputError(f"{name} needs LangChain: pip install 'mumath-agent[langchain]'") from None


__all__ = ["MuMathMiddleware", "MuMathTool", "PythonKernelTool"]
