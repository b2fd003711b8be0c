"""Read recipes: the settings of one stage of training, in TOML, where unknown keys are errors.

A file holds one recipe, or lists the recipes of several stages (`stages = ["a.toml", "b.toml"]`). Recipes that come
with the project are known by name: `tiny-stage1`, `7b-lora`.
"""

import tomllib
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from mumath_agent.errors import InputError

RECIPES = Path(__file__).parent / "recipes"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Shape(_Frozen):
    """The sizes of a new Llama; its vocabulary is the tokenizer's."""

    hidden_size: int = Field(gt=0)
    layers: int = Field(gt=0)
    heads: int = Field(gt=0)
    ffn_size: int = Field(gt=0)
    positions: int = Field(gt=0)
    """Tokens of the longest sequence that the model can be served."""
    rope_theta: float = 10_000.0


class Lora(_Frozen):
    """Settings of an adapter: low-rank updates of the base model's matrices (arXiv 2106.09685)."""

    rank: int = Field(gt=0)
    alpha: float = Field(gt=0)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    targets: Literal["all-linear"] | tuple[str, ...] = "all-linear"
    """Names of the adapted modules; "all-linear" is every matrix but the output one."""
    quantize: Literal["nf4"] | None = None
    """Keep the base in 4 bits (QLoRA, arXiv 2305.14314); needs bitsandbytes and one CUDA device."""


class Optimizer(_Frozen):
    """Settings of the optimisers. They share one learning rate: Muon's updates are scaled to AdamW's."""

    kind: Literal["muon", "adamw"] = "muon"
    """muon: Muon for the matrices, AdamW for embeddings and norms. adamw: AdamW for all."""
    rate: float = Field(gt=0)
    """Learning rate after warm-up."""
    betas: tuple[float, float] = (0.9, 0.98)
    """The two decay rates of AdamW's averages."""
    matrix_decay: float = Field(default=0.1, ge=0)
    other_decay: float = Field(default=0.01, ge=0)
    clip: float = Field(default=1.0, gt=0)
    warmup_steps: int = Field(default=60, ge=1)
    warmup_ratio: float | None = Field(default=None, ge=0, lt=1)
    """Warm-up as a fraction of the steps, in place of `warmup_steps`."""
    schedule: Literal["linear", "cosine"] = "linear"
    """The form of the learning rate's decay."""
    flat_until: float = Field(default=0.2, ge=0, lt=1)
    """Fraction of the steps before the decay begins."""
    final: float = Field(default=0.02, ge=0, le=1)
    """Fraction of the learning rate that is left at the last step."""


