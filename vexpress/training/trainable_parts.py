"""What learns in a stage, parameter by parameter, as published."""

import re
from collections.abc import Iterable

from torch import nn

from vexpress.networks.denoising_unet import DenoisingUNet
from vexpress.training.model import TrainingModel
from vexpress.training.settings import Part

_DENOISING: dict[str, Part] = {
    "spatial": "denoising_spatial",
    "audio": "denoising_audio",
    "motion": "denoising_motion",
}
_ZERO = re.compile(r"motion_modules\.\d+\.temporal_transformer\.proj_out\.|\.attn2\.to_out\.")


def part_of(model: TrainingModel, name: str) -> Part | None:
    """The part that a parameter of `model` belongs to; None for what never learns.

    Of the reference net, the last up block and what its features do not depend on never learn.
    """
    network, _, inner = name.partition(".")
    if network == "denoising_unet":
        return _DENOISING[DenoisingUNet.part_of(inner)]
    if network == "reference_net":
        last = f"up_blocks.{len(model.reference_net.up_blocks) - 1}."
        known = {name for name, _ in model.reference_net.feature_parameters()}
        return "reference_net" if inner in known and not inner.startswith(last) else None
    return "v_kps_guider" if network == "v_kps_guider" else "audio_projection"


def set_trained(model: TrainingModel, parts: Iterable[Part]) -> dict[str, nn.Parameter]:
    """Let exactly these parts learn; returns their parameters by name."""
    wanted, trained = set(parts), {}
    for name, parameter in model.named_parameters():
        learns = part_of(model, name) in wanted
        parameter.requires_grad_(learns)
        if learns:
            trained[name] = parameter
    return trained


def zero_outputs(unet: DenoisingUNet) -> None:
    """Set what motion modules and audio attention add to zero."""
    for name, parameter in unet.named_parameters():
        if _ZERO.search(name):
            nn.init.zeros_(parameter)
