"""The processes of one training run: who we are, what we add up, how a model is spread over us.

torchrun starts the processes (RANK, WORLD_SIZE, LOCAL_RANK in the environment); without it we are one. With more than
one, the model is cut by torch's FSDP2: each process keeps a part of every weight, gradient and optimiser state, so
that what doesn't fit one GPU fits many. There is no second way for models that would fit.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import distributed, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True, kw_only=True)
class Workers:
    """This process among `count`."""

    index: int = 0
    count: int = 1
    device: torch.device = CPU

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes and speaks."""
        return self.index == 0

    def total(self, values: torch.Tensor) -> torch.Tensor:
        """The sum of every process' values, on each of them."""
        if self.count > 1:
            distributed.all_reduce(values)
        return values

    def wait(self) -> None:
        """Until all are here."""
        if self.count > 1:
            distributed.barrier()


@contextmanager
def joined(*, on_cpu: bool) -> Iterator[Workers]:
    """Take this process' place among those that were started, on a GPU of its own if there is one and it may."""
    index, count = (int(os.environ.get(name, default)) for name, default in (("RANK", 0), ("WORLD_SIZE", 1)))
    device = CPU
    if torch.cuda.is_available() and not on_cpu:
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
        torch.cuda.set_device(device)
    opened = count > 1 and not distributed.is_initialized()
    if opened:
        distributed.init_process_group("gloo" if device.type == "cpu" else "nccl")
    try:
        yield Workers(index=index, count=count, device=device)
    finally:
        if opened:
            distributed.destroy_process_group()


def spread(model: nn.Module, source: nn.Module | None, workers: Workers, *, half: bool) -> None:
    """Cut `model`, which has no values yet (device "meta"), and fill it with those of the first process' `source`.

    `half` computes, and sends weights, in bfloat16; gradients are added up in float32.
    """
    policy = MixedPrecisionPolicy(torch.bfloat16, torch.float32) if half else MixedPrecisionPolicy()
    mesh = init_device_mesh(workers.device.type, (workers.count,))
    for layer in layers(model):
        fully_shard(layer, mesh=mesh, mp_policy=policy)
    fully_shard(model, mesh=mesh, mp_policy=policy)
    model.to_empty(device=workers.device)
    options = StateDictOptions(full_state_dict=True, broadcast_from_rank0=True)
    set_model_state_dict(model, source.state_dict() if source is not None else {}, options=options)
    given = dict(source.named_buffers()) if source is not None else {}
    for name, buffer in model.named_buffers():  # rotary frequencies, for one, are in no state
        if name in given:
            buffer.copy_(given[name])
        distributed.broadcast(buffer, src=0)


def layers(model: nn.Module) -> list[nn.Module]:
    """The transformer blocks of `model`, first to last."""
    names = {name for module in model.modules() for name in getattr(module, "_no_split_modules", None) or ()}
    return [module for module in model.modules() if type(module).__name__ in names]
