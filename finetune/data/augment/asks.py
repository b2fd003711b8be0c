"""Ask a teacher for each perspective: one small function a perspective, beside its prompt file.

Each says what goes into the prompt, which answer is known of what comes back (the seed's, the masked number, or none),
and what the block must be like beyond being there.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random

from finetune.data.augment.backward import Masked, backward_question, maskings
from finetune.data.augment.perspectives import Perspective, Unusable
from finetune.data.augment.replies import require_boxed, require_sections
from finetune.data.records import Question
from finetune.wordproblems.gsm8k import without_marks

SECTIONS = ("[Outline]", "[Plan]", "[Execution]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request to a teacher."""

    values: Mapping[str, str]
    """The texts for the places of the prompt."""
    target: str | None
    """The answer of what comes back; None where only solving it shows."""
    check: Callable[[str], None] = lambda _: None
    """Raises `Unusable` for a block that isn't as asked."""
    tags: tuple[str, ...] = ()


class Seeds:
    """The seeds, in order of difficulty: MATH has levels, everything else is easier than its first."""

    def __init__(self, seeds: Sequence[Question]) -> None:
        """Sort the seeds."""
        self._sorted = sorted(seeds, key=difficulty)
        self._difficulties = [difficulty(seed) for seed in self._sorted]

    def harder(self, seed: Question, rng: Random) -> Question:
        """Return any harder seed.

        Raises:
            Unusable: there isn't one.
        """
        first = bisect_right(self._difficulties, difficulty(seed))
        if first == len(self._sorted):
            raise Unusable("nothing harder")
        return self._sorted[rng.randrange(first, len(self._sorted))]


def difficulty(seed: Question) -> int:
    """Return the level of a MATH question, 0 for any other."""
    levels = [tag.removeprefix("level:") for tag in seed.problem.tags if tag.startswith("level:")]
    return int(levels[0]) if levels and levels[0].isdecimal() else 0


Ask = Callable[[Question, Seeds, Random], Asked]


def rephrase(seed: Question, seeds: Seeds, rng: Random) -> Asked:
    """Ask for the same question in other words: its answer stays."""
    return Asked(values={"question": seed.problem.question}, target=_target(seed))


def fobar(seed: Question, seeds: Seeds, rng: Random) -> Asked:
    """Ask for the question backwards, with an unknown."""
    masked = _masked(seed, rng)
    values = {"masked": masked.question, "letter": masked.letter, "answer": _target(seed)}
    return Asked(values=values, target=masked.value, check=partial(_require_letter, masked, True))


def bf_trans(seed: Question, seeds: Seeds, rng: Random) -> Asked:
    """Ask for the question backwards, as an ordinary one without an unknown."""
    masked = _masked(seed, rng)
    values = {"masked": backward_question(masked, _target(seed)), "letter": masked.letter}
    return Asked(values=values, target=masked.value, check=partial(_require_letter, masked, False))


def alteration(seed: Question, seeds: Seeds, rng: Random) -> Asked:
    """Ask for another question made of this one; the manner is the prompt's, the answer is open."""
    return Asked(values={"question": seed.problem.question}, target=None)


def expression_replacement(seed: Question, seeds: Seeds, rng: Random) -> Asked:
    """Ask for a question for other operations than those of the solution."""
    return Asked(values={"question": seed.problem.question, "solution": _rationale(seed)}, target=None)


def interpolation(seed: Question, seeds: Seeds, rng: Random) -> Asked:
    """Ask for a question harder than the seed and easier than another one, which a tag names."""
    other = seeds.harder(seed, rng).problem
    values = {"question": seed.problem.question, "harder": other.question}
    return Asked(values=values, target=None, tags=(f"harder:{other.id}",))


def reorganise(seed: Question, seeds: Seeds, rng: Random) -> Asked:
    """Ask for the known solution in titled steps."""
    values = {"question": seed.problem.question, "solution": _rationale(seed), "answer": _target(seed)}
    return Asked(values=values, target=_target(seed), check=require_boxed)


def nested(seed: Question, seeds: Seeds, rng: Random) -> Asked:
    """Ask for the known solution as outline, plan and execution."""
    asked = reorganise(seed, seeds, rng)
    return Asked(values=asked.values, target=asked.target, check=_require_nested)


ASKS: Mapping[Perspective, Ask] = {
    Perspective.REPHRASE: rephrase,
    Perspective.FOBAR: fobar,
    Perspective.BF_TRANS: bf_trans,
    Perspective.NEW_NUMBERS: alteration,
    Perspective.ADDED_CONDITION: alteration,
    Perspective.NEW_CONTEXT: alteration,
    Perspective.CHANGED_GOAL: alteration,
    Perspective.HARDER: alteration,
    Perspective.EXPRESSION_REPLACEMENT: expression_replacement,
    Perspective.INTERPOLATION: interpolation,
    Perspective.REORGANISE: reorganise,
    Perspective.NESTED: nested,
}


def _target(seed: Question) -> str:
    if seed.problem.target is None:
        raise Unusable("no target")
    return seed.problem.target


def _rationale(seed: Question) -> str:
    if not seed.rationale:
        raise Unusable("no solution")
    return without_marks(seed.rationale).strip()


def _masked(seed: Question, rng: Random) -> Masked:
    if not (ways := maskings(seed.problem.question)):
        raise Unusable("no number to mask")
    return rng.choice(ways)


def _require_letter(masked: Masked, wanted: bool, text: str) -> None:
    found = re.search(rf"(?<![A-Za-z]){masked.letter}(?![A-Za-z])", text) is not None
    if found != wanted:
        raise Unusable("no unknown" if wanted else "still an unknown")


def _require_nested(text: str) -> None:
    require_sections(text, SECTIONS)
    require_boxed(text)
