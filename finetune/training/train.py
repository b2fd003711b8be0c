"""Train a model in one stage: rows in, a checkpoint folder out.

The two stages of MuMath-Code are two training runs with two recipes: stage 1 makes or loads a model and trains it on
chain-of-thought solutions, stage 2 starts from stage 1's folder and trains on code-nested ones. The result is a
function of recipe, data and start: a run that is killed at any point and started again continues from its last
checkpoint and ends with the same weights. The loop is the same for one process and for many (torchrun).

    start/  tokenizer (and a model)        out/  checkpoint-N/ while training, then a model folder

A row on its way from a file to its loss: `encode` ─▶ `batches` ─▶ `train` ─▶ `loss` (─▶ `attention`, for packed rows).
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import torch
from transformers import PreTrainedTokenizerFast

from finetune.data.jobs import sha256
from finetune.training.batches import (
    Batch,
    Numbers,
    collate,
    count_steps,
    endless,
    epoch_batches,
    layout_of,
)
from finetune.training.checkpoints import (
    Progress,
    load_checkpoint,
    read_progress,
    remove_checkpoints,
    save_checkpoint,
    writing,
)
from finetune.training.distributed import Processes, join_processes
from finetune.training.encode import Encoded, EncodedRows, encoded_rows
from finetune.training.loss import Losses, losses_of, require_plain_logits
from finetune.training.metrics import Reporter, StepMetrics, Tracking, open_trackers, require_tracking
from finetune.training.optimizers import make_optimizers, update
from finetune.training.recipe import Recipe
from finetune.training.rounding import BLOCK, can_be_rounded, round_weights, rounded_weights
from finetune.training.tokenizer import copy_tokenizer, load_tokenizer
from finetune.training.weights import Model, find_start, make_model, save_model
from mumath_agent.errors import InputError
from mumath_agent.runs.identity import require_same
from mumath_agent.runs.jsonl import replace_file
from mumath_agent.runs.locks import only_user

MANIFEST = "stage.json"
"""Written last: a folder that has it is finished."""
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "adapter_model.safetensors")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainingRun:
    """Everything a training run needs, ready for step 0."""

    recipe: Recipe
    model: Model
    tokenizer: PreTrainedTokenizerFast
    optimizers: tuple[torch.optim.Optimizer, ...]
    start: Path
    rows: EncodedRows
    steps: int
    processes: Processes
    identity: dict[str, Any]
    """Everything that the result depends on: written into checkpoints, compared when one is continued."""

    def computes_in_int4(self, step: int) -> bool:
        """Return whether the pass after `step` steps is made with rounded weights."""
        begin = self.recipe.int4_from
        return begin is not None and step >= begin * self.steps

    def passes_after(self, step: int) -> AbstractContextManager[None]:
        """Return the context in which the passes after `step` steps are made."""
        return rounded_weights(self.model) if self.computes_in_int4(step) else nullcontext()


MeasureSolveRate = Callable[[TrainingRun], float]
"""Returns the share of problems that the model solves as it stands."""


def train(
    recipe: Recipe,
    *,
    data: Path,
    start: Path | str,
    out: Path,
    solve_rate: MeasureSolveRate | None = None,
    track: Sequence[Tracking] = (),
) -> None:
    """Train to the end, from the start or from the last checkpoint in `out`. A finished `out` is left alone.

    Args:
        recipe: the settings.
        data: JSONL file of training rows.
        start: folder of a tokenizer, a model or a finished stage; a model's GGUF file, or its name on the hub.
        out: folder to write.
        solve_rate: called every `recipe.solve_every` steps; its result goes into the log.
        track: where the curves go besides out/log.jsonl.

    Raises:
        InputError: the data can't be used, `out` belongs to another recipe, data or start, or can't be written.
        TrainingDiverged: the loss is not finite; the last checkpoint is kept.
    """
    if recipe.threads is not None:
        torch.set_num_threads(recipe.threads)
    torch.manual_seed(recipe.seed)
    with join_processes(on_cpu=recipe.threads is not None) as processes:
        _require_possible(recipe, processes, solve_rate, track)
        with writing(str(out)):
            out.mkdir(parents=True, exist_ok=True)
        with only_user(out) if processes.is_first else nullcontext():
            folder = find_start(str(start))
            if (out / MANIFEST).is_file():
                rows = encoded_rows(recipe, load_tokenizer(folder), data)
                finished = json.loads((out / MANIFEST).read_text("utf-8"))["identity"]
                require_same(finished, _identity(recipe, rows, data, folder), str(out))
                return
            run(prepare(recipe, data=data, start=folder, processes=processes), out, solve_rate, track)


def _require_possible(
    recipe: Recipe, processes: Processes, solve_rate: MeasureSolveRate | None, track: Sequence[Tracking]
) -> None:
    if recipe.passes % processes.count:
        raise InputError(
            f"the {recipe.passes} passes of a step (batch_tokens / microbatch_tokens) can't be shared out "
            f"evenly over {processes.count} processes; start another number of them"
        )
    if recipe.int4_from is not None and processes.count > 1:
        raise InputError(
            "int4_from is for one process only; leave it out of the recipe, or start one process"
        )
    if solve_rate is not None and processes.count > 1:
        raise InputError("the share solved is measured by one process only; leave out --solve")
    require_tracking(track)


def prepare(recipe: Recipe, *, data: Path, start: Path, processes: Processes | None = None) -> TrainingRun:
    """Load or make tokenizer, rows, model and optimisers.

    Raises:
        InputError: data, start or recipe can't be used.
    """
    processes = processes or Processes()
    tokenizer = load_tokenizer(start)
    rows = encoded_rows(recipe, tokenizer, data)
    model = make_model(recipe, tokenizer, start, processes)
    require_plain_logits(model)
    if recipe.int4_from is not None and not can_be_rounded(model):
        raise InputError(f"a matrix of the model isn't made of blocks of {BLOCK}; leave out int4_from")
    return TrainingRun(
        recipe=recipe,
        model=model,
        tokenizer=tokenizer,
        optimizers=make_optimizers(model, recipe.optimizer),
        start=start,
        rows=rows,
        steps=count_steps(recipe, rows.lengths),
        processes=processes,
        identity=_identity(recipe, rows, data, start),
    )


def _identity(recipe: Recipe, rows: EncodedRows, data: Path, start: Path) -> dict[str, Any]:
    return {
        "recipe": recipe.model_dump(mode="json"),
        "data_sha256": sha256(data),
        "rows": len(rows.trained) + len(rows.held_out),
        "dropped_rows": rows.dropped,
        "start_sha256": start_sha256(recipe, start),
    }


def start_sha256(recipe: Recipe, start: Path) -> dict[str, str]:
    """Return the checksums of the files of `start` that a run of `recipe` begins with."""
    names = ("tokenizer.json", *(_WEIGHTS if recipe.model is None else ()))
    return {name: sha256(start / name) for name in names if (start / name).is_file()}


def run(
    training: TrainingRun,
    out: Path,
    solve_rate: MeasureSolveRate | None = None,
    track: Sequence[Tracking] = (),
) -> None:
    """Make the steps that the last checkpoint in `out` lacks, then write the finished folder.

    Raises:
        InputError: the checkpoint belongs to another recipe, data or start, or `out` can't be written.
        TrainingDiverged: the loss is not finite; the last checkpoint is kept.
    """
    recipe, is_first = training.recipe, training.processes.is_first
    progress = read_progress(out)
    if progress.identity is not None:
        require_same(progress.identity, training.identity, str(out))
        load_checkpoint(out, training.model, training.optimizers, training.processes, step=progress.step)
    layout = layout_of(recipe, seed=recipe.seed)
    batches = endless(training.rows.lengths, layout, skip=progress.step * recipe.passes)
    with Reporter(
        recipe.name,
        out / "log.jsonl",
        total=training.steps,
        step=progress.step,
        is_first=is_first,
        trackers=open_trackers(track if is_first else (), out, recipe.name, step=progress.step),
    ) as report:
        for step in range(progress.step + 1, training.steps + 1):
            if progress.has_waited(recipe.patience):
                break
            began = time.perf_counter()
            metrics = _step(training, list(islice(batches, recipe.passes)), step - 1)
            progress = replace(
                progress,
                step=step,
                tokens=progress.tokens + metrics.tokens,
                seconds=progress.seconds + time.perf_counter() - began,
                identity=training.identity,
            )
            report.step(step, metrics)
            if step % recipe.log_every == 0:
                report.training(step, total_tokens=progress.tokens)
            if step % recipe.eval_every == 0 and (loss := evaluation_loss(training, step)) is not None:
                report.evaluation(step, loss)
                progress = replace(progress, evaluations=[*progress.evaluations, [step, loss]])
            if solve_rate is not None and recipe.solve_every and step % recipe.solve_every == 0:
                with training.passes_after(step):
                    report.solve_rate(step, solve_rate(training))
            if step % recipe.checkpoint_every == 0:
                keep = progress.best_step if recipe.patience else None
                parts = (training.model, training.optimizers, progress, training.processes)
                save_checkpoint(out, *parts, keep=keep)
    if recipe.patience and (best := progress.best_step) is not None:
        load_checkpoint(out, training.model, training.optimizers, training.processes, step=best)
    _finish(training, out, progress)


def _step(training: TrainingRun, passes: Sequence[Numbers], step: int) -> StepMetrics:
    """Update the weights once, from the batches of `passes`.

    The loss that is reported is that of the trained tokens; question tokens, which may have a weight, are left out.
    """
    processes, settings = training.processes, training.recipe.optimizer
    # Dropout is a function of seed, step and process, so a checkpoint needs to hold no generator's state.
    torch.manual_seed(Random(f"{training.recipe.seed}/{step}/{processes.rank}").getrandbits(63))
    mine = passes[processes.rank :: processes.count]
    batches = [batch_of(training, training.rows.trained, numbers) for numbers in mine]
    weight = sum((batch.weights[:, 1:].sum() for batch in batches), torch.zeros((), device=processes.device))
    # FSDP2 takes the mean of the processes' gradients: each divides by its share of the weight of all.
    weight = processes.sum(weight) / processes.count
    sums = torch.zeros(3, device=processes.device, dtype=torch.float64)
    with training.passes_after(step):
        for batch in batches:
            found = losses(training, batch)
            (found.weighted / weight).backward()  # type: ignore[no-untyped-call]
            trained = found.trained
            sums += torch.stack(
                [trained.sum(), trained.new_tensor(len(trained)), trained.new_tensor(batch.tokens)]
            )
    loss, count, tokens = processes.sum(sums).tolist()
    made = update(training.model, training.optimizers, settings, loss=loss, step=step, steps=training.steps)
    return StepMetrics(
        loss=loss / count,
        tokens=int(tokens),
        gradient_norm=made.gradient_norm,
        learning_rate=made.learning_rate,
    )


def batch_of(training: TrainingRun, rows: Sequence[Encoded], numbers: Numbers) -> Batch:
    """Return the rows with these numbers, as tensors on this process's device."""
    pad = training.tokenizer.pad_token_id
    batch = collate(
        [rows[number] for number in numbers],
        pad_id=pad if isinstance(pad, int) else 0,  # padding is neither seen nor predicted
        packed=training.recipe.packing,
        question_weight=training.recipe.question_weight,
    )
    return batch.to(training.processes.device)


