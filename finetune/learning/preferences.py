"""Learn from pairs of attempts at one question, one right and one wrong: direct preference optimisation.

    run records ─▶ pairs ─▶ ids and masks ─▶ margins ─▶ loss (DPO, arXiv 2305.18290)

An attempt's log-probability is the sum over the tokens that the model wrote: what a kernel printed is no preference of
anybody's. The mask is that of training (`encode`), so the recipe's `mask_failures` holds here, too.
"""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch.nn import functional
from transformers import PreTrainedTokenizerFast

from finetune.data.select.attempts import Attempt
from finetune.training.batches import Batch, collate
from finetune.training.encode import UNTRAINED, Encoded, Row, encode
from finetune.training.loss import logprobs_of
from finetune.training.recipe import Recipe
from finetune.training.weights import Model
from mumath_agent.dialects import get_text_dialect
from mumath_agent.records import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """A right and a wrong attempt at a question, each the whole text of a solution."""

    question: str
    dialect: str
    chosen: str
    rejected: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Preferences:
    """The pairs of some attempts, and how many questions gave none."""

    pairs: tuple[Preference, ...]
    always_right: int
    never_right: int
    """Neither these nor those: a question with both has a pair."""
    unused: int
    """Attempts that are neither right nor wrong: ungraded, broken, unfinished, or of an unconfirmed target."""


def preferences(attempts: Iterable[Attempt], *, per_question: int = 1) -> Preferences:
    """Pair right attempts with wrong ones, at most so many pairs a question, each attempt in one pair at most.

    Both are whole: they ended by themselves, and their programs ran. They are paired by rank of length, short with
    short, so that length tells as little as can be which one is right. The order of the attempts makes no difference.
    """
    sides: dict[tuple[str, str], dict[Outcome, set[str]]] = {}
    unused = 0
    for one in attempts:
        found = sides.setdefault(
            (one.question, one.dialect), {Outcome.CORRECT: set(), Outcome.INCORRECT: set()}
        )
        if one.fault is None and not one.unconfirmed and one.outcome in found:
            found[one.outcome].add(one.text)
        else:
            unused += 1
    pairs: list[Preference] = []
    for (question, dialect), found in sorted(sides.items()):
        right, wrong = (sorted(texts, key=lambda text: (len(text), text)) for texts in found.values())
        pairs += [
            Preference(question=question, dialect=dialect, chosen=chosen, rejected=rejected)
            for chosen, rejected, _ in zip(right, wrong, range(per_question), strict=False)
        ]
    return Preferences(
        pairs=tuple(pairs),
        always_right=sum(
            bool(found[Outcome.CORRECT]) and not found[Outcome.INCORRECT] for found in sides.values()
        ),
        never_right=sum(
            not found[Outcome.CORRECT] and bool(found[Outcome.INCORRECT]) for found in sides.values()
        ),
        unused=unused,
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EncodedPair:
    """A pair in ids."""

    chosen: Encoded
    rejected: Encoded

    @property
    def tokens(self) -> int:
        """Tokens of both, the shorter one padded to the longer."""
        return 2 * max(len(self.chosen.ids), len(self.rejected.ids))


def encoded_pairs(
    pairs: Sequence[Preference], tokenizer: PreTrainedTokenizerFast, recipe: Recipe
) -> tuple[list[EncodedPair], int]:
    """Return the pairs in ids, and how many were dropped because one of the two has more than `recipe.max_tokens`."""
    dialect = get_text_dialect(recipe.dialect)
    sides = [
        encode(rows, tokenizer, dialect, max_tokens=sys.maxsize, mask_failures=recipe.mask_failures)[0]
        for rows in (
            [Row(question=pair.question, solution=pair.chosen) for pair in pairs],
            [Row(question=pair.question, solution=pair.rejected) for pair in pairs],
        )
    ]
    made = [EncodedPair(chosen=chosen, rejected=rejected) for chosen, rejected in zip(*sides, strict=True)]
    kept = [pair for pair in made if max(len(pair.chosen.ids), len(pair.rejected.ids)) <= recipe.max_tokens]
    return kept, len(made) - len(kept)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PairBatch:
    """Pairs as tensors: a line of the chosen one, then of the rejected, pair after pair."""

    batch: Batch
    written: list[int]
    """Trained tokens of each row."""

    def to(self, device: torch.device) -> "PairBatch":
        """Return the batch on `device`."""
        return replace(self, batch=self.batch.to(device))


def pair_batch(pairs: Sequence[EncodedPair], *, pad_id: int = 0, packed: bool = False) -> PairBatch:
    """Return pairs as tensors, on the CPU."""
    rows = [row for pair in pairs for row in (pair.chosen, pair.rejected)]
    return PairBatch(
        batch=collate(rows, pad_id=pad_id, packed=packed),
        written=[int((row.labels[1:] != UNTRAINED).sum()) for row in rows],
    )


def margins(model: Model, batch: PairBatch, *, half: bool = False) -> torch.Tensor:
    """Return by how much more probable the chosen attempt of each pair is, in natural logarithms (pairs,)."""
    each = logprobs_of(model, batch.batch, half=half).split(batch.written)  # type: ignore[no-untyped-call]
    sums = torch.stack([row.sum() for row in each])
    return sums[0::2] - sums[1::2]


def preference_loss(
    model_margins: torch.Tensor, reference_margins: torch.Tensor, *, beta: float
) -> torch.Tensor:
    """Return the sum of the pairs' losses: small where the model prefers the chosen more than the reference does.

    `beta` is the price of moving away from the reference: the larger, the less it takes.
    """
    return -functional.logsigmoid(beta * (model_margins - reference_margins)).sum()
