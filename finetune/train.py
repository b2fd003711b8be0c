"""One stage of training: rows in, a checkpoint folder out.

The two stages of MuMath-Code are two runs of this with two recipes: stage 1 makes or loads a model and trains it on
chain-of-thought solutions, stage 2 starts from stage 1's folder and trains on code-nested ones. A stage is a function
of recipe, data and start; killed at any point, the same command goes on from the last checkpoint and ends with the
same weights as a run that was never disturbed. One process or many (torchrun): the loop is the same.

    start/  tokenizer (and a model)        out/  checkpoint-N/ while training, then a model folder
"""

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch.distributed.tensor import DTensor
from torch.nn import functional
from transformers import PreTrainedTokenizerFast

from finetune.batches import Batch, Layout, Lines, collate, endless, epoch_batches
from finetune.checkpoints import (
    Done,
    load_checkpoint,
    read_done,
    remove_checkpoints,
    save_checkpoint,
    write_atomically,
)
from finetune.encode import Encoded, encode, read_rows
from finetune.optimizers import make_optimizers, rate_factor
from finetune.progress import Progress
from finetune.recipe import Recipe
from finetune.tokenizer import load_tokenizer
from finetune.weights import Model, find_start, make_model, save_model
from finetune.workers import Workers, joined
from mumath_agent.dialects import get_dialect
from mumath_agent.errors import InputError, MuMathError

MANIFEST = "stage.json"
"""Written last: a folder that has it is finished."""
_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "adapter_model.safetensors")


class TrainingDiverged(MuMathError):
    """The loss is no longer a number."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
    """What a stage learns from."""

    trained: list[Encoded]
    held_out: list[Encoded]
    dropped: int
    """Too long."""

    @property
    def lengths(self) -> list[int]:
        return [len(row.ids) for row in self.trained]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stage:
    """Everything a run holds on to."""

    recipe: Recipe
    model: Model
    tokenizer: PreTrainedTokenizerFast
    optimizers: tuple[torch.optim.Optimizer, ...]
    rows: Rows
    steps: int
    workers: Workers
    identity: dict[str, Any]
    """What the result depends on: written into checkpoints, compared when one is continued."""


Solved = Callable[[Stage], float | None]
"""Measures the share of problems the model solves as it stands."""


def train(recipe: Recipe, *, data: Path, start: Path | str, out: Path, solved: Solved | None = None) -> None:
    """Run the stage to its end, from the beginning or from the checkpoint in `out`.

    `start` is a folder or a name on the Hugging Face hub; `solved` is asked every `recipe.solve_every` steps.

    Raises:
        InputError: the data can't be used, or `out` belongs to another recipe, data or start.
        TrainingDiverged: the loss is not finite; the last checkpoint is kept.
    """
    if recipe.threads is not None:
        torch.set_num_threads(recipe.threads)
    torch.manual_seed(recipe.seed)
    with joined(on_cpu=recipe.threads is not None) as workers:
        if recipe.passes % workers.count:
            raise InputError(
                f"the {recipe.passes} passes of a step (batch_tokens / microbatch_tokens) can't be shared out "
                f"evenly over {workers.count} processes; start another number of them"
            )
        out.mkdir(parents=True, exist_ok=True)
        folder = find_start(str(start))
        if (out / MANIFEST).is_file():
            rows = encoded_rows(recipe, load_tokenizer(folder), data)
            found = json.loads((out / MANIFEST).read_text("utf-8"))["identity"]
            _require_same(_identity(recipe, rows, data, folder), found, out)
            return
        run(prepare(recipe, data=data, start=folder, workers=workers), out, solved)


def prepare(recipe: Recipe, *, data: Path, start: Path, workers: Workers | None = None) -> Stage:
    """Tokenizer, rows, model and optimisers at step 0."""
    workers = workers or Workers()
    tokenizer = load_tokenizer(start)
    rows = encoded_rows(recipe, tokenizer, data)
    model = make_model(recipe, tokenizer, start, workers)
    return Stage(
        recipe=recipe,
        model=model,
        tokenizer=tokenizer,
        optimizers=make_optimizers(model, recipe.optimizer),
        rows=rows,
        steps=count_steps(recipe, rows.lengths),
        workers=workers,
        identity=_identity(recipe, rows, data, start),
    )


def encoded_rows(recipe: Recipe, tokenizer: PreTrainedTokenizerFast, data: Path) -> Rows:
    """The rows of `data` in ids, shuffled, the held-out ones apart.

    Raises:
        InputError: there are too few that are short enough.
    """
    dialect = get_dialect(recipe.dialect)
    rows, dropped = encode(read_rows(data), tokenizer, dialect, max_tokens=recipe.max_tokens)
    Random(recipe.seed).shuffle(rows)
    if len(rows) <= recipe.eval_rows:
        raise InputError(
            f"{data} has {len(rows)} usable rows; more than eval_rows={recipe.eval_rows} are needed"
        )
    return Rows(trained=rows[recipe.eval_rows :], held_out=rows[: recipe.eval_rows], dropped=dropped)


def layout(recipe: Recipe, *, seed: int) -> Layout:
    """How the recipe's rows become batches."""
    line_tokens = recipe.max_tokens if recipe.packing else None
    return Layout(batch_tokens=recipe.held_tokens, line_tokens=line_tokens, seed=seed)


