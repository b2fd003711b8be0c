"""Count the programs that a problem's attempts share: the same text, after the same programs."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate

from benchmarks.report.attempts import Attempts as AtProblem
from mumath_agent.runs.executed import session_of


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedPrograms:
    """What attempts would save that go on from a copy of another one's session."""

    programs: int
    """All that ran."""
    seconds: float
    repeated: int
    """Those that an earlier attempt had run, after the same programs as here."""
    repeated_seconds: float


def shared_programs(problems: Iterable[AtProblem]) -> SharedPrograms:
    """Return how many programs are begun with that an earlier attempt at the problem had begun with."""
    seconds, repeated = list[float](), list[float]()
    for attempts in problems:
        known = set[tuple[str, ...]]()
        for record in attempts:
            cells = session_of(record).cells
            for prefix, cell in zip(accumulate((cell.code.strip(),) for cell in cells), cells, strict=True):
                seconds.append(cell.execution.duration_s)
                if prefix in known:
                    repeated.append(cell.execution.duration_s)
                known.add(prefix)
    return SharedPrograms(
        programs=len(seconds),
        seconds=sum(seconds),
        repeated=len(repeated),
        repeated_seconds=sum(repeated),
    )
