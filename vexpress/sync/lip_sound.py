"""How far sound and lips are apart, without a network: linear filters and their correlation.

Three pairs of filters, found by canonical correlation analysis on real talking clips
(`benchmarks/sync.py --fit` made `vexpress/sync/lip_sound_filters.py`), turn sound and lip shape
into signals that move alike. Their correlation over lags has its peak where they belong
together. How much a peak is worth is asked of the clip itself: the same signals, shifted
round by lags at which nothing can match, correlate by chance; the confidence is the peak in
standard deviations of those.

Sign: a positive offset means that the sound is late, heard after the lips moved.
"""

from dataclasses import dataclass

import numpy as np

from vexpress.sync.estimate import FPS, MOST_LAG, SyncEstimate
from vexpress.sync.lip_sound_filters import FILTERS

RATE = 16000
HOP = 160
FRAME = 400
"""Samples of a sound window (25 ms), every `HOP` (10 ms)."""
BANDS = 8
LOWEST_HZ, HIGHEST_HZ = 80.0, 7000.0
FLOOR_DB = 60.0
"""A band's level is not taken below this many dB under the loudest."""
HOPS = 4
"""Sound windows in a frame."""
AROUND = (-6, -4, -2, 0, 2, 4, 6)
"""Frames around a frame whose sound tells of its lips."""
PAD_S = 1.0
"""Sound needed before and after the lips, seconds: `MOST_LAG` and `AROUND`, and a little."""
SLOW = 12.0
"""Lip shape is taken relative to its Gaussian mean of this standard deviation, frames."""
FAR = 12
"""Frames from the peak from which circular shifts count as chance."""
LEAST_FRAMES = 50
"""With fewer frames (2 s) chance cannot be told from a match."""
STILL = 0.004
"""Lips whose opening varies by less than this share of the eye distance do not speak."""
SILENT_RMS = 1e-3
"""Sound below this (-60 dB) is silence."""
LAGS = np.arange(-2 * MOST_LAG, 2 * MOST_LAG + 1) / 2


@dataclass(frozen=True)
class Filters:
    """What turns sound and lips into `K` signals that move alike.

    `sound` float (BANDS * len(AROUND), K), `lips` float (12, K): six distances and their
    changes; `weights` (K,): how much each pair counts.
    """

    sound: np.ndarray
    lips: np.ndarray
    weights: np.ndarray


def estimate_offset(
    lips: np.ndarray, sound: np.ndarray, *, fps: float = FPS, filters: Filters | None = None
) -> SyncEstimate:
    """Return the offset between lip shape (F, 6) at `fps` and 16 kHz `sound`.

    `sound` float (samples,) begins `PAD_S` before the first frame and ends `PAD_S` after the
    last. Confidence: standard deviations above chance, never negative.
    """
    lips = at_25_fps(lips, fps)
    problem = why_not(lips, sound)
    if problem:
        return SyncEstimate(None, None, problem)
    filters = filters or Filters(**FILTERS)
    heard, seen = sound_features(sound), product(lip_features(lips), filters.lips)
    at_lags = [product(windows(heard, len(lips), lag), filters.sound) for lag in LAGS]
    curve = np.array([agreement(signals, seen, filters.weights) for signals in at_lags])
    peak = int(curve.argmax())
    chance = by_chance(at_lags[peak], seen, filters.weights)
    return SyncEstimate(float(LAGS[peak]), max(0.0, float(curve[peak]) / chance))


