"""Keep the rows of a packed line apart in attention, without a mask.

With a block-diagonal mask, SDPA computes the whole square of a line, throws most of it away, and uses a slower kernel.
Here SDPA is called for each row, causally, so that only what is needed is computed. The rows' lengths come with each
batch (`Batch.row_lengths`). Flash attention has a kernel of its own for this.
"""

from contextlib import nullcontext
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from finetune.training.recipe import Recipe

_BY_ROW = "sdpa_by_row"


def implementation(recipe: Recipe) -> str:
    """Return the name by which transformers knows the attention that the recipe needs."""
    if not (recipe.packing and recipe.attention == "sdpa"):
        return recipe.attention
    AttentionInterface.register(_BY_ROW, _by_row)
    return _BY_ROW


def _by_row(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    row_lengths: tuple[int, ...] | None = None,
    **settings: Any,
) -> tuple[torch.Tensor, None]:
    """Attend within each row of (1, heads, tokens, channels); without `row_lengths`, as in generation, to the line."""
    if row_lengths is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **settings)
    parts = (torch.split(tensor, list(row_lengths), dim=2) for tensor in (query, key, value))
    # On a processor the backward pass of the fused kernel takes longer than plain products, for rows this short.
    with sdpa_kernel(SDPBackend.MATH) if query.device.type == "cpu" else nullcontext():
        seen = [
            sdpa_attention_forward(module, q, k, v, None, **settings)[0]
            for q, k, v in zip(*parts, strict=True)
        ]
    return torch.cat(seen, dim=1), None
