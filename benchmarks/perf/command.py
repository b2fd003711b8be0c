"""`perf`: measure what we claim about speed and size, as ratios in one run."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.data import DATA
from benchmarks.manifest import isolation_of
from benchmarks.perf.table import Measurement
from mumath_agent.commands.console import print_json, run, stderr, stdout
from mumath_agent.commands.program import as_help, program
from mumath_agent.errors import InputError
from mumath_agent.kernels import Sandbox

Data = Annotated[
    Path,
    typer.Option(
        help="The folder of recorded solutions, or one of its files; rows without theirs are left out."
    ),
]
Concurrency = Annotated[int, typer.Option(min=1, help="Recorded programs at once.")]
Quick = Annotated[bool, typer.Option("--quick", help="Do few of everything, only to see that it works.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print machine and rows as JSON.")]

_TRANSCRIPTS = DATA / "transcripts"
_GSM8K = "tora-70b.gsm8k.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Options:
    data: Path
    concurrency: int
    quick: bool

    @property
    def folder(self) -> Path:
        return self.data.parent if self.data.is_file() else self.data

    @property
    def programs(self) -> Path:
        return self.data if self.data.is_file() else self.data / _GSM8K


def everything(
    context: typer.Context,
    data: Data = _TRANSCRIPTS,
    concurrency: Concurrency = 8,
    quick: Quick = False,
    as_json: AsJson = False,
) -> None:
    """Measure speed and size: kernels, scheduling, grading and start-up; `attempts` and `client` only by name.

    Examples:
        python -m benchmarks perf --quick
        python -m benchmarks perf start
    """
    if context.invoked_subcommand is None:
        _measure([_start, _kernels, _schedule, _grading], data, concurrency, quick, as_json)


def kernels(
    data: Data = _TRANSCRIPTS, concurrency: Concurrency = 8, quick: Quick = False, as_json: AsJson = False
) -> None:
    """Compare isolated kernels with stock ones: start, cells, errors, memory.

    Example:
        python -m benchmarks perf kernels --data tora-70b.gsm8k.jsonl
    """
    _measure([_kernels], data, concurrency, quick, as_json)


def schedule(data: Data = _TRANSCRIPTS, quick: Quick = False, as_json: AsJson = False) -> None:
    """Compare attempts at their own pace with rounds in lock step, and with what the server allows.

    Example:
        python -m benchmarks perf schedule --data transcripts
    """
    _measure([_schedule], data, 1, quick, as_json)


def attempts(data: Data = _TRANSCRIPTS, quick: Quick = False, as_json: AsJson = False) -> None:
    """Measure what many attempts at many problems cost beside their model, and how a budget of the run ends.

    Example:
        python -m benchmarks perf attempts --data transcripts
    """
    _measure([_attempts], data, 1, quick, as_json)


def grading(quick: Quick = False, as_json: AsJson = False) -> None:
    """Count verdicts a second, and what a comparison that never ends costs.

    Example:
        python -m benchmarks perf grading
    """
    _measure([_grading], _TRANSCRIPTS, 1, quick, as_json)


def start(quick: Quick = False, as_json: AsJson = False) -> None:
    """Time the import, `--help`, and an answer from nothing.

    Example:
        python -m benchmarks perf start
    """
    _measure([_start], _TRANSCRIPTS, 1, quick, as_json)


def client(quick: Quick = False, as_json: AsJson = False) -> None:
    """Measure what many streams at once cost us in CPU, and how long the slowest waits.

    Example:
        python -m benchmarks perf client
    """
    _measure([_client], _TRANSCRIPTS, 1, quick, as_json)


app = program([kernels, schedule, attempts, grading, start, client])
app.callback(invoke_without_command=True, no_args_is_help=False, help=as_help(everything))(everything)


def _measure(
    parts: Sequence[Callable[[_Options], list[Measurement]]],
    data: Path,
    concurrency: int,
    quick: bool,
    as_json: bool,
) -> None:
    from benchmarks.perf.table import machine, print_table, row_to_json

    options = _Options(data=data, concurrency=concurrency, quick=quick)
    started = time.monotonic()
    about = machine(run(lambda: isolation_of(Sandbox())))
    rows = [row for part in parts for row in part(options)]
    about |= {"seconds": round(time.monotonic() - started, 1)}
    if as_json:
        print_json({"machine": about, "rows": [row_to_json(row) for row in rows]})
    else:
        print_table(about, rows, stdout())


def _kernels(options: _Options) -> list[Measurement]:
    for needed in ("jupyter_client", "ipykernel"):
        if find_spec(needed) is None:
            raise InputError(f"stock kernels to compare with need {needed}, which the dev extra brings")
    from benchmarks.perf.bench import FULL, QUICK
    from benchmarks.perf.kernels import measure

    with stderr.status("") as status:
        return measure(
            QUICK if options.quick else FULL,
            options.programs,
            options.concurrency,
            lambda what: status.update(f"measuring: {what}"),
        )


def _schedule(options: _Options) -> list[Measurement]:
    from benchmarks.perf.schedule import measure

    with stderr.status("measuring: attempts at their own pace and in lock step"):
        return measure(options.quick, options.folder)


def _attempts(options: _Options) -> list[Measurement]:
    from benchmarks.perf.attempts import measure

    with stderr.status("measuring: several attempts at each of many problems"):
        return measure(options.quick, options.folder)


def _grading(options: _Options) -> list[Measurement]:
    from benchmarks.perf.grading import measure

    with stderr.status("measuring: the grader"):
        return measure(options.quick)


def _start(options: _Options) -> list[Measurement]:
    from benchmarks.perf.start import measure

    with stderr.status("measuring: new processes"):
        return measure(options.quick)


def _client(options: _Options) -> list[Measurement]:
    from benchmarks.perf.client import measure

    with stderr.status("measuring: many streams at once"):
        return measure(options.quick)
