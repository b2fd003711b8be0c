"""Save and load the state of a training run: a folder that is complete or not there.

A checkpoint holds the trained weights and the optimisers' state, in the parts that the processes keep (torch's
distributed checkpoints), and how far the run has come. Frozen weights are in the start folder already.
"""

import json
import shutil
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import nn
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict, set_state_dict
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from finetune.training.distributed import Processes
from mumath_agent.errors import InputError
from mumath_agent.runs.jsonl import replace_file

_PROGRESS = "done.json"
_OPTIONS = StateDictOptions(ignore_frozen_params=True, strict=False)

Optimizers = Sequence[torch.optim.Optimizer]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """The progress of a training run."""

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    identity: dict[str, Any] | None = None
    """None: there is no checkpoint."""
    evaluations: list[list[float]] = field(default_factory=list)
    """Step and loss of each evaluation."""

    @property
    def best_step(self) -> int | None:
        """The step of the best evaluation, the first of several; None before the first."""
        return int(min(self.evaluations, key=lambda one: one[1])[0]) if self.evaluations else None

    def has_waited(self, patience: int | None) -> bool:
        """Return whether the last `patience` evaluations weren't better than the best before them."""
        since = [step for step, _ in self.evaluations if step > (self.best_step or 0)]
        return patience is not None and len(since) >= patience


def save_checkpoint(
    out: Path,
    model: nn.Module,
    optimizers: Optimizers,
    progress: Progress,
    processes: Processes,
    *,
    keep: int | None = None,
) -> None:
    """Write a checkpoint; a crash leaves the previous one or this one, never half of one.

    Older ones are removed, but for that of step `keep`.

    Raises:
        InputError: it can't be written (the disk is full, say); the previous one is kept.
    """
    partial = out / "checkpoint.partial"
    with writing(f"a checkpoint to {out}"):
        if processes.is_first:
            shutil.rmtree(partial, ignore_errors=True)
        processes.wait()
        with _quiet():
            save(_state(model, optimizers), checkpoint_id=partial, no_dist=processes.count == 1)
        if processes.is_first:
            replace_file(partial / _PROGRESS, json.dumps(asdict(progress)))
            partial.replace(checkpoint_of(out, progress.step))
            for old in checkpoints(out)[:-1]:
                if old != checkpoint_of(out, keep):
                    shutil.rmtree(old)
        processes.wait()


@contextmanager
def writing(what: str) -> Iterator[None]:
    """Turn an error of writing `what` into one line that says so.

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
    """Return what the system said; torch and safetensors wrap it in their own words."""
    if isinstance(error, CheckpointException):
        error = next(iter(error.failures.values()))[0]
    while error is not None:
        if isinstance(error, OSError) and error.strerror:
            return error.strerror
        error = error.__context__
    return "is the disk full?"


def read_progress(out: Path) -> Progress:
    """Return how far the newest checkpoint in `out` has come; step 0 if there is none."""
    found = checkpoints(out)
    return Progress(**json.loads((found[-1] / _PROGRESS).read_text("utf-8"))) if found else Progress()


def load_checkpoint(
    out: Path, model: nn.Module, optimizers: Optimizers, processes: Processes, *, step: int
) -> None:
    """Restore model and optimisers from the checkpoint of a step."""
    state = _state(model, optimizers)
    with _quiet():
        load(state, checkpoint_id=checkpoint_of(out, step), no_dist=processes.count == 1)
    set_state_dict(
        model,
        optimizers,
        model_state_dict=state["model"],
        optim_state_dict=state["optimizers"],
        options=_OPTIONS,
    )


def checkpoint_of(out: Path, step: int | None) -> Path:
    """Return the folder of a step's checkpoint."""
    return out / f"checkpoint-{step}"


def checkpoints(out: Path) -> list[Path]:
    """Return the complete checkpoints in `out`, oldest first."""
    return sorted(out.glob("checkpoint-*"), key=lambda path: int(path.name.partition("-")[2]))


def remove_checkpoints(out: Path) -> None:
    """Remove all checkpoints in `out`, complete or not."""
    for path in (*checkpoints(out), out / "checkpoint.partial"):
        shutil.rmtree(path, ignore_errors=True)


def _state(model: nn.Module, optimizers: Optimizers) -> dict[str, Any]:
    weights, states = get_state_dict(model, optimizers, options=_OPTIONS)
    return {"model": weights, "optimizers": states}


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence torch's warning about a single process, which it gives even when told that there is one."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        yield
