"""Read V-Kps files: `kps.pth`, one (3, 2) array a frame, in pixels of a 512x512 picture.

The published format does not say how many frames a second there are. `extract-kps` writes
that beside it, into `kps.pth.json`: `{"fps": 60.0, "frames": 240}`, and `times_s`, seconds
from the first frame, where frames are not even.
"""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from vexpress.errors import PointsError
from vexpress.files import whole_file
from vexpress.pt_files import read_pt

SIDE_PX = 512
"""Side of the picture whose pixels the points of a file are in."""
MAX_BYTES = 64 << 20
MAX_FRAMES = 1_000_000
"""Eleven hours at 25 frames per second."""
MAX_FPS = 1000.0
EVEN_S = 0.002
"""Times that are off even ones by less than this count as even, seconds."""


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


def rate_file(path: Path) -> Path:
    """Return where the rate of a file of points stands."""
    return path.with_name(f"{path.name}.json")


def write_rate(path: Path, times_s: np.ndarray, fps: float) -> None:
    """Write the rate of the points in `path`; `times_s` of each frame where they are not even."""
    said: dict[str, Any] = {"fps": fps, "frames": len(times_s)}
    if np.abs(times_s - times_s[0] - np.arange(len(times_s)) / fps).max() > EVEN_S:
        said["times_s"] = [round(float(time - times_s[0]), 6) for time in times_s]
    with whole_file(rate_file(path)) as partial:
        partial.write_text(json.dumps(said) + "\n")


def read_times(path: Path, frames: int) -> np.ndarray | None:
    """Return the times of the points in `path`, seconds (frames,), as stand beside it; None
    where nothing does. Raises PointsError where that is no rate, or of other points.
    """
    beside = rate_file(path)
    if not beside.is_file() or beside.is_symlink():
        return None
    wrong = (
        f'{beside}: expected {{"fps": number, "frames": {frames}}} for {path.name}; '
        "make both again with extract-kps, or remove it and give the rate as kps_fps."
    )
    try:
        if beside.stat().st_size > MAX_BYTES:
            raise ValueError("too large")
        said = json.loads(beside.read_text())
        fps, times = float(said["fps"]), np.asarray(said.get("times_s", []), np.float64)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise PointsError(wrong) from error
    if not 0 < fps <= MAX_FPS or said.get("frames") != frames:
        raise PointsError(wrong)
    if not len(times):
        return np.arange(frames) / fps
    if times.shape != (frames,) or not np.isfinite(times).all() or (np.diff(times) <= 0).any():
        raise PointsError(wrong)
    return times


def resample_points(points: np.ndarray, times_s: np.ndarray, fps: float) -> np.ndarray:
    """Return points (F, 3, 2), shown at `times_s` (F,), at k / fps as long as they last; NaN
    where a neighbour is NaN."""
    step = float(np.median(np.diff(times_s))) if len(times_s) > 1 else 1 / fps
    count = max(1, int(np.floor((times_s[-1] - times_s[0] + step) * fps + 1e-6)))
    wanted = np.minimum(times_s[0] + np.arange(min(count, MAX_FRAMES)) / fps, times_s[-1])
    columns = points.reshape(len(points), -1).T
    return np.stack([np.interp(wanted, times_s, c) for c in columns], 1).reshape(-1, 3, 2)


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
