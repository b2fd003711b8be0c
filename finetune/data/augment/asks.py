"""Ask a teacher for each perspective: one small function a perspective, beside its prompt file.

Each says what goes into the prompt, which answer is known of what comes back (the seed's, the masked number, that of
the changed expressions, or none), and what the block must be like beyond being there. What a rule does exactly isn't
asked for: FOBAR's form, and new numbers where a program gives their answer. A target that the teacher's wording may
have lost carries the tag `UNCONFIRMED`.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from random import Random

from finetune.data.augment import checks
from finetune.data.augment.backward import Masked, backward_problems, backward_question, maskings
from finetune.data.augment.perspectives import Perspective, Unusable
from finetune.data.augment.programs import decimal, read_program, require_clear
from finetune.data.augment.relations import other_operations, used_numbers, written_out
from finetune.data.augment.replies import require_boxed, require_sections
from finetune.data.augment.rules import new_numbers as renumbered
from finetune.data.records import UNCONFIRMED, Question
from finetune.wordproblems.gsm8k import without_marks
from finetune.wordproblems.problem import WordProblem

_DRAWS = 12
SECTIONS = ("[Outline]", "[Plan]", "[Execution]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request to a teacher, or what a rule gives without one."""

    target: str | None
    """The answer of what comes back; None where only solving it shows."""
    values: Mapping[str, str] = field(default_factory=dict)
    """The texts for the places of the prompt."""
    check: Callable[[str], None] = lambda _: None
    """Raises `Unusable` for a block that isn't as asked."""
    tags: tuple[str, ...] = ()
    question: str | None = None
    """The question itself, where a rule writes it and no teacher is asked."""
    rationale: str | None = None
    """The solution that a rule writes with it."""


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
    """Ask for the same question in other words: its numbers stay, and with them its answer."""
    question, target = seed.problem.question, _target(seed)

    def check(text: str) -> None:
        checks.require_untold(text, target, checks.numbers_of(question))
        checks.require_same_numbers(text, question)

    return Asked(values={"question": question}, target=target, check=check)


def fobar(seed: Question, seeds: Seeds, rng: Random) -> Asked:
    """Write the question backwards, with an unknown; where no program shows that it has one answer, that is a guess."""
    answer = _target(seed)
    try:
        reading = read_program(seed)
        require_clear(reading)
    except Unusable:
        masked = _masked(seed, rng)
        return Asked(question=backward_question(masked, answer), target=masked.value, tags=(UNCONFIRMED,))
    if not (ways := [way for way, _ in backward_problems(reading.problem, answer)]):
        raise Unusable("no number that the answer determines")
    masked = rng.choice(ways)
    return Asked(question=backward_question(masked, answer), target=masked.value)


def bf_trans(seed: Question, seeds: Seeds, rng: Random) -> Asked:
    """Ask for the question backwards, as an ordinary one without an unknown."""
    masked, answer = _masked(seed, rng), _target(seed)
    values = {"masked": backward_question(masked, answer), "letter": masked.letter, "answer": answer}
    values |= {"question": seed.problem.question, "hidden": masked.value}

    def check(text: str) -> None:
        if re.search(rf"(?<![A-Za-z]){masked.letter}(?![A-Za-z])", text):
            raise Unusable("still an unknown")
        allowed = checks.numbers_of(f"{masked.question} {answer}")
        checks.require_untold(text, masked.value, allowed)
        checks.require_backward(text, masked.question, seed.problem.question, answer)

    return Asked(values=values, target=masked.value, check=check, tags=(UNCONFIRMED,))


def new_numbers(seed: Question, seeds: Seeds, rng: Random) -> Asked:
    """Write the question with other numbers, where its program gives their answer; else ask for such a question."""
    try:
        made = next(filter(None, islice(renumbered(seed, rng), _DRAWS)), None)
    except Unusable:
        made = None
    if made is None:
        return alteration(checks.require_new_numbers)(seed, seeds, rng)
    return Asked(question=made.question, target=made.target, rationale=made.rationale)


def alteration(require: Callable[[str, str], None]) -> Ask:
    """Return the asking for another question made of this one: the manner is the prompt's, the answer is open."""

    def ask(seed: Question, seeds: Seeds, rng: Random) -> Asked:
        question = seed.problem.question
        return Asked(values={"question": question}, target=None, check=lambda text: require(text, question))

    return ask


def expression_replacement(seed: Question, seeds: Seeds, rng: Random) -> Asked:
    """Change the operations of the solution, and ask for a question that they solve."""
    reading = read_program(seed)
    if not (ways := list(other_operations(reading.problem))):
        raise Unusable("no operation to replace")
    changed = rng.choice(ways)
    target = decimal(changed.answer)
    values = {
        "question": seed.problem.question,
        "expressions": _expressions(reading.problem),
        "changed": _expressions(changed),
    }

    def check(text: str) -> None:
        checks.require_untold(text, target, checks.numbers_of(seed.problem.question))
        checks.require_numbers(text, checks.numbers_of(" ".join(used_numbers(changed))))
        checks.require_no_others(text, f"{seed.problem.question} {values['changed']}")

    return Asked(values=values, target=target, check=check, tags=(UNCONFIRMED,))


def interpolation(seed: Question, seeds: Seeds, rng: Random) -> Asked:
    """Ask for a question harder than the seed and easier than another one, which a tag names."""
    other = seeds.harder(seed, rng).problem
    values = {"question": seed.problem.question, "harder": other.question}
    return Asked(values=values, target=None, tags=(f"harder:{other.id}",))


def reorganise(seed: Question, seeds: Seeds, rng: Random) -> Asked:
    """Ask for the known solution in titled steps."""
    solution, target = _rationale(seed), _target(seed)
    values = {"question": seed.problem.question, "solution": solution, "answer": target}
    return Asked(values=values, target=target, check=lambda text: require_boxed(text, target))


def nested(seed: Question, seeds: Seeds, rng: Random) -> Asked:
    """Ask for the known solution as outline, plan and execution."""
    asked = reorganise(seed, seeds, rng)

    def check(text: str) -> None:
        require_sections(text, SECTIONS)
        asked.check(text)

    return replace(asked, check=check)


ASKS: Mapping[Perspective, Ask] = {
    Perspective.REPHRASE: rephrase,
    Perspective.FOBAR: fobar,
    Perspective.BF_TRANS: bf_trans,
    Perspective.NEW_NUMBERS: new_numbers,
    Perspective.ADDED_CONDITION: alteration(checks.require_added_condition),
    Perspective.NEW_CONTEXT: alteration(checks.require_new_context),
    Perspective.CHANGED_GOAL: alteration(checks.require_changed_goal),
    Perspective.HARDER: alteration(checks.require_harder),
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


def _expressions(problem: WordProblem) -> str:
    """Return the steps, one a line, without a result: "48 / 2" and, of an earlier line's result, "(48 / 2) + 48"."""
    return "\n".join(written_out(problem))
