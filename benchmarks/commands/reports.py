"""`report` and `compare`: the figures of runs, and which of two runs is better."""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.runs import load_run
from mumath_agent.commands.console import print_json, remark, run, stdout
from mumath_agent.errors import InputError
from mumath_agent.records import to_json

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def report(
    runs: Annotated[list[Path], typer.Argument(help="Folders of runs, or files of run records.")],
    as_json: AsJson = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print tables in Markdown.")] = False,
    html: Annotated[Path | None, typer.Option(help="Also write a page to read every attempt in.")] = None,
    second_opinion: Annotated[
        bool, typer.Option(help="Ask math-verify by itself, too, and name the verdicts that it disputes.")
    ] = True,
) -> None:
    """Say how good runs are, how sure that is, and why attempts failed.

    Example:
        python -m benchmarks report runs/svamp-embedded --html svamp.html
    """
    if as_json and as_markdown:
        raise InputError("--json and --markdown can't be combined; name one of them")
    from benchmarks.report.figures import RunReport, make_report
    from benchmarks.report.layout import markdown, named_remarks, print_reports
    from mumath_agent.grading import Grader

    for needed in ("jinja2", "pygments") if html else ():
        if find_spec(needed) is None:
            raise InputError(f"--html needs {needed}, which the bench extra brings")
    loaded = [load_run(path) for path in runs]

    async def reported() -> list[RunReport]:
        async with Grader() as grader:
            return [await make_report(each, grader, ask_second=second_opinion) for each in loaded]

    reports = run(reported)
    if html:
        from benchmarks.report.viewer import write_page

        write_page(html, loaded, reports)
        remark(f"wrote {html}")
    if as_json:
        print_json({"runs": [to_json(each) for each in reports]})
    elif as_markdown:
        typer.echo(markdown(reports), nl=False)
    else:
        print_reports(reports, stdout())
        for words in named_remarks(reports):
            remark(f"note: {words}")


def compare(
    a: Annotated[Path, typer.Argument(help="A run.")],
    b: Annotated[Path, typer.Argument(help="Another one of the same task.")],
    margin: Annotated[
        float, typer.Option(min=0.0, max=0.5, help="Runs within ± this share are equal.")
    ] = 0.01,
    as_json: AsJson = False,
) -> None:
    """Say which of two runs is better, or that it can't be told, paired by problem.

    Example:
        python -m benchmarks compare runs/svamp-a runs/svamp-b
    """
    from benchmarks.report.compare import compare as compared
    from benchmarks.report.compare_layout import print_comparison, warnings

    found = compared(load_run(a), load_run(b), margin=margin)
    if as_json:
        print_json(to_json(found))
        return
    for words in warnings(found):
        remark(f"note: {words}")
    print_comparison(found, stdout())
