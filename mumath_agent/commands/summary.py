"""Sum up what became of a file of problems."""

from collections import Counter
from pathlib import Path

from mumath_agent.commands.console import ANSWERED, BROKEN, NO_ANSWER
from mumath_agent.commands.problem_file import ProblemFile
from mumath_agent.commands.terminal import exit_code
from mumath_agent.records import Outcome, RunRecord
from mumath_agent.solutions import Solution


class Summary:
    """Counts records as they come."""

    def __init__(self, file: ProblemFile, output: Path | None) -> None:
        """Begin before the first record; `output` is where earlier ones were."""
        self._file, self._output = file, output
        self._ends: Counter[int] = Counter()
        self._outcomes: Counter[Outcome] = Counter()
        self._earlier = self._doubtful = 0

    def add(self, record: RunRecord | Solution, *, earlier: bool = False) -> None:
        """Count a record; `earlier` ones were in the output file already."""
        self._ends[exit_code(record)] += 1
        self._earlier += earlier
        if isinstance(record, Solution) and record.ok:
            self._doubtful += record.confidence.is_low
        if record.verdict is not None:
            self._outcomes[record.verdict.outcome] += 1

    @property
    def line(self) -> str:
        """The sum, in one line."""
        parts = [
            f"{self._ends[ANSWERED]} answered",
            f"{self._ends[NO_ANSWER]} without an answer",
            f"{self._ends[BROKEN]} broken",
        ]
        done, problems = self._ends.total(), _counted(len(self._file.problems), "problem")
        said = f"{f'{done:,} of ' if done < len(self._file.problems) else ''}{problems}: {', '.join(parts)}"
        if self._doubtful:
            said += f"; {_counted(self._doubtful, 'answer')} of low confidence"
        ungraded = self._outcomes[Outcome.UNGRADED]
        if graded := self._outcomes.total() - ungraded:
            right = self._outcomes[Outcome.CORRECT]
            said += f"; {right} of {graded} right ({right / graded:.1%})"
        if ungraded:
            said += f"; {ungraded} couldn't be graded"
        if self._earlier:
            said += f"; {self._earlier} of them were in {self._output} already"
        if unusable := len(self._file.errors):
            said += f"; {_counted(unusable, 'row')} of the file couldn't be used"
        return said


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'s'[: number != 1]}"
