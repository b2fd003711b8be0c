"""The command line of the benchmarks: names the commands and turns errors into one line and an exit code.

Exit codes: 0 done, 1 something measured is not as it should be (said by the command), 2 the input can't be used,
3 machinery broke, 130 interrupted.
"""

import signal

import typer

from benchmarks.commands import perf
from benchmarks.commands.console import BROKEN, USAGE, say
from benchmarks.commands.grading import grade_pairs, regrade
from benchmarks.commands.replay import replay
from benchmarks.commands.reports import compare, report
from benchmarks.commands.run import run
from benchmarks.commands.tasks import self_check, tasks
from mumath_agent.errors import InputError, MuMathError

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
app.add_typer(perf.app, name="perf")
for command in (run, report, compare, regrade, replay, tasks, self_check, grade_pairs):
    app.command()(command)


def main() -> None:
    """Entry point of `python -m benchmarks`."""
    # Whoever ends us politely gets what Ctrl-C gets: kernels killed, their directories removed. SIGINT may be ignored
    # from the start, as in a shell's background.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        app()
    except MuMathError as error:
        say(error)
        raise SystemExit(USAGE if isinstance(error, InputError) else BROKEN) from None


@app.callback()
def _root() -> None:
    """Measure mumath-agent against recorded and known results."""
