"""Where the lips are, from what points the data has.

Published V-Express takes landmarks 52..71 of 106, and their box scaled by 2 about its
centre. With 68 (iBUG) landmarks the lips are 48..67. With five points only the mouth
corners are known; the lips are then taken to be half as high as the mouth is wide.

All boxes are x1 y1 x2 y2 in pixels.
"""

import numpy as np

LIPS_OF = {106: slice(52, 72), 68: slice(48, 68)}
HEIGHT_OF_WIDTH = 0.5
SCALE = 2.0


def lip_boxes(
    points: np.ndarray, landmarks: np.ndarray | None = None, landmark_count: int = 0
) -> np.ndarray:
    """Boxes around the lips, float32 (F, 4).

    `points` (F, 5, 2); `landmarks` (F, landmark_count, 2) or None.
    """
    if landmarks is None or landmark_count not in LIPS_OF:
        low, high = _box_of_corners(points[:, 3], points[:, 4])
    else:
        lips = landmarks[:, LIPS_OF[landmark_count]]
        low, high = lips.min(axis=1), lips.max(axis=1)
    centre, half = (low + high) / 2, (high - low) / 2 * SCALE
    return np.concatenate([centre - half, centre + half], axis=1).astype(np.float32)


def lip_source(landmark_count: int) -> str:
    """What the boxes were made from, in words."""
    known = landmark_count in LIPS_OF
    return f"{landmark_count} landmarks" if known else "mouth corners of five points"


def lip_mask(box: np.ndarray, height: int, width: int, cell: int = 8) -> np.ndarray:
    """Mask float32 (height // cell, width // cell): 1 in every cell that `box` touches."""
    mask = np.zeros((height // cell, width // cell), dtype=np.float32)
    x1, y1 = np.floor(box[:2] / cell).astype(int).clip(min=0)
    x2, y2 = np.ceil(box[2:] / cell).astype(int).clip(min=0)
    mask[y1:y2, x1:x2] = 1
    return mask


def _box_of_corners(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    centre = (left + right) / 2
    half_width = np.linalg.norm(right - left, axis=1, keepdims=True) / 2
    half = np.concatenate([half_width, half_width * HEIGHT_OF_WIDTH], axis=1)
    return centre - half, centre + half
