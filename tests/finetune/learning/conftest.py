"""A model of a few thousand weights, and random attempts at nothing."""

from collections.abc import Callable
from copy import deepcopy
from random import Random
from typing import TYPE_CHECKING

import pytest

from mumath_agent.rollouts import Rollout

if TYPE_CHECKING:
    from finetune.training.weights import Model

VOCABULARY = 23


@pytest.fixture(scope="session")
def tiny() -> "Callable[[int], Model]":
    """Return a maker of models: the same for the same seed."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from finetune.training.attention import implementation
    from finetune.training.recipe import Optimizer, Recipe

    packed = Recipe(
        name="", optimizer=Optimizer(rate=1), steps=1, batch_tokens=64, max_tokens=64, packing=True
    )
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=128,
        tie_word_embeddings=True,
        attn_implementation=implementation(packed),  # type: ignore[call-arg]
    )
    made: dict[int, LlamaForCausalLM] = {}

    def make(seed: int) -> LlamaForCausalLM:
        if seed not in made:
            torch.manual_seed(seed)
            made[seed] = LlamaForCausalLM(config)
            for weight in made[seed].parameters():
                torch.nn.init.normal_(weight, std=0.3)  # so that it has an opinion about every token
        return deepcopy(made[seed])

    return make


def random_rollout(random: Random, *, reward: float | None = 1.0) -> Rollout:
    """Return an attempt of random ids, of which a model wrote some."""
    length = random.randint(1, 9)
    written = tuple(random.random() < 0.6 for _ in range(length))
    return Rollout(
        prompt_ids=tuple(random.randrange(VOCABULARY) for _ in range(random.randint(1, 5))),
        completion_ids=tuple(random.randrange(VOCABULARY) for _ in range(length)),
        logprobs=tuple(-4 * random.random() if mine else 0.0 for mine in written),
        env_mask=written,
        text="",
        reward=reward,
    )
