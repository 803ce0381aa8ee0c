"""Scores of the picture, by a scorer of the finished clip.

Every frame is compared with the one before; the other scores change slowly and are taken of
every `every`-th frame. What a clip does not allow to be measured stays null.
"""

from collections.abc import Iterable
from typing import ClassVar

import cv2
import numpy as np
from pydantic import Field

from vexpress.schemas.keypoints import ClipKps
from vexpress.schemas.row import Model
from vexpress.tasks.curate.scores.motion import SMALL, Camera, Repeats, StillParts
from vexpress.tasks.curate.scores.picture import (
    blockiness,
    exposure,
    face_square,
    noise,
    sharpness_by_blurring,
    steps,
)
from vexpress.tasks.curate.scores.scorer import ClipScorer
from vexpress.tasks.engine.shared_decode import Scoring
from vexpress.tasks.engine.units import Candidate, Update

MAX_SHRINK = 1.35
"""A clip shrunk by more than this from its source has lost the traces of its blocks."""


class QualityConfig(Model):
    """How the picture is scored."""

    every: int = Field(5, ge=1, le=25)
    """Every how many frames scores are taken that change slowly, frames."""


class QualityScorer(ClipScorer):
    """Looks at every frame of a clip."""

    NAME: ClassVar[str] = "quality"
    VERSION: ClassVar[int] = 2

    def begin(self, row: Candidate, points: ClipKps) -> Scoring:
        """Begin scoring."""
        clip = row.clip
        source_side = (clip.crop_x2 or 0) - (clip.crop_x1 or 0)
        return QualityScoring(self.config.every, points.points, clip.fps, source_side)


class QualityScoring:
    """Gathers numbers frame by frame."""

    def __init__(self, every: int, points: np.ndarray, fps: float, source_side: int) -> None:
        self._every, self._points, self._fps = every, points, fps
        self._source_side = source_side
        self._repeats, self._camera, self._still = Repeats(), Camera(), StillParts()
        self._of_face: list[tuple[float, ...]] = []
        self._noise: list[float] = []
        self._across, self._down = np.zeros(0, np.float32), np.zeros(0, np.float32)
        self._side = 0

    def see(self, number: int, image_bgr: np.ndarray) -> None:
        """Measure one frame."""
        luma = cv2.cvtColor(image_bgr, cv2.COLOR_BGR2GRAY)
        small = cv2.resize(luma, (SMALL, SMALL), interpolation=cv2.INTER_AREA)
        self._side = luma.shape[0]
        self._repeats.see(small)
        if number % self._every == 0:
            self._measure(number, luma, small)

    def _measure(self, number: int, luma: np.ndarray, small: np.ndarray) -> None:
        left, top, right, bottom = face_square(self._points[number], self._side)
        face = luma[top:bottom, left:right]
        self._of_face.append((sharpness_by_blurring(face), *exposure(face)))
        self._noise.append(noise(luma))
        self._camera.see(small, self._small(self._points[number]))
        self._still.see(small)
        if 0 < self._source_side <= MAX_SHRINK * self._side:
            across, down = steps(luma, self._source_side)
            self._across = self._across + across if len(self._across) else across
            self._down = self._down + down if len(self._down) else down

    def _small(self, points: np.ndarray) -> tuple[int, int, int, int]:
        return face_square(points * SMALL / self._side, SMALL)

    def answer(self) -> Iterable[Model]:
        """Return the scores: medians over frames."""
        sharp, level, dark, light = (float(v) for v in np.median(self._of_face, axis=0))
        scores = {
            "sharpness": sharp,
            "face_luma": level,
            "dark_share": dark,
            "light_share": light,
            "noise": float(np.median(self._noise)),
            **self._repeats.scores(self._fps),
            **self._camera.scores(self._every / self._fps),
            **self._still.scores(self._small(np.median(self._points, axis=0))),
        }
        if len(self._across):
            scores["blockiness"] = (blockiness(self._across) + blockiness(self._down)) / 2
        return [Update(changes=scores)]
