"""Face and lips of every frame as boxes and masks, made from the points that a clip has.

With 68 or 106 landmarks a mask is their convex hull; these end at the brows, so that the hull is
carried up by a share of the face's height for the forehead. With five points only, the face is the
detector's box and the lips are half as high as the mouth is wide.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from vexpress.training.lips import LIPS_OF, lip_boxes

FOREHEAD = 0.35
"""How far above the brows a face reaches, as a share of the height of its landmarks."""
TO_68 = (
    *(1, 10, 12, 14, 16, 3, 5, 7, 0, 23, 21, 19, 32, 30, 28, 26, 17),
    *(43, 48, 49, 51, 50, 102, 103, 104, 105, 101),
    *(72, 73, 74, 86, 78, 79, 80, 85, 84),
    *(35, 41, 42, 39, 37, 36, 89, 95, 96, 93, 91, 90),
    *(52, 64, 63, 71, 67, 68, 61, 58, 59, 53, 56, 55),
    *(65, 66, 62, 70, 69, 57, 60, 54),
)
"""Which of insightface's 106 landmarks is the one of iBUG's 68, in their order: jaw, brows, nose,
eyes, outer and inner lips."""


@dataclass(frozen=True)
class FacePlaces:
    """Where the face is in every frame of one clip, in its pixels."""

    points: np.ndarray
    """float32 (F, 5, 2)."""
    landmarks: np.ndarray | None
    """float32 (F, 68 or 106, 2)."""
    boxes: np.ndarray | None
    """The detector's boxes, float32 (F, 4); None where they are not known."""

    @property
    def landmarks_68(self) -> np.ndarray | None:
        """Landmarks in iBUG's order, float32 (F, 68, 2)."""
        if self.landmarks is None or self.landmarks.shape[1] == 68:
            return self.landmarks
        return self.landmarks[:, TO_68]

    def face_boxes(self) -> np.ndarray:
        """Return boxes around face and forehead, float32 (F, 4)."""
        if self.landmarks is None:
            return self.boxes if self.boxes is not None else _boxes_of_five(self.points)
        low, high = self.landmarks.min(axis=1), self.landmarks.max(axis=1)
        low[:, 1] -= FOREHEAD * (high - low)[:, 1]
        return np.concatenate([low, high], axis=1)

    def lip_boxes(self) -> np.ndarray:
        """Return boxes around the lips, twice as large as these, float32 (F, 4)."""
        count = 0 if self.landmarks is None else self.landmarks.shape[1]
        return lip_boxes(self.points, self.landmarks, count)

    def face_mask(self, frame: int, side: int) -> np.ndarray:
        """Return the face of a frame, uint8 (side, side), 255 inside."""
        if self.landmarks is None:
            return box_mask(self.face_boxes()[frame], side)
        marks = self.landmarks[frame]
        raised = marks - [0, FOREHEAD * np.ptp(marks[:, 1])]
        brows = raised[marks[:, 1] < np.median(marks[:, 1])]
        return _hull(np.concatenate([marks, brows]), side)

    def lip_mask(self, frame: int, side: int) -> np.ndarray:
        """Return the lips of a frame, uint8 (side, side), 255 inside."""
        if self.landmarks is None:
            return box_mask(self.lip_boxes()[frame], side)
        return _hull(self.landmarks[frame, LIPS_OF[self.landmarks.shape[1]]], side)


def box_mask(box: np.ndarray, side: int) -> np.ndarray:
    """Return a box as a mask, uint8 (side, side), 255 inside."""
    mask = np.zeros((side, side), np.uint8)
    x1, y1, x2, y2 = np.round(box).astype(int).clip(0, side)
    mask[y1:y2, x1:x2] = 255
    return mask


def union(boxes: np.ndarray) -> np.ndarray:
    """Return the box around all boxes (F, 4), float32 (4,)."""
    return np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)])


def _hull(points: np.ndarray, side: int) -> np.ndarray:
    mask = np.zeros((side, side), np.uint8)
    cv2.fillConvexPoly(mask, cv2.convexHull(np.round(points).astype(np.int32)), 255)
    return mask


def _boxes_of_five(points: np.ndarray) -> np.ndarray:
    """Boxes around five points, as far around them again on each side."""
    low, high = points.min(axis=1), points.max(axis=1)
    reach = (high - low) / 2
    return np.concatenate([low - reach, high + reach], axis=1).astype(np.float32)
