"""A wav2vec2 folder made on the spot: tiny, random, with the strides of the real one."""

from pathlib import Path

import torch
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

HIDDEN = 16


def save_model(folder: Path, seed: int) -> Path:
    """Save a model of `HIDDEN` hidden units, other numbers for every seed."""
    torch.manual_seed(seed)
    config = Wav2Vec2Config(
        hidden_size=HIDDEN,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        conv_dim=(8,) * 7,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
    )
    Wav2Vec2Model(config).save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)
    return folder
