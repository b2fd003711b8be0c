"""Define a check and run checks one after the other.

A check is an async function without arguments that returns a `Finding`. It looks and measures, and repairs nothing. A
check that raises has failed, and the exception is the reason.
"""

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from dataclasses import dataclass, replace

from mumath_agent.errors import MuMathError
from mumath_agent.serving.finding import Finding, Status, fail


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A thing to look at."""

    name: str
    look: Callable[[], Awaitable[Finding]]
    needs: tuple[str, ...] = ()
    """The checks that must not have failed; without them this one would only repeat what they found."""


async def examine(
    checks: Iterable[Check], on_begin: Callable[[str], None] = lambda name: None
) -> AsyncGenerator[Finding, None]:
    """Run `checks` in order and yield their findings; `on_begin` is called with each name before the check looks."""
    failed: set[str] = set()
    for check in checks:
        if missing := [name for name in check.needs if name in failed]:
            finding = Finding(status=Status.SKIPPED, detail=f"waits for: {', '.join(missing)}")
        else:
            on_begin(check.name)
            finding = await _look(check)
        if finding.status in (Status.FAIL, Status.SKIPPED):
            failed.add(check.name)
        yield replace(finding, name=check.name)


async def _look(check: Check) -> Finding:
    try:
        return await check.look()
    except MuMathError as error:
        return fail(str(error))
    except Exception as error:  # a boundary: the other checks must still run
        reason = " ".join(str(error).split())
        return fail(f"the check broke off: {type(error).__name__}{reason and f': {reason}'}")
