"""The agent as a model of the OpenAI API: /v1/chat/completions and /v1/models, /health, and /metrics for Prometheus.

A request takes a place, or is told when to come again. The agent's words, programs and outputs are the answer's
`reasoning_content`, streamed as they come; the `content` is the answer alone. A client that goes away ends its attempt.
"""

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Send

from mumath_agent.agent.streaming import put_by
from mumath_agent.errors import InputError, KernelError, ModelError, MuMathError
from mumath_agent.front.api.answers import (
    BOXED,
    DONE,
    WAITING,
    Head,
    as_json,
    broken_off,
    content_of,
    finish_of,
    records_of,
)
from mumath_agent.front.api.conversations import Conversations
from mumath_agent.front.api.metrics import Metrics
from mumath_agent.front.api.requests import BadRequest, ChatRequest, error_body, read_request, refusal
from mumath_agent.front.places import Busy
from mumath_agent.front.security import Access, Guard
from mumath_agent.front.service import Asked, OnEvent, Service, in_conversation, with_ticks
from mumath_agent.protocols import Conversation
from mumath_agent.records import RunRecord, StopReason
from mumath_agent.solutions import Solution
from mumath_agent.transcript import Transcript

T = TypeVar("T")
Results = Sequence[RunRecord | Solution]

_OF_A_TRANSCRIPT = ("text", "output", "note")
_OF_SEVERAL = ("ended", "votes")
_BROKE = {StopReason.KERNEL_ERROR: KernelError, StopReason.INTERNAL_ERROR: MuMathError}


