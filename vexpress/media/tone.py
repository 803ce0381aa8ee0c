"""HDR and wide colours to BT.709: a table for libavfilter's `lut3d`.

The FFmpeg that PyAV brings has neither zscale nor libplacebo, and its swscale clips what is
brighter than 203 cd/m2, so the table is made here: light by Rec. ITU-R BT.2100 (PQ; HLG with
the system gamma of a display of 1000 cd/m2) or BT.1886, primaries by BT.2087, highlights by
the curve of BT.2390 (annex 5) from 1000 to 100 cd/m2, on the largest of R, G and B so that
hues stay; 100 cd/m2 become white. What is darker than 29 cd/m2 keeps its light.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import NamedTemporaryFile

import numpy as np

SIZE = 33
"""Entries of the table along each axis."""
PEAK_NITS, WHITE_NITS = 1000.0, 100.0
LUMA_2020 = np.array([0.2627, 0.6780, 0.0593])
BT709_FROM_2020 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]]
)
_M1, _M2 = 2610 / 16384, 2523 / 32
_C1, _C2, _C3 = 3424 / 4096, 2413 / 128, 2392 / 128


@contextmanager
def lut_file(transfer: str | None, primaries: str | None) -> Iterator[Path]:
    """Give a .cube file from R'G'B' of the source to that of BT.709, while it is needed."""
    with NamedTemporaryFile("w", suffix=".cube") as file:
        file.write(lut_text(transfer or "", primaries in (None, "bt2020")))
        file.flush()
        yield Path(file.name)


@cache
def lut_text(transfer: str, wide: bool) -> str:
    """Return the table as text."""
    axis = np.linspace(0, 1, SIZE)
    blue, green, red = np.meshgrid(axis, axis, axis, indexing="ij")  # red runs fastest
    table = to_bt709(np.stack([red, green, blue], axis=-1).reshape(-1, 3), transfer, wide)
    lines = (f"{r:.5f} {g:.5f} {b:.5f}" for r, g, b in table)
    return "\n".join([f"LUT_3D_SIZE {SIZE}", *lines, ""])


def to_bt709(signal: np.ndarray, transfer: str, wide: bool) -> np.ndarray:
    """Return R'G'B' of BT.709 for R'G'B' (N, 3) of a source, both 0..1.

    `transfer`: `smpte2084`, `arib-std-b67`, or anything else for SDR. `wide`: whether the
    primaries are those of BT.2020.
    """
    if transfer == "smpte2084":
        nits = pq_to_nits(signal)
    elif transfer == "arib-std-b67":
        nits = hlg_to_nits(signal)
    else:
        nits = WHITE_NITS * signal**2.4
    if wide:
        nits = nits @ BT709_FROM_2020.T
    nits = np.clip(nits, 0, PEAK_NITS)
    if transfer in ("smpte2084", "arib-std-b67"):
        brightest = nits.max(axis=1, keepdims=True)
        nits = nits * (roll_off(brightest) / np.maximum(brightest, 1e-6))
    return np.asarray(np.clip(nits / WHITE_NITS, 0, 1) ** (1 / 2.4))


def pq_to_nits(signal: np.ndarray) -> np.ndarray:
    """Return cd/m2 of a PQ signal 0..1 (BT.2100, table 4)."""
    power = signal ** (1 / _M2)
    return 10_000 * (np.maximum(power - _C1, 0) / (_C2 - _C3 * power)) ** (1 / _M1)


def nits_to_pq(nits: np.ndarray) -> np.ndarray:
    """Return the PQ signal 0..1 of cd/m2."""
    power = (np.maximum(nits, 0) / 10_000) ** _M1
    return ((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2


def hlg_to_nits(signal: np.ndarray) -> np.ndarray:
    """Return cd/m2 of an HLG signal (N, 3) on a display of `PEAK_NITS` (BT.2100, table 5)."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    luma = scene @ LUMA_2020
    return PEAK_NITS * scene * luma[:, None] ** 0.2


def roll_off(nits: np.ndarray) -> np.ndarray:
    """Return light of 0..`PEAK_NITS` within 0..`WHITE_NITS`: BT.2390's Hermite spline in PQ."""
    peak = nits_to_pq(np.array(PEAK_NITS))
    most = nits_to_pq(np.array(WHITE_NITS)) / peak
    knee = 1.5 * most - 0.5
    level = nits_to_pq(nits) / peak
    t = np.clip((level - knee) / (1 - knee), 0, 1)
    spline = (
        (2 * t**3 - 3 * t**2 + 1) * knee
        + (t**3 - 2 * t**2 + t) * (1 - knee)
        + (-2 * t**3 + 3 * t**2) * most
    )
    return pq_to_nits(np.where(level < knee, level, spline) * peak)