def losses(training: TrainingRun, batch: Batch) -> Losses:
    """Return the losses of the model on a batch, in the recipe's precision."""
    return losses_of(training.model, batch, half=training.recipe.precision == "bf16")


def evaluation_loss(training: TrainingRun, step: int = 0) -> float | None:
    """Return the mean loss of the trained tokens of the held-out rows after `step` steps; None if there are none."""
    held_out, processes = training.rows.held_out, training.processes
    if not held_out:
        return None
    lengths = [len(row.ids) for row in held_out]
    batches = epoch_batches(lengths, layout_of(training.recipe, seed=0), epoch=0)
    sums = torch.zeros(2, dtype=torch.float64)
    training.model.train(False)
    with torch.no_grad(), training.passes_after(step):
        for numbers, counts in _shared_out(batches, processes):
            trained = losses(training, batch_of(training, held_out, numbers)).trained
            sums += counts * torch.stack([trained.sum(), trained.new_tensor(len(trained))]).cpu()
    training.model.train()
    loss, count = processes.sum(sums.to(processes.device)).tolist()
    return float(loss / count)


def _shared_out(batches: Sequence[Numbers], processes: Processes) -> Iterator[tuple[Numbers, bool]]:
    """Yield this process's batches, and whether each counts: all processes make the same number of passes."""
    for start in range(0, len(batches), processes.count):
        mine = start + processes.rank
        yield (batches[mine], True) if mine < len(batches) else (batches[start], False)


def _finish(training: TrainingRun, out: Path, progress: Progress) -> None:
    """Write the model, its tokenizer and the manifest; remove the checkpoints."""
    if training.recipe.int4_from is not None:
        round_weights(training.model)
    manifest = {
        "identity": training.identity,
        "parameters": sum(parameter.numel() for parameter in training.model.parameters()),
        "steps": progress.step,
        "best_step": progress.best_step if training.recipe.patience else None,
        "tokens": progress.tokens,
        "seconds": round(progress.seconds, 1),
        "evaluation_loss": evaluation_loss(training, progress.step),
        "torch": torch.__version__,
    }
    with writing(f"the model to {out}"):
        save_model(training.model, out, training.processes)
        if training.processes.is_first:
            copy_tokenizer(training.start, out)
            replace_file(out / MANIFEST, json.dumps(manifest, indent=2))
            remove_checkpoints(out)
    training.processes.wait()
