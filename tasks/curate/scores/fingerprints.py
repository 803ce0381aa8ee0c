"""What tells a copy of a clip: how its picture and its sound change over time.

Two short series a clip, `RATE_HZ` samples a second, and from each a 24 bit code per window
of two seconds. The picture is laid over the face's usual place in the clip, so that another
margin or scale does not matter, and reduced to its lowest spatial frequencies; the sound to
its level in twelve wide bands, so that a little more speed does not matter. Codes are the
signs of the lowest frequencies over time, as in 3D-DCT video hashing (Coskun, Sankur and
Memon, IEEE Transactions on Multimedia 2006): what does not move is in none of them, so that
two talks of one person in one room have nothing in common.
"""

from collections.abc import Iterable
from typing import ClassVar

import cv2
import numpy as np

from vexpress.schemas.fingerprint import ClipFingerprint
from vexpress.schemas.keypoints import ClipKps
from vexpress.schemas.row import Model
from vexpress.tasks.curate.scores.scorer import ClipScorer
from vexpress.tasks.engine.shared_decode import Scoring
from vexpress.tasks.engine.units import Candidate
from vexpress.tasks.media.resample import read_sound

RATE_HZ = 12.5
"""Samples a second of both series."""
SIDE = 32
"""Side of the face's square before its frequencies are taken, pixels."""
SPREADS = 2.6
"""Half the side of that square, in spreads of the face's five points."""
LOWEST = 6
PLACES = np.array([(v, u) for v in range(LOWEST) for u in range(LOWEST) if u + v], np.int64)
"""Vertical and horizontal frequency of each of the 35 values of a picture."""
IS_ODD = PLACES[:, 1] % 2 == 1
"""Values that change their sign in a mirrored picture."""
BANDS = 12
BAND_HZ = (120.0, 5000.0)
SOUND_HZ = 16000
FFT = 2048
DEPTH_DB = 45.0
SILENCE = 1e-7
WINDOW = 25
"""Samples of a coded window: two seconds."""
STEP = 2
"""Samples from one window to the next."""
TIMES = 3
SPACES = 8
"""A code: signs of the lowest 8 values in space at the lowest 3 frequencies in time."""
CHOSEN = np.argsort((PLACES**2).sum(axis=1), kind="stable")[:SPACES]
STILL_PICTURE = 12.0
STILL_SOUND = 3.0
"""Root mean square of a code's frequencies below which a window is too still to be told."""


SOUND_CODES = 1 << TIMES * SPACES
"""Codes of the sound begin here."""


class FingerprintConfig(Model):
    """Nothing can be set: fingerprints of other settings could not be compared."""


class FingerprintScorer(ClipScorer):
    """Takes a fingerprint of every clip."""

    NAME: ClassVar[str] = "fingerprints"
    LEDGER_NAME: ClassVar[str] = "prints"

    def begin(self, row: Candidate, points: ClipKps) -> Scoring:
        """Begin scoring."""
        return FingerprintScoring(row, points)


class FingerprintScoring:
    """Gathers the picture, and at the end reads the sound from the source."""

    def __init__(self, row: Candidate, points: ClipKps) -> None:
        self._row = row
        self._square = map_to_square(points.points)
        self._picture: list[np.ndarray] = []

    def see(self, number: int, image_bgr: np.ndarray) -> None:
        """Take a sample where one is due."""
        while round(len(self._picture) * self._row.clip.fps / RATE_HZ) == number:
            self._picture.append(picture_values(image_bgr, self._square))

    def answer(self) -> Iterable[Model]:
        """Return the fingerprint."""
        picture = np.stack(self._picture)
        sound = self._sound(len(picture))
        yield ClipFingerprint(
            clip_id=self._row.clip.clip_id,
            video_id=self._row.clip.video_id,
            rate_hz=RATE_HZ,
            picture=np.round(picture),
            sound=np.round(sound * 100),
            codes=np.concatenate([picture_codes(picture), sound_codes(sound) + SOUND_CODES]),
        )

    def _sound(self, samples: int) -> np.ndarray:
        video, clip = self._row.video, self._row.clip
        if not video.audio_streams:
            return np.zeros((0, BANDS), np.float32)
        count = round(samples / RATE_HZ * SOUND_HZ)
        start = (video.start_s or 0.0) + clip.start_s
        return sound_values(read_sound(video, start, count, SOUND_HZ)[:, 0], samples)


