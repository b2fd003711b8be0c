"""The agent as tools of the Model Context Protocol: `solve` a question, and run `python` in a session that lasts.

Both eras of the protocol are served. Where the newer one has no sessions, a Python session is an explicit handle; so is
the transcript of a solution, a resource. A call tells its progress every second, and ends with its client's request.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ResourceNotFoundError, ToolError
from mcp.server.transport_security import TransportSecuritySettings
from mcp_types import (
    CallToolResult,
    ContentBlock,
    ImageContent,
    InputRequiredResult,
    ResourceLink,
    TextContent,
    ToolAnnotations,
)
from pydantic import Field
from starlette.types import ASGIApp

from mumath_agent import __version__
from mumath_agent.dialects.arguments import unfenced
from mumath_agent.dialects.output import output_text, plain
from mumath_agent.errors import InputError, MuMathError
from mumath_agent.front.mcp import words
from mumath_agent.front.mcp.progress import Progress
from mumath_agent.front.mcp.transcripts import Transcripts
from mumath_agent.front.places import Busy
from mumath_agent.front.security import MAX_BODY_BYTES, Access, Guard
from mumath_agent.front.service import MOST_ATTEMPTS, Asked, Service
from mumath_agent.front.sessions import SessionGone
from mumath_agent.records import Execution, RunRecord
from mumath_agent.runs.wording import report
from mumath_agent.solutions import Solution

if TYPE_CHECKING:
    from mumath_agent.front.mcp.approval import Review

PATH = "/mcp"
_URI = "mumath://transcripts/"
_PURE = ToolAnnotations(read_only_hint=True, destructive_hint=False, open_world_hint=False)
_ENDS = ToolAnnotations(destructive_hint=True, idempotent_hint=True, open_world_hint=False)

Question = Annotated[str, Field(description=words.QUESTION)]
Code = Annotated[str, Field(description=words.CODE)]
NumberOfAttempts = Annotated[int, Field(ge=1, le=MOST_ATTEMPTS, description=words.ATTEMPTS)]
Handle = Annotated[str, Field(description=words.HANDLE)]
Result = CallToolResult | InputRequiredResult


class Tools:
    """The tools and resources of the server, for one event loop."""

    def __init__(
        self,
        service: Service,
        *,
        approve: bool = False,
        on_error: Callable[[str], None] = lambda _: None,
        caution: str = "",
    ) -> None:
        """Offer the service; with `approve`, a person is asked about each program."""
        self._service, self._on_error = service, on_error
        self._approvals = None
        if approve:
            from mumath_agent.front.mcp.approval import Approvals  # brings LangGraph

            self._approvals = Approvals(service.places.at_once // 2)
        self._transcripts = Transcripts()
        self._caution = f"{caution} " if caution else ""

    def server(self) -> MCPServer[Any]:
        """Return the server, for any transport."""
        server: MCPServer[Any] = MCPServer(
            "mumath-agent", version=__version__, instructions=words.INSTRUCTIONS, log_level="ERROR"
        )
        server.add_tool(
            self.solve,
            description=words.SOLVE.format(caution=self._caution),
            annotations=_PURE,
            structured_output=False,
        )
        server.add_tool(self.python, description=words.PYTHON, annotations=_PURE, structured_output=False)
        server.add_tool(self.end_session, description=words.END, annotations=_ENDS, structured_output=False)
        server.resource(
            _URI + "{transcript}",
            name="transcript",
            description=words.TRANSCRIPT,
            mime_type="text/markdown",
        )(self.transcript)
        return server

    def http_app(self, access: Access) -> ASGIApp:
        """Return the server for streamable HTTP at `PATH`, guarded."""
        ours = TransportSecuritySettings(enable_dns_rebinding_protection=False)  # the guard does it
        app = self.server().streamable_http_app(
            streamable_http_path=PATH, transport_security=ours, max_request_body_size=MAX_BODY_BYTES
        )
        return Guard(app, access)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """End with the block what still waits for a person."""
        try:
            yield
        finally:
            if self._approvals:
                await self._approvals.aclose()

    async def solve(self, question: Question, ctx: Context, attempts: NumberOfAttempts = 1) -> Result:
        """Answer a question."""
        owner, told = _owner(ctx), Progress("at work" if self._service.is_ready else "loading the model")

        async def work(review: "Review | None") -> CallToolResult:
            asked = Asked(question=question, owner=owner, attempts=attempts)
            if review and not self._service.is_one(attempts):
                raise InputError("programs have to be approved here, which goes with one attempt")
            async with self._service.places.one(owner):
                result = await self._service.answer(asked, told.hear, review)
            return self._solved(owner, result)

        return await self._call(ctx, owner, told, work)

    async def python(self, code: Code, ctx: Context, session: Handle = "") -> Result:
        """Run a program."""
        owner, told = _owner(ctx), Progress("running")

        async def work(review: "Review | None") -> CallToolResult:
            ran = unfenced(code)
            if review:
                from mumath_agent.front.mcp.approval import approved

                decided = await approved(ran, review)
                if isinstance(decided, Execution):
                    return _shown(decided, session)
                ran = decided
            return await self._run(ran, owner, session)

        return await self._call(ctx, owner, told, work)

    async def end_session(self, session: Handle, ctx: Context) -> CallToolResult:
        """End a session."""
        try:
            await self._service.sessions.end(session, _owner(ctx))
        except SessionGone as gone:
            raise ToolError(str(gone)) from None
        return CallToolResult(content=[TextContent(text="ended")])

    def transcript(self, transcript: str, ctx: Context) -> str:
        """Return a transcript.

        Raises:
            ResourceNotFoundError: there is none of this client by that id.
        """
        text = self._transcripts.read(_owner(ctx), transcript)
        if text is None:
            raise ResourceNotFoundError("there is no such transcript; only the last ones are kept")
        return plain(text)

    async def _run(self, code: str, owner: str, session: str) -> CallToolResult:
        """Run a program in a session; a new one lasts only if the client learns its handle."""
        sessions = self._service.sessions
        handle = session or await sessions.begin(owner)
        try:
            async with sessions.use(handle, owner) as kernel, self._service.places.one(owner):
                seconds = self._service.options.limits.cell_timeout_s
                return _shown(await kernel.run(code, timeout_s=seconds), handle)
        except BaseException:
            if not session and sessions.has(handle, owner):
                sessions.end_soon(handle, owner)
            raise

    async def _call(
        self,
        ctx: Context,
        owner: str,
        told: Progress,
        work: "Callable[[Review | None], Awaitable[CallToolResult]]",
    ) -> Result:
        """Do the work of a call; what it tells is the client's progress, and what breaks an error for its model."""
        telling = asyncio.create_task(told.tell(ctx))
        try:
            if self._approvals:
                return await self._approvals.run(ctx, owner, lambda review: self._in_words(work, review))
            return await self._in_words(work, None)
        finally:
            telling.cancel()

    async def _in_words(
        self, work: "Callable[[Review | None], Awaitable[CallToolResult]]", review: "Review | None"
    ) -> CallToolResult:
        try:
            return await work(review)
        except (Busy, InputError) as error:
            raise ToolError(str(error)) from None
        except MuMathError as error:
            self._on_error(f"{type(error).__name__}: {error}")
            raise ToolError("It can't be done now; the server's log says why.") from None

    def _solved(self, owner: str, result: RunRecord | Solution) -> CallToolResult:
        records = result.attempts if isinstance(result, Solution) else [result]
        if records and all(record.trajectory.error for record in records):
            raise MuMathError(records[0].trajectory.error)
        name = self._transcripts.keep(owner, result)
        shown = result.best if isinstance(result, Solution) else result
        figures = [
            figure for each in (shown.trajectory.executions if shown else ()) for figure in each.artefacts
        ]
        link = ResourceLink(uri=f"{_URI}{name}", name="transcript", mime_type="text/markdown")
        return CallToolResult(content=[TextContent(text=plain(report(result))), *map(_image, figures), link])


def _owner(ctx: Context) -> str:
    """Return whose request it is: over HTTP, of the key; over stdio there is one client."""
    scope = getattr(ctx.request_context.request, "scope", None) or {}
    owner: str = scope.get("state", {}).get("owner", "")
    return owner


def _shown(execution: Execution, handle: str) -> CallToolResult:
    text = output_text(execution, max_chars=words.OUTPUT_CHARS)
    content: list[ContentBlock] = [TextContent(text=text), *map(_image, execution.artefacts)]
    if handle:
        content.append(TextContent(text=f"session: {handle}"))
    return CallToolResult(content=content)


def _image(data_url: str) -> ImageContent:
    head, _, data = data_url.partition(",")
    return ImageContent(data=data, mime_type=head.removeprefix("data:").removesuffix(";base64"))
