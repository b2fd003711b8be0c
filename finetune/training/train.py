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
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch.distributed.tensor import DTensor
from transformers import PreTrainedTokenizerFast

from finetune.training.batches import Batch, Layout, Numbers, collate, endless, epoch_batches
from finetune.training.checkpoints import (
    Done,
    load_checkpoint,
    read_done,
    remove_checkpoints,
    save_checkpoint,
    write_atomically,
    writing,
)
from finetune.training.distributed import Workers, joined
from finetune.training.encode import Encoded, encode, read_rows
from finetune.training.loss import Losses, losses_of, require_plain_logits
from finetune.training.metrics import Progress, StepMetrics
from finetune.training.optimizers import make_optimizers, rate_factor
from finetune.training.recipe import Recipe
from finetune.training.tokenizer import copy_tokenizer, load_tokenizer
from finetune.training.tracking import Tracking, open_trackers, require
from finetune.training.weights import Model, find_start, make_model, save_model
from mumath_agent.dialects import get_text_dialect
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
    start: Path
    rows: Rows
    steps: int
    workers: Workers
    identity: dict[str, Any]
    """What the result depends on: written into checkpoints, compared when one is continued."""


Solved = Callable[[Stage], float | None]
"""Measures the share of problems the model solves as it stands."""


def train(
    recipe: Recipe,
    *,
    data: Path,
    start: Path | str,
    out: Path,
    solved: Solved | None = None,
    track: Sequence[Tracking] = (),
) -> None:
    """Run the stage to its end, from the beginning or from the checkpoint in `out`.

    `start` is a folder or a name on the Hugging Face hub; `solved` is asked every `recipe.solve_every` steps; `track`
    is where its curves go besides out/log.jsonl.

    Raises:
        InputError: the data can't be used, `out` belongs to another recipe, data or start, or can't be written.
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
        if solved is not None and workers.count > 1:
            raise InputError("the share solved is measured by one process only; leave out --solve")
        require(track)
        with writing(str(out)):
            out.mkdir(parents=True, exist_ok=True)
        folder = find_start(str(start))
        if (out / MANIFEST).is_file():
            rows = encoded_rows(recipe, load_tokenizer(folder), data)
            found = json.loads((out / MANIFEST).read_text("utf-8"))["identity"]
            _require_same(_identity(recipe, rows, data, folder), found, out)
            return
        run(prepare(recipe, data=data, start=folder, workers=workers), out, solved, track)


def prepare(recipe: Recipe, *, data: Path, start: Path, workers: Workers | None = None) -> Stage:
    """Tokenizer, rows, model and optimisers at step 0."""
    workers = workers or Workers()
    tokenizer = load_tokenizer(start)
    rows = encoded_rows(recipe, tokenizer, data)
    model = make_model(recipe, tokenizer, start, workers)
    require_plain_logits(model)
    return Stage(
        recipe=recipe,
        model=model,
        tokenizer=tokenizer,
        optimizers=make_optimizers(model, recipe.optimizer),
        start=start,
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
    dialect = get_text_dialect(recipe.dialect)
    rows, dropped = encode(read_rows(data), tokenizer, dialect, max_tokens=recipe.max_tokens)
    Random(recipe.seed).shuffle(rows)
    held = _held_out(rows, recipe.eval_rows)
    trained = [row for row in rows if _question(row) not in held]
    if not trained:
        raise InputError(
            f"{data} has {len(rows)} usable rows; more than eval_rows={recipe.eval_rows} are needed, of other "
            "questions than those"
        )
    held_out = [row for row in rows if _question(row) in held]
    return Rows(trained=trained, held_out=held_out, dropped=dropped)


def _held_out(rows: Sequence[Encoded], eval_rows: int) -> set[bytes]:
    """The first questions that have `eval_rows` rows together: held out with all of their solutions."""
    counts = Counter(map(_question, rows))
    held: set[bytes] = set()
    for question, count in counts.items():
        if eval_rows <= 0:
            break
        held.add(question)
        eval_rows -= count
    return held


def _question(row: Encoded) -> bytes:
    """The same for rows of the same question: their prompts' ids."""
    return row.ids[: row.prompt_tokens].tobytes()


def layout(recipe: Recipe, *, seed: int) -> Layout:
    """How the recipe's rows become batches."""
    return Layout(batch_tokens=recipe.held_tokens, packed=recipe.packing, seed=seed)


def count_steps(recipe: Recipe, lengths: Sequence[int]) -> int:
    """The steps of the whole stage."""
    if recipe.steps is not None:
        return recipe.steps
    order = layout(recipe, seed=recipe.seed)
    batches = sum(len(epoch_batches(lengths, order, epoch=epoch)) for epoch in range(recipe.epochs or 1))
    return math.ceil(batches / recipe.passes)