def count_steps(recipe: Recipe, lengths: Sequence[int]) -> int:
    """The steps of the whole stage."""
    if recipe.steps is not None:
        return recipe.steps
    order = layout(recipe, seed=recipe.seed)
    batches = sum(len(epoch_batches(lengths, order, epoch=epoch)) for epoch in range(recipe.epochs or 1))
    return math.ceil(batches / recipe.passes)


def run(stage: Stage, out: Path, solved: Solved | None = None) -> None:
    """All steps that are not yet in `out`'s checkpoint, then the finished folder."""
    recipe, workers = stage.recipe, stage.workers
    done = read_done(out)
    if done.identity is not None:
        _require_same(stage.identity, done.identity, out)
        load_checkpoint(out, stage.model, stage.optimizers, workers)
    order = endless(stage.rows.lengths, layout(recipe, seed=recipe.seed), skip=done.step * recipe.passes)
    tokens, trained_s = done.tokens, done.seconds
    with Progress(
        recipe.name, out / "log.jsonl", total=stage.steps, step=done.step, shown=workers.first
    ) as bar:
        for step in range(done.step, stage.steps):
            began = time.perf_counter()
            loss, learned = _step(stage, list(islice(order, recipe.passes)), step)
            tokens += learned
            trained_s += time.perf_counter() - began
            bar.step(step + 1, loss=loss, tokens=learned, total_tokens=tokens)
            if (step + 1) % recipe.log_every == 0:
                bar.log(step + 1)
            if (step + 1) % recipe.eval_every == 0:
                bar.evaluated(step + 1, evaluation_loss(stage))
            if solved is not None and recipe.solve_every and (step + 1) % recipe.solve_every == 0:
                bar.solved(step + 1, solved(stage))
            if (step + 1) % recipe.checkpoint_every == 0:
                here = Done(step=step + 1, tokens=tokens, seconds=trained_s, identity=stage.identity)
                save_checkpoint(out, stage.model, stage.optimizers, here, workers)
    _finish(stage, out, tokens=tokens, seconds=trained_s, evaluation=evaluation_loss(stage))


def evaluation_loss(stage: Stage) -> float | None:
    """Mean loss of the trained tokens of the held-out rows; None if there are none."""
    if not stage.rows.held_out:
        return None
    lengths = [len(row.ids) for row in stage.rows.held_out]
    order = epoch_batches(lengths, layout(stage.recipe, seed=0), epoch=0)
    sums = torch.zeros(2, dtype=torch.float64)
    stage.model.train(False)
    with torch.no_grad():
        for lines, counts in _shared_out(order, stage.workers):
            batch = batch_of(stage, stage.rows.held_out, lines)
            trained = (batch.weights[:, 1:] == 1).float() * counts
            sums += torch.stack([(token_losses(stage, batch) * trained).sum(), trained.sum()]).cpu()
    stage.model.train()
    loss, weight = stage.workers.total(sums.to(stage.workers.device)).tolist()
    return float(loss / weight)


def _shared_out(batches: Sequence[Lines], workers: Workers) -> Iterator[tuple[Lines, bool]]:
    """This process' share, and whether it counts: all processes make the same number of passes."""
    for start in range(0, len(batches), workers.count):
        mine = start + workers.index
        yield (batches[mine], True) if mine < len(batches) else (batches[start], False)


