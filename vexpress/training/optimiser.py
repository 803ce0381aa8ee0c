"""The optimiser and the exponential moving average (EMA) of the weights."""

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import torch
from diffusers.training_utils import EMAModel
from torch import nn

from vexpress.errors import SettingsError
from vexpress.training.distributed import copy_into_shard, full_tensor
from vexpress.training.settings import StageSettings, rate_at


def require_optimiser(stage: StageSettings) -> None:
    """Raise SettingsError where 8 bits are asked for and cannot be had."""
    if stage.eight_bit_adam and find_spec("bitsandbytes") is None:
        raise SettingsError(
            f"stage_{stage.number}.eight_bit_adam: expected the package bitsandbytes, found none. "
            "Install it (it needs a GPU), or set eight_bit_adam to false."
        )


def make_optimiser(parameters: list[nn.Parameter], stage: StageSettings) -> torch.optim.Optimizer:
    """AdamW with betas 0.9 and 0.999. Raises SettingsError where 8 bits cannot be had."""
    kind: Any = torch.optim.AdamW
    if stage.eight_bit_adam:
        require_optimiser(stage)
        import bitsandbytes  # type: ignore[import-not-found]

        kind = bitsandbytes.optim.AdamW8bit
    rate = rate_at(stage.learning_rate, 0)
    return kind(parameters, lr=rate, betas=(0.9, 0.999), weight_decay=stage.weight_decay)


def set_learning_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Set the step size of every group."""
    for group in optimiser.param_groups:
        group["lr"] = rate


class WeightsEma:
    """Exponential moving average of the trained weights, by name."""

    def __init__(self, trained: Mapping[str, nn.Parameter], decay: float) -> None:
        self._names = list(trained)
        self._mean = EMAModel(trained.values(), decay=decay)

    def step(self, trained: Mapping[str, nn.Parameter]) -> None:
        """Take the weights after a step into the mean."""
        self._mean.step(trained.values())

    def state(self) -> dict[str, Any]:
        """Full tensors by name, and the number of steps taken."""
        means = zip(self._names, self._mean.shadow_params, strict=True)
        return {
            "means": {name: full_tensor(mean) for name, mean in means},
            "steps": self._mean.optimization_step,
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` gave."""
        for name, mean in zip(self._names, self._mean.shadow_params, strict=True):
            copy_into_shard(mean, state["means"][name])
        self._mean.optimization_step = state["steps"]
