"""The web application: the page, its files, and what the page asks for.

    GET  /, /c/ID                    the page; a conversation has an address of its own
    GET  /api/start                  models and history
    GET  /api/c/ID/events            server-sent events (`stream.py`)
    POST /api/ask, /api/c/ID/{stop,decide,remove}
    GET  /a/ID.ipynb, /a/ID.html     an answer as a notebook, or as a page to share

What changes something is a POST with a JSON body, which no page of another site can send without being asked first; the
guard in front (`front.security`) turns other sites' pages and names away.
"""

from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from mumath_agent import __version__
from mumath_agent.errors import InputError, MuMathError
from mumath_agent.front.places import Busy
from mumath_agent.front.security import Access, Guard
from mumath_agent.front.web.answering import MOST_ATTEMPTS, Question
from mumath_agent.front.web.desk import Desk
from mumath_agent.front.web.entrance import ENTER, Entrance
from mumath_agent.front.web.files import file_response, page_response
from mumath_agent.front.web.stream import events
from mumath_agent.records import from_json, to_json
from mumath_agent.runs.notebook import notebook_text
from mumath_agent.runs.page.share import shared_page

MAX_BODY_BYTES = 1 << 20


def web_app(desk: Desk, access: Access) -> ASGIApp:
    """Return the application for the questions of a desk."""
    entrance = Entrance(access)
    routes = [
        Route(ENTER, entrance.enter, methods=["POST"]),
        Route("/", page_response),
        Route("/c/{id}", page_response),
        Route("/static/{name:path}", file_response),
        Route("/api/start", _start),
        Route("/api/ask", _ask, methods=["POST"]),
        Route("/api/c/{id}/events", _events),
        Route("/api/c/{id}/stop", _stop, methods=["POST"]),
        Route("/api/c/{id}/decide", _decide, methods=["POST"]),
        Route("/api/c/{id}/remove", _remove, methods=["POST"]),
        Route("/a/{id}.ipynb", _notebook),
        Route("/a/{id}.html", _shared),
    ]
    app = Starlette(routes=routes, exception_handlers={MuMathError: _told})
    app.state.desk = desk
    guarded = Guard(
        app,
        access,
        refuse=entrance.refuse,
        public=entrance.public,
        max_body_bytes=MAX_BODY_BYTES,
    )
    return entrance.around(guarded)


async def _start(request: Request) -> Response:
    desk = _desk(request)
    return JSONResponse(
        {
            "version": __version__,
            "models": [{"name": each.name, "label": each.label} for each in desk.solvers.choices.values()],
            "history": [to_json(each) for each in desk.history.listed()],
            "attempts": desk.how.number,
            "most_attempts": MOST_ATTEMPTS,
        }
    )


async def _ask(request: Request) -> Response:
    asked = from_json(Question, await _body(request))
    return JSONResponse({"conversation": _desk(request).ask(asked)}, 202)


async def _events(request: Request) -> Response:
    desk, id = _desk(request), request.path_params["id"]
    if not desk.conversation(id):
        return JSONResponse({"error": "there is no such conversation"}, 404)
    return StreamingResponse(events(desk.watch(id)), media_type="text/event-stream")


async def _stop(request: Request) -> Response:
    await _body(request)
    _desk(request).stop(request.path_params["id"])
    return JSONResponse({})


async def _decide(request: Request) -> Response:
    from pydantic import TypeAdapter, ValidationError

    from mumath_agent.agent.approval import Decision

    body = await _body(request)
    try:
        decision = TypeAdapter[Decision](Decision).validate_python(body.get("decision"))
    except ValidationError as error:
        raise InputError(f"not a decision: {error.errors()[0]['msg']}") from None
    _desk(request).decide(request.path_params["id"], str(body.get("token")), decision)
    return JSONResponse({})


async def _remove(request: Request) -> Response:
    await _body(request)
    _desk(request).forget(request.path_params["id"])
    return JSONResponse({})


async def _notebook(request: Request) -> Response:
    kept = _desk(request).history.answer(request.path_params["id"])
    if kept is None or kept.solution is None:
        return JSONResponse({"error": "there is no such answer, or nothing came of it"}, 404)
    text = notebook_text(kept.solution).encode("utf-8", "backslashreplace")
    return _download(text, "application/x-ipynb+json", "solution.ipynb")


async def _shared(request: Request) -> Response:
    kept = _desk(request).history.answer(request.path_params["id"])
    if kept is None or kept.solution is None:
        return JSONResponse({"error": "there is no such answer, or nothing came of it"}, 404)
    text = shared_page(kept.solution, question=kept.view.question).encode("utf-8", "backslashreplace")
    return _download(text, "text/html", "solution.html")


def _download(content: bytes, media_type: str, name: str) -> Response:
    return Response(
        content, media_type=media_type, headers={"content-disposition": f'attachment; filename="{name}"'}
    )


async def _told(request: Request, error: Exception) -> Response:
    if isinstance(error, Busy):
        return JSONResponse({"error": str(error)}, 429, {"retry-after": str(error.retry_after_s)})
    return JSONResponse({"error": str(error)}, 400 if isinstance(error, InputError) else 503)


async def _body(request: Request) -> dict[str, Any]:
    """Return the JSON object that was sent.

    Raises:
        InputError: it isn't one.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise InputError("the request's content-type must be application/json")
    try:
        body = await request.json()
    except (ValueError, RecursionError):
        raise InputError("the request isn't JSON") from None
    if not isinstance(body, dict):
        raise InputError("the request isn't a JSON object")
    return body


def _desk(request: Request) -> Desk:
    desk: Desk = request.app.state.desk
    return desk
