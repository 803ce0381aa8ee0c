"""The shape of the lips in every frame of a finished clip, for `tasks/curate/sync.py`.

Leaves the series `lips`: six distances a frame, frame after frame (`vexpress/sync/lips.py`).
"""

from collections.abc import Iterable
from functools import cached_property
from typing import ClassVar

import numpy as np

from vexpress.faces.points import DlibDetector
from vexpress.schemas.keypoints import ClipKps
from vexpress.schemas.row import Model
from vexpress.sync.lips import LipReader, lip_reader_files, lip_shape
from vexpress.tasks.curate.scores.scorer import ClipScorer
from vexpress.tasks.engine.shared_decode import Scoring
from vexpress.tasks.engine.units import Candidate, Update
from vexpress.tasks.engine.weights import Weights, read_weights

SERIES = "lips"


class LipConfig(Model):
    """Whether lips are read at all."""

    wanted: bool = True
    """False where SyncNet says whether sound and lips are in time."""


class LipScorer(ClipScorer):
    """Finds 68 landmarks in every frame; the predictor loads once."""

    NAME: ClassVar[str] = "lips"

    @classmethod
    def weights(cls, config: LipConfig) -> list[Weights]:
        """Return dlib's landmark model."""
        if not config.wanted:
            return []
        return [read_weights("sync lip landmarks", lip_reader_files(), DlibDetector.licence)]

    def wanted(self, row: Candidate) -> bool:
        """Lips are compared with sound."""
        return self.config.wanted and bool(row.video.audio_streams)

    def begin(self, row: Candidate, points: ClipKps) -> Scoring:
        """Begin scoring."""
        return LipScoring(self._reader, points.points)

    @cached_property
    def _reader(self) -> LipReader:
        return LipReader()


class LipScoring:
    """Gathers landmarks frame by frame."""

    def __init__(self, reader: LipReader, points: np.ndarray) -> None:
        self._reader = reader
        self._points = points
        self._landmarks: list[np.ndarray] = []

    def see(self, number: int, image_bgr: np.ndarray) -> None:
        """Find the landmarks of one frame."""
        self._landmarks.append(self._reader.landmarks(image_bgr, self._points[number]))

    def answer(self) -> Iterable[Model]:
        """Return the series."""
        return [Update(series={SERIES: lip_shape(np.stack(self._landmarks)).reshape(-1)})]
