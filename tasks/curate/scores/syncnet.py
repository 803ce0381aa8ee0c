"""SyncNet's distances between sound and lips of a finished clip, where its weights are.

Leaves the series `syncnet`: 31 mean distances, at lags from -15 to 15 frames.
"""

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from vexpress.schemas.keypoints import ClipKps
from vexpress.schemas.row import Model
from vexpress.sync.estimate import FPS, SYNCNET_LICENCE
from vexpress.sync.lip_sound import RATE
from vexpress.tasks.curate.scores.scorer import ClipScorer
from vexpress.tasks.engine.shared_decode import Scoring
from vexpress.tasks.engine.units import Candidate, Update
from vexpress.tasks.engine.weights import Weights, read_weights
from vexpress.tasks.media.resample import read_sound, shown_frames

SERIES = "syncnet"


class SyncNetConfig(Model):
    """Where SyncNet's weights are."""

    model: str | None = None
    """File with SyncNet's weights; null: nothing is measured."""


class SyncNetScorer(ClipScorer):
    """Runs the picture tower over the frames; the network loads once."""

    NAME: ClassVar[str] = "syncnet"
    PLACES: ClassVar[frozenset[str]] = frozenset({"model"})

    @classmethod
    def weights(cls, config: SyncNetConfig) -> list[Weights]:
        """Return SyncNet's file."""
        if config.model is None:
            return []
        return [read_weights("sync SyncNet", [Path(config.model)], SYNCNET_LICENCE)]

    def wanted(self, row: Candidate) -> bool:
        """Only with weights, and where there is sound."""
        return self.config.model is not None and bool(row.video.audio_streams)

    def begin(self, row: Candidate, points: ClipKps) -> Scoring:
        """Begin scoring."""
        return SyncNetScoring(self._syncnet, self._network, row, points.points)

    @cached_property
    def _syncnet(self) -> Any:
        """The file with the network, which imports torch: only where there are weights."""
        from vexpress.sync import syncnet

        return syncnet

    @cached_property
    def _network(self) -> Any:
        return self._syncnet.load_syncnet(Path(str(self.config.model)), gpu=self.context.gpu)


class SyncNetScoring:
    """Shows the faces of a clip to the network, 25 a second."""

    def __init__(self, syncnet: Any, network: Any, row: Candidate, points: np.ndarray) -> None:
        self._syncnet = syncnet
        self._network = network
        self._row = row
        self._points = points
        self._tower = syncnet.FrameTower(network)
        clip = row.clip
        count = int(clip.frames / clip.fps * FPS + 1e-6)
        times = np.arange(clip.frames + 1) / clip.fps
        self._times = np.bincount(shown_frames(times, FPS, count), minlength=clip.frames)

    def see(self, number: int, image_bgr: np.ndarray) -> None:
        """Show one frame, as often as 25 frames a second ask for."""
        if self._times[number]:
            face = self._syncnet.face_crop(image_bgr, self._points[number])
            for _ in range(self._times[number]):
                self._tower.see(face)

    def answer(self) -> Iterable[Model]:
        """Return the distances."""
        video, clip = self._row.video, self._row.clip
        start, samples = (video.start_s or 0.0) + clip.start_s, round(clip.frames / clip.fps * RATE)
        sound = read_sound(video, start, samples, RATE)[:, 0]
        found = self._syncnet.distances(self._network, self._tower.features(), sound)
        return [Update(series={SERIES: found})]
