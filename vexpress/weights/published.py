"""The published layout in and out: folders of V-Express weights to networks and back."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL
from safetensors import SafetensorError
from torch import nn
from transformers import Wav2Vec2FeatureExtractor, Wav2Vec2Model

from vexpress.errors import CheckpointError, MissingWeightsError
from vexpress.networks.audio_projection import AudioProjection
from vexpress.networks.denoising_unet import DenoisingUNet
from vexpress.networks.reference_net import ReferenceNet
from vexpress.networks.v_kps_guider import VKpsGuider
from vexpress.weights.catalogue import NETWORKS, Places
from vexpress.weights.checkpoint import State, load_state, read_state, write_state
from vexpress.weights.network_sizes import audio_projection_sizes, guider_sizes, unet_sizes
from vexpress.weights.quiet import quietly

MOTION = "motion_modules"
_KINDS: dict[str, Any] = {
    "reference_net": ReferenceNet,
    "denoising_unet": DenoisingUNet,
    "v_kps_guider": VKpsGuider,
    "audio_projection": AudioProjection,
}
_UNTRAINED = {"masked_spec_embed"}
"""Used in wav2vec2's training only; some of its published files lack it."""


@dataclass(frozen=True)
class Networks:
    """The four networks of V-Express."""

    reference_net: ReferenceNet
    denoising_unet: DenoisingUNet
    v_kps_guider: VKpsGuider
    audio_projection: AudioProjection


def load_networks(places: Places, dtype: torch.dtype = torch.float32) -> Networks:
    """Load the four networks, each at the size of its weights, onto the CPU.

    Raises CheckpointError naming every missing and unexpected key.
    """
    return Networks(*(load_network(places, name, dtype) for name in NETWORKS))


def load_network(places: Places, name: str, dtype: torch.dtype = torch.float32) -> Any:
    """Load one network by its published name."""
    state, source = read_network(places.networks, name)
    with torch.device("meta"):
        network = _KINDS[name].from_config(_sizes(name, state, source, places.unet_config))
    load_state(network, {key: tensor.to(dtype) for key, tensor in state.items()}, source)
    return network.eval()


def read_network(files: dict[str, Path], name: str) -> tuple[State, str]:
    """Read the weights of a network; `motion_module` is laid over the denoising U-Net's."""
    if name not in files:
        raise MissingWeightsError(f"weights: expected {name} as .safetensors, .bin or .pth")
    state = read_state(files[name])
    motion = files.get("motion_module") if name == "denoising_unet" else None
    if motion is None:
        return state, str(files[name])
    over = read_state(motion)
    stray = [key for key in over if MOTION not in key]
    if stray:
        raise CheckpointError(f"{motion}: expected keys with {MOTION!r}, found {stray[:4]}")
    return {**state, **over}, f"{files[name]} with {motion.name}"


def _sizes(name: str, state: State, source: str, unet_config: Path | None) -> dict[str, Any]:
    if name == "v_kps_guider":
        return guider_sizes(state, source)
    if name == "audio_projection":
        return audio_projection_sizes(state, source)
    return unet_sizes(state, source, _heads(unet_config))


def save_networks(folder: Path, networks: Networks, suffix: str = ".bin") -> None:
    """Write the five published files: the four networks, and the motion modules once more."""
    for name in NETWORKS:
        write_state(folder / f"{name}{suffix}", getattr(networks, name).state_dict())
    state = networks.denoising_unet.state_dict()
    motion = {key: tensor for key, tensor in state.items() if MOTION in key}
    write_state(folder / f"motion_module{suffix}", motion)


def load_vae(folder: Path, dtype: torch.dtype = torch.float32) -> AutoencoderKL:
    """Load the image autoencoder from its diffusers folder."""
    plain = any(folder.glob("*.safetensors"))  # else diffusers reports each missing one
    with naming(folder):
        vae, info = AutoencoderKL.from_pretrained(
            folder,
            torch_dtype=dtype,
            local_files_only=True,
            output_loading_info=True,
            use_safetensors=plain,
        )
    check_complete(folder, vae, info)
    return vae.eval()


def load_audio_encoder(
    folder: Path, dtype: torch.dtype = torch.float32
) -> tuple[Wav2Vec2Model, Wav2Vec2FeatureExtractor]:
    """Load wav2vec2 and its feature extractor from their transformers folder."""
    with naming(folder), quietly():
        encoder, info = Wav2Vec2Model.from_pretrained(
            folder, dtype=dtype, local_files_only=True, output_loading_info=True
        )
        extractor = Wav2Vec2FeatureExtractor.from_pretrained(folder, local_files_only=True)
    check_complete(folder, encoder, info)
    return encoder.eval(), extractor


@contextmanager
def naming(folder: Path) -> Iterator[None]:
    """Turn what the libraries raise for a damaged folder into an error that names the folder."""
    try:
        yield
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise CheckpointError(
            f"{folder} cannot be read as a pretrained folder; fetch it again. ({error})"
        ) from error


def check_complete(folder: Path, module: nn.Module, info: dict[str, Any]) -> None:
    """The libraries fill missing weights with random numbers; here that is an error."""
    lacking = [key for key in info["missing_keys"] if key.split(".")[-1] not in _UNTRAINED]
    if lacking:
        raise CheckpointError(
            f"{folder} does not fit {type(module).__name__}: {len(lacking)} missing: "
            f"{', '.join(sorted(lacking)[:8])}. Fetch it again."
        )


def _heads(unet_config: Path | None) -> int:
    """Stable Diffusion 1.x calls the number of heads `attention_head_dim`."""
    if unet_config is None:
        return 8
    heads = json.loads(unet_config.read_text()).get("attention_head_dim", 8)
    if not isinstance(heads, int):
        raise CheckpointError(f"{unet_config}: expected one number of heads, found {heads!r}")
    return heads
