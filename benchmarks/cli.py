"""The `python -m benchmarks` program: all its commands by name."""

from benchmarks.commands.grading import grade_pairs, regrade
from benchmarks.commands.replay import replay
from benchmarks.commands.reports import compare, report
from benchmarks.commands.run import run
from benchmarks.commands.tasks import self_check, tasks
from benchmarks.commands.votes import votes
from benchmarks.perf import command as perf
from mumath_agent.commands import console
from mumath_agent.commands.program import program

app = program([run, report, compare, votes, regrade, replay, tasks, self_check, grade_pairs])
app.add_typer(perf.app, name="perf", short_help="Measure speed and size.")


def main() -> None:
    """Run `python -m benchmarks`."""
    console.main(app)


@app.callback()
def _root() -> None:
    """Measure mumath-agent against recorded and known results."""
