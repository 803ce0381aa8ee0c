"""Sound to the vectors that the audio projection takes: wav2vec2, then windows around frames.

Shapes: V vectors (about 50 a second), E their channels, F frames.
"""

import numpy as np
import torch
import torch.nn.functional as F
from transformers import Wav2Vec2FeatureExtractor, Wav2Vec2Model

from vexpress.media.sound import SAMPLE_RATE

SAMPLES_A_VECTOR = 320
WHOLE_S = 120
"""Up to this length the sound is encoded in one piece, as published."""
CHUNK_S, CONTEXT_S = 60, 5
"""Longer sound is encoded in pieces with context on both sides, so that memory stays flat."""


@torch.no_grad()
def encode_sound(
    encoder: Wav2Vec2Model, extractor: Wav2Vec2FeatureExtractor, waveform: np.ndarray, frames: int
) -> torch.Tensor:
    """Waveform float32 (samples,), 16 kHz mono, to two vectors a frame, (2·F, E).

    The whole waveform is spread over all frames, whatever their number.
    """
    values = extractor(waveform, sampling_rate=SAMPLE_RATE, return_tensors="pt").input_values
    vectors = _encode(encoder, values.to(encoder.device, encoder.dtype))
    spread = F.interpolate(vectors.transpose(1, 2), size=2 * frames, mode="linear")
    return spread[0].T


def _encode(encoder: Wav2Vec2Model, values: torch.Tensor) -> torch.Tensor:
    """Normalised samples (1, samples) to vectors (1, V, E)."""
    samples = values.shape[1]
    if samples <= WHOLE_S * SAMPLE_RATE:
        return encoder(values).last_hidden_state
    chunk, context = CHUNK_S * SAMPLE_RATE, CONTEXT_S * SAMPLE_RATE
    pieces = []
    for start in range(0, samples, chunk):
        begin = max(0, start - context)
        piece = encoder(values[:, begin : start + chunk + context]).last_hidden_state
        skip = (start - begin) // SAMPLES_A_VECTOR
        pieces.append(piece[:, skip : skip + chunk // SAMPLES_A_VECTOR])
    return torch.cat(pieces, dim=1)


def vectors_around_frames(vectors_VE: torch.Tensor, vectors_a_frame: int = 10) -> torch.Tensor:
    """(2·F, E) to (F, vectors_a_frame, E): each frame's own two vectors and those around it.

    Before the first and after the last vector there are zeros.
    """
    side = (vectors_a_frame - 2) // 2
    padded = F.pad(vectors_VE, (0, 0, side, side))
    return padded.unfold(0, vectors_a_frame, 2).transpose(1, 2)
