"""Made-up series of clips, and fingerprints of them, as `fingerprints.py` would take them."""

import numpy as np
from scipy.ndimage import gaussian_filter1d

from vexpress.schemas.fingerprint import ClipFingerprint
from vexpress.tasks.curate.scores.fingerprints import (
    BANDS,
    PLACES,
    RATE_HZ,
    SOUND_CODES,
    picture_codes,
    sound_codes,
)

ROOM = np.random.default_rng(0).normal(0, 300, len(PLACES))
"""What one room looks like."""


def talk(seed: int, samples: int = 100) -> tuple[np.ndarray, np.ndarray]:
    """Picture (T, 35) and sound (T, 12) of a talk in the room: motion at speech's pace."""
    random = np.random.default_rng(seed)
    moving = gaussian_filter1d(random.normal(0, 1, (samples, len(PLACES))), 3, axis=0)
    heard = gaussian_filter1d(random.normal(0, 1, (samples, BANDS)), 1.5, axis=0)
    together = gaussian_filter1d(random.normal(0, 1, (samples, 1)), 1.5, axis=0)
    return ROOM + 120 * moving, -40 + 20 * heard + 20 * together


def again(
    series: tuple[np.ndarray, np.ndarray], seed: int, cut: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """The same talk with a little noise, its first samples cut off."""
    random = np.random.default_rng(seed)
    picture, sound = series
    return (
        picture[cut:] + random.normal(0, 8, picture[cut:].shape),
        sound[cut:] + random.normal(0, 1, sound[cut:].shape),
    )


def clip_fingerprint(
    clip_id: str, series: tuple[np.ndarray, np.ndarray], batch_id: str = "w"
) -> ClipFingerprint:
    """The row of the table `fingerprints`; `sound` may be empty."""
    picture, sound = series
    return ClipFingerprint(
        clip_id=clip_id,
        video_id=f"v{clip_id}",
        batch_id=batch_id,
        rate_hz=RATE_HZ,
        picture=np.round(picture),
        sound=np.round(sound * 100),
        codes=np.concatenate([picture_codes(picture), sound_codes(sound) + SOUND_CODES]),
    )
