"""Run `mumath-agent doctor`: check that everything is there and works."""

import json
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import anyio
import typer
from rich.text import Text

from mumath_agent import __version__
from mumath_agent.commands.console import ANSWERED, NO_ANSWER, interruptible, remark, show, stderr, stdout
from mumath_agent.records import Limits, to_json

if TYPE_CHECKING:
    from mumath_agent.doctor import DoctorOptions, Finding

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "bold red", "skipped": "dim"}
_STATUS_WIDTH, _NAME_WIDTH = 9, 16


def doctor(
    base_url: Annotated[
        str | None, typer.Option(envvar="MUMATH_BASE_URL", help="Also examine this server.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(envvar="MUMATH_MODEL", help="The model's name on the server, if it serves several."),
    ] = None,
    dialect: Annotated[
        str | None, typer.Option(help="The dialect of the prompts. [that of the model's family]")
    ] = None,
    serve_model: Annotated[
        str | None,
        typer.Option(
            help="The folder or hub id of the model that is served, or will be; its files are checked."
        ),
    ] = None,
    vllm_python: Annotated[
        Path | None, typer.Option(envvar="MUMATH_VLLM_PYTHON", help="The python that has vLLM.")
    ] = None,
    max_turns: Annotated[int, typer.Option(min=1, help="As for solve.")] = Limits().max_turns,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="As for solve.")] = Limits().max_new_tokens,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Check this installation, and say how to repair what doesn't work.

    Run it in the directory where results will be written. It starts kernels,
    writes to disks and, with --base-url, sends requests to the server; it repairs
    nothing. A server's API key is read from MUMATH_API_KEY.

    Examples:
        mumath-agent doctor
        mumath-agent doctor --base-url http://127.0.0.1:8000/v1

    Exit codes: 0 nothing failed, 1 something failed, 2 an option can't be used,
    130 interrupted.
    """
    from mumath_agent.doctor import DoctorOptions

    options = DoctorOptions(
        results=Path.cwd(),
        vllm_python=vllm_python,
        base_url=base_url,
        model=model,
        dialect=dialect,
        files=serve_model,
        limits=Limits(max_turns=max_turns, max_new_tokens=max_new_tokens),
    )

    def run() -> int:
        findings = anyio.run(_examined, options, as_json)
        failed = [finding for finding in findings if finding.status == "fail"]
        if as_json:
            report = {"version": __version__, "findings": [to_json(finding) for finding in findings]}
            show(json.dumps(report, ensure_ascii=False))
        warned = sum(finding.status == "warn" for finding in findings)
        remark(f"{len(failed) or 'nothing'} failed, {warned or 'no'} warning{'s'[: warned != 1]}")
        return NO_ANSWER if failed else ANSWERED

    raise typer.Exit(interruptible(run))


async def _examined(options: "DoctorOptions", quiet: bool) -> list["Finding"]:
    """Run all checks and return their findings; unless quiet, print each as soon as it is there."""
    from mumath_agent.doctor import survey

    findings = list["Finding"]()
    with stderr.status("") as status:
        async with aclosing(survey(options, lambda name: status.update(f"{name} ..."))) as found:
            async for finding in found:
                findings.append(finding)
                if not quiet:
                    stdout().print(_lines(finding), soft_wrap=True)
    return findings


def _lines(finding: "Finding") -> Text:
    """Format a finding as one line, with its remedy on a second."""
    text = Text(f"{finding.status:<{_STATUS_WIDTH}}", style=_COLOURS[finding.status])
    text.append(f"{finding.name:<{_NAME_WIDTH}}{finding.detail}", style="default")
    if finding.remedy:
        text.append(f"\n{'':{_STATUS_WIDTH + _NAME_WIDTH}}→ {finding.remedy}", style="cyan")
    return text