def run(stage: Stage, out: Path, solved: Solved | None = None, track: Sequence[Tracking] = ()) -> None:
    """All steps that are not yet in `out`'s checkpoint, then the finished folder."""
    recipe, workers = stage.recipe, stage.workers
    done = read_done(out)
    if done.identity is not None:
        _require_same(stage.identity, done.identity, out)
        load_checkpoint(out, stage.model, stage.optimizers, workers)
    order = endless(stage.rows.lengths, layout(recipe, seed=recipe.seed), skip=done.step * recipe.passes)
    tokens, trained_s = done.tokens, done.seconds
    with Progress(
        recipe.name,
        out / "log.jsonl",
        total=stage.steps,
        step=done.step,
        shown=workers.first,
        trackers=open_trackers(track if workers.first else (), out, recipe.name, step=done.step),
    ) as bar:
        for step in range(done.step, stage.steps):
            began = time.perf_counter()
            learned = _step(stage, list(islice(order, recipe.passes)), step)
            tokens += learned.tokens
            trained_s += time.perf_counter() - began
            bar.step(step + 1, learned)
            if (step + 1) % recipe.log_every == 0:
                bar.log(step + 1, total_tokens=tokens)
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
        for numbers, counts in _shared_out(order, stage.workers):
            trained = losses(stage, batch_of(stage, stage.rows.held_out, numbers)).trained
            sums += counts * torch.stack([trained.sum(), trained.new_tensor(len(trained))]).cpu()
    stage.model.train()
    loss, weight = stage.workers.total(sums.to(stage.workers.device)).tolist()
    return float(loss / weight)


def _shared_out(batches: Sequence[Numbers], workers: Workers) -> Iterator[tuple[Numbers, bool]]:
    """This process' share, and whether it counts: all processes make the same number of passes."""
    for start in range(0, len(batches), workers.count):
        mine = start + workers.index
        yield (batches[mine], True) if mine < len(batches) else (batches[start], False)


def _step(stage: Stage, passes: Sequence[Numbers], step: int) -> StepMetrics:
    """One update. Of the question's tokens, which may have a weight, the loss that is told knows nothing."""
    workers, settings = stage.workers, stage.recipe.optimizer
    # Dropout is a function of seed, step and process, so a checkpoint needs to hold no generator's state.
    torch.manual_seed(Random(f"{stage.recipe.seed}/{step}/{workers.index}").getrandbits(63))
    mine = passes[workers.index :: workers.count]
    batches = [batch_of(stage, stage.rows.trained, numbers) for numbers in mine]
    weight = sum((batch.weights[:, 1:].sum() for batch in batches), torch.zeros((), device=workers.device))
    # FSDP2 takes the mean of the processes' gradients: each divides by its share of the weight of all.
    weight = workers.total(weight) / workers.count
    sums = torch.zeros(3, device=workers.device, dtype=torch.float64)
    for batch in batches:
        found = losses(stage, batch)
        (found.weighted / weight).backward()  # type: ignore[no-untyped-call]
        trained = found.trained
        sums += torch.stack(
            [trained.sum(), trained.new_tensor(len(trained)), trained.new_tensor(batch.tokens)]
        )
    norm = torch.nn.utils.clip_grad_norm_(stage.model.parameters(), settings.clip)
    norm_before = float(norm.full_tensor() if isinstance(norm, DTensor) else norm)
    total, count, tokens = workers.total(sums).tolist()
    if not (math.isfinite(total) and math.isfinite(norm_before)):
        raise TrainingDiverged(
            "the loss is not finite; lower optimizer.rate in the recipe and use a new --out"
        )
    rate = settings.rate * rate_factor(step, stage.steps, settings)
    for optimizer in stage.optimizers:
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    return StepMetrics(loss=total / count, tokens=int(tokens), gradient_norm=norm_before, rate=rate)


def losses(stage: Stage, batch: Batch) -> Losses:
    """Of the stage's model, in the recipe's precision."""
    return losses_of(stage.model, batch, half=stage.recipe.precision == "bf16")


def batch_of(stage: Stage, rows: Sequence[Encoded], numbers: Numbers) -> Batch:
    """The rows with these numbers, as tensors on this process' device."""
    pad = stage.tokenizer.pad_token_id
    batch = collate(
        [rows[number] for number in numbers],
        pad_id=pad if isinstance(pad, int) else 0,  # what stands there is neither seen nor predicted
        packed=stage.recipe.packing,
        question_weight=stage.recipe.question_weight,
    )
    return batch.to(stage.workers.device)


def _finish(stage: Stage, out: Path, *, tokens: int, seconds: float, evaluation: float | None) -> None:
    manifest = {
        "identity": stage.identity,
        "parameters": sum(parameter.numel() for parameter in stage.model.parameters()),
        "tokens": tokens,
        "seconds": round(seconds, 1),
        "evaluation_loss": evaluation,
        "torch": torch.__version__,
    }
    with writing(f"the model to {out}"):
        save_model(stage.model, out, stage.workers)
        if stage.workers.first:
            copy_tokenizer(stage.start, out)
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
