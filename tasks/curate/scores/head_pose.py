"""How a head is turned and how it moves, from its five points alone.

Pose: a rigid head of five points is fitted to each frame under scaled orthographic
projection (the first step of POSIT, DeMenthon and Davis 1995), in closed form and for all
frames at once. No camera has to be known; a face that fills its picture through a wide lens
is measured a few degrees wrong.
"""

import numpy as np

HEAD = np.array(
    [
        [-1.0, 0.0, 0.0],
        [1.0, 0.0, 0.0],
        [0.0, 0.990, -0.918],
        [-0.815, 2.086, 0.0],
        [0.815, 2.086, 0.0],
    ]
)
"""The five points of a head that looks into the camera, in half eye distances: x right, y down,
z away. Fitted to 225 frames of nine talking heads (SCRFD's points; residual 0.04), with eyes and
mouth corners in one plane: the plane that is upright at pitch 0."""
MOTION_S = 0.2
"""Over how long the head's speed is measured, seconds: longer than a detector trembles."""


def head_angles(points: np.ndarray) -> np.ndarray:
    """Return yaw, pitch and roll in degrees, float64 (N, 3), of float (N, 5, 2) in pixels.

    Yaw is positive where the nose points to the right of the picture, pitch where it points
    down, roll where the head leans clockwise. Turning the picture changes roll alone.
    """
    head = HEAD - HEAD.mean(axis=0)
    seen = points - points.mean(axis=1, keepdims=True)
    projection = np.einsum("npi,jp->nij", seen, np.linalg.pinv(head))
    left, _, right = np.linalg.svd(projection, full_matrices=False)
    across, down = np.moveaxis(left @ right, 1, 0)
    away = np.cross(across, down)
    yaw = np.arcsin(np.clip(away[:, 0], -1, 1))
    pitch = np.arctan2(away[:, 1], away[:, 2])
    roll = np.arctan2(down[:, 0], across[:, 0])
    return np.degrees(np.stack([yaw, pitch, roll], axis=1))


def pose_scores(points: np.ndarray) -> dict[str, float]:
    """Return the pose columns of a clip, from its points (N, 5, 2)."""
    angles = head_angles(points)
    turned = np.abs(angles)
    middle, most = np.median(angles, axis=0), np.percentile(turned, 90, axis=0)
    names = ("yaw", "pitch", "roll")
    scores = {f"{name}_deg": float(v) for name, v in zip(names, middle, strict=True)}
    scores |= {f"{name}_p90_deg": float(v) for name, v in zip(names, most, strict=True)}
    return scores | {"yaw_max_deg": float(turned[:, 0].max())}


def motion_scores(points: np.ndarray, times: np.ndarray, side: float) -> dict[str, float]:
    """Return how fast a head moves and how much its points tremble.

    `points` (N, 5, 2) and the face's `side` in pixels, `times` (N,) in seconds. A clip too
    short to tell has no such score.
    """
    scores = {}
    lag = max(1, round(MOTION_S / float(np.median(np.diff(times))))) if len(times) > 1 else 1
    if len(points) > lag:
        centre = points.mean(axis=1)
        way = np.linalg.norm(centre[lag:] - centre[:-lag], axis=1)
        scores["head_motion"] = float(np.median(way / (times[lag:] - times[:-lag])) / side)
    if len(points) > 2:
        bend = points[:-2] - 2 * points[1:-1] + points[2:]
        scores["points_jitter"] = float(np.median(np.linalg.norm(bend, axis=2).mean(1)) / side)
    return scores
