"""Attention that keeps the rows of a shared line apart, without a mask.

SDPA told of such rows by a mask works on the whole square of a line, most of which the mask then throws away, and in
a slower kernel. Here every row is attended to by itself, causally: what is computed is what is needed. Which rows
there are comes with each batch (`Batch.row_lengths`). Flash attention has a kernel for this and needs none of it.
"""

from typing import Any

import torch
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from finetune.training.recipe import Recipe

_BY_ROW = "sdpa_by_row"


def implementation(recipe: Recipe) -> str:
    """What transformers is to be told of the recipe's attention."""
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
    """Tensors of (1, heads, tokens, channels). Without `row_lengths` every line is one row, as when text is written."""
    if row_lengths is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **settings)
    parts = (torch.split(tensor, list(row_lengths), dim=2) for tensor in (query, key, value))
    seen = [
        sdpa_attention_forward(module, q, k, v, None, **settings)[0] for q, k, v in zip(*parts, strict=True)
    ]
    return torch.cat(seen, dim=1), None
