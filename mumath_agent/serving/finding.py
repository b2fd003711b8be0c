"""Define what a check found: a status, one line of detail, and what to do about it.

`serving.checks` look at a model before it is served, `mumath_agent.doctor` at everything the agent builds on; both
return a `Finding`.
"""

from dataclasses import dataclass
from enum import StrEnum


class Status(StrEnum):
    """The outcome of a check."""

    OK = "ok"
    WARN = "warn"
    """Works, but less well than it could, or can't be determined."""
    FAIL = "fail"
    SKIPPED = "skipped"
    """Not run, because a check that this one builds on failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The result of one check."""

    name: str = ""
    """The check's name. The doctor fills it in from its `Check`."""
    status: Status
    detail: str
    remedy: str | None = None
    """What to do about it; None if there is nothing to do."""


def ok(detail: str, *, name: str = "") -> Finding:
    """Return a finding without a fault."""
    return Finding(name=name, status=Status.OK, detail=detail)


def warn(detail: str, remedy: str | None = None, *, name: str = "") -> Finding:
    """Return a warning."""
    return Finding(name=name, status=Status.WARN, detail=detail, remedy=remedy)


def fail(detail: str, remedy: str | None = None, *, name: str = "") -> Finding:
    """Return a failure."""
    return Finding(name=name, status=Status.FAIL, detail=detail, remedy=remedy)
