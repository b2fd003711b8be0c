"""Name what broke an attempt: errors of the machinery as stop reasons, and back."""

from mumath_agent.errors import KernelError, ModelError, ModelUnreachable, MuMathError
from mumath_agent.records import StopReason

RAISED = {
    StopReason.MODEL_UNREACHABLE: ModelUnreachable,
    StopReason.MODEL_ERROR: ModelError,
    StopReason.KERNEL_ERROR: KernelError,
}
"""The error that stands behind a stop reason, the special ones first; any other is a fault of the library."""


def named(error: Exception) -> tuple[Exception, StopReason]:
    """Return an error as a record tells of it, and the stop reason it stands for."""
    if not isinstance(error, MuMathError):
        error = RuntimeError(f"unexpected {type(error).__name__}: {error}")
    stop = next((stop for stop, kind in RAISED.items() if isinstance(error, kind)), StopReason.INTERNAL_ERROR)
    return error, stop
