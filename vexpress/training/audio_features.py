"""Audio vectors of a clip: from its file to the ten vectors around each frame.

Shapes: V vectors (about 50 a second), E their channels, F frames.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open

from vexpress.errors import InputError
from vexpress.inference.audio_encoder import vectors_around_frames
from vexpress.pt_files import read_pt
from vexpress.training.clips import ClipError

KEY = "global_embeds"
PICKLED = {".pt", ".pth"}
"""Published files; all others are safetensors, also copies from a bucket, which have no suffix."""
VECTORS_A_SECOND = 50
TOLERANCE_S = 0.12
"""wav2vec2 gives a vector or two less than 50 a second; sound and picture may differ by a frame."""


def read_vectors(path: Path) -> torch.Tensor:
    """Vectors of a whole clip, float32 (V, E). Raises ClipError for anything else."""
    try:
        if path.suffix in PICKLED:
            found = read_pt(path)[KEY]
        else:
            with safe_open(path, "pt") as file:
                found = file.get_tensor(KEY)
    except (OSError, SafetensorError, InputError, KeyError, TypeError) as error:
        raise ClipError(
            f"{path}: expected audio vectors under {KEY!r}; they cannot be read: {error}"
        ) from error
    if not isinstance(found, torch.Tensor) or found.ndim != 3 or found.shape[1] != 1:
        raise ClipError(f"{path}: expected {KEY} of shape (N, 1, E), found {_kind(found)}")
    return found[:, 0].float()


def check_vectors(path: Path, frames: int, fps: float) -> int:
    """Return the vectors' channels. Raises ClipError when they are of another length."""
    vectors = read_vectors(path)
    expected, tolerance = frames / fps * VECTORS_A_SECOND, TOLERANCE_S * VECTORS_A_SECOND
    if abs(len(vectors) - expected) > tolerance:
        raise ClipError(
            f"{path}: expected about {expected:.0f} audio vectors for {frames} frames at "
            f"{fps:g} frames per second, found {len(vectors)}. Make the features again."
        )
    return int(vectors.shape[1])


def vectors_of_frames(vectors_VE: torch.Tensor, total: int, frames: range) -> torch.Tensor:
    """The ten vectors around some of a clip's `total` frames, (F, 10, E)."""
    spread = F.interpolate(vectors_VE.T[None], size=2 * total, mode="linear")[0].T
    return vectors_around_frames(spread)[frames.start : frames.stop]


def _kind(found: object) -> str:
    return str(tuple(found.shape)) if isinstance(found, torch.Tensor) else type(found).__name__
