"""Run one program in a kernel, to its end or to its time limit.

    send ─▶ read until it ends ─▶ Execution
              └─ too late: interrupt, then read a moment longer

What the program does wrong is data in the `Execution`. A kernel that didn't come to the end of the program can't be
used again; replacing it is `jupyter.py`'s business.
"""

import time
from collections.abc import Callable

from mumath_agent.kernels.kernel import End, Kernel
from mumath_agent.kernels.messages import RunningCell
from mumath_agent.records import Execution, ExecutionStatus


async def run_program(
    kernel: Kernel,
    code: str,
    *,
    timeout_s: float,
    interrupt_grace_s: float,
    on_output: Callable[[str, str], None] | None = None,
) -> tuple[Execution, End]:
    """Run `code` and return what it did, and why reading its messages ended.

    The kernel can run another program only after `End.COMPLETE`. Cancelling the call kills the kernel.
    """
    started = time.monotonic()
    try:
        cell = await kernel.send(code)
        cell.on_output = on_output
        end = await kernel.read(cell, until=started + timeout_s)
        if timed_out := end is End.LATE:
            kernel.interrupt()
            end = await kernel.read(cell, until=time.monotonic() + interrupt_grace_s)
    except BaseException:  # cancelled: the program must not go on
        kernel.kill()
        raise
    cell.on_output = None  # a kernel keeps a cell that didn't end, which would keep the listener
    status, error = _outcome(cell, end, timeout_s=timeout_s if timed_out else None, cause=kernel.ended_by)
    execution = Execution(
        status=status,
        stdout=cell.stdout,
        stderr=cell.stderr,
        result=cell.result,
        error=error,
        artefacts=cell.artefacts,
        duration_s=time.monotonic() - started,
        stream_order=cell.stream_order,
    )
    return execution, end


def _outcome(
    cell: RunningCell, end: End, *, timeout_s: float | None, cause: str
) -> tuple[ExecutionStatus, str | None]:
    """Return status and error; `timeout_s` is None unless it was exceeded, `cause` is what ended the kernel."""
    if timeout_s is not None:
        where = cell.error_lines[:-1]  # the line that was interrupted, if the kernel still reported it
        error = f"TimeoutError: the program ran longer than {timeout_s:g} s and was stopped"
        return ExecutionStatus.TIMEOUT, "\n".join([*where, error])
    if end is not End.COMPLETE:
        return ExecutionStatus.DIED, f"The Python process died while it ran this program ({cause})."
    return cell.status, "\n".join(cell.error_lines) or None
