"""A V-Express with random weights: everything runs, nothing resembles.

For trying the command, for tests and for benchmarks.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from diffusers import AutoencoderKL
from torch import nn
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

from vexpress.inference.pipeline import VExpressPipeline, published_scheduler
from vexpress.networks.audio_projection import AudioProjection
from vexpress.networks.denoising_unet import DenoisingUNet
from vexpress.networks.reference_net import ReferenceNet
from vexpress.networks.v_kps_guider import VKpsGuider

TINY_CHANNELS = (32, 64, 96, 96)
TINY_VAE = {"block_out_channels": (16, 16, 32, 32), "layers_per_block": 1, "norm_num_groups": 8}
TINY_AUDIO_ENCODER = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "conv_dim": (32,) * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}


def tiny_pipeline(seed: int = 0) -> VExpressPipeline:
    """A pipeline of the sizes of no published checkpoint; the same seed, the same weights."""
    return random_pipeline(TINY_CHANNELS, 4, TINY_VAE, TINY_AUDIO_ENCODER, seed)


def random_pipeline(
    channels: Sequence[int],
    heads: int,
    vae: Mapping[str, Any],
    audio_encoder: Mapping[str, Any],
    seed: int = 0,
) -> VExpressPipeline:
    """A pipeline with U-Nets of these channels and heads.

    `vae`: of a diffusers AutoencoderKL, `audio_encoder`: of a transformers Wav2Vec2Config.
    """
    unet = {"block_out_channels": channels, "attention_heads": heads}
    levels = len(vae["block_out_channels"])
    sound = Wav2Vec2Config(**audio_encoder)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        pipeline = VExpressPipeline(
            vae=AutoencoderKL(
                down_block_types=["DownEncoderBlock2D"] * levels,
                up_block_types=["UpDecoderBlock2D"] * levels,
                **vae,
            ).eval(),
            reference_net=ReferenceNet.from_config(unet).eval(),
            denoising_unet=DenoisingUNet.from_config(unet).eval(),
            v_kps_guider=VKpsGuider(out_channels=channels[0]).eval(),
            audio_projection=AudioProjection(audio_dim=sound.hidden_size).eval(),
            audio_encoder=Wav2Vec2Model(sound).eval(),
            audio_extractor=Wav2Vec2FeatureExtractor(),
            scheduler=published_scheduler(),
        )
        _wake(pipeline.v_kps_guider)
        _wake(pipeline.denoising_unet)
    return pipeline


def _wake(network: nn.Module) -> None:
    """Random numbers where training starts from zeros, or points and motion would do nothing."""
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1 and not parameter.any():
                parameter.normal_(std=0.02)
