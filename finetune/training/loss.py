"""Compute the loss of a batch without ever holding its logits.

Logits are the largest tensors of training, and most of them are useless: those of prompts, outputs and padding have no
weight. So logits are computed only for tokens with a weight, some hundred at a time, and turned at once into losses and
gradients (the idea of Liger's kernel, arXiv 2410.10989; this is plain torch, for any device).
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from finetune.training.batches import Batch
from finetune.training.weights import Model
from mumath_agent.errors import InputError

CHUNK_TOKENS = 512
"""Tokens whose logits are held at a time: few enough to stay small, enough to keep a GPU busy."""
_OTHER_LOGITS = ("final_logit_softcapping", "logit_scale", "logits_scaling")
"""Settings of models whose logits are more than the product with the output matrix."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Losses:
    """The cross-entropies of a batch."""

    weighted: torch.Tensor
    """Sum over all tokens, each times its weight; has a gradient."""
    trained: torch.Tensor
    """One for each trained token (those of weight 1); has no gradient."""


def losses_of(model: Model, batch: Batch, *, half: bool) -> Losses:
    """Return the losses of `model` on the tokens with a weight; `half` computes in bfloat16."""
    hidden, weights = _states(model, batch, half=half), _weights(batch)
    places = weights.nonzero()[:, 0]
    weighted, each = _Losses.apply(  # type: ignore[no-untyped-call]
        hidden,
        model.get_output_embeddings().weight,
        places,
        _targets(batch)[places],
        weights[places],
        torch.bfloat16 if half else hidden.dtype,
    )
    return Losses(weighted=weighted, trained=each[weights[places] == 1])


def logprobs_of(model: Model, batch: Batch, *, half: bool) -> torch.Tensor:
    """Return the log-probability of each token with a weight, line by line, with a gradient, for other losses.

    Logits are computed twice, forwards and backwards: what a token weighs isn't known before.
    """
    hidden, places = _states(model, batch, half=half), _weights(batch).nonzero()[:, 0]
    dtype = torch.bfloat16 if half else hidden.dtype
    states, targets = hidden[places], _targets(batch)[places]
    matrix = model.get_output_embeddings().weight
    found = [
        checkpoint(_logprobs, states[chunk], matrix, targets[chunk], dtype, use_reentrant=False)
        for start in range(0, len(places), CHUNK_TOKENS)
        for chunk in (slice(start, start + CHUNK_TOKENS),)
    ]
    return torch.cat([states[:0, 0].float(), *found])  # also without a token it has a gradient: zero


def _logprobs(
    states: torch.Tensor, matrix: torch.Tensor, targets: torch.Tensor, dtype: torch.dtype
) -> torch.Tensor:
    logits = (states.to(dtype) @ matrix.to(dtype).T).float()
    return -functional.cross_entropy(logits, targets, reduction="none")


def _states(model: Model, batch: Batch, *, half: bool) -> torch.Tensor:
    """Return the last states of all tokens, line after line, (tokens, channels)."""
    rows = {} if batch.row_lengths is None else {"row_lengths": batch.row_lengths}
    with torch.autocast(batch.ids.device.type, torch.bfloat16, enabled=half):
        # The whole model is called, for FSDP's sake, but asked for its last states and for no logits.
        hidden: torch.Tensor = model(
            input_ids=batch.ids,
            position_ids=batch.positions,
            use_cache=False,
            output_hidden_states=True,
            logits_to_keep=torch.empty(0, dtype=torch.long, device=batch.ids.device),
            **rows,
        ).hidden_states[-1]
    return hidden.flatten(0, 1)


def _weights(batch: Batch) -> torch.Tensor:
    """Return the weight of the token that each place predicts."""
    return functional.pad(batch.weights[:, 1:], (0, 1)).flatten()


def _targets(batch: Batch) -> torch.Tensor:
    return batch.ids.roll(-1, dims=1).flatten()


def require_plain_logits(model: Model) -> None:
    """Refuse a model whose logits are more than a product with the output matrix.

    Raises:
        InputError: they have a bias or are scaled.
    """
    other = [name for name in _OTHER_LOGITS if getattr(model.config, name, None)]
    if getattr(model.get_output_embeddings(), "bias", None) is not None:
        other.append("a bias")
    if other:
        raise InputError(
            f"a {model.config.model_type} model's logits have {other[0]}: it can't be trained here"
        )


class _Losses(torch.autograd.Function):
    """Losses at some `places` of `hidden` (places, channels), by an output `matrix` (vocabulary, channels)."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        matrix: torch.Tensor,
        places: torch.Tensor,
        targets: torch.Tensor,
        weights: torch.Tensor,
        dtype: torch.dtype,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the weighted sum and each loss; compute the gradients of the sum on the way."""
        to_hidden, to_matrix = ctx.needs_input_grad[:2]
        hidden_gradient = torch.zeros_like(hidden) if to_hidden else None
        matrix_gradient = torch.zeros_like(matrix, dtype=torch.float32) if to_matrix else None
        losses, cast = torch.empty_like(weights), matrix.to(dtype)
        for start in range(0, len(places), CHUNK_TOKENS):
            chunk = slice(start, start + CHUNK_TOKENS)
            states, target = hidden[places[chunk]].to(dtype), targets[chunk, None]
            logits = (states @ cast.T).float()
            normaliser = logits.logsumexp(-1, keepdim=True)
            losses[chunk] = (normaliser - logits.gather(1, target))[:, 0]
            if hidden_gradient is None:
                continue
            gradient = logits.sub_(normaliser).exp_()  # the probabilities; where the target is, one less
            gradient.scatter_add_(1, target, gradient.new_full(target.shape, -1.0))
            gradient = gradient.mul_(weights[chunk, None]).to(dtype)
            hidden_gradient[places[chunk]] = (gradient @ cast).to(hidden.dtype)
            if matrix_gradient is not None:
                matrix_gradient += gradient.T @ states
        ctx.save_for_backward(hidden_gradient, matrix_gradient)
        ctx.matrix_dtype = matrix.dtype
        ctx.mark_non_differentiable(losses)
        return (losses * weights).sum(), losses

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Scale the gradients that `forward` computed."""
        hidden_gradient, matrix_gradient = ctx.saved_tensors
        scale = gradients[0]
        of_matrix = None if matrix_gradient is None else (matrix_gradient * scale).to(ctx.matrix_dtype)
        return hidden_gradient * scale, of_matrix, None, None, None, None
