"""Draw the second corpus: GSM8K as programs, stories, plain sums, refusals and repairs, in fixed shares.

    GSM8K train ─┐
    topics ──────┼─▶ Exercises ─▶ programs run ─▶ answers checked ─▶ rows of both stages
    sums ────────┤        └─▶ faults planted ─▶ both programs in a kernel ─▶ repairs
    refusals ────┘

Equal arguments give equal rows. A question is used once. Whole schemas, 300 rows of GSM8K, and all forms that are
marked for evaluation are kept out, and so is every question of the evaluation sets by its text.
"""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random

from finetune.data.corpus import Row, Stage, training_side
from finetune.data.evaluation import evaluation_exercises, write_evaluation
from finetune.data.executed import solved
from finetune.data.jobs import JobIdentity, JobManifest, begin, sha256, write_manifest
from finetune.data.repairs import planted, repaired
from finetune.data.seeds import same_form
from finetune.wordproblems.exercise import Exercise, code_text, exercise, thought_text
from finetune.wordproblems.general import from_nowhere, why_not_general
from finetune.wordproblems.gsm8k import Converted, Gsm8kRow, Unreadable, read, read_gsm8k, vary, without_marks
from finetune.wordproblems.load import new_stories, stories
from finetune.wordproblems.refusals import Refusal, refusal
from finetune.wordproblems.schema import Schema
from finetune.wordproblems.sums import sums
from mumath_agent.problems import split_gsm8k_answer
from mumath_agent.runs.jsonl import replace_lines

SHARES: dict[Stage, dict[str, float]] = {
    1: {"gsm8k": 0.25, "stories": 0.15, "new stories": 0.33, "sums": 0.24, "refusals": 0.03},
    2: {"gsm8k": 0.25, "stories": 0.13, "new stories": 0.32, "sums": 0.24, "refusals": 0.03, "repairs": 0.03},
}
_TRIES = 40
"""Draws for a question that isn't there yet."""

Draw = Callable[[Random], Exercise]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixed:
    """The rows of a stage, with counts of each kind and of what was dropped, by reason."""

    rows: tuple[Row, ...]
    counts: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """GSM8K's training rows that are programs, exactly."""

    rows: tuple[Gsm8kRow, ...]
    """All of them, programs or not."""
    known: tuple[Converted, ...]
    dropped: dict[str, int]
    """The others by reason."""


def programs(rows: Sequence[Gsm8kRow]) -> Programs:
    """Read GSM8K's rows, without those that are held out."""
    mine = training_side(rows)
    known: list[Converted] = []
    dropped: Counter[str] = Counter()
    for number, row in enumerate(mine):
        try:
            one = read(row, number)
            exercise(one.problem)
            if from_nowhere(one.problem):
                raise Unreadable("a number from nowhere")
        except (Unreadable, ValueError) as reason:
            dropped[f"gsm8k row dropped: {reason}"] += 1
        else:
            known.append(one)
    return Programs(rows=tuple(mine), known=tuple(known), dropped=dict(dropped))


