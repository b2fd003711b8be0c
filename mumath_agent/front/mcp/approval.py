"""Ask the person at the client about each program before it runs, in the form that the client's protocol knows.

Up to 2025-11-25 the server asks in the middle of a call (an elicitation). From 2026-07-28 on it can't: the call ends
with the question, and the client makes the same call again with the answer; meanwhile the attempt waits here.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from mcp.server.elicitation import render_elicitation_schema
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import (
    CallToolResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequiredResult,
)
from mcp_types.version import is_version_at_least
from pydantic import BaseModel, Field

from mumath_agent.agent.approval import Action, Approve, Arguments, Decision, Edit, Reject, refusal
from mumath_agent.dialects.output import plain
from mumath_agent.records import Execution

_ROUNDS_SINCE = "2026-07-28"
_PATIENCE_S = 900.0
"""Seconds in which a question must be answered."""
_KEY = "program"
_ID_BYTES = 18

Review = Callable[[str], Awaitable[Decision]]
Work = Callable[[Review], Coroutine[Any, Any, CallToolResult]]


class Form(BaseModel):
    """What the person fills in."""

    program: str = Field(default="", title="Another program, to run in its place (empty: run this one)")


@dataclass(slots=True, eq=False)
class _Run:
    """A call under way, whose programs are asked about."""

    owner: str
    programs: "asyncio.Queue[tuple[str, asyncio.Future[Decision]]]" = field(default_factory=asyncio.Queue)
    task: "asyncio.Task[CallToolResult] | None" = None
    asked: "tuple[str, asyncio.Future[Decision]] | None" = None
    timer: asyncio.TimerHandle | None = None

    async def review(self, program: str) -> Decision:
        """Ask, and wait for the decision."""
        decided: asyncio.Future[Decision] = asyncio.get_running_loop().create_future()
        self.programs.put_nowait((program, decided))
        return await decided

    async def advance(self) -> CallToolResult | None:
        """Return the result; None if there is a program to ask about before."""
        assert self.task is not None
        asking = asyncio.ensure_future(self.programs.get())
        try:
            await asyncio.wait({self.task, asking}, return_when=asyncio.FIRST_COMPLETED)
            if asking.done():
                self.asked = asking.result()
                return None
            return await self.task
        finally:
            asking.cancel()

    async def end(self) -> None:
        """End the call, and wait until it has ended."""
        assert self.task is not None
        self.task.cancel()
        await asyncio.wait({self.task})


class Approvals:
    """The calls that wait for a person."""

    def __init__(self, most_waiting: int) -> None:
        """Begin with none; the oldest is given up for one more than so many, since each holds a place."""
        self._most_waiting = max(1, most_waiting)
        self._waiting: dict[str, _Run] = {}

    async def run(self, context: Context, owner: str, work: Work) -> CallToolResult | InputRequiredResult:
        """Do the work of a call, and ask about its programs; in the newer form only up to the next question.

        Raises:
            ToolError: this client can't ask anybody, or answers what wasn't asked.
        """
        rounds = is_version_at_least(context.protocol_version or "", _ROUNDS_SINCE)
        run = self._going_on(context, owner) if context.request_state else self._begun(context, owner, work)
        try:
            while (result := await run.advance()) is None:
                if rounds:
                    return self._question(run)
                program, decided = run.asked or ("", None)
                answer = await context.elicit(_text(program), Form)
                if decided is not None:
                    decided.set_result(_decision(answer.action, getattr(answer, "data", None)))
            return result
        except BaseException:
            await run.end()
            raise

    async def aclose(self) -> None:
        """End the calls that wait."""
        for name in list(self._waiting):
            await self._taken(name).end()

    def _begun(self, context: Context, owner: str, work: Work) -> _Run:
        capabilities = context.client_capabilities
        if capabilities is None or capabilities.elicitation is None:
            raise ToolError(
                "Programs have to be approved here, and this client can't ask anybody: "
                "start the server without --approve, or use another client."
            )
        run = _Run(owner)
        run.task = asyncio.create_task(work(run.review))
        return run

    def _going_on(self, context: Context, owner: str) -> _Run:
        name = context.request_state or ""
        if name not in self._waiting or self._waiting[name].owner != owner:
            raise ToolError("The call this belongs to has ended; make it again from the beginning.")
        run = self._taken(name)
        answer = (context.input_responses or {}).get(_KEY)
        assert run.asked is not None
        if isinstance(answer, ElicitResult):
            form = Form.model_validate(answer.content or {})
            run.asked[1].set_result(_decision(answer.action, form))
        else:
            run.asked[1].set_result(Reject())
        return run

    def _question(self, run: _Run) -> InputRequiredResult:
        """Return the question as the end of this call, and let the run wait for the next one."""
        while len(self._waiting) >= self._most_waiting:
            self._give_up(next(iter(self._waiting)))
        name = secrets.token_urlsafe(_ID_BYTES)
        self._waiting[name] = run
        run.timer = asyncio.get_running_loop().call_later(_PATIENCE_S, self._give_up, name)
        program, _ = run.asked or ("", None)
        params = ElicitRequestFormParams(
            message=_text(program), requested_schema=render_elicitation_schema(Form)
        )
        return InputRequiredResult(input_requests={_KEY: ElicitRequest(params=params)}, request_state=name)

    def _taken(self, name: str) -> _Run:
        run = self._waiting.pop(name)
        if run.timer is not None:
            run.timer.cancel()
        return run

    def _give_up(self, name: str) -> None:
        task = self._taken(name).task
        if task is not None:
            task.cancel()


async def approved(program: str, review: Review) -> str | Execution:
    """Return the program that may run, or the refusal in the place of its execution."""
    match await review(program):
        case Reject() as rejected:
            return refusal(rejected)
        case Edit() as edited:
            return edited.edited_action.args.code
        case _:
            return program


def _text(program: str) -> str:
    return f"Run this program?\n\n```python\n{plain(program).rstrip()}\n```"


def _decision(action: str, form: Form | None) -> Decision:
    if action != "accept":
        return Reject()
    changed = form.program if form else ""
    return Edit(edited_action=Action(args=Arguments(code=changed))) if changed.strip() else Approve()
