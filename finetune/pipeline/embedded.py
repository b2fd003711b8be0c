"""The embedded model from nothing to the folder that is shipped: corpus, tokenizer, stage 1, stage 2, export.

Each part leaves its result in the work folder and is skipped when that is there, so the command can be given again
after an interruption. The stages check for themselves that what they find was made with the same settings.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from finetune.data.corpus import Stage, build, write
from finetune.release.export import export
from finetune.training.encode import read_rows
from finetune.training.recipe import Recipe
from finetune.training.tokenizer import train_tokenizer
from finetune.training.train import train


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the model is made of."""

    gsm8k: Sequence[Mapping[str, str]]
    recipes: tuple[Recipe, Recipe]
    rows: tuple[int, int] = (30_000, 100_000)
    """Of stage 1 and of stage 2. Enough that no stage sees a row twice."""
    vocab_size: int = 2048
    seed: int = 0


def make(plan: Plan, *, work: Path, out: Path) -> None:
    """Run whatever is missing in `work`, then export to `out`."""
    work.mkdir(parents=True, exist_ok=True)
    data = (_corpus(plan, 1, work), _corpus(plan, 2, work))
    _tokenizer(plan, data, work / "tokenizer")
    start = work / "tokenizer"
    for stage, recipe in enumerate(plan.recipes, start=1):
        train(recipe, data=data[stage - 1], start=start, out=work / f"stage{stage}")
        start = work / f"stage{stage}"
    export(start, out)


def _corpus(plan: Plan, stage: Stage, work: Path) -> Path:
    path = work / f"stage{stage}.jsonl"
    if not path.is_file():
        partial = work / f"{path.name}.partial"
        write(partial, build(plan.gsm8k, stage=stage, size=plan.rows[stage - 1], seed=plan.seed))
        partial.replace(path)
    return path


def _tokenizer(plan: Plan, data: Sequence[Path], folder: Path) -> None:
    """One tokenizer for both stages, learned from what both will see."""
    if (folder / "tokenizer.json").is_file():
        return
    texts = (text for path in data for row in read_rows(path) for text in (row.question, row.solution))
    train_tokenizer(texts, vocab_size=plan.vocab_size).save_pretrained(folder)
