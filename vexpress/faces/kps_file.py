"""Read V-Kps files: `kps.pth`, one (3, 2) array a frame, in pixels of a 512x512 picture."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from vexpress.errors import PointsError
from vexpress.pt_files import read_pt

SIDE_PX = 512
"""Side of the picture whose pixels the points of a file are in."""
MAX_BYTES = 64 << 20
MAX_FRAMES = 1_000_000
"""Eleven hours at 25 frames per second."""


def read_kps(path: Path) -> np.ndarray:
    """Points (F, 3, 2) float64: left eye, right eye, nose; NaN where no face was found.

    Nothing in the file is run. Raises PointsError (or InputError for a pickle that is
    not plain arrays) when it holds anything but points.
    """
    if not path.is_file():
        raise PointsError(f"driving points: expected a file, found none at {path}")
    if path.stat().st_size > MAX_BYTES:
        raise PointsError(f"{path}: larger than {MAX_BYTES >> 20} MB; these cannot be V-Kps.")
    _check_unpacked(path)
    loaded = read_pt(path)
    shape = _shape(loaded)  # before copying: an array may claim more than there is
    if shape[1:] != (3, 2) or not 0 < shape[0] <= MAX_FRAMES:
        found = f"shape {shape}" if shape else type(loaded).__name__
        raise PointsError(_wrong(path, found))
    try:
        points = np.asarray(loaded, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise PointsError(_wrong(path, type(loaded).__name__)) from error
    if np.isinf(points).any():
        raise PointsError(f"{path}: found infinite points; make it again with extract-kps.")
    return points


def _check_unpacked(path: Path) -> None:
    """Raise PointsError for a zip whose members unpack to more than a file may have."""
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return  # not a zip: torch itself says what is the matter
    if unpacked > MAX_BYTES:
        raise PointsError(f"{path}: unpacks to more than {MAX_BYTES >> 20} MB.")


def _shape(loaded: Any) -> tuple[int, ...]:
    """Shape of an array, or of a list whose items have one shape; else ()."""
    try:
        if not isinstance(loaded, list | tuple):
            return np.shape(loaded)
        inner = {np.shape(item) for item in loaded[:MAX_FRAMES]}
    except (TypeError, ValueError):
        return ()
    return (len(loaded), *inner.pop()) if len(inner) == 1 else ()


def scale_points(points: np.ndarray, width: int, height: int) -> np.ndarray:
    """Points of a file in pixels of a video of another size."""
    return points * (np.array([width, height]) / SIDE_PX)


def _wrong(path: Path, found: str) -> str:
    return (
        f"{path}: expected one (3, 2) array a frame (left eye, right eye, nose), found {found}. "
        "`vexpress extract-kps` writes such a file from a video."
    )
