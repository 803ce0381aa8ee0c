"""Sharpness and flicker: the pictures themselves, without any model."""

import cv2
import numpy as np

from vexpress.faces.points import Face
from vexpress.metrics.table import Measured, measured, unmeasured


def laplacian_variance(image_bgr: np.ndarray) -> float:
    """Return the variance of the Laplacian of uint8 (H, W, 3), grey levels squared.

    Pech-Pacheco et al., ICPR 2000: the less fine detail, the lower. It depends on what is in
    the picture and how large that is, so it only compares pictures of one scene at one size.
    """
    grey = cv2.cvtColor(image_bgr, cv2.COLOR_BGR2GRAY)
    return float(cv2.Laplacian(grey, cv2.CV_32F).var())


class SharpnessScorer:
    """The median frame's fine detail relative to the reference's at the same size.

    Not the `sharpness` of clips (table `clips`), which is 0..1, of the face alone and compares
    different pictures: here 1 is as sharp as the reference.
    """

    NAMES = ("sharpness",)

    def __init__(self, reference_bgr: np.ndarray) -> None:
        self._reference = laplacian_variance(reference_bgr)
        self._found: list[float] = []

    def see(self, frame: int, image_bgr: np.ndarray, face: Face | None) -> None:
        """Look at frame `frame`."""
        self._found.append(laplacian_variance(image_bgr))

    def results(self) -> list[Measured]:
        """Return `sharpness`: the square root of the ratio, as amplitudes are compared."""
        if not self._found:
            return unmeasured(self.NAMES, "no_frames", "no picture of the video could be decoded")
        if not self._reference:
            return unmeasured(self.NAMES, "flat_reference", "the reference is one flat colour")
        ratio = float(np.sqrt(np.median(self._found) / self._reference))
        return [measured("sharpness", ratio, count=len(self._found))]


class FlickerScorer:
    """Half the second difference over time, mean over pixels and frames, in grey levels.

    What moves evenly or changes its brightness evenly has none; what jumps to and fro does.
    """

    NAMES = ("flicker",)

    def __init__(self) -> None:
        self._last: list[np.ndarray] = []
        self._sum, self._count = 0.0, 0

    def see(self, frame: int, image_bgr: np.ndarray, face: Face | None) -> None:
        """Look at frame `frame`."""
        grey = cv2.cvtColor(image_bgr, cv2.COLOR_BGR2GRAY).astype(np.int16)
        self._last = [*self._last[-2:], grey]
        if len(self._last) == 3:
            before, here, after = self._last
            self._sum += float(np.abs(2 * here - before - after).mean()) / 2
            self._count += 1

    def results(self) -> list[Measured]:
        """Return `flicker`."""
        if not self._count:
            return unmeasured(self.NAMES, "too_short", "expected three frames or more")
        return [measured("flicker", self._sum / self._count, count=self._count)]
