"""One crop and one flip for everything in a sample: pictures, points and lip boxes.

The crop is RandomResizedCrop's: an area and a shape are drawn, and a shape that does not
fit is drawn again, ten times, before the whole picture is taken (at the nearest allowed
shape). With the published scale of 1.0 and ratios up to 1.0 a square picture is
nearly always kept whole.
"""

import math
from dataclasses import dataclass

import cv2
import numpy as np
import torch

from vexpress.training.randomness import chance, integer, uniform

TRIES = 10
MIRRORED = [1, 0, 2]
"""V-Kps after a flip: the eye on the left of the picture comes first."""


@dataclass(frozen=True)
class View:
    """A part of a picture, shown at `size` pixels a side, mirrored or not.

    `left`, `top`, `width` and `height` in pixels of the picture.
    """

    left: int
    top: int
    width: int
    height: int
    size: int
    mirrored: bool = False

    def picture(self, rgb: np.ndarray) -> np.ndarray:
        """A picture (H, W, 3), uint8, as seen in this view, (size, size, 3)."""
        part = rgb[self.top : self.top + self.height, self.left : self.left + self.width]
        if part.shape[:2] != (self.size, self.size):
            shrinks = self.size < min(part.shape[:2])
            how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
            part = cv2.resize(part, (self.size, self.size), interpolation=how)
        return part[:, ::-1] if self.mirrored else part

    def points(self, xy: np.ndarray) -> np.ndarray:
        """Points (..., 2), where whole numbers are centres of pixels, in pixels of the view."""
        scale = np.array([self.size / self.width, self.size / self.height])
        seen = (xy - [self.left, self.top] + 0.5) * scale - 0.5
        if self.mirrored:
            seen[..., 0] = self.size - 1 - seen[..., 0]
        return seen.astype(np.float32)

    def v_kps(self, kps: np.ndarray) -> np.ndarray:
        """V-Kps (F, 3, 2) in pixels of the view; the left eye stays the one on the left."""
        seen = self.points(kps)
        return seen[:, MIRRORED] if self.mirrored else seen

    def boxes(self, boxes: np.ndarray) -> np.ndarray:
        """Boxes (F, 4) as x1 y1 x2 y2 in pixels of the view."""
        corners = self.points(boxes.reshape(-1, 2, 2))
        return np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)


def full_view(width: int, height: int, size: int) -> View:
    """A view of the full picture."""
    return View(0, 0, width, height, size)


def draw_view(
    width: int,
    height: int,
    size: int,
    scale: tuple[float, float],
    ratio: tuple[float, float],
    flip: float,
    random: torch.Generator,
) -> View:
    """Draw a crop of a picture of `width` x `height` and whether it is mirrored."""
    mirrored = chance(flip, random)
    for _ in range(TRIES):
        area = width * height * uniform(*scale, random)
        shape = math.exp(uniform(math.log(ratio[0]), math.log(ratio[1]), random))
        w, h = round(math.sqrt(area * shape)), round(math.sqrt(area / shape))
        if 0 < w <= width and 0 < h <= height:
            left, top = integer(width - w + 1, random), integer(height - h + 1, random)
            return View(left, top, w, h, size, mirrored)
    w = min(width, round(height * ratio[1]))
    h = min(height, round(width / ratio[0]))
    return View((width - w) // 2, (height - h) // 2, w, h, size, mirrored)
