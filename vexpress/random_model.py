"""A tiny V-Express with random weights: everything runs, nothing resembles.

For trying the command and for tests. The sizes are those of no published checkpoint.
"""

import torch
from diffusers import AutoencoderKL
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

from vexpress.audio_projection import AudioProjection
from vexpress.denoising_unet import DenoisingUNet
from vexpress.pipeline import VExpressPipeline, published_scheduler
from vexpress.reference_net import ReferenceNet
from vexpress.v_kps_guider import VKpsGuider

CHANNELS = (32, 64, 96, 96)
AUDIO_CHANNELS = 32


def tiny_pipeline(seed: int = 0) -> VExpressPipeline:
    """Build the pipeline; the same seed gives the same weights."""
    unet = {"block_out_channels": CHANNELS, "attention_heads": 4}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return VExpressPipeline(
            vae=_vae(),
            reference_net=ReferenceNet.from_config(unet).eval(),
            denoising_unet=DenoisingUNet.from_config(unet).eval(),
            v_kps_guider=VKpsGuider(out_channels=CHANNELS[0]).eval(),
            audio_projection=AudioProjection(audio_dim=AUDIO_CHANNELS).eval(),
            audio_encoder=_audio_encoder(),
            audio_extractor=Wav2Vec2FeatureExtractor(),
            scheduler=published_scheduler(),
        )


def _vae() -> AutoencoderKL:
    levels = 4
    return AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * levels,
        up_block_types=["UpDecoderBlock2D"] * levels,
        block_out_channels=[16, 16, 32, 32],
        layers_per_block=1,
        norm_num_groups=8,
    ).eval()


def _audio_encoder() -> Wav2Vec2Model:
    config = Wav2Vec2Config(
        hidden_size=AUDIO_CHANNELS,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        conv_dim=[32] * 7,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
    )
    return Wav2Vec2Model(config).eval()
