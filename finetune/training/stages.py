"""Train several stages one after the other: each starts from the weights of the one before."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from finetune.training.metrics import Tracking
from finetune.training.recipe import Recipe
from finetune.training.train import MeasureSolveRate, train
from mumath_agent.errors import InputError


def recipes_for(recipes: Sequence[Recipe], data: Sequence[Path]) -> tuple[Recipe, ...]:
    """Return a recipe for each file of rows; a single recipe serves all stages.

    Raises:
        InputError: there are several recipes, and not one for each file.
    """
    if len(recipes) == 1:
        return tuple(recipes) * len(data)
    if len(recipes) != len(data):
        raise InputError(f"the recipe has {len(recipes)} stages; give --data as often, not {len(data)} times")
    return tuple(recipes)


def train_stages(
    recipes: Sequence[Recipe],
    data: Sequence[Path],
    *,
    start: Path | str,
    out: Path,
    solve_rate: MeasureSolveRate | None = None,
    track: Sequence[Tracking] = (),
) -> Iterator[Path]:
    """Train a stage for each recipe and file of rows; yield its folder when it is finished.

    A single stage is written to `out`, several to out/stage1, out/stage2 and so on. For the rest see `train`.
    """
    for number, (recipe, rows) in enumerate(zip(recipes, data, strict=True), start=1):
        folder = out if len(recipes) == 1 else out / f"stage{number}"
        train(recipe, data=rows, start=start, out=folder, solve_rate=solve_rate, track=track)
        yield folder
        start = folder
