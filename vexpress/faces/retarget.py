"""Retargeting: carry the motion of one face's V-Kps over to the face of the reference.

Points are left eye, right eye, nose, as x and y in pixels of the video to make. A driving
sequence is (F, 3, 2); frames where no face was found are NaN.

The first four strategies are those of published V-Express, but for the choice of the driving
frame that gives the scale: here it is the closest one.
"""

import numpy as np
import torch
import torch.nn.functional as F

from vexpress.errors import PointsError
from vexpress.faces.similarity import similarity_retarget
from vexpress.faces.strategy import Strategy

_EPSILON = 1e-6


def retarget(
    strategy: Strategy,
    reference: np.ndarray,
    driving: np.ndarray | None,
    frames: int,
    size: tuple[int, int],
) -> np.ndarray:
    """Points for `frames` frames, float32 (frames, 3, 2).

    `reference` (3, 2) and `driving` (F, 3, 2) in pixels of a video of `size` (width,
    height). `driving` may have any length and NaN frames. Raises PointsError when the
    strategy needs driving points and has none that can be used.
    """
    if strategy == Strategy.FIX_FACE:
        return np.repeat(reference[None].astype(np.float32), frames, axis=0)
    if driving is None:
        raise PointsError(
            f"{strategy} needs driving points: give V-Kps (kps) or a driving video "
            "(video), or choose the strategy fix_face."
        )
    fitted = fit_length(fill_gaps(driving), frames)
    moved = {
        Strategy.NO_RETARGET: lambda: fitted,
        Strategy.OFFSET_RETARGET: lambda: offset_retarget(reference, fitted),
        Strategy.NAIVE_RETARGET: lambda: naive_retarget(reference, fitted),
        Strategy.SIMILARITY_RETARGET: lambda: similarity_retarget(reference, fitted, size),
    }[strategy]()
    return moved.astype(np.float32)


def fill_gaps(points: np.ndarray) -> np.ndarray:
    """Interpolate frames that are NaN; before the first and after the last, repeat it."""
    found = np.isfinite(points).all(axis=(1, 2))
    if not found.any():
        raise PointsError(
            f"driving points: expected a face in some frame, found none in {len(points)} frames."
        )
    frames = np.arange(len(points))
    columns = points[found].reshape(found.sum(), -1).T
    filled = [np.interp(frames, frames[found], column) for column in columns]
    return np.stack(filled, axis=1).reshape(points.shape)


def fit_length(points: np.ndarray, frames: int) -> np.ndarray:
    """Cut to `frames`, or stretch linearly where there are fewer, as published."""
    if len(points) >= frames:
        return points[:frames]
    columns = torch.from_numpy(np.ascontiguousarray(points)).permute(1, 2, 0)
    stretched = F.interpolate(columns, size=frames, mode="linear")
    return stretched.permute(2, 0, 1).numpy()


def offset_retarget(
    reference: np.ndarray, driving: np.ndarray, frame: int | None = None
) -> np.ndarray:
    """Move the reference's points against half the scaled nose motion since frame 0.

    "Against" is what the published code does. `frame`: see `naive_retarget`.
    """
    nose = driving[:, 2] * face_scale(reference, driving, frame)
    return reference[None] - (nose - nose[0])[:, None] / 2


def naive_retarget(
    reference: np.ndarray, driving: np.ndarray, frame: int | None = None
) -> np.ndarray:
    """Scale the driving points about the origin, then align the first nose.

    `frame`: the driving frame that gives the scale; None takes the closest.
    """
    scaled = driving * face_scale(reference, driving, frame)
    return scaled - (scaled[0, 2] - reference[2])


def face_scale(reference: np.ndarray, driving: np.ndarray, frame: int | None = None) -> np.ndarray:
    """Ratios (2,) of the reference's eye distance and nose-to-eye-line distance."""
    frame = closest_frame(reference, driving) if frame is None else frame
    sizes = _face_size(driving[frame])
    if min(sizes) < _EPSILON:
        raise PointsError(
            f"driving points: eyes and nose fall together in frame {frame}; "
            "expected three separate points. Choose the strategy similarity_retarget or fix_face."
        )
    return _face_size(reference) / sizes


def closest_frame(reference: np.ndarray, driving: np.ndarray) -> int:
    """The driving frame that is turned to the side most like the reference."""
    return int(np.argmin(np.abs(turn(driving) - turn(reference))))


def turn(points: np.ndarray) -> np.ndarray:
    """Ratio of the nose's distances to the left and the right eye, for (…, 3, 2)."""
    distances = np.linalg.norm(points[..., :2, :] - points[..., 2:, :], axis=-1)
    return distances[..., 0] / (distances[..., 1] + _EPSILON)


def _face_size(points: np.ndarray) -> np.ndarray:
    """Eye distance, and distance of the nose to the segment between the eyes."""
    left, right, nose = points
    eyes = right - left
    width = np.linalg.norm(eyes)
    along = np.clip(np.dot(nose - left, eyes) / max(width**2, _EPSILON), 0, 1)
    return np.array([width, np.linalg.norm(nose - left - along * eyes)])
