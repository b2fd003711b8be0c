"""Count what a server does, and show it in the text form that Prometheus reads."""

from collections import Counter
from collections.abc import Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mumath_agent.front.service import Service
from mumath_agent.records import RunRecord

_HELP = {
    "requests_total": ("counter", "Requests by path and status; 499: the client has gone."),
    "attempts_total": ("counter", "Attempts by why they ended."),
    "tokens_total": ("counter", "Tokens read and written by the model."),
    "solving_seconds_total": ("counter", "Seconds that attempts took."),
    "answering": ("gauge", "Requests that are answered now."),
    "waiting": ("gauge", "Requests that wait for a place."),
    "sessions": ("gauge", "Python sessions that live."),
    "ready": ("gauge", "1 once the model is loaded."),
}
_PATHS = ("/v1/chat/completions", "/v1/models", "/health", "/metrics")


class Metrics:
    """The counters of a server."""

    def __init__(self, service: Service) -> None:
        """Begin at 0."""
        self._service = service
        self._counted: Counter[tuple[str, str]] = Counter()

    def count(self, records: Sequence[RunRecord]) -> None:
        """Count attempts that ended."""
        for record in records:
            attempt = record.trajectory
            self._counted["attempts_total", f'ended="{attempt.stop_reason.value}"'] += 1
            self._add(
                "tokens_total", 'kind="prompt"', sum(each.prompt_tokens for each in attempt.completions)
            )
            written = sum(each.completion_tokens for each in attempt.completions)
            self._add("tokens_total", 'kind="completion"', written)
            self._add("solving_seconds_total", "", attempt.duration_s)

    def text(self) -> str:
        """Return all of them."""
        places = self._service.places
        now: dict[tuple[str, str], float] = {
            ("answering", ""): places.taken,
            ("waiting", ""): places.waiting,
            ("sessions", ""): len(self._service.sessions),
            ("ready", ""): int(self._service.is_ready),
        }
        lines: list[str] = []
        for name, (kind, explained) in _HELP.items():
            lines += [f"# HELP mumath_{name} {explained}", f"# TYPE mumath_{name} {kind}"]
            values = {**self._counted, **now}
            for (of, labels), value in sorted(values.items()):
                if of == name:
                    lines.append(
                        f"mumath_{name}{{{labels}}} {value:g}" if labels else f"mumath_{name} {value:g}"
                    )
        return "\n".join(lines) + "\n"

    def counting(self, app: ASGIApp) -> ASGIApp:
        """Return `app`, with its requests counted."""

        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            status = 499

            async def sending(message: Message) -> None:
                nonlocal status
                await send(message)
                if message["type"] == "http.response.start":
                    status = message["status"]

            try:
                await app(scope, receive, sending)
            finally:
                path = scope["path"] if scope["path"] in _PATHS else "other"
                self._counted["requests_total", f'path="{path}",status="{status}"'] += 1

        return counted

    def _add(self, name: str, labels: str, value: float) -> None:
        self._counted[name, labels] += value  # type: ignore[assignment]
