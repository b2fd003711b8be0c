"""Define what is compared: the arms, how much compute each may use, and the claims, each about a pair of arms.

Compute is counted in units: a unit is the recipe's number of steps, and a step has room for the same number of tokens
in every arm. One arm may serve several claims. The design is fixed before anything is measured.
"""

from dataclasses import dataclass
from typing import Literal

from finetune.data.records import SolutionFormat

Source = Literal["seeds", "augmented"]
"""augmented: the seeds and the questions made from them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage of an arm's training: its data and its share of the compute."""

    format: SolutionFormat
    source: Source
    units: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """A way to spend the compute: a new model, trained in one stage or two."""

    name: str
    stages: tuple[Stage, ...]

    @property
    def units(self) -> int:
        """Units of compute of all stages."""
        return sum(stage.units for stage in self.stages)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The claim that `better` solves more problems than `worse`."""

    name: str
    better: Arm
    worse: Arm
    control: str
    """The conditions that are equal in both."""


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
class AblationSize:
    """The amount of everything."""

    recipe: str
    """The recipe of every stage; its steps are a unit."""
    seeds: int
    """Seed questions."""
    samples: int
    """Questions that a perspective makes from a seed, at most."""
    vocabulary: int
    problems: int
    """Held-out problems to solve."""
    max_new_tokens: int


SIZES = {
    "tiny": AblationSize(
        recipe="ablation-tiny", seeds=40, samples=1, vocabulary=500, problems=8, max_new_tokens=24
    ),
    "small": AblationSize(
        recipe="ablation-small", seeds=400, samples=8, vocabulary=1024, problems=300, max_new_tokens=160
    ),
}
"""tiny checks that everything works; small is what two cores can do in less than an hour."""
