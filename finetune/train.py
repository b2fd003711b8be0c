"""One stage of training: rows in, a checkpoint folder out.

The two stages of MuMath-Code are two runs of this with two recipes: stage 1 makes a model and trains it on
chain-of-thought solutions, stage 2 starts from stage 1's folder and trains on code-nested ones. A stage is a function
of recipe, data and start folder; killed at any point, the same command goes on from the last checkpoint and ends with
the same weights as a run that was never disturbed.

    start/  tokenizer (stage 1) or a finished stage        out/  checkpoint.pt while training, then a model folder
"""

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from finetune.batches import Batch, collate, endless, epoch_batches
from finetune.checkpoints import CHECKPOINT, Done, load_checkpoint, save_checkpoint, write_atomically
from finetune.encode import Encoded, encode, read_rows
from finetune.progress import Progress
from finetune.recipe import Recipe, Shape
from finetune.tokenizer import load_tokenizer
from mumath_agent.dialects import get_dialect
from mumath_agent.errors import InputError, MuMathError

MANIFEST = "stage.json"
"""Written last: a folder that has it is finished."""


class TrainingDiverged(MuMathError):
    """The loss is no longer a number."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stage:
    """Everything a run holds on to."""

    recipe: Recipe
    model: LlamaForCausalLM
    tokenizer: PreTrainedTokenizerFast
    optimizers: tuple[torch.optim.Optimizer, ...]
    rows: list[Encoded]
    held_out: list[Encoded]
    identity: dict[str, Any]
    """What the result depends on: written into checkpoints, compared when one is continued."""


def train(recipe: Recipe, *, data: Path, start: Path, out: Path) -> None:
    """Run the stage to its end, from the beginning or from the checkpoint in `out`.

    Raises:
        InputError: the data can't be used, or `out` belongs to another recipe, data or start.
        TrainingDiverged: the loss is not finite; the last checkpoint is kept.
    """
    if recipe.threads is not None:
        torch.set_num_threads(recipe.threads)
    torch.manual_seed(recipe.seed)
    out.mkdir(parents=True, exist_ok=True)
    stage = prepare(recipe, data=data, start=start)
    if (out / MANIFEST).is_file():
        _require_same(stage.identity, json.loads((out / MANIFEST).read_text("utf-8"))["identity"], out)
        return
    run(stage, out)


def prepare(recipe: Recipe, *, data: Path, start: Path) -> Stage:
    """Tokenizer, rows, model and optimisers at step 0."""
    tokenizer = load_tokenizer(start)
    rows, dropped = encode(
        read_rows(data), tokenizer, get_dialect(recipe.dialect), max_tokens=recipe.max_tokens
    )
    Random(recipe.seed).shuffle(rows)
    if len(rows) <= recipe.eval_rows:
        raise InputError(
            f"{data} has {len(rows)} usable rows; more than eval_rows={recipe.eval_rows} are needed"
        )
    model = _fresh(recipe.model, tokenizer) if recipe.model is not None else _continued(start)
    identity = {
        "recipe": recipe.model_dump(mode="json"),
        "data_sha256": hashlib.sha256(data.read_bytes()).hexdigest(),
        "rows": len(rows),
        "dropped_rows": dropped,
        "start_sha256": {
            name: hashlib.sha256((start / name).read_bytes()).hexdigest()
            for name in ("tokenizer.json", "model.safetensors")
            if (start / name).is_file() and (recipe.model is None or name == "tokenizer.json")
        },
    }
    return Stage(
        recipe=recipe,
        model=model,
        tokenizer=tokenizer,
        optimizers=_optimizers(model, recipe),
        rows=rows[recipe.eval_rows :],
        held_out=rows[: recipe.eval_rows],
        identity=identity,
    )


def run(stage: Stage, out: Path) -> None:
    """All steps that are not yet in `out`'s checkpoint, then the finished folder."""
    recipe, model = stage.recipe, stage.model
    done = load_checkpoint(out, model, stage.optimizers)
    if done.identity is not None:
        _require_same(stage.identity, done.identity, out)
    order = endless(
        [len(row.ids) for row in stage.rows],
        batch_tokens=recipe.batch_tokens,
        seed=recipe.seed,
        skip=done.step,
    )
    tokens, trained_s = done.tokens, done.seconds
    with Progress(recipe.name, out / "log.jsonl", total=recipe.steps, step=done.step) as progress:
        for step in range(done.step, recipe.steps):
            began = time.perf_counter()
            batch = _batch(stage, [stage.rows[row] for row in next(order)])
            loss = _step(stage, batch, _rate_factor(step, recipe))
            tokens += batch.tokens
            trained_s += time.perf_counter() - began
            progress.step(step + 1, loss=loss, tokens=batch.tokens, total_tokens=tokens)
            if (step + 1) % recipe.log_every == 0:
                progress.log(step + 1)
            if (step + 1) % recipe.eval_every == 0:
                progress.evaluated(step + 1, evaluation_loss(stage))
            if (step + 1) % recipe.checkpoint_every == 0:
                save_checkpoint(
                    out,
                    model,
                    stage.optimizers,
                    Done(step=step + 1, tokens=tokens, seconds=trained_s, identity=stage.identity),
                )
    _finish(stage, out, tokens=tokens, seconds=trained_s, evaluation=evaluation_loss(stage))


