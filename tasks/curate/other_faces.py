"""What the other faces of a clip's source do meanwhile: whether they speak.

Takes a `Candidate` with other faces beside its own, gives it with series. With LR-ASD
`other_speakers`: a score a face and 1/25 s, above 0 where it speaks. Without it, and where it
takes several for speaking at once, `other_sync`: offset and confidence of each face by lip shape
and sound, NaN where nothing can be said. Only such spans of a source are decoded once more.
"""

from collections.abc import Iterator
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from vexpress.schemas.row import Model, content_id
from vexpress.sync.lip_sound import PAD_S, RATE, estimate_offset
from vexpress.sync.lips import LipReader, lip_shape
from vexpress.tasks.curate.crop import frames_of_span
from vexpress.tasks.curate.scores.speaker import (
    SERIES,
    SpeakerScorer,
    SpeakerScoring,
    load_network,
)
from vexpress.tasks.engine.step import ClipStep
from vexpress.tasks.engine.units import Candidate
from vexpress.tasks.media.frames import to_upright_bgr
from vexpress.tasks.media.resample import read_sound

SCORES, SYNC = "other_speakers", "other_sync"
"""Names of the series."""
CONTESTED = 0.1
"""Share of a clip from which two faces that speak at once are doubted: LR-ASD, which is no network
for sync, also believes lips that move to another sound."""


class WatchOtherFaces(ClipStep):
    """Decode the span of a clip with several faces and look at the others, with `SpeakerScorer`'s
    network where that is used."""

    NAME: ClassVar[str] = "other_faces"
    PLACES: ClassVar[frozenset[str]] = SpeakerScorer.PLACES

    @classmethod
    def versions(cls, config: Any) -> list[tuple[str, int]]:
        """Return its version where the network is used."""
        return super().versions(config) if SpeakerScorer.is_on(config) else []

    @cached_property
    def weights_digest(self) -> str:
        """Digest of the network, which `SpeakerScorer` names."""
        return "".join(found.sha256 for found in SpeakerScorer.weights(self.config))

    def skip(self, row: Candidate) -> list[Model] | None:
        """Nothing to do where nobody else is seen, or nothing is heard."""
        return None if len(row.other_tracks) and row.video.audio_streams else [row]

    def identity(self, row: Candidate) -> str:
        """The clip, and where the others are."""
        return content_id(row.clip.clip_id, row.others.tobytes().hex())

    def __call__(self, row: Candidate) -> Iterator[Candidate]:
        """Yield the candidate with the series."""
        others = row.others.reshape(len(row.other_tracks), -1, 5, 2)
        if SpeakerScorer.is_on(self.config):
            scorings = [SpeakerScoring(self._network, row, row.times, p) for p in others]
            for number, image in upright_pictures(row):
                for scoring in scorings:
                    scoring.see(number, image)
            scores = np.stack([scoring.scores() for scoring in scorings])
            found = {SCORES: scores.reshape(-1)}
            both = (scores > 0).any(axis=0) & (row.series[SERIES] > 0)
            doubted = both.mean() > CONTESTED
        else:
            found, doubted = {}, True
        if doubted:
            found[SYNC] = self._by_lips(row, others).astype(np.float32).reshape(-1)
        yield row.model_copy(update={"series": {**row.series, **found}})

    def _by_lips(self, row: Candidate, others: np.ndarray) -> np.ndarray:
        """Return offset and confidence of each face, (K, 2), of points (K, F, 5, 2)."""
        shapes: list[list[np.ndarray]] = [[] for _ in others]
        for number, image in upright_pictures(row):
            for shape, points in zip(shapes, others, strict=True):
                if np.isfinite(points[number]).all():
                    shape.append(self._reader.landmarks(image, points[number]))
        start = (row.video.start_s or 0.0) + row.clip.start_s - PAD_S
        seconds = float(row.times[-1] - row.times[0])
        sound = read_sound(row.video, start, round((seconds + 2 * PAD_S) * RATE), RATE)[:, 0]
        fps = (len(row.times) - 1) / seconds
        found = np.full((len(others), 2), np.nan)
        for number, shape in enumerate(shapes):
            if len(shape) == len(row.times) - 1:  # seen throughout
                said = estimate_offset(lip_shape(np.stack(shape)), sound, fps=fps)
                if said.offset_frames is not None and said.confidence is not None:
                    found[number] = said.offset_frames, said.confidence
        return found

    @cached_property
    def _network(self) -> Any:
        return load_network(self.config, gpu=self.context.gpu)

    @cached_property
    def _reader(self) -> LipReader:
        return LipReader()


def upright_pictures(row: Candidate) -> Iterator[tuple[int, np.ndarray]]:
    """Yield number within the span and picture, BGR uint8, of every frame of the source."""
    video = row.video
    size = (video.width or 1, video.height or 1)
    for number, frame in frames_of_span(row):
        yield number, to_upright_bgr(frame, size, video.rotation or 0, bool(video.mirrored))