def map_to_square(points: np.ndarray) -> np.ndarray:
    """Return the map, float32 (2, 3), from the clip's pixels to the face's square of `SIDE`.

    `points` float32 (F, 5, 2). One map a clip: the head's motion stays in the picture.
    """
    centre = np.median(points.mean(axis=1), axis=0)
    around = points - points.mean(axis=1, keepdims=True)
    spread = float(np.median(np.sqrt((around**2).sum(axis=2).mean(axis=1))))
    scale = SIDE / (2 * SPREADS * max(spread, 1.0))
    shift = (SIDE - 1) / 2 - scale * centre
    return np.array([[scale, 0, shift[0]], [0, scale, shift[1]]], np.float32)


def picture_values(image_bgr: np.ndarray, square: np.ndarray) -> np.ndarray:
    """Return the lowest frequencies, float32 (35,), of the face's square in one frame."""
    # Every pixel counts: scaling down in one step would sample some of them only.
    fine = cv2.warpAffine(
        cv2.cvtColor(image_bgr, cv2.COLOR_BGR2GRAY),
        square * 4 + np.array([[0, 0, 1.5], [0, 0, 1.5]], np.float32),
        (4 * SIDE, 4 * SIDE),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    small = cv2.resize(fine, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
    return cv2.dct(small)[PLACES[:, 0], PLACES[:, 1]]


def sound_values(sound: np.ndarray, samples: int) -> np.ndarray:
    """Return levels in dB, float32 (samples, 12), of mono 16 kHz float32 `sound`."""
    hop = SOUND_HZ / RATE_HZ
    padded = np.pad(sound, (FFT // 2, FFT))
    window = np.hanning(FFT).astype(np.float32)
    edges = np.geomspace(*BAND_HZ, BANDS + 1) / SOUND_HZ * FFT
    bins = np.round(edges).astype(int)
    levels = np.full((samples, BANDS), -np.inf, np.float32)
    for number in range(samples):
        start = round(number * hop)
        piece = padded[start : start + FFT]
        if len(piece) < FFT:
            break
        power = np.abs(np.fft.rfft(piece * window)) ** 2 / FFT
        sums = np.add.reduceat(power, bins)[:BANDS]
        levels[number] = 10 * np.log10(sums + SILENCE)
    # What is far below the loudest is what encoders take away.
    return np.maximum(levels, max(float(levels.max(initial=-np.inf)) - DEPTH_DB, -60.0))


def picture_codes(values: np.ndarray) -> np.ndarray:
    """Return codes, int32, of picture values (T, 35); a mirrored picture has the same."""
    codes = _codes(values[:, CHOSEN], STILL_PICTURE)
    return np.unique(np.minimum(codes, codes ^ MIRROR))


def sound_codes(levels: np.ndarray) -> np.ndarray:
    """Return codes, int32, of levels (T, 12)."""
    from scipy.fft import dct

    return np.unique(_codes(dct(levels, axis=1, norm="ortho")[:, :SPACES], STILL_SOUND))


MIRROR = int(np.packbits(np.repeat(IS_ODD[CHOSEN], TIMES)).tobytes().hex(), 16)
"""Bits of a picture's code that are turned in a mirrored picture."""


def _codes(values: np.ndarray, still: float) -> np.ndarray:
    """Codes of values (T, 8): two a window that is not still, as it is and with the sign
    turned that is least sure."""
    from scipy.fft import dct

    if len(values) < WINDOW:
        return np.zeros(0, np.int32)
    windows = np.lib.stride_tricks.sliding_window_view(values, WINDOW, axis=0)[::STEP]
    spectra = dct(windows.astype(np.float32), axis=2, norm="ortho")[:, :, 1 : TIMES + 1]
    flat = spectra.reshape(len(spectra), -1)
    flat = flat[np.sqrt((flat**2).mean(axis=1)) >= still]
    codes = np.packbits(flat > 0, axis=1).astype(np.int32) @ np.array([65536, 256, 1], np.int32)
    weakest = flat.shape[1] - 1 - np.abs(flat).argmin(axis=1)
    return np.concatenate([codes, codes ^ (1 << weakest)]).astype(np.int32)