def evaluation_loss(stage: Stage) -> float | None:
    """Mean loss per trained token of the held-out rows; None if there are none."""
    if not stage.held_out:
        return None
    rows = stage.held_out
    order = epoch_batches(
        [len(row.ids) for row in rows], batch_tokens=stage.recipe.batch_tokens, seed=0, epoch=0
    )
    total = weight = 0.0
    stage.model.train(False)
    with torch.no_grad():
        for numbers in order:
            batch = _batch(stage, [rows[number] for number in numbers])
            trained = (batch.weights[:, 1:] == 1).float()
            total += float((_token_losses(stage, batch) * trained).sum())
            weight += float(trained.sum())
    stage.model.train()
    return total / weight


def _step(stage: Stage, batch: Batch, factor: float) -> float:
    """One update; returns the mean loss of the trained tokens (the question's left out)."""
    weights = batch.weights[:, 1:]
    losses = _token_losses(stage, batch)
    loss = (losses * weights).sum() / weights.sum()
    if not torch.isfinite(loss):
        raise TrainingDiverged(
            "the loss is not finite; lower optimizer.rate in the recipe and use a new --out"
        )
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(stage.model.parameters(), stage.recipe.optimizer.clip)
    for optimizer in stage.optimizers:
        for group in optimizer.param_groups:
            group["lr"] = stage.recipe.optimizer.rate * factor
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    trained = weights == 1
    return float(losses.detach()[trained].mean())


def _token_losses(stage: Stage, batch: Batch) -> torch.Tensor:
    """Cross-entropy of each token but the first: (rows, width - 1). Padding is on the right, so causal
    attention alone keeps it out and no mask is passed."""
    with torch.autocast("cpu", torch.bfloat16, enabled=stage.recipe.precision == "bf16"):
        logits = stage.model(input_ids=batch.ids, use_cache=False).logits
    return functional.cross_entropy(
        logits[:, :-1].float().transpose(1, 2), batch.ids[:, 1:], reduction="none"
    )


def _batch(stage: Stage, rows: Sequence[Encoded]) -> Batch:
    pad_id = stage.tokenizer.pad_token_id
    assert isinstance(pad_id, int)
    return collate(rows, pad_id=pad_id, question_weight=stage.recipe.question_weight)


def _rate_factor(step: int, recipe: Recipe) -> float:
    """Warm-up, flat, then linear to `final`."""
    optimizer, fraction = recipe.optimizer, step / recipe.steps
    warmup = min(1.0, (step + 1) / optimizer.warmup_steps)
    if fraction < optimizer.flat_until:
        return warmup
    left = (1 - fraction) / (1 - optimizer.flat_until)
    return warmup * max(optimizer.final, left)


def _optimizers(model: LlamaForCausalLM, recipe: Recipe) -> tuple[torch.optim.Optimizer, ...]:
    named = list(model.named_parameters())
    matrices = [p for name, p in named if p.ndim == 2 and "embed" not in name and "lm_head" not in name]
    others = [p for _, p in named if not any(p is matrix for matrix in matrices)]
    settings = recipe.optimizer
    return (
        torch.optim.Muon(
            matrices,
            lr=settings.rate,
            weight_decay=settings.matrix_decay,
            momentum=0.95,
            adjust_lr_fn="match_rms_adamw",
        ),
        torch.optim.AdamW(others, lr=settings.rate, betas=(0.9, 0.98), weight_decay=settings.other_decay),
    )


def _fresh(shape: Shape, tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape.hidden_size,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        intermediate_size=shape.ffn_size,
        max_position_embeddings=shape.positions,
        rope_parameters={"rope_type": "default", "rope_theta": shape.rope_theta},
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return LlamaForCausalLM(config)


def _continued(start: Path) -> LlamaForCausalLM:
    if not (start / MANIFEST).is_file():
        raise InputError(f"{start} holds no finished stage to start from; train stage 1 first")
    return LlamaForCausalLM.from_pretrained(start, dtype=torch.float32)


def _finish(stage: Stage, out: Path, *, tokens: int, seconds: float, evaluation: float | None) -> None:
    stage.model.save_pretrained(out)
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
    (out / CHECKPOINT).unlink(missing_ok=True)


def _require_same(expected: dict[str, Any], found: dict[str, Any], out: Path) -> None:
    for key, value in expected.items():
        if found.get(key) != value:
            raise InputError(f"{out} was made with another {key}; give a new --out or the old settings")
