"""Estimate what a training run takes: steps, tokens, memory per GPU, days. The tests compare it with real runs.

Work: a matrix of n weights takes 2n operations per token forward and 4n backward (gradients of its input and of
itself); a frozen one takes only 2n backward. Gradient checkpointing adds another forward pass of the layers. Attention
takes 4 operations per pair of positions and channel forward, and twice that backward.

Memory: a trained weight takes 4 bytes, its gradient 4, and its state 8 with AdamW or 4 with Muon. These are divided by
the number of processes; activations aren't, they belong to the tokens that a process holds. No formula covers a GPU's
allocator, its kernels' scratch space and NCCL's buffers: `OVERHEAD_BYTES` stands for them.
"""

from dataclasses import dataclass

from transformers import PreTrainedConfig

from finetune.training.loss import CHUNK_TOKENS
from finetune.training.recipe import Recipe

ASSUMED_UTILISATION = 0.4
"""Share of a GPU's peak, recomputation included. An assumption for bf16 with SDPA, not measured by this project."""
OVERHEAD_BYTES = 4 * 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """A GPU by its maker's data sheet: dense bf16 operations per second, and memory."""

    flops_per_s: float
    memory_bytes: float


GPUS = {
    "a100-80": Gpu(flops_per_s=312e12, memory_bytes=80e9),
    "h100": Gpu(flops_per_s=989e12, memory_bytes=80e9),
    "h200": Gpu(flops_per_s=989e12, memory_bytes=141e9),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """The sizes of a Llama."""

    hidden: int
    layers: int
    ffn: int
    heads: int
    kv_heads: int
    head: int
    """Channels of one head."""
    vocabulary: int
    tied: bool
    """The output matrix is the embedding."""

    @property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """Inputs and outputs of each matrix of a layer."""
        d, q, kv, f = self.hidden, self.heads * self.head, self.kv_heads * self.head, self.ffn
        return (d, q), (d, kv), (d, kv), (q, d), (d, f), (d, f), (f, d)

    @property
    def layer_matrices(self) -> int:
        """Weights in the matrices of all layers."""
        return self.layers * sum(inputs * outputs for inputs, outputs in self.shapes)

    @property
    def other(self) -> int:
        """Embeddings, output matrix and norms."""
        tables = 1 if self.tied else 2
        return tables * self.vocabulary * self.hidden + (2 * self.layers + 1) * self.hidden

    @property
    def parameters(self) -> int:
        """All weights."""
        return self.layer_matrices + self.other


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """The bytes that one process needs."""

    weights: int
    gradients: int
    optimizer: int
    activations: int
    gathered: int
    """Layers gathered from the shards of all processes: the one in use and the next."""

    @property
    def total(self) -> int:
        """All of these, and the overhead."""
        parts = self.weights + self.gradients + self.optimizer + self.activations + self.gathered
        return parts + OVERHEAD_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """The costs of a training run."""

    steps: int
    tokens: int
    """Padding included."""
    parameters: int
    trained_parameters: int
    flops: float
    memory: Memory
    days: float


def architecture(config: PreTrainedConfig) -> Architecture:
    """Return the sizes of a model of the Llama family from its transformers configuration."""
    heads = config.num_attention_heads
    return Architecture(
        hidden=config.hidden_size,
        layers=config.num_hidden_layers,
        ffn=config.intermediate_size,
        heads=heads,
        kv_heads=getattr(config, "num_key_value_heads", None) or heads,
        head=getattr(config, "head_dim", None) or config.hidden_size // heads,
        vocabulary=config.vocab_size,
        tied=bool(config.tie_word_embeddings),
    )


def estimate(recipe: Recipe, model: Architecture, *, steps: int, gpus: int, gpu: Gpu) -> Estimate:
    """Estimate the costs of `steps` steps of `recipe` on `gpus` processes with a `gpu` each."""
    tokens = steps * recipe.batch_tokens
    flops = tokens * flops_per_token(recipe, model)
    return Estimate(
        steps=steps,
        tokens=tokens,
        parameters=model.parameters,
        trained_parameters=trained_parameters(recipe, model),
        flops=flops,
        memory=memory(recipe, model, gpus=gpus),
        days=flops / (gpus * gpu.flops_per_s * ASSUMED_UTILISATION) / 86_400,
    )


def flops_per_token(recipe: Recipe, model: Architecture) -> float:
    """Return an upper bound of the operations, forward and backward: rows of `max_tokens`, logits of all tokens."""
    output = model.vocabulary * model.hidden
    attention = 4 * model.layers * model.heads * model.head * recipe.max_tokens
    layers = 2 * model.layer_matrices + attention
    forward = layers + 2 * output
    again = layers if recipe.gradient_checkpointing else 0
    if recipe.lora is None:
        return 3 * forward + again
    adapter = lora_parameters(recipe, model)
    return forward + again + (2 * model.layer_matrices + 2 * attention + 2 * output) + 6 * adapter


def trained_parameters(recipe: Recipe, model: Architecture) -> int:
    """Return the number of weights that are trained: all, those that aren't frozen, or the adapter's."""
    if recipe.lora is not None:
        return lora_parameters(recipe, model)
    if recipe.frozen_layers is None:
        return model.parameters
    untied = 0 if model.tied else model.vocabulary * model.hidden
    above = model.layers - recipe.frozen_layers
    return above * (model.layer_matrices // model.layers + 2 * model.hidden) + model.hidden + untied


def lora_parameters(recipe: Recipe, model: Architecture) -> int:
    """Return the weights of an adapter, two thin matrices for each matrix; named targets count as if they were all."""
    rank = recipe.lora.rank if recipe.lora else 0
    return model.layers * rank * sum(inputs + outputs for inputs, outputs in model.shapes)


def memory(recipe: Recipe, model: Architecture, *, gpus: int) -> Memory:
    """Return the memory at the end of a backward pass, when gradients and activations are largest."""
    trained = trained_parameters(recipe, model)
    in_muon = 0
    if recipe.optimizer.kind == "muon":
        in_muon = min(trained, model.layer_matrices)
    layer = model.layer_matrices // model.layers
    return Memory(
        weights=(4 * trained + _frozen_bytes(recipe, model)) // gpus,
        gradients=4 * trained // gpus,
        optimizer=(8 * (trained - in_muon) + 4 * in_muon) // gpus,
        activations=activations(recipe, model),
        gathered=2 * layer * (2 if recipe.precision == "bf16" else 4) if gpus > 1 else 0,
    )


def activations(recipe: Recipe, model: Architecture) -> int:
    """Return the bytes kept for the backward pass by the tokens that one process holds."""
    size = 2 if recipe.precision == "bf16" else 4
    d, q, kv = model.hidden, model.heads * model.head, model.kv_heads * model.head
    # Two norms keep their input in float32 and its normalised form; then the inputs of the matrices, q, k, v, the
    # output of attention, and gate, its activation, up and their product.
    layer = 2 * (4 * d + size * d) + size * (2 * d + 2 * q + 2 * kv) + size * 4 * model.ffn
    kept = model.layers * size * d + layer if recipe.gradient_checkpointing else model.layers * layer
    # The loss: logits of some tokens, as computed, in float32 and as gradients; then the gradients of its inputs.
    logits = min(CHUNK_TOKENS, recipe.held_tokens) * (2 * size + 4) * model.vocabulary
    of_matrix = 0 if recipe.lora else 4 * model.vocabulary * d
    return recipe.held_tokens * (kept + 4 * d) + logits + of_matrix


def _frozen_bytes(recipe: Recipe, model: Architecture) -> int:
    if recipe.lora is None:
        return 4 * (model.parameters - trained_parameters(recipe, model))
    if recipe.lora.quantize is not None:  # 4 bits, and a byte of scale for every 64 weights
        return model.layer_matrices // 2 + model.layer_matrices // 64 + 2 * model.other
    return model.parameters * (2 if recipe.precision == "bf16" else 4)
