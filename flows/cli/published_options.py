"""Options of the published command that `vexpress generate` keeps, so that its command lines run.

Three of its parameters have one right value for a set of weights; they are hidden, and
another value is refused.
"""

from pathlib import Path
from typing import Annotated, Any

import typer

from vexpress.errors import SettingsError

PARTS = "Weights, part by part"
NAMES = (
    "unet_config",
    "vae",
    "audio_encoder",
    "reference_net",
    "denoising_unet",
    "v_kps_guider",
    "audio_projection",
    "motion_module",
)


def _part(flag: str, what: str) -> Any:
    return typer.Option(flag, help=what, rich_help_panel=PARTS, show_default=False)


Part = Path | None
UnetConfig = Annotated[Part, _part("--unet-config-path", "Stable Diffusion's unet/config.json.")]
Vae = Annotated[Part, _part("--vae-path", "Folder of sd-vae-ft-mse.")]
AudioEncoder = Annotated[Part, _part("--audio-encoder-path", "Folder of wav2vec2-base-960h.")]
ReferenceNet = Annotated[Part, _part("--reference-net-path", "File of the reference net.")]
DenoisingUnet = Annotated[Part, _part("--denoising-unet-path", "File of the denoising U-Net.")]
VKpsGuider = Annotated[Part, _part("--v-kps-guider-path", "File of the V-Kps guider.")]
AudioProjection = Annotated[Part, _part("--audio-projection-path", "File of the audio projection.")]
MotionModule = Annotated[Part, _part("--motion-module-path", "File of the motion modules.")]
PadFrames = Annotated[int | None, typer.Option("--num-pad-audio-frames", hidden=True)]
SamplingRate = Annotated[int | None, typer.Option("--standard-audio-sampling-rate", hidden=True)]
Stride = Annotated[int | None, typer.Option("--context-stride", hidden=True)]


def parts_of(given: dict[str, Any]) -> dict[str, Path]:
    """Return the paths of parts that were given, by the part's name."""
    return {name: given[f"{name}_path"] for name in NAMES if f"{name}_path" in given}


def check_rate_and_stride(rate: int | None, stride: int | None) -> None:
    """wav2vec2 hears 16 kHz; windows are of frames that follow each other."""
    from vexpress.media.sound import SAMPLE_RATE

    if rate not in (None, SAMPLE_RATE):
        raise SettingsError(
            f"--standard-audio-sampling-rate {rate}: wav2vec2 hears {SAMPLE_RATE}; sound of any "
            "rate is brought to it. Leave the option out."
        )
    if stride not in (None, 1):
        raise SettingsError(f"--context-stride {stride}: expected 1, the published value")


def check_padding(frames: int | None, vectors: int) -> None:
    """The audio projection sees `vectors` vectors, two a frame: its own and those around it."""
    if frames is not None and 2 * (2 * frames + 1) != vectors:
        raise SettingsError(
            f"--num-pad-audio-frames {frames}: these weights are for {(vectors // 2 - 1) // 2}. "
            "Leave the option out; it is read off the weights."
        )
