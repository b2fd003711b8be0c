"""What is compared: the arms, how much compute each may use, and which pairs of them make a claim.

Compute is counted in units: a unit is the recipe's number of steps, and a step has the same places for tokens in every
arm. Arms serve more than one claim where they coincide. Settled before anything is measured; what is done with
it is `running`'s and `findings`' business.
"""

from dataclasses import dataclass
from typing import Literal

from finetune.data.records import SolutionFormat

Source = Literal["seeds", "augmented"]
"""augmented: the seeds, and what was made of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One training run of an arm."""

    format: SolutionFormat
    source: Source
    units: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """A way to spend compute: a new model, trained stage after stage."""

    name: str
    stages: tuple[Stage, ...]

    @property
    def units(self) -> int:
        return sum(stage.units for stage in self.stages)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """That `better` solves more than `worse`."""

    name: str
    better: Arm
    worse: Arm
    control: str
    """What the two have in common."""


def _code(units: int) -> Stage:
    return Stage(format=SolutionFormat.CODE, source="augmented", units=units)


COT = Arm(name="CoT", stages=(Stage(format=SolutionFormat.COT, source="augmented", units=2),))
CODE = Arm(name="code", stages=(_code(2),))
SEEDS = Arm(name="code, seeds only", stages=(Stage(format=SolutionFormat.CODE, source="seeds", units=2),))
TWO_STAGES = Arm(
    name="CoT, then code", stages=(Stage(format=SolutionFormat.COT, source="augmented", units=1), _code(1))
)
HALF = Arm(name="code, half as long", stages=(_code(1),))

ARMS = (CODE, COT, SEEDS, TWO_STAGES, HALF)

CLAIMS = (
    Claim(name="a. code beats CoT", better=CODE, worse=COT, control="the same problems, equal compute"),
    Claim(
        name="b. augmentation beats none", better=CODE, worse=SEEDS, control="the same seeds, equal compute"
    ),
    Claim(
        name="c. two stages beat stage 2 only",
        better=TWO_STAGES,
        worse=CODE,
        control="equal total compute",
    ),
    Claim(
        name="c'. stage 1 helps stage 2",
        better=TWO_STAGES,
        worse=HALF,
        control="equal compute in stage 2, stage 1 on top",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much of everything."""

    recipe: str
    """Of every stage; its steps are a unit."""
    seeds: int
    """Seed questions."""
    samples: int
    """Questions that a perspective makes of a seed, at most."""
    vocabulary: int
    problems: int
    """Held-out problems to solve."""
    max_new_tokens: int


SIZES = {
    "tiny": Size(recipe="ablation-tiny", seeds=40, samples=1, vocabulary=500, problems=8, max_new_tokens=24),
    "small": Size(
        recipe="ablation-small", seeds=400, samples=8, vocabulary=1024, problems=300, max_new_tokens=160
    ),
}
"""tiny: whether everything works. small: what two cores can say in less than an hour."""
