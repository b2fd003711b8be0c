"""`ablations`: the paper's three claims at small scale, from questions to a page, in one command."""

import json
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mumath_agent.errors import InputError
from mumath_agent.records import to_json

if TYPE_CHECKING:
    from finetune.ablations.page import Findings
    from finetune.ablations.running import Run


class Amount(StrEnum):
    """How much of everything; see `ablations.design.SIZES`."""

    TINY = "tiny"
    SMALL = "small"


def ablations(
    work: Annotated[Path, typer.Option(help="Folder for all that is made; the same command goes on in it.")],
    page: Annotated[Path | None, typer.Option(help="Markdown to write, after every run anew.")] = None,
    size: Annotated[Amount, typer.Option(help="tiny: does it all work? small: what two cores can say.")] = (
        Amount.SMALL
    ),
    seeds: Annotated[int, typer.Option(min=1, help="Runs of every arm.")] = 5,
    workers: Annotated[int, typer.Option(min=1, help="Runs side by side, a thread each.")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Code against CoT, augmentation against none, two stages against one: equal compute, held-out schemas."""
    from finetune.ablations.design import ARMS, SIZES
    from finetune.ablations.page import arm_lines, claim_lines
    from finetune.ablations.page import page as written
    from finetune.ablations.running import make_runs

    def tell(runs: Sequence["Run"]) -> None:
        print(f"{len(runs)} of {seeds * len(ARMS)} runs are done", file=sys.stderr)
        if page is not None:
            _write(page, written(findings_of(runs, size, seeds, work)))

    runs = make_runs(SIZES[size], seeds, work, workers=workers, on_run=tell)
    findings = findings_of(runs, size, seeds, work)
    if as_json:
        told = {"arms": findings.arms, "claims": findings.claims}
        print(json.dumps({name: [to_json(one) for one in some] for name, some in told.items()}, indent=1))
        return
    print(*arm_lines(findings.arms), *claim_lines(findings.claims), sep="\n")


def findings_of(runs: Sequence["Run"], size: Amount, seeds: int, work: Path) -> "Findings":
    """What the page tells of some runs."""
    from finetune.ablations.design import SIZES
    from finetune.ablations.findings import arm_findings, claim_findings
    from finetune.ablations.material import held_out
    from finetune.ablations.page import Findings
    from finetune.ablations.running import count_rows, unit

    schemas = [asked.problem.source for asked in held_out(SIZES[size].problems)]
    return Findings(
        size_name=size,
        size=SIZES[size],
        recipe=unit(SIZES[size]),
        seeds=seeds,
        schemas=len(set(schemas)),
        rows=count_rows(work),
        runs=tuple(runs),
        arms=arm_findings(runs),
        claims=claim_findings(runs, schemas),
    )


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"can't write {path}: {error.strerror}") from None
