"""Made-up weights of SyncNet in the published shapes."""

import numpy as np
import torch

CONVOLUTIONS = {
    "netcnnaud.0": (64, 1, 3, 3),
    "netcnnaud.4": (192, 64, 3, 3),
    "netcnnaud.8": (384, 192, 3, 3),
    "netcnnaud.11": (256, 384, 3, 3),
    "netcnnaud.14": (256, 256, 3, 3),
    "netcnnaud.18": (512, 256, 5, 4),
    "netcnnlip.0": (96, 3, 5, 7, 7),
    "netcnnlip.4": (256, 96, 1, 5, 5),
    "netcnnlip.8": (256, 256, 1, 3, 3),
    "netcnnlip.11": (256, 256, 1, 3, 3),
    "netcnnlip.14": (256, 256, 1, 3, 3),
    "netcnnlip.18": (512, 256, 1, 6, 6),
    "netfcaud.0": (512, 512),
    "netfcaud.3": (1024, 512),
    "netfclip.0": (512, 512),
    "netfclip.3": (1024, 512),
}
"""Shapes of the published weights (syncnet_python, `SyncNetModel.py`); each but the last of a
head is followed by a normalisation."""


def made_up() -> dict[str, torch.Tensor]:
    """Random weights under the published keys, as saved by an old PyTorch."""
    torch.manual_seed(0)
    state = {}
    for name, shape in CONVOLUTIONS.items():
        state[f"{name}.weight"] = torch.randn(shape) / np.prod(shape[1:]) ** 0.5
        state[f"{name}.bias"] = torch.zeros(shape[0])
        tower, number = name.split(".")
        if (tower, number) not in {("netfcaud", "3"), ("netfclip", "3")}:
            norm = f"{tower}.{int(number) + 1}"
            state[f"{norm}.weight"] = torch.ones(shape[0])
            state[f"{norm}.bias"] = torch.zeros(shape[0])
            state[f"{norm}.running_mean"] = torch.zeros(shape[0])
            state[f"{norm}.running_var"] = torch.ones(shape[0])
    return state
