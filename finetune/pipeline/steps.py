"""Steps of a longer work, each a command: done once, written down when they end, told of again when asked for again.

A step that ended is a line of `steps.jsonl` in the work folder and not done again; one that was killed has no line and
is begun again, which for the commands of this project means: goes on. What a step prints goes to a log of its own.
Which steps there are is the caller's business.
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from finetune.data.jobs import manifest_path, read_manifest, read_records
from mumath_agent.errors import InputError, MuMathError
from mumath_agent.records import to_json

CHECKOUT = Path(__file__).resolve().parents[2]


class StepFailed(MuMathError):
    """A step ended with an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A command."""

    name: str
    command: tuple[str, ...]
    out: Path | None = None
    """The file or folder it writes."""
    program: str = "finetune"
    says: str = ""
    """What the line that sums it up has in it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What is written down of a step, one JSON object a line."""

    name: str
    rows: int | None
    """Of what it wrote, if that is a file of rows."""
    said: str
    """The last line it printed, unless it wrote rows."""
    wall_s: float
    cpu_s: float
    """Of this program, the programs it started and their programs."""


Call = Callable[[Sequence[str]], int]
"""Runs a command of this program; its exit code."""


@dataclass(slots=True)
class _Result:
    """What is known of a step before its end."""

    rows: int | None = None
    said: str = ""


class Ledger:
    """The steps that ended, in memory and in the work folder."""

    def __init__(
        self,
        work: Path,
        identity: dict[str, str],
        call: Call,
        *,
        on_begin: Callable[[str], None] = lambda name: None,
        on_end: Callable[[Ended], None] = lambda ended: None,
    ) -> None:
        """Read what was done in `work` before.

        Raises:
            InputError: it was begun with another `identity`, or can't be written.
        """
        self._work = work
        self._call = call
        self._on_begin = on_begin
        self._on_end = on_end
        self._file = work / "steps.jsonl"
        try:
            (work / "logs").mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"can't write to {work}: {error.strerror}; name another --work") from None
        self._refuse_other(identity)
        known = read_records(self._file, Ended) if self._file.exists() else []
        self._known = {ended.name: ended for ended in known}
        self._told: dict[str, Ended] = {}

    @property
    def ended(self) -> tuple[Ended, ...]:
        return tuple(self._told.values())

    def has(self, name: str) -> bool:
        return name in self._known

    def do(self, step: Step) -> None:
        """Run the step, unless it ended before.

        Raises:
            StepFailed: it ended with an error.
        """
        if self.has(step.name):
            self.repeat(step.name)
            return
        log = self._work / "logs" / f"{step.name.replace(', ', '-').replace(' ', '-')}.log"
        self._on_begin(step.name)
        with self.clocked(step.name) as result:
            self._run(step, log)
            if step.out is not None and manifest_path(step.out).is_file():
                result.rows = read_manifest(step.out).rows
            else:
                result.said = _said(log, step.says).replace(f"{self._work}/", "")

    def repeat(self, name: str) -> None:
        """Tell of what was done before, if it was."""
        if name in self._known and name not in self._told:
            self._tell(self._known[name])

    @contextmanager
    def clocked(self, name: str) -> Iterator["_Result"]:
        """Write down what is done inside, with the time that no step inside has taken for itself."""
        result, began, cpu_s, steps = _Result(), time.monotonic(), _cpu_s(), len(self._told)
        yield result
        inside = self.ended[steps:]
        ended = Ended(
            name=name,
            rows=result.rows,
            said=result.said,
            wall_s=round(time.monotonic() - began - sum(step.wall_s for step in inside), 1),
            cpu_s=round(_cpu_s() - cpu_s - sum(step.cpu_s for step in inside), 1),
        )
        self._known[name] = ended
        lines = (json.dumps(to_json(step), ensure_ascii=False) + "\n" for step in self._known.values())
        _replace(self._file, "".join(lines))
        self._tell(ended)

    def _run(self, step: Step, log: Path) -> None:
        with log.open("w", encoding="utf-8") as output:
            print("$ python -m", step.program, *step.command, file=output, flush=True)
            try:
                with redirect_stdout(output), redirect_stderr(output):
                    code = self._call(step.command) if step.program == "finetune" else _start(step, output)
            except MuMathError as error:
                raise StepFailed(f"{step.name}: {error}") from None
        if code != 0:
            raise StepFailed(f"{step.name} ended with exit code {code}; what it said is in {log}")

    def _tell(self, ended: Ended) -> None:
        self._told[ended.name] = ended
        self._on_end(ended)

    def _refuse_other(self, identity: dict[str, str]) -> None:
        file = self._work / "pipeline.json"
        if not file.exists():
            _replace(file, json.dumps(identity, indent=1) + "\n")
        before = json.loads(file.read_text("utf-8"))
        for name, value in identity.items():
            if before.get(name) != value:
                raise InputError(
                    f"{self._work} was begun with {name} {before.get(name)}, now it is {value}; name another --work"
                )


def _replace(path: Path, text: str) -> None:
    """So that whatever ends us leaves the old text or the new one."""
    fresh = path.with_name(f"{path.name}.new")
    try:
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path)
    except OSError as error:
        raise InputError(
            f"can't write {path}: {error.strerror}; the same command goes on from here"
        ) from None


def _start(step: Step, output: IO[str]) -> int:
    command = [sys.executable, "-m", step.program, *step.command]
    return subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, cwd=CHECKOUT).returncode


def _said(log: Path, marked: str) -> str:
    """The last line of a log that has `marked` in it."""
    lines = log.read_text("utf-8", "replace").splitlines()
    return next((line.strip() for line in reversed(lines) if marked in line and line.strip()), "")


def _cpu_s() -> float:
    """Of this process and of its descendants that have ended and been waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)
