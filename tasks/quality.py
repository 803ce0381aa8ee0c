"""Scores of the picture, by a watcher of the finished clip."""

from collections.abc import Iterable
from typing import ClassVar

import cv2
import numpy as np
from pydantic import Field

from schemas.keypoints import ClipKps
from schemas.row import Model
from tasks.units import Candidate, Update
from tasks.watcher import Look, Watcher


class QualityConfig(Model):
    """How the picture is scored."""

    every: int = Field(5, ge=1)
    """Every how many frames scores are taken that change slowly."""


class QualityWatcher(Watcher):
    """Looks at every frame of a clip."""

    NAME: ClassVar[str] = "quality"

    def begin(self, row: Candidate, points: ClipKps) -> Look:
        """Begin a look."""
        return QualityLook(self.config)


class QualityLook:
    """Gathers numbers frame by frame."""

    def __init__(self, config: QualityConfig) -> None:
        self._every = config.every
        self._sharpness: list[float] = []

    def see(self, number: int, image_bgr: np.ndarray) -> None:
        """Measure one frame."""
        if number % self._every == 0:
            luma = cv2.cvtColor(image_bgr, cv2.COLOR_BGR2GRAY)
            self._sharpness.append(sharpness(luma))

    def answer(self) -> Iterable[Model]:
        """Return the scores."""
        return [Update(changes={"sharpness": float(np.median(self._sharpness))})]


def sharpness(luma: np.ndarray) -> float:
    """Return the variance of the Laplacian of uint8 (height, width)."""
    return float(cv2.Laplacian(luma, cv2.CV_32F).var())
