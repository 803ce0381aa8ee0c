"""An alignment model made on the spot: a small wav2vec2 CTC fitted to a few recordings.

It knows these voices and no other; with it, the times of whisperx's `align` mean something.
"""

import json
from pathlib import Path

import numpy as np
import torch
from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2ForCTC

LETTERS = ["<pad>", "|", *"abcdefghijklmnopqrstuvwxyz'"]
RATE = 16000
STRIDE = 320
"""Samples from one vector to the next."""
STEPS = 300
PIECE = 10 * RATE
"""Samples that a step looks at."""
BLANK_WEIGHT = 0.3
"""Most vectors are blank; without it nothing else would be learnt at first."""

Words = list[tuple[str, float, float]]
"""Word, start and end, seconds."""
Recording = tuple[np.ndarray, Words]
"""16 kHz sound, float32 (samples,), and its words."""


def save_aligner(folder: Path, recordings: list[Recording]) -> Path:
    """Save, and return, a CTC model fitted to `recordings`, to each as often."""
    torch.manual_seed(0)
    config = Wav2Vec2Config(
        vocab_size=len(LETTERS),
        hidden_size=128,
        num_hidden_layers=0,  # each vector depends on what is near it alone
        conv_dim=(8, 16, 32, 48, 64, 64, 64),
        feat_extract_norm="layer",
        do_stable_layer_norm=True,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=8,
        pad_token_id=0,
        **dict.fromkeys(("hidden_dropout", "feat_proj_dropout", "final_dropout"), 0.0),
        mask_time_prob=0.0,
    )
    model = Wav2Vec2ForCTC(config)
    fit(model, recordings)
    return save(model, folder)


def save(model: Wav2Vec2ForCTC, folder: Path) -> Path:
    """Save, and return, a CTC model over `LETTERS` as transformers and whisperx read it."""
    model.save_pretrained(folder)
    Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)
    codes = {letter: code for code, letter in enumerate(LETTERS)}
    (folder / "vocab.json").write_text(json.dumps(codes))
    special = {"pad_token": "<pad>", "unk_token": "<pad>", "word_delimiter_token": "|"}
    (folder / "tokenizer_config.json").write_text(json.dumps(special))
    return folder


def fit(model: Wav2Vec2ForCTC, recordings: list[Recording]) -> None:
    """Teach the model which letter begins where, piece by piece, each from anywhere on."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=4e-3)
    weights = torch.full((len(LETTERS),), 1.0)
    weights[0] = BLANK_WEIGHT
    random = np.random.default_rng(0)
    for step in range(STEPS):
        sound, words = recordings[step % len(recordings)]
        begin = int(random.integers(0, max(len(sound) - PIECE, STRIDE)))
        logits = model(torch.from_numpy(sound[begin : begin + PIECE])[None]).logits[0]
        times = (begin + STRIDE * (np.arange(len(logits)) + 0.5)) / RATE
        letters = torch.from_numpy(letters_at(times, words))
        loss = torch.nn.functional.cross_entropy(logits, letters, weights)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.eval()


def letters_at(times: np.ndarray, words: Words) -> np.ndarray:
    """Return the index into `LETTERS` that begins nearest each time, else blank, as CTC has it.

    The letters of a word share its time evenly.
    """
    codes = np.zeros(len(times), np.int64)
    for word, start_s, end_s in words:
        spelt = [LETTERS.index(c) for c in word.lower() if c in LETTERS]
        begins = np.linspace(start_s, end_s, len(spelt), endpoint=False)
        for letter, begin in zip(spelt, begins, strict=True):
            if times[0] <= begin <= times[-1]:
                codes[np.abs(times - begin).argmin()] = letter
    return codes
