"""Ask a person about a program before it runs: approve it, edit it, or reject it.

The question is a LangGraph interrupt and the answer a `Command(resume=...)`, both in the shape that LangChain's
HumanInTheLoopMiddleware uses for one tool call, so that a front end that shows such requests shows these too:

    {"type": "approve"}
    {"type": "edit", "edited_action": {"name": "python", "args": {"code": "print(42)"}}}
    {"type": "reject", "message": "this loops for ever"}

`graph.execute` asks; who answers, and how they are asked, is up to the caller.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, cast

from langgraph.types import interrupt
from pydantic import Discriminator

from mumath_agent.records import Execution, ExecutionStatus

TOOL: Literal["python"] = "python"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arguments:
    """The arguments of a call of the kernel."""

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
    """Return the decision on the attempt's program `number`; the graph stops here until there is one.

    Raises:
        GraphInterrupt: there is no decision yet.
        pydantic.ValidationError: the answer isn't a decision; the question stays open.
    """
    request: dict[str, Any] = {
        "type": "tool_approval",
        "tool_call_id": f"program-{number}",
        "name": TOOL,
        "args": {"code": program},
        "description": "The model wants to run this program.",
    }
    return interrupt(request, response_schema=cast(type[Decision], _CHECKED))


def refusal(decision: Reject) -> Execution:
    """Return what stands in the transcript in the place of the output of a rejected program."""
    why = f": {decision.message}" if decision.message else ""
    return Execution(
        status=ExecutionStatus.REFUSED, error=f"The program was not run: a person rejected it{why}"
    )


def visible(program: str) -> str:
    """Return `program` with what a terminal or a page would hide or obey written out, so that all of it can be seen."""
    shown = (c if c in "\n\t" or c.isprintable() else ascii(c)[1:-1] for c in program)
    return "".join(shown)
