"""Give a conversation its Python session: the living one, or a new one in which what ran before runs again."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from mumath_agent.front.sessions import SessionGone, Sessions
from mumath_agent.kernels import JupyterExecutor
from mumath_agent.kernels.recovery import in_last_session
from mumath_agent.protocols import ExecutedCell
from mumath_agent.runs.executed import session_of
from mumath_agent.solutions import Solution

_OWNER = "page"
_AGAIN = "Running the programs before this question again …"
_RESTORED = "The earlier programs were run again: the Python session holds what it held."
_LOST = "The Python session before this question couldn't be brought back; this one began empty."


class Conversations:
    """The Python sessions of the conversations that have a living one."""

    def __init__(self, sessions: Sessions) -> None:
        """Begin without any."""
        self._sessions = sessions
        self._handles: dict[str, str] = {}

    @asynccontextmanager
    async def session(
        self, conversation: str, before: Sequence[Solution], say: Callable[[str], None]
    ) -> AsyncIterator[tuple[JupyterExecutor, list[str]]]:
        """Yield the session of a conversation, for this caller alone, and the programs that made its state.

        `say` is told if it had to be built again.

        Raises:
            Busy, KernelError: there is none.
        """
        async with AsyncExitStack() as using:
            kernel, cells = await self._living(conversation, using), ran_before(before)
            if kernel is None:
                self._handles[conversation] = handle = await self._sessions.begin(_OWNER)
                kernel = await using.enter_async_context(self._sessions.use(handle, _OWNER))
                cells = await _brought_back(kernel, cells, say)
            yield kernel, [cell.code for cell in cells]

    async def end(self, conversation: str) -> None:
        """End the session of a conversation, if one lives."""
        with suppress(SessionGone):
            await self._sessions.end(self._handles.pop(conversation, ""), _OWNER)

    async def _living(self, conversation: str, using: AsyncExitStack) -> JupyterExecutor | None:
        with suppress(SessionGone):
            session = self._sessions.use(self._handles.get(conversation, ""), _OWNER)
            return await using.enter_async_context(session)
        return None


async def _brought_back(
    kernel: JupyterExecutor, cells: list[ExecutedCell], say: Callable[[str], None]
) -> list[ExecutedCell]:
    """Run the programs again; return those whose effects are there."""
    if not cells:
        return []
    say(_AGAIN)
    is_back = await kernel.restore(cells)
    say(_RESTORED if is_back else _LOST)
    return cells if is_back else []


def ran_before(solutions: Sequence[Solution]) -> list[ExecutedCell]:
    """Return what the best attempts of a conversation ran, in order, since their session was last lost."""
    best = [solution.best for solution in solutions]
    return in_last_session(cell for record in best if record for cell in session_of(record).cells)
