"""Whether the face of a finished clip speaks, frame by frame, by LR-ASD.

Leaves the series `speaker`: a score for each 1/25 s, above 0 where it speaks.
"""

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from vexpress.schemas.keypoints import ClipKps
from vexpress.schemas.row import Model
from vexpress.sync.estimate import FPS
from vexpress.sync.lip_sound import RATE
from vexpress.tasks.curate.scores.scorer import ClipScorer
from vexpress.tasks.engine.network import NeedsNetwork, NetworkConfig
from vexpress.tasks.engine.shared_decode import Scoring
from vexpress.tasks.engine.units import Candidate, Update
from vexpress.tasks.media.resample import read_sound, shown_frames

SERIES = "speaker"


class SpeakerScorer(NeedsNetwork, ClipScorer):
    """Shows the mouth to the network; it loads once."""

    NAME: ClassVar[str] = "speaker"
    GROUP: ClassVar[str] = "speaker"
    NETWORK: ClassVar[str] = "lr-asd"

    def wanted(self, row: Candidate) -> bool:
        """Only with the network, and where somebody may be heard."""
        return self.is_on(self.config) and bool(row.video.audio_streams)

    def begin(self, row: Candidate, points: ClipKps) -> Scoring:
        """Begin scoring."""
        times = np.arange(row.clip.frames + 1) / row.clip.fps
        return SpeakerScoring(self._network, row, times, points.points)

    @cached_property
    def _network(self) -> Any:
        return load_network(self.config, gpu=self.context.gpu)


def load_network(config: NetworkConfig, *, gpu: bool) -> Any:
    """Load LR-ASD of a resolved configuration."""
    from vexpress.sync.active_speaker import load_active_speaker

    return load_active_speaker(Path(str(config.model)), gpu=gpu)


class SpeakerScoring:
    """Gathers the mouth of one face, 25 a second: of a clip, or of a face beside it."""

    def __init__(self, network: Any, row: Candidate, times: np.ndarray, points: np.ndarray) -> None:
        """`times` (F + 1,) and `points` (F, 5, 2) of the pictures that will be seen, NaN where the
        face is not seen."""
        from vexpress.sync import active_speaker

        self._asd = active_speaker
        self._network, self._row = network, row
        self._there = np.isfinite(points).all(axis=(1, 2))
        steady = active_speaker.steady(points)
        self._points = np.where(np.isfinite(steady), steady, points)  # at the edges of gaps
        self._shown = shown_frames(times, FPS, frames_at_25(row))
        self._repeats = np.bincount(self._shown, minlength=len(points))
        self._mouths: list[np.ndarray] = []

    def see(self, number: int, image_bgr: np.ndarray) -> None:
        """Cut the mouth out of a picture."""
        if not self._repeats[number]:
            return
        mouth = np.zeros((self._asd.SIDE, self._asd.SIDE), np.uint8)
        if self._there[number]:
            mouth = self._asd.mouth_picture(image_bgr, self._points[number])
        self._mouths += [mouth] * int(self._repeats[number])

    def scores(self) -> np.ndarray:
        """Return float32 (T,), above 0 where the face speaks; -10 where it is not seen."""
        sound = clip_sound(self._row)
        found = self._asd.speaking_scores(self._network, np.stack(self._mouths), sound)
        return np.where(self._there[self._shown], found, np.float32(-10))

    def answer(self) -> Iterable[Model]:
        """Return the series."""
        return [Update(series={SERIES: self.scores()})]


def frames_at_25(row: Candidate) -> int:
    """Return how many frames of 1/25 s a clip has."""
    return max(1, int(row.clip.frames / row.clip.fps * FPS + 1e-6))


def clip_sound(row: Candidate) -> np.ndarray:
    """Return the source's sound of a clip's span, 16 kHz mono float32."""
    start, samples = (row.video.start_s or 0.0) + row.clip.start_s, frames_at_25(row) / FPS * RATE
    return read_sound(row.video, start, round(samples), RATE)[:, 0]
