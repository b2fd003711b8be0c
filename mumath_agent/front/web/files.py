"""The files of the page. The server has exactly these; no path is made of what a client asks for."""

from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from mumath_agent.runs.page import FOLDER

_STATIC = Path(__file__).parent / "static"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
FILES = {
    **{path.name: path for path in _STATIC.iterdir() if path.suffix in _TYPES},
    "transcript.css": FOLDER / "transcript.css",
    "transcript.js": FOLDER / "transcript.js",
    **{
        path.relative_to(FOLDER).as_posix(): path
        for path in (FOLDER / "katex").rglob("*")
        if path.suffix in _TYPES
    },
}
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "font-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}
"""Of every response."""


async def page_response(request: Request) -> Response:
    """Return the page."""
    return html("page.html")


def html(name: str, status: int = 200) -> Response:
    """Return one of our pages."""
    return Response((_STATIC / name).read_bytes(), status, media_type="text/html; charset=utf-8")


async def file_response(request: Request) -> Response:
    """Return one of the page's files."""
    path = FILES.get(request.path_params["name"])
    if path is None:
        return Response("there is no such file", 404, media_type="text/plain")
    cached = {"cache-control": "max-age=86400"} if "katex" in path.parts else {"cache-control": "no-cache"}
    return Response(path.read_bytes(), media_type=_TYPES[path.suffix], headers=cached)
