"""A stage's state on disk: one file, replaced as a whole."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import torch

CHECKPOINT = "checkpoint.pt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """How far a stage has come."""

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    identity: dict[str, Any] | None = None
    """None: there is no checkpoint."""


def save_checkpoint(
    out: Path,
    model: torch.nn.Module,
    optimizers: Sequence[torch.optim.Optimizer],
    done: Done,
) -> None:
    """Write model, optimisers and progress so that a crash leaves the old file or the new one, never half of one."""
    state = {
        "step": done.step,
        "tokens": done.tokens,
        "seconds": done.seconds,
        "identity": done.identity,
        "model": model.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
    }
    buffer = BytesIO()
    torch.save(state, buffer)
    write_atomically(out / CHECKPOINT, buffer.getvalue())


def load_checkpoint(out: Path, model: torch.nn.Module, optimizers: Sequence[torch.optim.Optimizer]) -> Done:
    """Put model and optimisers back to the checkpoint in `out`, if there is one."""
    if not (out / CHECKPOINT).is_file():
        return Done()
    state = torch.load(out / CHECKPOINT, weights_only=True)
    model.load_state_dict(state["model"])
    for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
    return Done(
        step=state["step"], tokens=state["tokens"], seconds=state["seconds"], identity=state["identity"]
    )


def write_atomically(path: Path, content: bytes) -> None:
    """Replace `path` by `content` in one go."""
    partial = path.with_suffix(path.suffix + ".partial")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)