def product(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the matrix product (M, N) of (M, K) and (K, N), summed in one order on any number of
    cores, which a BLAS does not promise."""
    return np.asarray(np.einsum("mk,kn->mn", left, right))


def why_not(lips: np.ndarray, sound: np.ndarray) -> str | None:
    """Return why nothing can be said of lips (F, 6) at 25 fps and their sound, or None."""
    if len(lips) < LEAST_FRAMES:
        return f"expected ≥ {LEAST_FRAMES / FPS:g} s, found {len(lips) / FPS:.2g} s"
    clip = sound[round(PAD_S * RATE) : len(sound) - round(PAD_S * RATE)]
    if not len(clip) or float(np.sqrt((clip.astype(np.float64) ** 2).mean())) < SILENT_RMS:
        return "the sound is silent"
    if float((lips - _slow(lips))[:, :2].std(axis=0).max()) < STILL:
        return "the lips do not move"
    return None


def at_25_fps(lips: np.ndarray, fps: float) -> np.ndarray:
    """Return lip shape (F, 6) at `fps` as float64 at 25 frames a second."""
    if abs(fps - FPS) < 1e-6:
        return lips.astype(np.float64)
    count = int(len(lips) / fps * FPS + 1e-6)
    wanted, known = (np.arange(count) + 0.5) / FPS, (np.arange(len(lips)) + 0.5) / fps
    return np.stack([np.interp(wanted, known, signal) for signal in lips.T], axis=1)


def lip_features(lips: np.ndarray) -> np.ndarray:
    """Return (F, 12): lip shape (F, 6) without its slow changes, its changes; deviation 1."""
    fast = lips - _slow(lips)
    both = np.hstack([fast, np.gradient(fast, axis=0)])
    return np.asarray(both / (both.std(axis=0) + 1e-6))


def sound_features(sound: np.ndarray) -> np.ndarray:
    """Return (T, BANDS), one row each 10 ms: levels of mel bands, mean 0 and deviation 1."""
    from scipy.ndimage import gaussian_filter1d

    padded = np.pad(sound.astype(np.float64), FRAME // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME)[::HOP] * np.hanning(FRAME)
    power = np.abs(np.fft.rfft(frames, 512)) ** 2
    levels = 10 * np.log10(product(power, mel_bank().T) + 1e-10)
    levels = np.maximum(levels, levels.max() - FLOOR_DB)
    levels = (levels - levels.mean(axis=0)) / (levels.std(axis=0) + 1e-3)
    return np.asarray(gaussian_filter1d(levels, HOPS / 2, axis=0))


def mel_bank() -> np.ndarray:
    """Return triangular filters (BANDS, 257) evenly spaced in mel (2595 log10(1 + f / 700))."""
    low_mel, high_mel = (2595 * np.log10(1 + hertz / 700) for hertz in (LOWEST_HZ, HIGHEST_HZ))
    edges = 700 * (10 ** (np.linspace(low_mel, high_mel, BANDS + 2) / 2595) - 1)
    low, middle, high = (edges[i : i + BANDS, None] for i in range(3))
    bins = np.fft.rfftfreq(512, 1 / RATE)
    rising, falling = (bins - low) / (middle - low), (high - bins) / (high - middle)
    return np.asarray(np.maximum(0, np.minimum(rising, falling)))


def windows(heard: np.ndarray, frames: int, lag: float) -> np.ndarray:
    """Return (frames, BANDS * len(AROUND)): the sound around each frame, `lag` frames later."""
    middles = PAD_S * FPS + np.arange(frames) + 0.5 + lag
    rows = [np.round((middles + around) * HOPS).astype(int) for around in AROUND]
    return np.hstack([heard[np.clip(row, 0, len(heard) - 1)] for row in rows])


def agreement(signals: np.ndarray, seen: np.ndarray, weights: np.ndarray) -> float:
    """Return the weighted mean of the correlations of two (F, K), column by column."""
    a, b = signals - signals.mean(axis=0), seen - seen.mean(axis=0)
    norms = np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0)) + 1e-12
    return float(((a * b).sum(axis=0) / norms) @ weights / weights.sum())


def by_chance(signals: np.ndarray, seen: np.ndarray, weights: np.ndarray) -> float:
    """Return the root mean square agreement when one is shifted round by ≥ `FAR` frames."""
    shifts = range(FAR, len(seen) - FAR)
    found = [agreement(np.roll(signals, shift, axis=0), seen, weights) for shift in shifts]
    return float(np.sqrt(np.mean(np.square(found)))) + 1e-9


def _slow(lips: np.ndarray) -> np.ndarray:
    from scipy.ndimage import gaussian_filter1d

    return np.asarray(gaussian_filter1d(lips, SLOW, axis=0))
