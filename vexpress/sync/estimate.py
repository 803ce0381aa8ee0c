"""What is known of sound and lips, whoever found it out, and where SyncNet's weights lie.

Sign: a positive offset means that the sound is late, heard after the lips moved.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

FPS = 25.0
"""Lags are counted in frames of 1/25 s, whatever the clip's own rate."""
MOST_LAG = 15
"""Largest offset looked for, frames (SyncNet's `vshift`)."""
SYNCNET_FILES = ("syncnet/syncnet_v2.model", "syncnet/syncnet_v2.safetensors")
SYNCNET_LICENCE = "SyncNet (syncnet_python): MIT; trained on BBC broadcasts"


@dataclass(frozen=True)
class SyncEstimate:
    """How far sound and lips are apart.

    `offset_frames`: positive where the sound is late; frames of 1/25 s; None where nothing
    can be said. `confidence`: on the scale of its back end. `note`: why there is none.
    """

    offset_frames: float | None
    confidence: float | None
    note: str | None = None


def find_syncnet(weights: Path | None) -> Path | None:
    """Return the file of SyncNet's weights under `weights`, or None."""
    places = [weights / name for name in SYNCNET_FILES] if weights else []
    return next((place for place in places if place.is_file()), None)


def estimate_from(mean_distances: np.ndarray) -> SyncEstimate:
    """Return offset and confidence of SyncNet's mean distances (31,) at lags from -15 to 15.

    Confidence: median less least distance, as in syncnet_python; empty distances say nothing.
    """
    if not len(mean_distances):
        return SyncEstimate(None, None, "expected more than 5 frames with sound")
    best = int(mean_distances.argmin())
    # torch.median, as published: the lower of two middle values.
    middle = float(np.sort(mean_distances)[(len(mean_distances) - 1) // 2])
    return SyncEstimate(float(best - MOST_LAG), middle - float(mean_distances[best]))
