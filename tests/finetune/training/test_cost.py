"""The model of costs against real models and real steps."""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModelForCausalLM, LlamaConfig

from finetune.training.batches import Batch
from finetune.training.cost import (
    GPUS,
    Architecture,
    activations,
    architecture,
    estimate,
    flops_per_token,
    memory,
    trained_parameters,
)
from finetune.training.loss import losses_of
from finetune.training.optimizers import make_optimizers
from finetune.training.recipe import Lora, Recipe, read_stages
from finetune.training.weights import Model, adapted_by

pytestmark = pytest.mark.train

# What Meta published of Llama 2 and Code Llama.
PUBLISHED = {
    "llama-2-7b": ((4096, 32, 11008, 32, 32, 32000), 6_738_415_616),
    "llama-2-13b": ((5120, 40, 13824, 40, 40, 32000), 13_015_864_320),
    "codellama-34b": ((8192, 48, 22016, 64, 8, 32000), 33_743_970_304),
    "llama-2-70b": ((8192, 80, 28672, 64, 8, 32000), 68_976_648_192),
}
LORA = Lora(rank=8, alpha=16)


def config(hidden: int, layers: int, ffn: int, heads: int, kv_heads: int, vocabulary: int) -> LlamaConfig:
    return LlamaConfig(
        hidden_size=hidden,
        num_hidden_layers=layers,
        intermediate_size=ffn,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        vocab_size=vocabulary,
        tie_word_embeddings=False,
        use_cache=False,
    )


SMALL = config(64, 2, 128, 4, 2, 100)


def recipe(kind: str = "adamw", **changes: Any) -> Recipe:
    (found,) = read_stages(Path("tiny-stage1"))
    optimizer = found.optimizer.model_copy(update={"kind": kind})
    return found.model_copy(update={"optimizer": optimizer, **changes})


def made(shape: LlamaConfig, told: Recipe) -> Model:
    torch.manual_seed(0)
    return adapted_by(told.lora, AutoModelForCausalLM.from_config(shape)).train()


def passed(model: Model, tokens: tuple[int, int]) -> None:
    """Run a forward and a backward pass."""
    ids = torch.randint(0, 100, tokens)
    logits = model(input_ids=ids, use_cache=False).logits
    loss = torch.nn.functional.cross_entropy(logits.float().flatten(0, 1), ids.flatten())
    loss.backward()


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_of_published_models(name: str) -> None:
    sizes, parameters = PUBLISHED[name]
    assert architecture(config(*sizes)).parameters == parameters


@pytest.mark.parametrize("lora", [None, LORA])
@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_weights_gradients_and_optimiser_take_exactly_what_is_said(kind: str, lora: Lora | None) -> None:
    told = recipe(kind, lora=lora)
    model = made(SMALL, told)
    passed(model, (2, 16))
    optimizers = make_optimizers(model, told.optimizer)
    for optimizer in optimizers:
        optimizer.step()
    states = [
        value
        for optimizer in optimizers
        for state in optimizer.state.values()
        for name, value in state.items()
        if name != "step"
    ]
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    said = memory(told, architecture(SMALL), gpus=1)
    assert trained_parameters(told, architecture(SMALL)) == sum(weight.numel() for weight in trained)
    assert said.weights == sum(weight.nbytes for weight in model.parameters())
    assert said.gradients == sum(weight.grad.nbytes for weight in trained if weight.grad is not None)
    assert said.optimizer == sum(state.nbytes for state in states)


def kept_bytes(shape: LlamaConfig, told: Recipe) -> int:
    """Count the bytes autograd keeps between a forward and a backward pass over 1,024 tokens, without the weights."""
    model = made(shape, told)
    if told.gradient_checkpointing:
        model.activation_checkpointing_enable()
    owned = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    kept: dict[int, int] = {}
    alive = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        alive.append(storage)  # or its address is given to the next
        if storage.data_ptr() not in owned:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    ids = torch.randint(0, 100, (4, 256))
    batch = Batch(ids=ids, weights=torch.ones(4, 256), positions=None, row_lengths=None, tokens=1024)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        losses_of(model, batch, half=False)
    return sum(kept.values())


@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_layer_keeps_what_is_said(checkpointing: bool) -> None:
    """Within 15 %; layer by layer, since what checkpointing makes again comes and goes."""
    told = recipe(gradient_checkpointing=checkpointing)
    shapes = [config(128, layers, 352, 4, 4, 2000) for layers in (2, 6)]
    few, many = (kept_bytes(shape, told) for shape in shapes)
    said = [activations(told, architecture(shape)) for shape in shapes]
    assert many - few == pytest.approx(said[1] - said[0], rel=0.15)
    if not checkpointing:  # the logits themselves are gone by then
        assert many == pytest.approx(said[1] - 512 * 12 * 2000, rel=0.1)


@pytest.mark.parametrize(
    ("lora", "checkpointing", "within"),
    [(None, False, 0), (None, True, 0.05), (LORA, False, 0.05), (LORA, True, 0.05)],
)
def test_the_work_is_what_pytorch_counts(lora: Lora | None, checkpointing: bool, within: float) -> None:
    """It skips what nobody needs: a layer's last product when it is made again, the gradient of the first input."""
    told = recipe(max_tokens=256, gradient_checkpointing=checkpointing, lora=lora)
    shape = config(256, 2, 704, 4, 2, 2000)
    shape._attn_implementation = "eager"  # what CPUs use otherwise isn't counted
    model = made(shape, told)
    if checkpointing:
        model.activation_checkpointing_enable()
    with FlopCounterMode(display=False) as counter:
        passed(model, (4, 256))
    expected = flops_per_token(told, architecture(shape))
    assert counter.get_total_flops() / (4 * 256) == pytest.approx(expected, rel=within)


def test_an_adapter_takes_two_thirds_of_the_work_and_little_memory() -> None:
    shape = architecture(config(*PUBLISHED["llama-2-7b"][0]))
    full, lora = recipe(), recipe(lora=LORA, precision="bf16")
    assert flops_per_token(lora, shape) / flops_per_token(full, shape) == pytest.approx(2 / 3, rel=0.02)
    assert memory(lora, shape, gpus=1).optimizer < 0.01 * memory(full, shape, gpus=1).optimizer


@pytest.mark.parametrize("gpus", [2, 8, 64])
def test_parts_are_shared_out(gpus: int) -> None:
    shape: Architecture = architecture(config(*PUBLISHED["llama-2-70b"][0]))
    (told,) = read_stages(Path("70b-full"))
    alone, spread = memory(told, shape, gpus=1), memory(told, shape, gpus=gpus)
    assert spread.optimizer == alone.optimizer // gpus
    assert spread.activations == alone.activations
    cost = estimate(told, shape, steps=10, gpus=gpus, gpu=GPUS["h100"])
    assert cost.tokens == 10 * 65536
    one = estimate(told, shape, steps=10, gpus=1, gpu=GPUS["h100"])
    assert cost.days == pytest.approx(one.days / gpus)