def _step(stage: Stage, passes: Sequence[Lines], step: int) -> tuple[float, int]:
    """One update; returns the mean loss of the trained tokens (the question's left out), and how many were read."""
    workers, settings = stage.workers, stage.recipe.optimizer
    # Dropout is a function of seed, step and process, so a checkpoint needs to hold no generator's state.
    torch.manual_seed(Random(f"{stage.recipe.seed}/{step}/{workers.index}").getrandbits(63))
    batches = [batch_of(stage, stage.rows.trained, lines) for lines in passes[workers.index :: workers.count]]
    weight = sum((batch.weights[:, 1:].sum() for batch in batches), torch.zeros((), device=workers.device))
    # FSDP2 takes the mean of the processes' gradients: each divides by its share of the weight of all.
    weight = workers.total(weight) / workers.count
    sums = torch.zeros(3, device=workers.device, dtype=torch.float64)
    for batch in batches:
        losses, weights = token_losses(stage, batch), batch.weights[:, 1:]
        loss = (losses * weights).sum() / weight
        loss.backward()  # type: ignore[no-untyped-call]
        trained = losses.detach()[weights == 1]
        sums += torch.stack(
            [trained.sum(), trained.new_tensor(len(trained)), trained.new_tensor(batch.tokens)]
        )
    norm = torch.nn.utils.clip_grad_norm_(stage.model.parameters(), settings.clip)
    total, count, tokens = workers.total(sums).tolist()
    if not (
        math.isfinite(total) and torch.isfinite(norm.full_tensor() if isinstance(norm, DTensor) else norm)
    ):
        raise TrainingDiverged(
            "the loss is not finite; lower optimizer.rate in the recipe and use a new --out"
        )
    for optimizer in stage.optimizers:
        for group in optimizer.param_groups:
            group["lr"] = settings.rate * rate_factor(step, stage.steps, settings)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return total / count, int(tokens)


def token_losses(stage: Stage, batch: Batch) -> torch.Tensor:
    """Cross-entropy of each token but the first: (lines, width - 1). Padding is on the right, so causal attention
    alone keeps it out of a line with one row; positions that begin anew keep the rows of a shared line apart."""
    ids, positions = batch.ids, batch.positions
    if positions is not None and stage.recipe.attention != "sdpa":
        # Variable-length kernels want one line; between two lines a row ends, too.
        ids, positions = ids.view(1, -1), positions.view(1, -1)
    half = stage.recipe.precision == "bf16"
    with torch.autocast(stage.workers.device.type, torch.bfloat16, enabled=half):
        logits = stage.model(input_ids=ids, position_ids=positions, use_cache=False).logits
    logits = logits.view(*batch.ids.shape, -1)
    return functional.cross_entropy(
        logits[:, :-1].float().transpose(1, 2), batch.ids[:, 1:], reduction="none"
    )


def batch_of(stage: Stage, rows: Sequence[Encoded], lines: Lines) -> Batch:
    """The rows with the numbers in `lines`, as tensors on this process' device."""
    pad = stage.tokenizer.pad_token_id
    batch = collate(
        [[rows[number] for number in line] for line in lines],
        pad_id=pad if isinstance(pad, int) else 0,  # what stands there is neither seen nor predicted
        question_weight=stage.recipe.question_weight,
    )
    return batch.to(stage.workers.device)


def _finish(stage: Stage, out: Path, *, tokens: int, seconds: float, evaluation: float | None) -> None:
    save_model(stage.model, out, stage.workers)
    if stage.workers.first:
        stage.tokenizer.save_pretrained(out)
        manifest = {
            "identity": stage.identity,
            "parameters": sum(parameter.numel() for parameter in stage.model.parameters()),
            "tokens": tokens,
            "seconds": round(seconds, 1),
            "evaluation_loss": evaluation,
            "torch": torch.__version__,
        }
        write_atomically(out / MANIFEST, json.dumps(manifest, indent=2).encode())
        remove_checkpoints(out)
    stage.workers.wait()


def _identity(recipe: Recipe, rows: Rows, data: Path, start: Path) -> dict[str, Any]:
    names = ("tokenizer.json", *(_WEIGHTS if recipe.model is None else ()))
    return {
        "recipe": recipe.model_dump(mode="json"),
        "data_sha256": _sha256(data),
        "rows": len(rows.trained) + len(rows.held_out),
        "dropped_rows": rows.dropped,
        "start_sha256": {name: _sha256(start / name) for name in names if (start / name).is_file()},
    }


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _require_same(expected: dict[str, Any], found: dict[str, Any], out: Path) -> None:
    for key, value in expected.items():
        if found.get(key) != value:
            raise InputError(f"{out} was made with another {key}; give a new --out or the old settings")
