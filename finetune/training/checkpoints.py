"""A running stage's state on disk: one folder, whole or not there.

Holds the trained weights and the optimisers, in the parts the processes keep (torch's distributed checkpoints), and
how far the stage has come. Frozen weights are in the start folder already.
"""

import json
import os
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict, set_state_dict
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from finetune.training.distributed import Workers
from mumath_agent.errors import InputError

_DONE = "done.json"
_OPTIONS = StateDictOptions(ignore_frozen_params=True, strict=False)

Optimizers = Sequence[torch.optim.Optimizer]


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """How far a stage has come."""

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    identity: dict[str, Any] | None = None
    """None: there is no checkpoint."""


def save_checkpoint(
    out: Path, model: nn.Module, optimizers: Optimizers, done: Done, workers: Workers
) -> None:
    """Write a checkpoint so that a crash leaves the last one or this one, never half of one.

    Raises:
        InputError: it can't be written (the disk is full, say); the last one is kept.
    """
    partial = out / "checkpoint.partial"
    with writing(f"a checkpoint to {out}"):
        if workers.first:
            shutil.rmtree(partial, ignore_errors=True)
        workers.wait()
        with _quiet():
            save(_state(model, optimizers), checkpoint_id=partial, no_dist=workers.count == 1)
        if workers.first:
            write_atomically(partial / _DONE, json.dumps(asdict(done)).encode())
            partial.replace(out / f"checkpoint-{done.step}")
            for old in checkpoints(out)[:-1]:
                shutil.rmtree(old)
        workers.wait()


@contextmanager
def writing(what: str) -> Iterator[None]:
    """Say in one line that `what` can't be written.

    Raises:
        InputError: the disk is full, say.
    """
    try:
        yield
    except (OSError, SafetensorError, CheckpointException) as error:
        raise InputError(
            f"can't write {what}: {_reason(error)}; what was written before is safe, and the same command goes on "
            "from the last checkpoint"
        ) from None


def _reason(error: BaseException | None) -> str:
    """What the system said, which torch and safetensors wrap in their own words."""
    if isinstance(error, CheckpointException):
        error = next(iter(error.failures.values()))[0]
    while error is not None:
        if isinstance(error, OSError) and error.strerror:
            return error.strerror
        error = error.__context__
    return "is the disk full?"


def read_done(out: Path) -> Done:
    """How far the newest checkpoint in `out` has come; step 0 if there is none."""
    found = checkpoints(out)
    return Done(**json.loads((found[-1] / _DONE).read_text("utf-8"))) if found else Done()


def load_checkpoint(out: Path, model: nn.Module, optimizers: Optimizers, workers: Workers) -> None:
    """Put model and optimisers back to the newest checkpoint in `out`."""
    state = _state(model, optimizers)
    with _quiet():
        load(state, checkpoint_id=checkpoints(out)[-1], no_dist=workers.count == 1)
    set_state_dict(
        model,
        optimizers,
        model_state_dict=state["model"],
        optim_state_dict=state["optimizers"],
        options=_OPTIONS,
    )


def checkpoints(out: Path) -> list[Path]:
    """The whole checkpoints in `out`, oldest first."""
    return sorted(out.glob("checkpoint-*"), key=lambda path: int(path.name.partition("-")[2]))


def remove_checkpoints(out: Path) -> None:
    for path in (*checkpoints(out), out / "checkpoint.partial"):
        shutil.rmtree(path, ignore_errors=True)


def write_atomically(path: Path, content: bytes) -> None:
    """Replace `path` by `content` in one go."""
    partial = path.with_suffix(path.suffix + ".partial")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _state(model: nn.Module, optimizers: Optimizers) -> dict[str, Any]:
    weights, states = get_state_dict(model, optimizers, options=_OPTIONS)
    return {"model": weights, "optimizers": states}


@contextmanager
def _quiet() -> Iterator[None]:
    """Without torch's warning that a single process is meant, also where it was told so."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        yield
