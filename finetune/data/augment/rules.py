"""Augment by rules: exactly, without a teacher, with equal results for equal seeds.

A rule yields the ways in which it can change a seed, each with its answer and, where there is a program, a rationale
that works it out. A seed gets as many distinct ones as asked for, or as there are. BF-Trans, interpolation and the
other perspectives without a rule take a teacher. Answers are computed exactly; that a program means what its question
says follows from the seed's rationale and from the checks of `programs`, which leave out rather than trust.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from random import Random

from finetune.data.augment.backward import backward_problems, backward_question
from finetune.data.augment.own import other_questions
from finetune.data.augment.perspectives import Perspective, Unusable, derived, derived_id
from finetune.data.augment.programs import (
    decimal,
    is_sane,
    marked,
    read_program,
    require_clear,
    require_general,
)
from finetune.data.augment.relations import opposite_relations
from finetune.data.augment.wording import in_other_words, other_people_and_things
from finetune.data.jobs import JobResult
from finetune.data.records import Question
from finetune.data.seeds import same_form
from finetune.wordproblems.gsm8k import vary
from finetune.wordproblems.problem import WordProblem
from mumath_agent.errors import InputError

_TRIES_PER_SAMPLE = 12
"""Draws of a rule that draws: suitable numbers, or a new text, may not come at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A new question, its exact answer, and a rationale where a program gives one."""

    question: str
    target: str
    rationale: str | None


Rule = Callable[[Question, Random], Iterator[Change | None]]
"""None is a draw that came to nothing; the next one may."""


def rephrased(seed: Question, rng: Random) -> Iterator[Change | None]:
    """Yield the question in other words; numbers, answer and rationale stay."""
    if seed.problem.target is None:
        raise Unusable("no target")
    for question in in_other_words(seed.problem.question, rng):
        yield Change(question=question, target=seed.problem.target, rationale=seed.rationale)


def backward(seed: Question, rng: Random) -> Iterator[Change | None]:
    """Yield FOBAR's questions: for each number that the answer determines, in some order."""
    reading = read_program(seed)
    require_clear(reading)
    answer = decimal(reading.problem.answer)
    ways = list(backward_problems(reading.problem, answer))
    rng.shuffle(ways)
    for masked, inverse in ways:
        yield Change(
            question=backward_question(masked, answer),
            target=decimal(Fraction(masked.value)),
            rationale=_solution(inverse) if inverse else None,
        )


def new_numbers(seed: Question, rng: Random) -> Iterator[Change | None]:
    """Yield the question with other numbers, and perhaps other names; the answer is the program's."""
    reading = read_program(seed)
    require_general(reading)
    while True:
        problem = vary(reading, rng)
        yield _change(problem) if problem.numbers != reading.problem.numbers else None


def new_context(seed: Question, rng: Random) -> Iterator[Change | None]:
    """Yield the question about other people and things, with the same numbers."""
    reading = read_program(seed)
    answer = decimal(reading.problem.answer)
    solution = _solution(reading.problem) if reading.varies else None
    for question in other_people_and_things(reading, rng):
        yield Change(question=question, target=answer, rationale=solution)


def replaced_expression(seed: Question, rng: Random) -> Iterator[Change | None]:
    """Yield another formula over the same story, where its template has one; else the opposite of a relation."""
    problems = list(other_questions(seed)) if seed.problem.source == "own" else _opposites(seed)
    rng.shuffle(problems)
    yield from map(_change, problems)


def _opposites(seed: Question) -> list[WordProblem]:
    reading = read_program(seed)
    problems = list(opposite_relations(reading))
    if not problems:
        raise Unusable("no relation to turn round")
    require_general(reading)
    return [problem for problem in problems if is_sane(problem, reading.problem)]


def _change(problem: WordProblem) -> Change | None:
    """Return the problem with its rationale; None where that can't be written exactly."""
    solution = _solution(problem)
    if solution is None:
        return None
    return Change(question=problem.question, target=decimal(problem.answer), rationale=solution)


def _solution(problem: WordProblem) -> str | None:
    try:
        return marked(problem)
    except Unusable:
        return None


RULES: Mapping[Perspective, Rule] = {
    Perspective.REPHRASE: rephrased,
    Perspective.FOBAR: backward,
    Perspective.NEW_NUMBERS: new_numbers,
    Perspective.NEW_CONTEXT: new_context,
    Perspective.EXPRESSION_REPLACEMENT: replaced_expression,
}


def with_rules(perspectives: Sequence[Perspective]) -> tuple[Perspective, ...]:
    """Return `perspectives`, if all of them have a rule.

    Raises:
        InputError: one has no rule.
    """
    if without := [one for one in perspectives if one not in RULES]:
        raise InputError(
            f"{without[0]} has no rule-based form, it takes a --teacher; by rules there are {', '.join(RULES)}"
        )
    return tuple(perspectives)


def augmented(
    seed: Question, perspectives: Sequence[Perspective], *, samples: int, draw: int
) -> JobResult[Question]:
    """Return at most `samples` questions of each perspective, all different, and count why there aren't more."""
    rows: list[Question] = []
    counts = Counter[str]()
    for perspective in perspectives:
        try:
            made = list(_distinct(seed, perspective, samples, draw))
            counts[perspective if made else f"{perspective}, nothing to change"] += len(made) or 1
            rows += made
        except Unusable as reason:
            counts[f"{perspective}, {reason}"] += 1
    return JobResult(rows=tuple(rows), counts=dict(counts))


def _distinct(seed: Question, perspective: Perspective, samples: int, draw: int) -> Iterator[Question]:
    seen = {same_form(seed.problem.question)}
    changes = RULES[perspective](seed, Random(f"{draw} {seed.problem.id} {perspective}"))
    for change in islice(changes, samples * _TRIES_PER_SAMPLE):
        if change is None or (form := same_form(change.question)) in seen:
            continue
        seen.add(form)
        sample = len(seen) - 2
        yield derived(
            seed,
            perspective,
            id=derived_id(seed, perspective, sample, f"rules {draw}"),
            question=change.question,
            target=change.target,
            rationale=change.rationale,
        )
        if sample + 1 == samples:
            return
