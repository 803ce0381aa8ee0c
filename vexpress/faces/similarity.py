"""Similarity retargeting: robust where the naive one fails.

The naive strategy trusts a single driving frame for the scale and the first frame for the
place, scales about the picture's corner, and lets the face leave the frame. Here

1. the driving face at rest is the median over the frames turned most like the reference;
2. the similarity (scale, rotation) that maps it to the reference's face (Umeyama, PAMI
   1991) is applied to the motion about rest, so that rest is the reference itself;
3. the motion is smoothed by a Savitzky-Golay filter, which has no lag;
4. the face's way from rest is bounded softly by the room that the frame leaves.

Points are left eye, right eye, nose, in pixels; sequences are (F, 3, 2) without NaN.
"""

import numpy as np

from vexpress.errors import PointsError

REST_SHARE = 0.2
"""Share of the frames, those turned most like the reference, that tell the face at rest."""
SMOOTH_FRAMES = 7
"""Frames that the smoothing looks at: three on each side."""
MARGIN = 0.75
"""Room kept around the points, in eye distances: half a face beside eyes and nose."""
FREE = 0.5
"""Share of the room within which the motion is left as it is."""
MIN_EYES_PX = 1.0


def similarity_retarget(
    reference: np.ndarray, driving: np.ndarray, size: tuple[int, int]
) -> np.ndarray:
    """Points (F, 3, 2) of the reference's face moving like the driving one.

    `size`: width and height of the video. Raises PointsError when the driving face has
    no extent.
    """
    rest = face_at_rest(reference, driving)
    mapping = fit_similarity(rest, reference)
    moved = reference + (smooth(driving) - rest) @ mapping.T
    return keep_inside(moved, reference, size)


def face_at_rest(reference: np.ndarray, driving: np.ndarray) -> np.ndarray:
    """The driving face (3, 2) when turned like the reference, at its usual place."""
    off = np.abs(_turn(driving) - _turn(reference))
    count = max(1, round(REST_SHARE * len(driving)))
    alike = driving[np.argsort(off, kind="stable")[:count]]
    shape = np.median(alike - alike.mean(axis=1, keepdims=True), axis=0)
    place = np.median(driving.mean(axis=1), axis=0)
    return shape + place


def fit_similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Scale times rotation, (2, 2), that brings `source` (3, 2) nearest to `target`."""
    source, target = source - source.mean(axis=0), target - target.mean(axis=0)
    spread = (source**2).sum()
    if spread < MIN_EYES_PX**2:
        raise PointsError(
            "driving points: eyes and nose fall together in most frames; expected three "
            "separate points. Use other driving points, or the strategy fix_face."
        )
    # In the plane the best rotation has a closed form, and cannot mirror the face.
    along = (source * target).sum()
    across = (source[:, 0] * target[:, 1] - source[:, 1] * target[:, 0]).sum()
    return np.array([[along, -across], [across, along]]) / spread


def smooth(points: np.ndarray) -> np.ndarray:
    """Smooth over time without lag; sequences too short to smooth stay as they are."""
    from scipy.signal import savgol_filter

    window = min(SMOOTH_FRAMES, len(points) - (len(points) + 1) % 2)
    return points if window < 3 else savgol_filter(points, window, min(2, window - 1), axis=0)


def keep_inside(points: np.ndarray, reference: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bound the way of the face from the reference's place so that it stays in the frame."""
    centre = reference.mean(axis=0)
    way = points.mean(axis=1) - centre
    shape = points - points.mean(axis=1, keepdims=True)
    margin = MARGIN * np.linalg.norm(reference[1] - reference[0])
    least = np.minimum(reference.min(axis=0), margin)
    most = np.maximum(reference.max(axis=0), np.array(size) - 1 - margin)
    back = _soften(-way, (centre + shape.min(axis=1) - least).clip(min=0))
    ahead = _soften(way, (most - centre - shape.max(axis=1)).clip(min=0))
    return centre + np.where(way < 0, -back, ahead)[:, None] + shape


def _soften(way: np.ndarray, room: np.ndarray) -> np.ndarray:
    """Leave `way` alone up to `FREE` of the room, then let it approach the room smoothly."""
    room = np.maximum(room, 1e-9)
    beyond = (way / room - FREE) / (1 - FREE)
    return np.where(beyond <= 0, way, room * (FREE + (1 - FREE) * np.tanh(beyond)))


def _turn(points: np.ndarray) -> np.ndarray:
    """Logarithm of the ratio of the nose's distances to the eyes: symmetric left and right."""
    distances = np.linalg.norm(points[..., :2, :] - points[..., 2:, :], axis=-1) + 1e-6
    return np.log(distances[..., 0] / distances[..., 1])
