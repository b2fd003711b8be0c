"""Sift the attempts: attempts in, training rows and reasons out.

The attempts are sorted by what they say, then pass one rule after the other; an attempt that a rule finds fault with is
out, with that fault as its reason. So every attempt is counted once, and the order of the files' lines makes no
difference.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from finetune.data.records import SolutionFormat
from finetune.data.select.answers import answer_faults
from finetune.data.select.attempts import Attempt
from finetune.data.select.contamination import Index
from finetune.data.select.duplicates import near_duplicates
from finetune.data.select.reasons import Dropped, Fault, Faults, Reason
from finetune.data.select.rules import Length, contaminated, duplicates, other_format, repeated, too_long
from finetune.data.select.variety import surplus
from mumath_agent.errors import InputError
from mumath_agent.grading import Grader


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The requirements on a solution."""

    format: SolutionFormat | None = None
    """None: both, each by its own rules."""
    min_share: float = 0.5
    """Share of all attempts at a question of unknown answer that must agree. MuMath names none; MathCoder's is 1."""
    min_votes: int = 2
    """A single attempt always agrees with itself."""
    length: Length | None = None
    against: Index | None = None
    """The test questions that must not be trained on."""
    similar: float = 0.8
    """From this Jaccard similarity on, question and solution together, an attempt is a near-duplicate."""
    per_question: int | None = None
    """None: all."""

    def __post_init__(self) -> None:
        """Refuse settings that can't be."""
        for name, share in (("min_share", self.min_share), ("similar", self.similar)):
            if not 0 < share <= 1:
                raise InputError(f"{name} is {share}; it must be above 0 and at most 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Attempts of one origin."""

    source: str
    augmentation: str | None
    attempts: int
    kept: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """The attempts that are kept and those that aren't, each in the order of ids."""

    kept: tuple[Attempt, ...]
    dropped: tuple[Dropped, ...]
    groups: tuple[Group, ...]
    clusters: int
    """Attempts that others were dropped for being near-duplicates of."""
    contaminated_questions: int


async def sift(
    attempts: Iterable[Attempt],
    rules: Rules,
    grader: Grader,
    *,
    concurrency: int = 1,
    on_rule: Callable[[str], None] = lambda name: None,
) -> Selection:
    """Sort out the attempts; `on_rule` is told which rule is being applied."""
    sieve = _Sieve(attempts, on_rule)
    sieve.drop("repeated lines", repeated)
    sieve.left = _with_own_ids(sieve.left)
    on_rule("answers")
    judged = await answer_faults(
        sieve.left, grader, min_share=rules.min_share, min_votes=rules.min_votes, concurrency=concurrency
    )
    sieve.drop("answers", lambda left: judged)
    if (format := rules.format) is not None:
        sieve.drop("format", lambda left: other_format(left, format))
    if (length := rules.length) is not None:
        sieve.drop("length", lambda left: too_long(left, length))
    if (against := rules.against) is not None:
        sieve.drop("contamination", lambda left: contaminated(left, against))
    sieve.drop("duplicates", duplicates)
    sieve.drop("near-duplicates", lambda left: near_duplicates(left, similar=rules.similar))
    if (per_question := rules.per_question) is not None:
        sieve.drop("variety", lambda left: surplus(left, per_question=per_question))
    return _selection(sieve.left, sieve.out)


class _Sieve:
    """The attempts that are left, and those that aren't."""

    def __init__(self, attempts: Iterable[Attempt], on_rule: Callable[[str], None]) -> None:
        self.left = sorted(attempts, key=_order)
        self.out: list[tuple[Attempt, Fault]] = []
        self._on_rule = on_rule

    def drop(self, name: str, rule: Callable[[Sequence[Attempt]], Faults]) -> None:
        self._on_rule(name)
        faults = rule(self.left)
        self.out += [(self.left[position], fault) for position, fault in sorted(faults.items())]
        self.left = [attempt for position, attempt in enumerate(self.left) if position not in faults]


def _order(one: Attempt) -> tuple[str, int, str, str, str]:
    """Order by the text; the rest decides only between lines that claim to be the same attempt and aren't."""
    rest = (
        one.target,
        one.answer,
        one.outcome,
        one.fault,
        one.dialect,
        one.source,
        one.seed_id,
        one.augmentation,
    )
    return one.question, len(one.text), one.text, one.id, repr(rest)


def _with_own_ids(attempts: Iterable[Attempt]) -> list[Attempt]:
    """Give later samples a number of their own, where two runs number theirs alike."""
    seen: Counter[str] = Counter()
    named: list[Attempt] = []
    for attempt in attempts:
        seen[attempt.id] += 1
        again = seen[attempt.id]
        named.append(attempt if again == 1 else replace(attempt, id=f"{attempt.id}#{again}"))
    return named


def _selection(left: Sequence[Attempt], out: Sequence[tuple[Attempt, Fault]]) -> Selection:
    dropped = [Dropped(id=one.id, reason=fault.reason, detail=fault.detail) for one, fault in out]
    kept = Counter((one.source, one.augmentation or "") for one in left)
    attempts = kept + Counter((one.source, one.augmentation or "") for one, _ in out)
    return Selection(
        kept=tuple(sorted(left, key=lambda one: one.id)),
        dropped=tuple(sorted(dropped, key=lambda one: (one.id, one.reason, one.detail))),
        groups=tuple(
            Group(
                source=origin[0], augmentation=origin[1] or None, attempts=attempts[origin], kept=kept[origin]
            )
            for origin in sorted(attempts)
        ),
        clusters=len({fault.detail for _, fault in out if fault.reason is Reason.NEAR_DUPLICATE}),
        contaminated_questions=len(
            {one.question for one, fault in out if fault.reason is Reason.CONTAMINATED}
        ),
    )
