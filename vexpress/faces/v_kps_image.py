"""Draw V-Kps: the three facial points as the picture that the guider takes.

As published: two limbs at 0.6 of their colour, then three discs.
"""

import math
from collections.abc import Iterable

import cv2
import numpy as np

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
LIMBS = (((0, 2), RED), ((1, 2), GREEN))
DIMMED = 0.6
RADIUS = 4


def draw_v_kps(points: np.ndarray, height: int, width: int) -> np.ndarray:
    """Points (3, 2): left eye, right eye, nose, x and y in pixels; gives RGB uint8 (H, W, 3)."""
    canvas = np.zeros((height, width, 3), dtype=np.uint8)
    for (start, end), colour in LIMBS:
        _draw_limb(canvas, points[start], points[end], colour)
    for (x, y), colour in zip(points, (RED, GREEN, BLUE), strict=True):
        cv2.circle(canvas, (int(x), int(y)), RADIUS, colour, -1)
    return canvas


def draw_all(points: Iterable[np.ndarray], height: int, width: int) -> np.ndarray:
    """Pictures of several frames, RGB uint8 (F, H, W, 3)."""
    return np.stack([draw_v_kps(frame, height, width) for frame in points])


def _draw_limb(
    canvas: np.ndarray, start: np.ndarray, end: np.ndarray, colour: tuple[int, int, int]
) -> None:
    (x0, y0), (x1, y1) = start, end
    centre = int(np.mean([x0, x1])), int(np.mean([y0, y1]))
    axes = int(((x0 - x1) ** 2 + (y0 - y1) ** 2) ** 0.5 / 2), RADIUS
    angle = int(math.degrees(math.atan2(y0 - y1, x0 - x1)))
    polygon = cv2.ellipse2Poly(centre, axes, angle, 0, 360, 1)
    cv2.fillConvexPoly(canvas, polygon, [int(channel * DIMMED) for channel in colour])
