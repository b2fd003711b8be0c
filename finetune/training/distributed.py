"""The processes of a training run: which one this is, sums over all of them, and a model sharded across them.

torchrun starts the processes (RANK, WORLD_SIZE, LOCAL_RANK in the environment); without it there is one. With more than
one, torch's FSDP2 shards the model: each process keeps a part of every weight, gradient and optimiser state, so a model
that doesn't fit one GPU fits many. Models that would fit one are sharded in the same way.
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
class Processes:
    """The processes of a training run, seen from one of them."""

    rank: int = 0
    """The number of this process."""
    count: int = 1
    device: torch.device = CPU
    """The device of this process."""

    @property
    def is_first(self) -> bool:
        """True in the one process that writes and prints."""
        return self.rank == 0

    def sum(self, values: torch.Tensor) -> torch.Tensor:
        """Return the sum of the values of all processes, in each of them; `values` itself is overwritten."""
        if self.count > 1:
            distributed.all_reduce(values)
        return values

    def wait(self) -> None:
        """Block until all processes have come here."""
        if self.count > 1:
            distributed.barrier()


@contextmanager
def join_processes(*, on_cpu: bool) -> Iterator[Processes]:
    """Join the processes that torchrun started, with a GPU for each unless `on_cpu` or there is none."""
    rank, count = (int(os.environ.get(name, default)) for name, default in (("RANK", 0), ("WORLD_SIZE", 1)))
    device = CPU
    if torch.cuda.is_available() and not on_cpu:
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
        torch.cuda.set_device(device)
    opened = count > 1 and not distributed.is_initialized()
    if opened:
        distributed.init_process_group("gloo" if device.type == "cpu" else "nccl")
    try:
        yield Processes(rank=rank, count=count, device=device)
    finally:
        if opened:
            distributed.destroy_process_group()


def shard(model: nn.Module, source: nn.Module | None, processes: Processes, *, half: bool) -> None:
    """Shard `model`, which has no values yet (device "meta"), and fill it with those of the first process's `source`.

    With `half`, weights are sent and multiplied in bfloat16; gradients are summed in float32.
    """
    policy = MixedPrecisionPolicy(torch.bfloat16, torch.float32) if half else MixedPrecisionPolicy()
    mesh = init_device_mesh(processes.device.type, (processes.count,))
    for layer in layers(model):
        fully_shard(layer, mesh=mesh, mp_policy=policy)
    fully_shard(model, mesh=mesh, mp_policy=policy)
    model.to_empty(device=processes.device)
    options = StateDictOptions(full_state_dict=True, broadcast_from_rank0=True)
    set_model_state_dict(model, source.state_dict() if source is not None else {}, options=options)
    given = dict(source.named_buffers()) if source is not None else {}
    for name, buffer in model.named_buffers():  # rotary frequencies, for one, are in no state dict
        if name in given:
            buffer.copy_(given[name])
        distributed.broadcast(buffer, src=0)


def layers(model: nn.Module) -> list[nn.Module]:
    """Return the transformer blocks of `model`, first to last."""
    names = {name for module in model.modules() for name in getattr(module, "_no_split_modules", None) or ()}
    return [module for module in model.modules() if type(module).__name__ in names]
