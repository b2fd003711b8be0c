"""Where a stage's curves go besides log.jsonl: TensorBoard's event files, Weights & Biases.

Each is an extra, imported when it is asked for. What is tracked are the numbers of the log, no text of any row; W&B
obeys its own environment (WANDB_MODE=offline keeps everything on this machine).
"""

import hashlib
from collections.abc import Mapping, Sequence
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from mumath_agent.errors import InputError


class Tracking(StrEnum):
    """A place for curves, by the name of its extra."""

    TENSORBOARD = "tensorboard"
    WANDB = "wandb"


class Tracker(Protocol):
    """One such place, open."""

    def log(self, step: int, values: Mapping[str, float]) -> None: ...

    def close(self) -> None: ...


def require(places: Sequence[Tracking]) -> None:
    """Say what isn't installed before any work is done.

    Raises:
        InputError: something isn't.
    """
    for place in places:
        _import("torch.utils.tensorboard" if place is Tracking.TENSORBOARD else "wandb", place)


def open_trackers(places: Sequence[Tracking], out: Path, name: str, *, step: int) -> tuple[Tracker, ...]:
    """The places of a stage that goes on after `step`: what they have of later steps is replaced."""
    return tuple(
        _TensorBoard(out, step) if place is Tracking.TENSORBOARD else _Wandb(out, name) for place in places
    )


class _TensorBoard:
    """Event files in out/tensorboard."""

    def __init__(self, out: Path, step: int) -> None:
        writer = _import("torch.utils.tensorboard", Tracking.TENSORBOARD).SummaryWriter
        self._writer: Any = writer(str(out / "tensorboard"), purge_step=step + 1)

    def log(self, step: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class _Wandb:
    """A run known by its folder, so that a resumed stage goes on in it."""

    def __init__(self, out: Path, name: str) -> None:
        run = hashlib.sha256(str(out.resolve()).encode()).hexdigest()[:12]
        wandb = _import("wandb", Tracking.WANDB)
        self._run: Any = wandb.init(project="mumath-agent", name=name, id=run, resume="allow", dir=str(out))

    def log(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        self._run.finish()


def _import(module: str, place: Tracking) -> Any:
    try:
        return import_module(module)
    except ImportError:
        raise InputError(
            f"--track {place} needs the extra of that name: pip install 'mumath-agent[finetune,{place}]'"
        ) from None
