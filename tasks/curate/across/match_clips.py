"""Whether two clips are one: their series laid over each other at every shift and speed.

Picture and sound must agree, at the same shift and speed: another camera of the same talk,
or another talk behind the same picture, is no copy.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from pydantic import Field

from vexpress.schemas.row import Model
from vexpress.tasks.curate.scores.fingerprints import IS_ODD, RATE_HZ, WINDOW

SPEEDS = tuple(round(0.97 + 0.005 * n, 3) for n in range(13))
"""Speeds of the second clip against the first that are tried."""
STILL_PICTURE = 3.0
"""Root mean square of a picture's change below which it tells nothing."""
STILL_SOUND_DB = 2.0
"""Root mean square of the change of level below which a sound tells nothing, dB."""


class MatchRules(Model):
    """What two clips must have in common to be one."""

    min_sound: float = Field(0.7, ge=-1, le=1)
    """Least correlation of level in twelve bands over time, where both are heard."""
    min_picture: float = Field(0.5, ge=-1, le=1)
    """Least correlation of the picture's motion, where both move and are heard."""
    min_picture_alone: float = Field(0.75, ge=-1, le=1)
    """The same where either is silent."""
    min_look: float = Field(0.9, ge=-1, le=1)
    """Least correlation of the mean pictures, where either is still."""
    min_overlap: float = Field(0.5, gt=0, le=1)
    """Least share of the shorter clip that both must show."""


@dataclass(frozen=True)
class Series:
    """What is compared of a clip."""

    picture: np.ndarray
    """float32 (T, 35)."""
    sound: np.ndarray
    """float32 (T, 12), or (0, 12) without sound."""


@dataclass(frozen=True)
class Match:
    """The best alignment of two clips."""

    sound: float | None
    """Correlation of what is heard, -1..1; None where either is silent."""
    picture: float | None
    """Correlation of what moves, -1..1; None where either is still."""
    look: float
    """Correlation of the mean pictures, -1..1."""
    mirrored: bool
    speed: float
    """Speed of the second over the first's."""
    shift_s: float
    """Where the second begins in the first's time, seconds."""
    overlap_s: float
    """Length of what both show, seconds of the first."""


def match(first: Series, second: Series, rules: MatchRules) -> Match:
    """Return the alignment in which picture and sound together agree best."""
    tries = [
        found for speed in SPEEDS for found in _at_speed(first, second, speed, rules.min_overlap)
    ]
    # Of nearly equal ones the plainest: not mirrored, at its own speed.
    return max(tries, key=lambda m: (_agreement(m) - abs(m.speed - 1), not m.mirrored))


def is_copy(found: Match, rules: MatchRules) -> bool:
    """Return whether an alignment says that both are one."""
    if found.sound is None:
        return found.picture is not None and found.picture >= rules.min_picture_alone
    if found.sound < rules.min_sound:
        return False
    if found.picture is None:
        return found.look >= rules.min_look
    return found.picture >= rules.min_picture


def _agreement(found: Match) -> float:
    known = [value for value in (found.sound, found.picture) if value is not None]
    return sum(known) if known else found.look - 2


def _at_speed(first: Series, second: Series, speed: float, share: float) -> Iterator[Match]:
    """Yield the best alignment as it is and mirrored."""
    seen, heard = _stretched(second.picture, speed), _stretched(second.sound, speed)
    least = max(WINDOW, round(share * min(len(first.picture), len(seen))))
    sound = _correlations(first.sound, heard, least, STILL_SOUND_DB)
    for mirrored in (False, True):
        other = np.where(IS_ODD, -seen, seen) if mirrored else seen
        picture = _correlations(first.picture, other, least, STILL_PICTURE)
        known = [series for series in (picture, sound) if series is not None]
        shifts = np.arange(1 - len(other), len(first.picture))
        best = int(np.argmax(sum(known))) if known else int(np.argmin(np.abs(shifts)))
        shift = int(shifts[best])
        overlap = min(len(first.picture), shift + len(other)) - max(0, shift)
        yield Match(
            sound=None if sound is None else float(sound[best]),
            picture=None if picture is None else float(picture[best]),
            look=_cosine(first.picture.mean(axis=0), other.mean(axis=0)),
            mirrored=mirrored,
            speed=speed,
            shift_s=shift / RATE_HZ,
            overlap_s=overlap / RATE_HZ,
        )


def _stretched(values: np.ndarray, speed: float) -> np.ndarray:
    """Values (T, C) of a clip at `speed`, as they were at speed 1."""
    if not len(values):
        return values
    count = round(len(values) * speed)
    places = np.minimum(np.arange(count) / speed, len(values) - 1)
    below = places.astype(int)
    above = np.minimum(below + 1, len(values) - 1)
    part = (places - below)[:, None].astype(np.float32)
    return values[below] * (1 - part) + values[above] * part


def _correlations(
    first: np.ndarray, second: np.ndarray, least: int, still: float
) -> np.ndarray | None:
    """Correlation at every shift from 1 - len(second) to len(first) - 1, -1 where less than
    `least` samples overlap; None where either does not change."""
    if min(len(first), len(second)) < least:
        return None
    a, b = _changes(first), _changes(second)
    if min(np.sqrt((a**2).mean()), np.sqrt((b**2).mean())) < still:
        return None
    products = _products(a, b)
    energy_a, energy_b = (a**2).sum(axis=1), (b**2).sum(axis=1)
    # What of each lies in the overlap: sums from the start to the end of it.
    shifts = np.arange(1 - len(b), len(a))
    starts, ends = np.maximum(shifts, 0), np.minimum(len(a), shifts + len(b))
    within_a = _between(energy_a, starts, ends)
    within_b = _between(energy_b, starts - shifts, ends - shifts)
    found = products / np.sqrt(within_a * within_b + 1e-9)
    return np.where(ends - starts >= least, found, -1.0)


def _products(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Sums over time and columns of the products of (A, C) and (B, C), b at every shift.

    By FFT: many small matrix products would each wake BLAS's threads.
    """
    from scipy.fft import irfft, next_fast_len, rfft

    count = len(a) + len(b) - 1
    size = next_fast_len(count, real=True)
    spectra = rfft(a, size, axis=0) * rfft(b[::-1], size, axis=0)
    return np.asarray(irfft(spectra.sum(axis=1), size)[:count])


def _between(values: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    sums = np.concatenate([[0.0], np.cumsum(values, dtype=np.float64)])
    return sums[ends] - sums[starts]


def _changes(values: np.ndarray) -> np.ndarray:
    """Values (T, C) without what stays for two seconds."""
    from scipy.ndimage import uniform_filter1d

    return values - uniform_filter1d(values, WINDOW, axis=0, mode="nearest")


def _cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b) + 1e-9))
