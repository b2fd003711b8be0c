"""What a check finds, and how checks are run: one after the other, whatever they meet.

A check is a function without arguments that returns a `Finding`. It looks and measures; it mends nothing. A check that
raises has found something, too: it failed, and what it raised is the reason.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from mumath_agent.errors import MuMathError


class Status(StrEnum):
    """How a check came out."""

    OK = "ok"
    WARN = "warn"
    """Things work, but less well than they could, or nobody can tell."""
    FAIL = "fail"
    SKIPPED = "skipped"
    """What it builds on failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the report."""

    name: str = ""
    """The check's; `examine` writes it."""
    status: Status
    detail: str
    remedy: str | None = None
    """What to do about it, where something is to be done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Something to look at."""

    name: str
    look: Callable[[], Awaitable[Finding]]
    needs: tuple[str, ...] = ()
    """Checks that must not have failed: without them this one would only repeat what they said."""


def ok(detail: str) -> Finding:
    return Finding(status=Status.OK, detail=detail)


def warn(detail: str, remedy: str) -> Finding:
    return Finding(status=Status.WARN, detail=detail, remedy=remedy)


def fail(detail: str, remedy: str | None = None) -> Finding:
    return Finding(status=Status.FAIL, detail=detail, remedy=remedy)


async def examine(
    checks: Iterable[Check], on_begin: Callable[[str], None] = lambda name: None
) -> AsyncGenerator[Finding, None]:
    """Run `checks` in turn; `on_begin` gets the name of each before it looks."""
    without: set[str] = set()
    for check in checks:
        lacking = [name for name in check.needs if name in without]
        if lacking:
            finding = Finding(status=Status.SKIPPED, detail=f"waits for: {', '.join(lacking)}")
        else:
            on_begin(check.name)
            finding = await _looked(check)
        if finding.status in (Status.FAIL, Status.SKIPPED):
            without.add(check.name)
        yield replace(finding, name=check.name)


async def _looked(check: Check) -> Finding:
    try:
        return await check.look()
    except MuMathError as error:
        return fail(str(error))
    except Exception as error:  # a boundary: the other checks must still be made
        reason = " ".join(str(error).split())
        return fail(f"the check broke off: {type(error).__name__}{reason and f': {reason}'}")
