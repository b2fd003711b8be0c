"""Keep the records of a run in a file: one `RunRecord` per line, appended the moment its attempt ends.

Whoever writes holds the file with `locks.only_writer`.

The same command continues where an earlier one was stopped, however it was stopped: finished attempts are not made
again, a torn last line is dropped (`jsonl.py`), and attempts that failed because machinery broke are made again. When
all are done the lines are put into the order of the problems, atomically.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mumath_agent.errors import InputError
from mumath_agent.records import BROKEN, Problem, RunRecord, Settings, to_json
from mumath_agent.runs.identity import first_difference
from mumath_agent.runs.jsonl import append_line, dump_line, mend, parse_record, read_lines, replace_file


class ResultsFile:
    """The records on disk, one per problem and sample."""

    def __init__(self, path: Path) -> None:
        """Read the records of an earlier command.

        Raises:
            InputError: the path can't be used, or holds something other than run records.
        """
        self.path = path
        self._lines: dict[str, str] = {}
        self._read()

    def check(self, settings: Settings, later: Settings | None = None) -> None:
        """Refuse to mix: what is in the file must have been made with the same settings, but for an attempt's own seed.

        Args:
            settings: those of the attempts at a problem.
            later: those of the attempts after the first, where they are others.

        Raises:
            InputError: names the first setting that differs.
        """
        for line in self._lines.values():
            record = parse_record(line, RunRecord)
            wanted = later if later and record.sample else settings
            if what := first_difference(to_json(_seedless(record.settings)), to_json(_seedless(wanted))):
                raise InputError(f"{self.path} was made with {what}; name another file with --output")

    def done(self, problem: Problem, sample: int, key: str) -> RunRecord | None:
        """Return the record of an attempt, unless machinery broke it.

        Raises:
            InputError: there is one, but of an attempt with another prompt or other settings.
        """
        line = self._lines.get(_attempt(problem, sample))
        record = parse_record(line, RunRecord) if line else None
        if record is None or record.trajectory.stop_reason in BROKEN:
            return None
        if record.key and record.key != key:  # files of earlier versions have no keys
            raise InputError(
                f"{self.path} holds problem {problem.id} attempted with another prompt or other settings; "
                "name another file"
            )
        return record

    def append(self, record: RunRecord) -> None:
        """Write the record and make sure it is on disk.

        Raises:
            InputError: it can't be written.
        """
        append_line(self.path, record)
        self._lines[_attempt(record.problem, record.sample)] = dump_line(record)

    def sort(self, problems: Sequence[Problem], samples: int = 1) -> None:
        """Rewrite the file in the order of `problems`; a crash leaves the old or the new file, whole."""
        self._read()  # where the file system has no locks, others may have appended
        keys = (_attempt(problem, sample) for problem in problems for sample in range(samples))
        rest = dict(self._lines)
        ordered = [rest.pop(key) for key in keys if key in rest]
        replace_file(self.path, (f"{line}\n" for line in [*ordered, *rest.values()]))

    def _read(self) -> None:
        mend(self.path)
        for line in read_lines(self.path):
            try:
                record = parse_record(line.text, RunRecord)
            except InputError as error:
                raise InputError(
                    f"{self.path} line {line.number} isn't a run record ({error}); use another file"
                ) from None
            self._lines[_attempt(record.problem, record.sample)] = line.text


def _seedless(settings: Settings) -> Settings:
    return replace(settings, sampling=replace(settings.sampling, seed=None))


def _attempt(problem: Problem, sample: int) -> str:
    return json.dumps([problem.id, problem.question, sample])
