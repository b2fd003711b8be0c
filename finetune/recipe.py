"""What one stage of training is told: the recipe, read from TOML, unknown keys are errors."""

import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mumath_agent.errors import InputError


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Shape(_Frozen):
    """A Llama made from nothing; its vocabulary is the tokenizer's."""

    hidden_size: int = Field(gt=0)
    layers: int = Field(gt=0)
    heads: int = Field(gt=0)
    ffn_size: int = Field(gt=0)
    positions: int = Field(gt=0)
    """Longest sequence that will ever be served, in tokens."""
    rope_theta: float = 10_000.0


class Optimizer(_Frozen):
    """Muon for the matrices, AdamW for embeddings and norms; one rate, since Muon is scaled to AdamW's updates."""

    rate: float = Field(gt=0)
    matrix_decay: float = Field(default=0.1, ge=0)
    other_decay: float = Field(default=0.01, ge=0)
    clip: float = Field(default=1.0, gt=0)
    warmup_steps: int = Field(default=60, ge=1)
    flat_until: float = Field(default=0.2, ge=0, lt=1)
    """Fraction of the steps after which the rate begins to fall."""
    final: float = Field(default=0.02, ge=0, le=1)
    """What is left of the rate at the last step."""


class Recipe(_Frozen):
    """One stage."""

    name: str
    dialect: str = "fenced"
    model: Shape | None = None
    """None: begin with the weights of the start folder."""
    optimizer: Optimizer
    seed: int = 0
    steps: int = Field(gt=0)
    batch_tokens: int = Field(gt=0)
    """Tokens per step, padding included."""
    max_tokens: int = Field(gt=0)
    """Longer rows are dropped."""
    question_weight: float = Field(default=0.0, ge=0, lt=1)
    """Weight of the question's tokens in the loss; 0 is plain masking. A little of it teaches a model that was
    never pretrained to read."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """Of the matrix products. Weights and optimiser are fp32."""
    threads: int | None = Field(default=None, gt=0)
    """Same recipe, data, machine and threads: same weights, bit for bit. None: as many as torch likes."""
    eval_rows: int = Field(default=256, ge=0)
    """Rows held out from training, for the evaluation loss."""
    eval_every: int = Field(default=200, gt=0)
    checkpoint_every: int = Field(default=200, gt=0)
    log_every: int = Field(default=20, gt=0)


def read_recipe(path: Path) -> Recipe:
    """The recipe in a TOML file.

    Raises:
        InputError: the file is missing, is no TOML, or has an unknown, missing or impossible key.
    """
    try:
        return Recipe.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise InputError(f"no such recipe: {path}") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path} is no TOML: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{path}: {where}: {first['msg']}") from None
