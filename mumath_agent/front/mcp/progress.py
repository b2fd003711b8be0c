"""Tell a client that waits how far its call is."""

import asyncio

from mcp.server.mcpserver import Context

from mumath_agent.dialects.output import plain

PROGRESS_S = 1.0
_SHOWN_CHARS = 80


class Progress:
    """A number that grows, for nobody knows how much there is to do, and a word."""

    def __init__(self, doing: str) -> None:
        """Begin with what is done at first."""
        self._doing = doing
        self._programs = 0

    def hear(self, number: int, event: str, text: str) -> None:
        """Hear what happens in an attempt."""
        if event == "program":
            self._programs += 1
            self._doing = f"attempt {number + 1}, running program {self._programs}"
        elif event in ("ended", "votes"):
            self._doing = f"{event}: {plain(text)[:_SHOWN_CHARS]}"
        elif event == "text":
            self._doing = f"attempt {number + 1}, writing"

    async def tell(self, ctx: Context) -> None:
        """Tell it every second, for as long as the client is there."""
        count = 0.0
        while True:
            try:
                await ctx.report_progress(count, None, self._doing)
            except Exception:  # it has gone: where the protocol says so, its request is cancelled, too
                return
            count += 1
            await asyncio.sleep(PROGRESS_S)
