"""Measure a finished clip: decode it once, show every frame to the scorers that need it.

Takes a `Candidate` with `media_path`, gives it with the columns and series that the scorers
found, and their rows of manifests. Each scorer's answer is kept in the ledger by itself.
"""

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from vexpress.media.formats import open_media, video_streams
from vexpress.schemas.row import Model, added
from vexpress.tasks.curate.keypoints import clip_points
from vexpress.tasks.curate.rule import Rule
from vexpress.tasks.curate.scores.burnt_in_text import TEXT_RULES, TextScorer, TextThresholds
from vexpress.tasks.curate.scores.fingerprints import FingerprintConfig, FingerprintScorer
from vexpress.tasks.curate.scores.identity import FaceEmbeddingScorer, IdentityConfig
from vexpress.tasks.curate.scores.image_quality import ImageQualityConfig, ImageQualityScorer
from vexpress.tasks.curate.scores.lips import LipConfig, LipScorer
from vexpress.tasks.curate.scores.quality import QualityConfig, QualityScorer
from vexpress.tasks.curate.scores.speaker import SpeakerScorer
from vexpress.tasks.curate.scores.speech_quality import (
    SPEECH_QUALITY_RULES,
    SpeechQualityScorer,
    SpeechQualityThresholds,
)
from vexpress.tasks.curate.scores.syncnet import SyncNetConfig, SyncNetScorer
from vexpress.tasks.engine.network import NetworkConfig
from vexpress.tasks.engine.shared_decode import Scorer, SharedDecode, TimedScoring
from vexpress.tasks.engine.step import ClipStep, Rejection, is_rejected
from vexpress.tasks.engine.units import Candidate, Update
from vexpress.tasks.media.frames import prefetch


class AddedScores(Model):
    """Scores of fetched networks that came after version 0.1; each is a group of `CurateConfig`."""

    speaker: NetworkConfig = added(NetworkConfig())
    """Which network tells whether a face speaks (LR-ASD)."""
    dnsmos: NetworkConfig = added(NetworkConfig())
    """Which network tells how clean the sound is (DNSMOS)."""
    text: NetworkConfig = added(NetworkConfig())
    """Which network finds burnt-in text (PP-OCRv4's detector)."""


class AddedThresholds(TextThresholds, SpeechQualityThresholds):
    """Their thresholds, as each score's file has them."""


ADDED_RULES: tuple[Rule, ...] = (*SPEECH_QUALITY_RULES, *TEXT_RULES)
"""Their rules, as each score's file has them."""


class ScoreConfig(AddedScores):
    """What the scorers are told."""

    quality: QualityConfig = QualityConfig()
    """Scores of the picture."""
    image_quality: ImageQualityConfig = ImageQualityConfig(model=None)
    """Which network scores pictures."""
    fingerprints: FingerprintConfig = FingerprintConfig()
    """What tells copies."""
    identity: IdentityConfig = IdentityConfig()
    """Who is seen."""
    lips: LipConfig = LipConfig()
    """Whether the shape of the lips is read."""
    syncnet: SyncNetConfig = SyncNetConfig()
    """Where SyncNet's weights are."""


class MeasureClip(SharedDecode[Candidate], ClipStep):
    """Show the clip to its scorers and gather what they found."""

    NAME: ClassVar[str] = "measure"
    SCORERS: ClassVar[tuple[type[Scorer[Any, Any]], ...]] = (
        QualityScorer,
        ImageQualityScorer,
        FingerprintScorer,
        FaceEmbeddingScorer,
        LipScorer,
        SyncNetScorer,
        SpeakerScorer,
        SpeechQualityScorer,
        TextScorer,
    )

    def show(self, row: Candidate, scorings: Sequence[TimedScoring]) -> None:
        """Show the clip; raises Rejection when it is not what was written."""
        shown = 0
        name = str(row.clip.media_path)
        with (
            self.context.dataset.local_copy(name) as path,
            open_media(path) as container,
        ):
            stream = video_streams(container)[0]
            stream.thread_type = "AUTO"
            points = clip_points(row, stream.width)
            for scoring in scorings:
                scoring.begin(row, points)
            for image in prefetch(_pictures(container)):
                for scoring in scorings:
                    scoring.see(shown, image)
                shown += 1
        if shown != row.clip.frames:
            detail = f"{name}: expected {row.clip.frames} frames, found {shown}"
            raise Rejection("damaged", detail, is_error=True)

    def join(self, row: Candidate, answers: dict[str, list[Any]]) -> list[Model]:
        """Return the candidate with what was found, and the rows; the first rejection counts."""
        rows: list[Model] = []
        for item in (item for found in answers.values() for item in found):
            if not isinstance(item, Update):
                rows.append(item)
            elif not (is_rejected(row) and "status" in item.changes):
                row = row.apply(item)
        return [row, *rows]


def _pictures(container: Any) -> Iterator[np.ndarray]:
    for frame in container.decode(video=0):
        yield frame.to_ndarray(format="bgr24")
