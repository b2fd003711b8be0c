"""Recipes say what they mean or are refused; those that come with the project are valid."""

from collections.abc import Callable
from pathlib import Path

import pytest

from finetune.training.recipe import RECIPES, Recipe, read_recipe, read_stages, varied
from mumath_agent.errors import InputError

TINY = (RECIPES / "tiny-stage1.toml").read_text("utf-8")
SIZES = {"7b": 2e-5, "13b": 2e-5, "34b": 1e-5, "70b": 1e-5}


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_the_recipes_are_valid(path: Path) -> None:
    first, *later = read_stages(path)
    assert not path.stem.endswith("stage1") or (first.model is None) == path.stem.startswith("135m")
    assert all(stage.model is None for stage in later)


@pytest.mark.parametrize(("size", "rate"), SIZES.items())
def test_full_recipes_have_the_papers_values(size: str, rate: float) -> None:
    (recipe,) = read_stages(Path(f"{size}-full"))
    assert recipe.epochs == 3
    assert recipe.max_tokens == (1536 if size == "34b" else 2048)
    assert recipe.lora is None
    assert recipe.optimizer.rate == rate
    assert (recipe.optimizer.kind, recipe.optimizer.matrix_decay) == ("adamw", 0)
    assert (recipe.optimizer.schedule, recipe.optimizer.warmup_ratio) == ("linear", 0.03)


@pytest.mark.parametrize("size", SIZES)
def test_lora_recipes_differ_in_adapter_and_rate_only(size: str) -> None:
    ((full,), (lora,)) = (read_stages(Path(f"{size}-{kind}")) for kind in ("full", "lora"))
    told = [recipe.model_dump(exclude={"name", "lora", "optimizer"}) for recipe in (full, lora)]
    assert told[0] == told[1]
    rates = [recipe.optimizer.model_dump(exclude={"rate"}) for recipe in (full, lora)]
    assert rates[0] == rates[1]
    assert lora.lora is not None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("step = 1", "Extra inputs are not permitted|Field required"),
        ("steps = ", "isn't TOML"),
        (TINY.replace("seed", "sede"), "sede: Extra inputs are not permitted"),
        (TINY.replace("steps = 40", "steps = 0"), "steps: Input should be greater than 0"),
        (TINY.replace("steps = 40", ""), "give either steps or epochs"),
        (TINY.replace("steps = 40", "steps = 40\nepochs = 1"), "give either steps or epochs"),
        (TINY.replace("steps = 40", "steps = 40\nmicrobatch_tokens = 1000"), "must be a multiple"),
        (TINY.replace("max_tokens = 256", "packing = true\nmax_tokens = 2048"), "room for a row"),
        (TINY + "momentum = 1", "optimizer.momentum: Extra inputs"),
        (TINY + "[lora]\nrank = 0\nalpha = 1", "lora.rank: Input should be greater than 0"),
        (TINY + "schedule = 'steps'", "optimizer.schedule: Input should be"),
        (b"\xff", "isn't TOML"),
    ],
)
def test_recipes_that_are_none(tmp_path: Path, content: str | bytes, message: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=message):
        read_recipe(path)


def test_stages_are_named_relative_to_their_list(tmp_path: Path) -> None:
    (tmp_path / "one.toml").write_text(TINY, encoding="utf-8")
    (tmp_path / "both.toml").write_text('stages = ["one.toml", "one.toml"]', encoding="utf-8")
    assert (
        read_stages(tmp_path / "both.toml")
        == (Recipe.model_validate(read_recipe(tmp_path / "one.toml")),) * 2
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('stages = ["none.toml"]', "no such recipe"),
        ("stages = []\nseed = 1", "seed: a list of stages has no other keys"),
    ],
)
def test_lists_of_stages_that_are_none(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "both.toml").write_text(content, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_stages(tmp_path / "both.toml")


def test_a_folder_is_no_recipe(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="can't read"):
        read_recipe(tmp_path)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ("frozen_layers = 1", lambda recipe: recipe.frozen_layers == 1),
        (
            "optimizer.rate = 1e-4",
            lambda recipe: (recipe.optimizer.rate, recipe.optimizer.kind) == (1e-4, "muon"),
        ),
        ("lora = {rank = 4, alpha = 8}", lambda recipe: recipe.lora is not None and recipe.lora.rank == 4),
    ],
)
def test_a_line_varies_a_recipe(changes: str, found: Callable[[Recipe], bool]) -> None:
    before = read_recipe(RECIPES / "tiny-stage2.toml")
    after = varied(before, changes)
    assert found(after) and not found(before)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ("frozen", "isn't TOML"),
        ("frozn = 1", "Extra inputs"),
        ("patience = 3", "multiple of checkpoint_every"),
    ],
)
def test_lines_that_vary_nothing(changes: str, message: str) -> None:
    before = read_recipe(RECIPES / "tiny-stage2.toml").model_copy(update={"eval_every": 15})
    with pytest.raises(InputError, match=message):
        varied(before, changes)