class Api:
    """The routes of the server."""

    def __init__(
        self,
        service: Service,
        *,
        name: str,
        answer_line: str = BOXED,
        on_error: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Serve the agent under this name; `on_error` is told what clients aren't: the details of what broke.

        Raises:
            InputError: the line that says the answer has no place for it, or isn't one line.
        """
        if "{}" not in answer_line or not answer_line.isprintable():
            raise InputError(
                f"the answer's line is {answer_line!r}; it must be one line with {{}} for the answer"
            )
        self._service, self._name, self._line, self._on_error = service, name, answer_line, on_error
        self._conversations = Conversations(service.sessions)
        self.metrics = Metrics(service)
        self._created = int(time.time())

    def app(self, access: Access) -> ASGIApp:
        """Return the server, guarded."""
        routes = [
            Route("/v1/chat/completions", self._chat, methods=["POST"]),
            Route("/v1/models", self._models),
            Route("/v1/models/{name:path}", self._model),
            Route("/health", self._health),
            Route("/metrics", self._metrics),
        ]
        handlers: dict[Any, Any] = {
            HTTPException: _of_http,
            MuMathError: self._failed,
            Exception: self._failed,
        }
        served = Starlette(routes=routes, exception_handlers=handlers)
        return self.metrics.counting(Guard(served, access, refuse=refusal, public=("/health",)))

    async def _chat(self, request: Request) -> Response:
        chat = read_request(await request.body(), self._name)
        head = Head(
            id=f"chatcmpl-{uuid.uuid4().hex}", created=int(time.time()), model=self._name, line=self._line
        )
        owner = request.state.owner
        self._service.places.check(owner)  # before an answer begins with status 200
        if chat.stream:
            pieces = self._pieces(chat, owner, head)
            return _Stream(pieces, media_type="text/event-stream", headers={"cache-control": "no-store"})
        results = await _unless_gone(request, self._results(chat, owner))
        if results is None:
            return Response(status_code=499)
        return Response(as_json(head.whole(results, chat.stops)), media_type="application/json")

    async def _pieces(self, chat: ChatRequest, owner: str, head: Head) -> AsyncGenerator[bytes, None]:
        """Yield the answer as server-sent events."""
        for index in range(chat.n or 1):
            yield head.piece(index, {"role": "assistant", "content": ""})

        async def work(put: Callable[[bytes], None]) -> None:
            def tell(number: int, event: str, text: str) -> None:
                if text and event in _OF_A_TRANSCRIPT and self._is_alone(chat):
                    put(head.piece(number, {"reasoning_content": text}))
                elif text and event in _OF_SEVERAL and not self._is_alone(chat):
                    put(head.piece(0, {"reasoning_content": f"attempt {number + 1} {event}: {text}\n"}))

            results = await with_ticks(lambda: self._results(chat, owner, tell), lambda: put(WAITING))
            for index, result in enumerate(results):
                put(head.piece(index, {"content": content_of(result, chat.stops, self._line)}))
                put(head.piece(index, {}, finish_of(result)))
            if chat.stream_options and chat.stream_options.include_usage:
                put(head.usage(results))
            put(DONE)

        try:
            async with aclosing(put_by(work)) as pieces:
                async for piece in pieces:
                    yield piece
        except MuMathError as error:
            yield broken_off(*self._in_public(error))

    def _is_alone(self, chat: ChatRequest) -> bool:
        """Tell whether each choice is one attempt, whose transcript can be shown as it grows."""
        return (chat.n or 1) > 1 or self._service.is_one(chat.attempts or 1)

    async def _results(self, chat: ChatRequest, owner: str, on_event: OnEvent = lambda *_: None) -> Results:
        """Return the result of each choice.

        Raises:
            Busy: there is no place.
            MuMathError: the model or a kernel broke all of them.
        """
        async with self._service.places.one(owner):
            if chat.n and chat.n > 1:
                asked = replace(await self._asked(chat, owner), attempts=chat.n)
                results: Results = await self._service.several(asked, on_event)
            elif self._is_alone(chat):
                results = [await self._in_session(chat, owner, on_event)]
            else:
                results = [await self._service.answer(await self._asked(chat, owner), on_event)]
        records = [record for result in results for record in records_of(result)]
        self.metrics.count(records)
        broken = [record.trajectory for record in records if record.trajectory.error]
        if broken and len(broken) == len(records):
            kind = _BROKE.get(broken[0].stop_reason, ModelError)
            raise kind(f"{broken[0].stop_reason.value}: {broken[0].error}")
        return results

    async def _in_session(self, chat: ChatRequest, owner: str, on_event: OnEvent) -> RunRecord | Solution:
        """Make one attempt in the conversation's session; it lasts if all goes well."""
        kept = await self._conversations.take(owner, chat.said)
        try:
            asked = replace(await self._asked(chat, owner, kept.programs), session=kept.handle)
            result = await self._service.answer(asked, on_event)
        except BaseException:
            if self._service.sessions.has(kept.handle, owner):
                self._service.sessions.end_soon(kept.handle, owner)
            raise
        if isinstance(result, RunRecord) and not self._service.options.fresh_cells:
            kept = kept.after(result)
        self._conversations.keep(kept, chat.said, content_of(result, chat.stops, self._line))
        return result

    async def _asked(self, chat: ChatRequest, owner: str, programs: Sequence[str] = ()) -> Asked:
        solver = await self._service.solver()
        follows = isinstance(solver.dialect.prompt(Transcript(question="?")), Conversation)
        instructions = chat.instructions if follows else ""
        return Asked(
            question=in_conversation(chat.question, chat.earlier, instructions, programs),
            owner=owner,
            attempts=chat.attempts or 1,
            sampling=chat.sampling(solver.sampling),
            max_new_tokens=chat.most_tokens,
        )

    async def _models(self, _: Request) -> Response:
        return JSONResponse({"object": "list", "data": [self._about()]})

    async def _model(self, request: Request) -> Response:
        if request.path_params["name"] != self._name:
            return JSONResponse(
                error_body(404, "there is no such model here", "model", "model_not_found"), 404
            )
        return JSONResponse(self._about())

    def _about(self) -> dict[str, Any]:
        return {"id": self._name, "object": "model", "created": self._created, "owned_by": "mumath-agent"}

    async def _health(self, _: Request) -> Response:
        return JSONResponse({"status": "ok" if self._service.is_ready else "loading"})

    async def _metrics(self, _: Request) -> Response:
        return PlainTextResponse(self.metrics.text(), media_type="text/plain; version=0.0.4")

    async def _failed(self, _: Request, error: Exception) -> Response:
        status, message = self._in_public(error)
        param, code = getattr(error, "param", None), getattr(error, "code", None)
        headers = {"retry-after": str(error.retry_after_s)} if isinstance(error, Busy) else None
        return JSONResponse(error_body(status, message, param, code), status, headers)

    def _in_public(self, error: Exception) -> tuple[int, str]:
        """Return status and message of an error; what only concerns the server's owner is told to them alone."""
        if isinstance(error, BadRequest):
            return error.status, str(error)
        if isinstance(error, Busy):
            return 429, str(error)
        self._on_error(f"{type(error).__name__}: {error}")
        if isinstance(error, ModelError | InputError):
            return 502, "the model can't be used now; the server's log says why"
        if isinstance(error, KernelError):
            return 503, "no Python session could be started; the server's log says why"
        return 500, "a fault of the server; its log says more"


class _Stream(StreamingResponse):
    """An answer in pieces, whose source ends with it, also where the client doesn't read to the end."""

    async def stream_response(self, send: Send) -> None:
        """Send all pieces, and close their source."""
        assert isinstance(self.body_iterator, AsyncGenerator)
        async with aclosing(self.body_iterator):
            await super().stream_response(send)


async def _unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T | None:
    """Return what `work` returns; None if the client goes away before, which ends it."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    working, going = asyncio.ensure_future(work), asyncio.ensure_future(gone())
    try:
        await asyncio.wait({working, going}, return_when=asyncio.FIRST_COMPLETED)
        return await working if working.done() else None
    finally:
        going.cancel()
        if not working.done():
            working.cancel()
            await asyncio.wait({working})


async def _of_http(_: Request, error: Exception) -> Response:
    """Answer what the routes don't know: a wrong path or method."""
    assert isinstance(error, HTTPException)
    return JSONResponse(error_body(error.status_code, error.detail), error.status_code, error.headers)
