"""Read V-Kps files: `kps.pth`, one (3, 2) array a frame, in pixels of a 512x512 picture."""

from pathlib import Path

import numpy as np

from vexpress.errors import PointsError
from vexpress.training.pickled import read_pickled

SIDE_PX = 512
"""Side of the picture whose pixels the points of a file are in."""
MAX_BYTES = 256 << 20


def read_kps(path: Path) -> np.ndarray:
    """Points (F, 3, 2) float64: left eye, right eye, nose; NaN where no face was found.

    Nothing in the file is run. Raises PointsError (or InputError for a pickle that is
    not plain arrays) when it holds anything but points.
    """
    if not path.is_file():
        raise PointsError(f"driving points: expected a file, found none at {path}")
    if path.stat().st_size > MAX_BYTES:
        raise PointsError(f"{path}: larger than {MAX_BYTES >> 20} MB; these cannot be V-Kps.")
    loaded = read_pickled(path)
    try:
        points = np.asarray(loaded, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise PointsError(_wrong(path, type(loaded).__name__)) from error
    if points.ndim != 3 or points.shape[1:] != (3, 2) or not len(points):
        raise PointsError(_wrong(path, f"shape {points.shape}"))
    if np.isinf(points).any():
        raise PointsError(f"{path}: found infinite points; make it again with extract-kps.")
    return points


def scale_points(points: np.ndarray, width: int, height: int) -> np.ndarray:
    """Points of a file in pixels of a video of another size."""
    return points * (np.array([width, height]) / SIDE_PX)


def _wrong(path: Path, found: str) -> str:
    return (
        f"{path}: expected one (3, 2) array a frame (left eye, right eye, nose), found {found}. "
        "`vexpress extract-kps` writes such a file from a video."
    )
