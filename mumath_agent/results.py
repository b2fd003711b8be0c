"""The results file of a `--file` run: one `RunRecord` a line, appended the moment its attempt ends.

The same command continues where an earlier one was stopped, however it was stopped: finished problems are not
solved again, a torn last line is dropped, and attempts that failed because machinery broke are made again. When all
are done the lines are put into the order of the problems, atomically.
"""

import json
import os
from dataclasses import fields
from pathlib import Path

from mumath_agent.errors import InputError
from mumath_agent.records import Problem, RunRecord, Settings, StopReason, from_json, to_json

_NOT_DONE = (StopReason.MODEL_ERROR, StopReason.KERNEL_ERROR, StopReason.INTERNAL_ERROR)


class ResultsFile:
    """Records on disk, keyed by problem. Open one at a time per path."""

    def __init__(self, path: Path) -> None:
        """Read what is there.

        Raises:
            InputError: the path can't be used, or holds something else than run records.
        """
        self.path = path
        self._lines: dict[str, str] = {}
        self._read()

    def check(self, settings: Settings) -> None:
        """Refuse to mix: what is in the file must have been made with the same settings.

        Raises:
            InputError: names the first setting that differs.
        """
        for line in self._lines.values():
            earlier = from_json(RunRecord, json.loads(line)).settings
            for field in fields(Settings):
                there, here = getattr(earlier, field.name), getattr(settings, field.name)
                if there != here:
                    what = f"{field.name} {there}, now it is {here}"
                    raise InputError(f"{self.path} was made with {what}; name another file with --output")

    def done(self, problem: Problem) -> RunRecord | None:
        """The record of `problem`, if its attempt ended other than by broken machinery."""
        line = self._lines.get(_key(problem))
        record = from_json(RunRecord, json.loads(line)) if line else None
        return record if record and record.trajectory.stop_reason not in _NOT_DONE else None

    def append(self, record: RunRecord) -> None:
        """Write the record and make sure it is on disk."""
        line = json.dumps(to_json(record), ensure_ascii=False)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
            file.flush()
            os.fsync(file.fileno())
        self._lines[_key(record.problem)] = line

    def sort(self, problems: list[Problem]) -> None:
        """Rewrite the file in the order of `problems`; a crash leaves the old or the new file, whole."""
        keys = [_key(problem) for problem in problems]
        ordered = [self._lines[key] for key in keys if key in self._lines]
        ordered += [line for key, line in self._lines.items() if key not in set(keys)]
        self._replace(ordered)

    def _read(self) -> None:
        try:
            text = self.path.read_bytes().decode("utf-8", "replace") if self.path.exists() else ""
            self.path.touch()
        except OSError as error:
            raise InputError(f"can't write results to {self.path}: {error.strerror}") from None
        whole, _, torn = text.rpartition("\n")
        for number, line in enumerate(whole.split("\n") if whole else [], start=1):
            try:
                record = from_json(RunRecord, json.loads(line))
            except (ValueError, InputError) as error:
                raise InputError(
                    f"{self.path} line {number} is no run record ({error}); use another file"
                ) from None
            self._lines[_key(record.problem)] = line
        if torn:
            self._replace(list(self._lines.values()))

    def _replace(self, lines: list[str]) -> None:
        fresh = self.path.with_name(f"{self.path.name}.new")
        with fresh.open("w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path)


def _key(problem: Problem) -> str:
    return json.dumps([problem.id, problem.question])
