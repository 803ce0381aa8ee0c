"""A complete folder of small random weights: networks, autoencoder, audio encoder.

`python -m tests.helpers.random_weights FOLDER` writes it for the demo: with it everything runs, and
nothing has been learned yet.
"""

import argparse
import shutil
import tempfile
from pathlib import Path

import torch
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

from tests.helpers.small_clips import AUDIO_DIM
from tests.helpers.small_training import write_random_networks
from vexpress.weights.quiet import quietly


def write_weights(folder: Path, material: Path) -> Path:
    """Write `folder` from `material` (`start/`, `vae/`), with a wav2vec2 beside them."""
    shutil.copytree(material / "start", folder)
    shutil.copytree(material / "vae", folder / "sd-vae-ft-mse")
    sizes = {"hidden_size": AUDIO_DIM, "num_hidden_layers": 1, "num_attention_heads": 2}
    convolutions = {"conv_dim": (8,) * 7, "num_conv_pos_embeddings": 8}
    groups = {"num_conv_pos_embedding_groups": 2, "intermediate_size": 16}
    torch.manual_seed(5)
    encoder = Wav2Vec2Model(Wav2Vec2Config(**sizes, **convolutions, **groups))
    with quietly():
        encoder.save_pretrained(folder / "wav2vec2-base-960h")
    Wav2Vec2FeatureExtractor().save_pretrained(folder / "wav2vec2-base-960h")
    return folder


def main() -> None:
    """Write the weights that the demo trains from."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.helpers.random_weights", description=__doc__
    )
    parser.add_argument("folder", type=Path, help="where to write; must not be there")
    folder = parser.parse_args().folder
    with tempfile.TemporaryDirectory() as scratch:
        write_weights(folder, write_random_networks(Path(scratch)))
    print(f"small random weights of every network in {folder}: they show that everything runs")


if __name__ == "__main__":
    main()
