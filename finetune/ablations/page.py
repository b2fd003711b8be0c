"""Write `docs/ablations.md`: the design, the results so far, and their limits.

The text is `ablations.md.jinja`. Its numbers come from the design and the runs, except for the pilot's and the quoted
ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from finetune.ablations.design import ARMS, AblationSize
from finetune.ablations.findings import ArmFinding, ClaimFinding, Interval
from finetune.ablations.running import Run
from finetune.training.recipe import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Everything that is on the page."""

    size_name: str
    size: AblationSize
    recipe: Recipe
    seeds: int
    schemas: int
    rows: dict[str, float]
    """Training rows by source; empty if none are written yet."""
    runs: tuple[Run, ...]
    arms: tuple[ArmFinding, ...]
    claims: tuple[ClaimFinding, ...]


def page(findings: Findings) -> str:
    """Return the whole page, in Markdown."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters |= {"percent": percent, "points": points, "interval": interval}
    runs = findings.runs
    return environment.get_template("ablations.md.jinja").render(
        size_name=findings.size_name,
        size=findings.size,
        recipe=findings.recipe,
        unit_steps=findings.recipe.steps,
        seeds=findings.seeds,
        schemas=findings.schemas,
        rows=findings.rows,
        parameters=runs[0].parameters if runs else None,
        done=len(runs),
        planned=len(ARMS) * findings.seeds,
        cpu_s=sum(run.train_s + run.solve_s for run in runs),
        arms=findings.arms,
        by_name={arm.name: arm for arm in findings.arms},
        ungraded=max((arm.ungraded for arm in findings.arms), default=0),
        claims=findings.claims,
        design=ARMS,
        mean=mean,
        conclusion=conclusion,
    )


def arm_lines(arms: Sequence[ArmFinding]) -> list[str]:
    """Return a line for each arm, for a terminal."""
    return [
        f"{arm.name:20} {mean(arm.solved, arm.interval):>22} % solved, {len(arm.seeds)} seeds" for arm in arms
    ]


def claim_lines(claims: Sequence[ClaimFinding]) -> list[str]:
    """Return a line for each claim, for a terminal."""
    return [
        f"{claim.name:34} {points(claim.difference):>6} points, {interval(claim.over_seeds)} over seeds: "
        f"{conclusion(claim)}"
        for claim in claims
    ]


def conclusion(claim: ClaimFinding) -> str:
    """Return whether the claim holds here, in words; it is settled where both intervals leave out 0."""
    both = (claim.over_seeds, claim.over_seeds_and_schemas)
    if not all(one is not None and one.leaves_out_zero for one in both):
        return "not settled"
    return "holds" if claim.difference > 0 else "the opposite holds"


def percent(share: float) -> str:
    """Return a share in percent."""
    return f"{100 * share:.1f}"


def points(share: float) -> str:
    """Return a difference of shares in percentage points, with its sign."""
    return f"{100 * share:+.1f}"


def interval(found: Interval | None) -> str:
    """Return an interval in percentage points."""
    return f"[{points(found.low)}, {points(found.high)}]" if found else "takes two seeds"


def mean(share: float, found: Interval | None) -> str:
    """Return a share in percent with its interval, which is cut to 0 and 100."""
    bounds = f" [{percent(max(0, found.low))}, {percent(min(1, found.high))}]" if found else ""
    return f"{percent(share)}{bounds}"
