"""Test the paper's three claims at small scale, from questions to a page, in one command: `ablations`."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from finetune.data.jobs import make_parent
from mumath_agent.commands.console import print_json, remark, show
from mumath_agent.records import to_json
from mumath_agent.runs.jsonl import replace_file

if TYPE_CHECKING:
    from finetune.ablations.page import Findings
    from finetune.ablations.running import Run


class SizeName(StrEnum):
    """The sizes of `ablations.design.SIZES`."""

    TINY = "tiny"
    SMALL = "small"


def ablations(
    work: Annotated[Path, typer.Option(help="Folder for all that is made; the same command goes on in it.")],
    page: Annotated[Path | None, typer.Option(help="Markdown to write, after every run anew.")] = None,
    size: Annotated[SizeName, typer.Option(help="tiny: does it all work? small: what two cores can say.")] = (
        SizeName.SMALL
    ),
    seeds: Annotated[int, typer.Option(min=1, help="Runs of every arm.")] = 5,
    workers: Annotated[int, typer.Option(min=1, help="Runs side by side, a thread each.")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Code against CoT, augmentation against none, two stages against one: equal compute, held-out schemas.

    Example:
        python -m finetune ablations --size tiny --seeds 1 --work runs/ablations
    """
    from finetune.ablations.design import ARMS, SIZES
    from finetune.ablations.page import arm_lines, claim_lines
    from finetune.ablations.page import page as written
    from finetune.ablations.running import make_runs

    def tell(runs: Sequence["Run"]) -> None:
        remark(f"{len(runs)} of {seeds * len(ARMS)} runs are done")
        if page is not None:
            make_parent(page)
            replace_file(page, written(findings_of(runs, size, seeds, work)))

    runs = make_runs(SIZES[size], seeds, work, workers=workers, on_run=tell)
    findings = findings_of(runs, size, seeds, work)
    if as_json:
        told = {"arms": findings.arms, "claims": findings.claims}
        print_json({name: [to_json(one) for one in some] for name, some in told.items()})
        return
    show("\n".join([*arm_lines(findings.arms), *claim_lines(findings.claims)]))


def findings_of(runs: Sequence["Run"], size: SizeName, seeds: int, work: Path) -> "Findings":
    """Return the findings of some runs, for the page."""
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
