"""V-Express: audio-driven portrait video (arXiv:2406.02511).

"Published" means, here and in all folders below, the code of github.com/tencent-ailab/V-Express
at commit 6814f7d, and its weights. Names are imported on first use, so that importing the
package costs nothing.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str

_HOME = {
    "Sampling": "inference.settings",
    "VExpressPipeline": "inference.pipeline",
    "AudioProjection": "networks.audio_projection",
    "Conditions": "networks.conditions",
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
    "__version__",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("vexpress")
    if name not in _HOME:
        raise AttributeError(f"module 'vexpress' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"vexpress.{_HOME[name]}"), name)
