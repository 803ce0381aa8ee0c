"""Read golden arrays and build the networks they were made with.

A pair `<name>.json` + `<name>.npz` says the sizes, the salt of the weights, and the arrays.
"""

import json
import os
import zlib
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from torch import nn
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

from vexpress.inference.pipeline import VExpressPipeline, published_scheduler
from vexpress.networks.audio_projection import AudioProjection
from vexpress.networks.denoising_unet import DenoisingUNet
from vexpress.networks.reference_net import ReferenceNet
from vexpress.networks.v_kps_guider import VKpsGuider

SHARED = Path(__file__).parents[3] / "shared/reference"
REFERENCE = Path(os.environ.get("VEXPRESS_REFERENCE", SHARED))
GOLDENS = REFERENCE / "goldens"
KEYS = REFERENCE / "keys"
TOLERANCE = 2e-4


def fill(module: nn.Module, part: str, salt: str = "") -> nn.Module:
    """Give every tensor of `module` its deterministic value; positions stay as they are."""
    with torch.no_grad():
        for key, tensor in module.state_dict().items():
            if not key.endswith("pos_encoder.pe"):
                tensor.copy_(torch.from_numpy(_value(f"{salt}{part}.{key}", tuple(tensor.shape))))
    return module.eval()


def _value(name: str, shape: tuple[int, ...]) -> np.ndarray:
    random = np.random.RandomState(zlib.crc32(name.encode()))
    x = random.standard_normal(shape).astype(np.float32)
    if len(shape) >= 2:
        return x / np.sqrt(np.prod(shape[1:])).astype(np.float32)
    return 1 + np.float32(0.1) * x if name.endswith("weight") else np.float32(0.05) * x


class Golden:
    """One pair, and the networks of its sizes."""

    def __init__(self, folder: Path, name: str) -> None:
        self.name = name
        self.sizes: dict[str, Any] = json.loads((folder / f"{name}.json").read_text())
        with np.load(folder / f"{name}.npz") as arrays:
            self.arrays = {key: arrays[key] for key in arrays.files}

    def has(self, *names: str) -> bool:
        """Whether all these arrays are in the pair."""
        return all(name in self.arrays for name in names)

    def tensor(self, name: str) -> torch.Tensor:
        """An array as a tensor."""
        return torch.from_numpy(self.arrays[name])

    def build(self, kind: type[nn.Module], part: str, config: dict[str, Any]) -> Any:
        """Build a network of these sizes with the golden's weights."""
        return fill(kind.from_config(config), part, self.sizes["salt"])  # type: ignore[attr-defined]

    @property
    def unet_config(self) -> dict[str, Any]:
        """Sizes of both U-Nets."""
        motion = {
            "motion_heads": self.sizes["motion_heads"],
            "motion_positions": self.sizes["motion_positions"],
        }
        return {**self.sizes["unet"], **motion}

    def reference_net(self) -> ReferenceNet:
        """The reference net."""
        return self.build(ReferenceNet, "reference_net", self.sizes["unet"])

    def denoising_unet(self) -> DenoisingUNet:
        """The denoising U-Net."""
        return self.build(DenoisingUNet, "denoising_unet", self.unet_config)

    def v_kps_guider(self) -> VKpsGuider:
        """The V-Kps guider."""
        config = {
            "out_channels": self.sizes["unet"]["block_out_channels"][0],
            "block_out_channels": self.sizes["guider_blocks"],
        }
        return self.build(VKpsGuider, "v_kps_guider", config)

    def audio_projection(self) -> AudioProjection:
        """The audio projection."""
        channels = self.sizes["unet"]["cross_attention_dim"]
        sizes = {"audio_dim": self.sizes["audio_dim"], "dim": channels, "output_dim": channels}
        config = {**sizes, **self.sizes["audio_projection"]}
        return self.build(AudioProjection, "audio_projection", config)

    @cached_property
    def reference_features(self) -> dict[str, torch.Tensor]:
        """Features of the golden's reference latents; the network is not kept."""
        with torch.no_grad():
            return self.reference_net()(self.tensor("reference_latents"))


def goldens() -> list[Golden]:
    """Every pair in the folder."""
    names = sorted(path.stem for path in GOLDENS.glob("*.json"))
    return [Golden(GOLDENS, name) for name in names if (GOLDENS / f"{name}.npz").is_file()]


def golden_params(pairs: list[Golden]) -> list[Any]:
    """Pairs as parameters of a test; one that skips where there are none."""
    if not pairs:
        reason = f"no arrays of the published code at {GOLDENS} (set VEXPRESS_REFERENCE)"
        return [pytest.param(None, id="none", marks=pytest.mark.skip(reason=reason))]
    return [pytest.param(pair, id=pair.name, marks=pytest.mark.assets) for pair in pairs]


def published_keys(name: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a published file, or of its tiny variant."""
    lines = (KEYS / f"{name}.txt").read_text().splitlines()
    pairs = (line.split(" ", 1) for line in lines if line.strip())
    return {
        key: tuple(int(n) for n in shape.strip("()[]").split(",") if n.strip())
        for key, shape in pairs
    }


def pipeline_of(golden: Golden) -> VExpressPipeline:
    """The whole pipeline of a golden's sizes."""
    vae = AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * len(golden.sizes["vae"]["block_out_channels"]),
        up_block_types=["UpDecoderBlock2D"] * len(golden.sizes["vae"]["block_out_channels"]),
        scaling_factor=golden.sizes["latent_scale"],
        **golden.sizes["vae"],
    )
    encoder = Wav2Vec2Model(Wav2Vec2Config(**golden.sizes["audio_encoder"]))
    salt = golden.sizes["salt"]
    pipeline = VExpressPipeline(
        vae=fill(vae, "vae", salt),
        reference_net=golden.reference_net(),
        denoising_unet=golden.denoising_unet(),
        v_kps_guider=golden.v_kps_guider(),
        audio_projection=golden.audio_projection(),
        audio_encoder=fill(encoder, "audio_encoder", salt),
        audio_extractor=Wav2Vec2FeatureExtractor(),
        scheduler=published_scheduler(),
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
