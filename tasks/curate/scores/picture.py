"""Scores of single pictures: sharpness, noise, blocks of compression, exposure.

Pictures are luma, uint8 (height, width), unless said otherwise.
"""

import cv2
import numpy as np

SHARP_SIDE = 256
"""Side at which sharpness is measured, pixels, so that it does not depend on the face's size."""
NOISE_MASK = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
NOISE_BLOCK = 16
"""Side of the squares among which the calm ones are chosen, pixels."""
DARK, LIGHT = 8, 247
"""Luma at and beyond which a pixel shows nothing any more."""
GRID = 8
"""Distance of block edges in every common codec, source pixels."""
STEP_CAP = 12.0
"""A step larger than this is no trace of compression but an edge of the picture."""


def face_square(points: np.ndarray, side: int) -> tuple[int, int, int, int]:
    """Return left, top, right, bottom of the face around points (5, 2), within `side` pixels."""
    eyes, mouth = points[:2].mean(axis=0), points[3:].mean(axis=0)
    span = max(np.linalg.norm(mouth - eyes), np.linalg.norm(points[1] - points[0]))
    low = np.clip((eyes + mouth) / 2 - 1.3 * span, 0, side - 8).astype(int)
    high = np.clip((eyes + mouth) / 2 + 1.3 * span, low + 8, side).astype(int)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def sharpness_by_blurring(luma: np.ndarray) -> float:
    """Return 1 less the blur effect of Crété et al. 2007 (SPIE 6492), 0 … 1.

    How much of the difference between neighbours a strong blur takes away: much where the
    picture was sharp. It compares different pictures; `sharpness` of generated videos (table
    `evaluations`, vexpress/metrics/picture.py) compares fine detail with the reference's.
    """
    size = (SHARP_SIDE, SHARP_SIDE)
    picture = cv2.resize(luma, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    return min(_lost(picture, axis) for axis in (0, 1))


def _lost(picture: np.ndarray, axis: int) -> float:
    blurred = cv2.blur(picture, (9, 1) if axis else (1, 9))
    before, after = (np.abs(np.diff(p, axis=axis)) for p in (picture, blurred))
    return float(np.maximum(before - after, 0).sum() / max(before.sum(), 1e-6))


def noise(luma: np.ndarray) -> float:
    """Return the standard deviation of the noise in levels of 255.

    Immerkær 1996 (Computer Vision and Image Understanding 64), over the calmest quarter of
    the picture's squares, so that texture counts little; black and white squares are left out.
    """
    rough = np.abs(cv2.filter2D(luma, cv2.CV_32F, NOISE_MASK))
    size = (max(1, luma.shape[1] // NOISE_BLOCK), max(1, luma.shape[0] // NOISE_BLOCK))
    each = cv2.resize(rough, size, interpolation=cv2.INTER_AREA)
    level = cv2.resize(luma, size, interpolation=cv2.INTER_AREA)
    useful = each[(level > 2 * DARK) & (level < 255 - 2 * DARK)]
    calm = float(np.percentile(useful, 25)) if useful.size else 0.0
    return calm * float(np.sqrt(np.pi / 2)) / 6


def exposure(luma: np.ndarray) -> tuple[float, float, float]:
    """Return mean luma 0 … 1, and the shares of pixels that are all dark and all light."""
    counts = cv2.calcHist([luma], [0], None, [256], [0, 256]).ravel() / luma.size
    mean = float(counts @ np.arange(256)) / 255
    return mean, float(counts[: DARK + 1].sum()), float(counts[LIGHT:].sum())


def steps(luma: np.ndarray, source_side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean difference between neighbouring columns, and rows, float32 (side - 1,).

    The clip is brought back to the `source_side` pixels it was cut from, where block edges lie
    `GRID` apart whatever the crop.
    """
    shrinks = source_side <= luma.shape[0]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    picture = cv2.resize(luma, (source_side, source_side), interpolation=how).astype(np.float32)
    across = np.minimum(np.abs(np.diff(picture, axis=1)), STEP_CAP).mean(axis=0)
    down = np.minimum(np.abs(np.diff(picture, axis=0)), STEP_CAP).mean(axis=1)
    return across, down


def blockiness(profile: np.ndarray) -> float:
    """Return how far steps stand out every `GRID` pixels, in shares of the usual step.

    `profile` (side - 1,), as `steps` gives it, over many frames; no compression is about 0,
    visible blocks are above 0.5. The grid's place need not be known: the strongest is taken.
    """
    if len(profile) < 4 * GRID:
        return 0.0
    raised = profile[1:-1] - (profile[:-2] + profile[2:]) / 2
    whole = len(raised) // GRID * GRID
    at_phase = np.median(raised[:whole].reshape(-1, GRID), axis=0)
    return float(at_phase.max() / max(float(np.median(profile)), 1e-3))