async def mix(rows: Sequence[Gsm8kRow], *, stage: Stage, size: int, seed: int) -> Mixed:
    """Return about `size` rows: of each kind as many as its share, less those that fail a check.

    Raises:
        KernelError: no kernel could be started, for repairs.
    """
    gsm8k, rng = programs(rows), Random(f"mix {stage} {seed}")
    drawing = _Drawing(rng)
    counts: Counter[str] = Counter(gsm8k.dropped)
    made: list[tuple[str, str, str, str]] = []
    shares = SHARES[stage] if gsm8k.known else {k: v for k, v in SHARES[stage].items() if k != "gsm8k"}
    for kind, share in shares.items():
        wanted = round(size * share / sum(shares.values()))
        if kind == "refusals":
            made += [(kind, one.source, one.question, one.reply) for one in drawing.refusals(wanted)]
        elif kind == "repairs":
            made += [(kind, *row) async for row in _repairs(drawing, _any_of(gsm8k), wanted, counts)]
        else:
            drawn = drawing.exercises(_sources(kind, gsm8k, stage), wanted)
            made += [(kind, *row) for row in _solutions(kind, drawn, stage, counts)]
    rng.shuffle(made)
    counts.update(kind for kind, *_ in made)
    return Mixed(
        rows=tuple(
            Row(id=f"mix-{stage}-{seed}-{number}", source=source, question=question, solution=solution)
            for number, (_, source, question, solution) in enumerate(made)
        ),
        counts=dict(sorted(counts.items())),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MixConfig:
    """The corpus to write."""

    out: Path
    """Folder for cot.jsonl, code.jsonl and evaluation/."""
    thoughts: int
    """Rows of stage 1."""
    programs: int
    """Rows of stage 2."""
    seed: int = 0
    gsm8k: Path | None = None
    """GSM8K's train.jsonl; without it the other kinds take its share."""


async def write_mix(config: MixConfig) -> dict[str, dict[str, int]]:
    """Write the rows of both stages, with a manifest beside each, and the evaluation; return counts by file.

    Raises:
        InputError: GSM8K's file can't be used, or the output can't be written or belongs to another job.
        KernelError: no kernel could be started.
    """
    rows = [row for _, row in read_gsm8k(config.gsm8k)] if config.gsm8k else []
    counts: dict[str, dict[str, int]] = {}
    stages: tuple[tuple[str, Stage, int], ...] = (
        ("cot.jsonl", 1, config.thoughts),
        ("code.jsonl", 2, config.programs),
    )
    for name, stage, size in stages:
        identity = JobIdentity(
            stage="mix",
            inputs={config.gsm8k.name: sha256(config.gsm8k)} if config.gsm8k else {},
            settings={"stage": stage, "size": size, "seed": config.seed},
        )
        begun = begin(config.out / name, identity)
        if not begun.finished:
            mixed = await mix(rows, stage=stage, size=size, seed=config.seed)
            replace_lines(config.out / name, mixed.rows)
            begun = JobManifest(identity=identity, rows=len(mixed.rows), counts=mixed.counts)
            write_manifest(config.out / name, begun)
        counts[name] = begun.counts
    return counts | {"evaluation": write_evaluation(config.out / "evaluation", rows)}


class _Drawing:
    """Draws whose questions are all different, and none of the evaluation's."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self._seen = {same_form(one.question).lower() for one in evaluation_exercises()}

    def _is_new(self, question: str) -> bool:
        form = same_form(question).lower()
        if form in self._seen:
            return False
        self._seen.add(form)
        return True

    def exercises(self, sources: tuple[Iterator[Exercise], Draw], wanted: int) -> list[Exercise]:
        """Return exercises: those that are listed, then drawn ones."""
        listed, draw = sources
        found = [one for one in islice(listed, wanted) if self._is_new(one.question)]
        for _ in range((wanted - len(found)) * _TRIES):
            if len(found) >= wanted:
                break
            try:
                one = draw(self.rng)
            except ValueError:  # an answer without decimals
                continue
            if self._is_new(one.question):
                found.append(one)
        return found

    def refusals(self, wanted: int) -> Iterator[Refusal]:
        """Yield refusals, until there are enough or nothing new comes."""
        found = 0
        for _ in range(wanted * _TRIES):
            if found >= wanted:
                return
            one = refusal(self.rng)
            if self._is_new(one.question):
                found += 1
                yield one


def _sources(kind: str, gsm8k: Programs, stage: Stage) -> tuple[Iterator[Exercise], Draw]:
    """Return the exercises that come once each, and how to draw more."""
    if kind == "gsm8k":
        listed = map(_recited, gsm8k.rows) if stage == 1 else (exercise(one.problem) for one in gsm8k.known)
        return listed, _varied(gsm8k)
    if kind == "sums":
        return iter(()), _summed
    return iter(()), _told(stories(held_out=False) if kind == "stories" else new_stories())


def _any_of(gsm8k: Programs) -> Draw:
    """Return a draw from all kinds, for repairs."""
    draws: list[Draw] = [_told(new_stories()), _told(stories(held_out=False)), _summed]
    if gsm8k.known:
        draws.append(_varied(gsm8k))
    return lambda rng: rng.choice(draws)(rng)


def _summed(rng: Random) -> Exercise:
    """Return a sum, of a kind that comes as often as it has forms: what is asked in many ways is asked often."""
    kinds = sums()
    return rng.choices(kinds, [len(kind.forms) for kind in kinds])[0].exercise(rng)


def _told(schemas: Sequence[Schema]) -> Draw:
    return lambda rng: exercise(rng.choice(schemas).problem(rng))


def _varied(gsm8k: Programs) -> Draw:
    """Return a draw of varied rows: rows whose numbers may change come more often than those of other names only."""
    general = [
        one for one in gsm8k.known if one.varies and why_not_general(one.problem) is None
    ] or gsm8k.known
    return lambda rng: exercise(vary(rng.choice(general if rng.random() < 0.8 else gsm8k.known), rng))


def _recited(row: Gsm8kRow) -> Exercise:
    """Return a row with its own solution, in words; it has no program."""
    body, answer = split_gsm8k_answer(row["answer"])
    return Exercise(
        question=row["question"].strip(),
        source="gsm8k-train",
        plan="",
        program=(),
        worked=tuple(without_marks(body).strip().split("\n")),
        answer=answer.replace(",", "").strip(),
    )


def _solutions(
    kind: str, drawn: Sequence[Exercise], stage: Stage, counts: Counter[str]
) -> Iterator[tuple[str, str, str]]:
    """Yield source, question and solution of exercises whose program prints their answer."""
    for one, output in solved(drawn):
        if output is None:
            counts[f"{kind} dropped: printed another answer"] += 1
        else:
            yield one.source, one.question, code_text(one, output) if stage == 2 else thought_text(one)


async def _repairs(
    drawing: _Drawing, draw: Draw, wanted: int, counts: Counter[str]
) -> AsyncIterator[tuple[str, str, str]]:
    drawn = drawing.exercises((iter(()), draw), wanted)
    right = [one for one, output in solved(drawn) if output is not None]
    faulty = [found for one in right if (found := planted(one, drawing.rng)) is not None]
    texts = await repaired(faulty)
    counts["repairs dropped: no fault to plant"] += len(right) - len(faulty)
    for repair, text in zip(faulty, texts, strict=True):
        if text is None:
            counts["repairs dropped: the fault did no harm"] += 1
        else:
            yield f"repair/{repair.fault.kind}/{repair.exercise.source}", repair.exercise.question, text