class Recipe(_Frozen):
    """The settings of one stage of training."""

    name: str
    dialect: str = "fenced"
    model: Shape | None = None
    """None: start from the weights of the start folder."""
    lora: Lora | None = None
    """None: train all weights."""
    frozen_layers: int | None = Field(default=None, ge=0)
    """Leave the input embeddings (and an output matrix tied to them) and so many of the lower layers as they are: no
    gradient goes below. 0 leaves only the embeddings, None trains everything."""
    optimizer: Optimizer
    seed: int = 0
    steps: int | None = Field(default=None, gt=0)
    epochs: int | None = Field(default=None, gt=0)
    """Passes over the data, in place of `steps`."""
    batch_tokens: int = Field(gt=0)
    """Tokens per step, padding included, over all processes."""
    microbatch_tokens: int | None = Field(default=None, gt=0)
    """Tokens that one process holds at a time. A step has `batch_tokens / microbatch_tokens` such passes, shared out
    evenly, so the number of processes doesn't change what is learned. None: a step is one pass."""
    max_tokens: int = Field(gt=0)
    """Longer rows are dropped."""
    packing: bool = False
    """True: a pass is one line of as many whole rows as fit. False: a line for each row, padded."""
    question_weight: float = Field(default=0.0, ge=0, lt=1)
    """Weight of the question's tokens in the loss; 0 masks them. A small weight teaches a model that was never
    pretrained to read."""
    mask_failures: bool = False
    """Leave programs whose output is an error, or nothing, out of the loss: a model learns to mend them, not to write
    them. False: everything but outputs is learned, as in the paper."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Precision of the matrix products. Trained weights and the optimisers' state are fp32."""
    int4_from: float | None = Field(default=None, ge=0, lt=1)
    """After this fraction of the steps, compute with matrices rounded as the embedded engine's int4 weights are, and
    end with rounded ones (`rounding.py`). None: never."""
    attention: Literal["sdpa", "flash_attention_2"] = "sdpa"
    gradient_checkpointing: bool = False
    """Keep only the input of each layer and compute the rest again: less memory, a third more work."""
    threads: int | None = Field(default=None, gt=0)
    """Train on the CPU with this many threads. The same recipe, data, machine and threads give the same weights, bit
    for bit. None: train on the GPU if there is one."""
    eval_rows: int = Field(default=256, ge=0)
    """Rows held out from training, for the evaluation loss."""
    eval_every: int = Field(default=200, gt=0)
    patience: int | None = Field(default=None, gt=0)
    """Stop after so many evaluations in a row that aren't better than the best one, and keep the weights of the best
    one. None: make all steps and keep the last weights."""
    solve_every: int | None = Field(default=None, gt=0)
    """Steps between two measurements of the share of problems solved, if problems are given."""
    checkpoint_every: int = Field(default=200, gt=0)
    log_every: int = Field(default=20, gt=0)

    @model_validator(mode="after")
    def _is_possible(self) -> Self:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give either steps or epochs")
        if self.batch_tokens % self.held_tokens:
            raise ValueError("batch_tokens must be a multiple of microbatch_tokens")
        if self.packing and self.held_tokens < self.max_tokens:
            raise ValueError("packing needs room for a row of max_tokens in a pass")
        if self.frozen_layers is not None and (self.lora or self.model):
            raise ValueError(
                "frozen_layers is for all weights of a model that is there: not with model or lora"
            )
        if self.int4_from is not None and self.lora:
            raise ValueError("int4_from rounds the weights that are trained: not with lora")
        if self.patience and (not self.eval_rows or self.eval_every % self.checkpoint_every):
            raise ValueError(
                "patience needs eval_rows, and an eval_every that is a multiple of checkpoint_every"
            )
        return self

    @property
    def held_tokens(self) -> int:
        """Tokens of one forward pass of one process, padding included."""
        return self.microbatch_tokens or self.batch_tokens

    @property
    def passes(self) -> int:
        """Forward passes of a step, over all processes."""
        return self.batch_tokens // self.held_tokens


def read_recipe(path: Path) -> Recipe:
    """Return the recipe in a TOML file.

    Raises:
        InputError: the file is missing, isn't TOML, or has an unknown, missing or impossible key.
    """
    try:
        return Recipe.model_validate(_table(path))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{path}: {f'{where}: ' if where else ''}{first['msg']}") from None


def varied(recipe: Recipe, changes: str) -> Recipe:
    """Return the recipe with the changes of a line of TOML, such as "frozen_layers = 10" or "optimizer.rate = 1e-4".

    Raises:
        InputError: it isn't TOML, or has an unknown or impossible key.
    """
    settings = recipe.model_dump()
    try:
        for name, value in tomllib.loads(changes).items():
            before = settings.get(name)
            settings[name] = before | value if isinstance(before, dict) and isinstance(value, dict) else value
        return Recipe.model_validate(settings)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{changes!r} isn't TOML: {error}") from None
    except ValidationError as error:
        raise InputError(f"{changes!r}: {error.errors()[0]['msg']}") from None


def read_stages(path: Path) -> tuple[Recipe, ...]:
    """Return the recipes that a file, or a name of one that comes with the project, stands for: one a stage.

    Raises:
        InputError: see `read_recipe`.
    """
    known = RECIPES / f"{path}.toml"
    if not path.exists() and known.is_file():
        path = known
    match _table(path):
        case {"stages": [*names], **others}:
            if others:
                raise InputError(f"{path}: {min(others)}: a list of stages has no other keys")
            return tuple(read_recipe(path.parent / str(name)) for name in names)
    return (read_recipe(path),)


def layer_numbers(text: str) -> tuple[int, ...]:
    """Return the numbers of "10-14,20": single ones and ranges, ends included.

    Raises:
        InputError: it is anything else.
    """
    numbers: set[int] = set()
    for part in text.split(","):
        first, dash, last = (piece.strip() for piece in part.partition("-"))
        if not (first.isdecimal() and (last.isdecimal() if dash else True)) or int(last or first) < int(
            first
        ):
            raise InputError(f"{text!r} doesn't name layers; give numbers and ranges, such as 10-14,20")
        numbers.update(range(int(first), int(last or first) + 1))
    return tuple(sorted(numbers))


def _table(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"no such recipe: {path}") from None
    except OSError as error:
        raise InputError(f"can't read {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} isn't TOML: {error}") from None
