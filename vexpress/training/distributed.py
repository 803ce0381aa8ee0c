"""One worker or many: the same code, with torch.distributed where it was started.

`ddp` keeps full weights in each worker; `fsdp` shards them (torch FSDP2). Checkpoints hold
full tensors in both cases, so that a run can go on with another number of machines.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed as dist
from diffusers.models.resnet import ResnetBlock2D
from torch import nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.parallel import DistributedDataParallel

from vexpress.networks.motion_module import MotionModule
from vexpress.networks.transformer_block import TransformerBlock
from vexpress.training.model import TrainingModel

SHARD_UNITS = (TransformerBlock, ResnetBlock2D, MotionModule)
_FULL = StateDictOptions(full_state_dict=True, cpu_offload=True)


def rank() -> int:
    """Number of this worker."""
    return dist.get_rank() if dist.is_initialized() else 0


def workers() -> int:
    """Number of all workers."""
    return dist.get_world_size() if dist.is_initialized() else 1


def wrap(model: TrainingModel, sharding: str, device: torch.device) -> nn.Module:
    """What the training loop calls. `fsdp` shards `model` itself and gives it back."""
    if workers() == 1:
        return model
    if sharding == "ddp":
        ids = [device] if device.type == "cuda" else None
        return DistributedDataParallel(model, device_ids=ids, forward_sync_buffers=False)
    mesh = init_device_mesh(device.type, (workers(),))
    for module in model.denoising_unet.modules():
        if isinstance(module, SHARD_UNITS):
            fully_shard(module, mesh=mesh)
    # One unit: its blocks hand features out past their outputs, where no hook would gather them.
    fully_shard(model.reference_net, mesh=mesh)
    fully_shard(model, mesh=mesh)
    return model


@contextlib.contextmanager
def synchronising(wrapped: nn.Module, now: bool) -> Iterator[None]:
    """Exchange gradients in this backward pass, or leave that to a later one."""
    if isinstance(wrapped, FSDPModule):
        wrapped.set_requires_gradient_sync(now)
    if isinstance(wrapped, DistributedDataParallel) and not now:
        with wrapped.no_sync():
            yield
    else:
        yield


def mean_over_workers(value: torch.Tensor) -> float:
    """Mean of a number over all workers."""
    if workers() > 1:
        value = value.clone()
        dist.all_reduce(value)
    return float(value) / workers()


def broadcast_from_first(number: int, device: torch.device) -> int:
    """The number that the first worker gives, in all workers."""
    if workers() == 1:
        return number
    told = torch.tensor(number, device=device)
    dist.broadcast(told, src=0)
    return int(told)


def full_tensor(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor that may be sharded, gathered on the CPU."""
    tensor = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
    return tensor.detach().cpu()


def copy_into_shard(target: torch.Tensor, source: torch.Tensor) -> None:
    """Copy a full tensor into one that may be sharded."""
    if isinstance(target, DTensor):
        target.copy_(distribute_tensor(source, target.device_mesh, target.placements))
    else:
        target.copy_(source)


def model_state(model: nn.Module) -> dict[str, Any]:
    """Full weights by name, on the CPU; empty in all workers but the first when sharded."""
    return get_model_state_dict(model, options=_FULL)


def load_model_state(model: nn.Module, state: dict[str, Any]) -> None:
    """Put full weights into a model that may be sharded."""
    set_model_state_dict(model, state, options=StateDictOptions(full_state_dict=True))


def optimiser_state(model: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Any]:
    """The optimiser's state by parameter name, gathered, on the CPU."""
    return get_optimizer_state_dict(model, optimiser, options=_FULL)


def load_optimiser_state(
    model: nn.Module, optimiser: torch.optim.Optimizer, state: dict[str, Any]
) -> None:
    """Copy a state by parameter name into the optimiser of a model that may be sharded."""
    options = StateDictOptions(full_state_dict=True)
    set_optimizer_state_dict(model, optimiser, state, options=options)
    for values in optimiser.state.values():
        for name, value in values.items():
            if isinstance(value, torch.Tensor) and value.device.type == "cpu":
                values[name] = value.clone()  # torch took the very tensors of `state`
