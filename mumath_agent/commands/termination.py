"""End a program on SIGTERM, whatever it is blocked in.

SIGTERM gets what Ctrl-C gets: kernels killed, their directories removed. Within asyncio that only cancels the main
task; a call that blocks the loop, such as a write to a pipe that nobody reads, never notices: it is interrupted, too.
"""

import atexit
import os
import select
import signal
from contextlib import suppress
from functools import partial
from itertools import count
from types import FrameType

_LOOK_EVERY_S = 1.0
_PATIENCE = 60
"""How many looks the clearing up may take; longer than a vLLM server is given to finish its requests."""
_INTERRUPTED = 130


def end_on_sigterm() -> None:
    """Make SIGTERM end this program."""
    signal.signal(signal.SIGTERM, _begin)


def _begin(number: int, frame: FrameType | None) -> None:
    at = (frame, frame.f_lasti) if frame else None
    signal.signal(signal.SIGALRM, partial(_insist, at, count()))
    signal.setitimer(signal.ITIMER_REAL, _LOOK_EVERY_S, _LOOK_EVERY_S)
    atexit.register(_rest)
    signal.raise_signal(signal.SIGINT)


def _insist(
    was_at: tuple[FrameType, int] | None, looks: "count[int]", number: int, frame: FrameType | None
) -> None:
    """Interrupt a program that is still in the call in which SIGTERM found it; end one that doesn't come to its end."""
    _give_up_stalled_streams()
    if next(looks) >= _PATIENCE:
        os._exit(_INTERRUPTED)
    if frame and was_at and frame is was_at[0] and frame.f_lasti == was_at[1]:
        signal.raise_signal(signal.SIGINT)  # the second one is raised by asyncio, as for a second Ctrl-C


def _rest() -> None:
    """Leave the end to the interpreter, which soon forgets our handlers: an alarm would then kill it."""
    signal.setitimer(signal.ITIMER_REAL, 0)
    _give_up_stalled_streams()


def _give_up_stalled_streams() -> None:
    """Write into the void what nobody reads, so that it doesn't hold us up again."""
    for stream in (1, 2):
        with suppress(OSError):  # it is closed
            if not select.select([], [stream], [], 0)[1]:
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
