"""A person looks at a program before it runs: approve it, edit it, or reject it.

The question is a LangGraph interrupt and the answer a `Command(resume=...)`, both in the shape that LangChain's
HumanInTheLoopMiddleware uses for one tool call, so that whatever shows such requests shows ours:

    {"type": "approve"}
    {"type": "edit", "edited_action": {"name": "python", "args": {"code": "print(42)"}}}
    {"type": "reject", "message": "this loops for ever"}

Asking belongs to `graph.execute`; who answers, and how they are asked, is the caller's.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, cast

from langgraph.types import interrupt
from pydantic import Discriminator

TOOL: Literal["python"] = "python"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arguments:
    """What the kernel is given."""

    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """A call of the kernel, as a tool call is written."""

    name: Literal["python"] = TOOL
    args: Arguments


@dataclass(frozen=True, slots=True, kw_only=True)
class Approve:
    """The program runs as it is."""

    type: Literal["approve"] = "approve"


@dataclass(frozen=True, slots=True, kw_only=True)
class Edit:
    """Another program runs in its place."""

    type: Literal["edit"] = "edit"
    edited_action: Action


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """Nothing runs; the model is told so, with the reason."""

    type: Literal["reject"] = "reject"
    message: str = ""


Decision = Approve | Edit | Reject
_CHECKED = Annotated[Decision, Discriminator("type")]


def reviewed(program: str, *, number: int) -> Decision:
    """What somebody decided about the attempt's program `number`; the graph stops here until they have.

    Raises:
        GraphInterrupt: nobody has decided yet.
        pydantic.ValidationError: the answer is no decision; the question stays open.
    """
    request: dict[str, Any] = {
        "type": "tool_approval",
        "tool_call_id": f"program-{number}",
        "name": TOOL,
        "args": {"code": program},
        "description": "The model wants to run this program.",
    }
    return interrupt(request, response_schema=cast(type[Decision], _CHECKED))
