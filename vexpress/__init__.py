"""V-Express: audio-driven portrait video (arXiv:2406.02511).

Names are imported on first use, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import Any

_HOME = {
    "Sampling": "inference.settings",
    "VExpressPipeline": "inference.pipeline",
    "AudioProjection": "networks.audio_projection",
    "Conditions": "inference.conditions",
    "DenoisingUNet": "networks.denoising_unet",
    "ReferenceNet": "networks.reference_net",
    "VKpsGuider": "networks.v_kps_guider",
}

__all__ = [
    "AudioProjection",
    "Conditions",
    "DenoisingUNet",
    "ReferenceNet",
    "Sampling",
    "VExpressPipeline",
    "VKpsGuider",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'vexpress' has no attribute {name!r}")
    return getattr(import_module(f"vexpress.{_HOME[name]}"), name)
