"""Measure a finished clip: decode it once, show every frame to the scorers that need it.

Takes a `Candidate` with `media_path`, gives it with the columns and series that the scorers
found, and their rows of manifests. Each scorer's answer is kept in the ledger by itself.
"""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any, ClassVar

import av
import numpy as np

from vexpress.schemas.keypoints import ClipKps
from vexpress.schemas.row import Model
from vexpress.tasks.curate.keypoints import clip_points
from vexpress.tasks.curate.scores.fingerprints import FingerprintConfig, FingerprintScorer
from vexpress.tasks.curate.scores.identity import FaceEmbeddingScorer, IdentityConfig
from vexpress.tasks.curate.scores.image_quality import ImageQualityConfig, ImageQualityScorer
from vexpress.tasks.curate.scores.lips import LipConfig, LipScorer
from vexpress.tasks.curate.scores.quality import QualityConfig, QualityScorer
from vexpress.tasks.curate.scores.scorer import Scorer, Scoring
from vexpress.tasks.curate.scores.syncnet import SyncNetConfig, SyncNetScorer
from vexpress.tasks.engine.ledger import LedgerLike
from vexpress.tasks.engine.step import ClipStep, Rejection, is_rejected
from vexpress.tasks.engine.units import Candidate, Update, decode, encode
from vexpress.tasks.media.frames import prefetch

SCORERS: dict[str, type[Scorer]] = {
    "quality": QualityScorer,
    "image_quality": ImageQualityScorer,
    "fingerprints": FingerprintScorer,
    "identity": FaceEmbeddingScorer,
    "lips": LipScorer,
    "syncnet": SyncNetScorer,
}
"""Scorers by the field of `ScoreConfig` that holds their configuration."""


class ScoreConfig(Model):
    """What the scorers are told."""

    quality: QualityConfig = QualityConfig()
    """Scores of the picture."""
    image_quality: ImageQualityConfig = ImageQualityConfig(model=None)
    """Which network judges pictures."""
    fingerprints: FingerprintConfig = FingerprintConfig()
    """What tells copies."""
    identity: IdentityConfig = IdentityConfig()
    """Who is seen."""
    lips: LipConfig = LipConfig()
    """Whether the shape of the lips is read."""
    syncnet: SyncNetConfig = SyncNetConfig()
    """Where SyncNet's weights are."""


class MeasureClip(ClipStep):
    """Show the clip to its scorers and gather what they found."""

    NAME: ClassVar[str] = "measure"

    @classmethod
    def versions(cls) -> list[tuple[str, int]]:
        """Also those of the scorers."""
        return [
            *super().versions(),
            *((s.LEDGER_NAME or s.NAME, s.VERSION) for s in SCORERS.values()),
        ]

    @cached_property
    def _scorers(self) -> list[Scorer]:
        return [kind(getattr(self.config, name), self.context) for name, kind in SCORERS.items()]

    def run(self, row: Candidate, ledger: LedgerLike) -> list[Model]:
        """Answer from the ledger what it knows, and look at the clip for the rest."""
        scorers = [w for w in self._scorers if w.wanted(row)]
        keys = {w.NAME: w.key(row) for w in scorers}
        known = {name: ledger.get(key, name) for name, key in keys.items()}
        answers = {
            name: [decode(d) for d in data] for name, data in known.items() if data is not None
        }
        missing = [w for w in scorers if w.NAME not in answers]
        if missing:
            attempt = max(ledger.begin(keys[w.NAME]) for w in missing)
            for seat in self._measure(row, missing, ledger, attempt):
                answers[seat.name] = seat.found
                kept = [encode(item) for item in seat.found]
                ledger.put(keys[seat.name], seat.name, kept, failed(seat.found), seat.seconds)
        return join(row, [answers[w.NAME] for w in scorers])

    def _measure(
        self, row: Candidate, scorers: list[Scorer], ledger: LedgerLike, attempt: int
    ) -> list["TimedScoring"]:
        seats = [TimedScoring(scorer) for scorer in scorers]
        start = time.perf_counter()
        problem = self.guarded(row, lambda clip: self._show(clip, seats), attempt)
        for seat in seats:
            found = problem or self.guarded(row, seat.answer, name=seat.name)
            seat.found = self.condense(row, found)
        watching = sum(seat.seconds for seat in seats)
        ledger.spend(self.NAME, time.perf_counter() - start - watching)
        return seats

    def _show(self, row: Candidate, seats: list["TimedScoring"]) -> Iterable[Model]:
        """Show the clip; returns nothing, raises Rejection when it is not what was written."""
        shown = 0
        name = str(row.clip.media_path)
        with (
            self.context.dataset.local_copy(name) as path,
            av.open(f"file:{path}") as container,
        ):
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            points = clip_points(row, stream.width)
            for seat in seats:
                seat.begin(row, points)
            for image in prefetch(_pictures(container)):
                for seat in seats:
                    seat.see(shown, image)
                shown += 1
        if shown != row.clip.frames:
            detail = f"{name}: expected {row.clip.frames} frames, found {shown}"
            raise Rejection("damaged", detail, is_error=True)
        return []


class TimedScoring:
    """A scorer before one clip: its time, and what went wrong for it alone."""

    def __init__(self, scorer: Scorer) -> None:
        self.name = scorer.NAME
        self.seconds = 0.0
        self.found: list[Model] = []
        self._scorer = scorer
        self._look: Scoring | None = None
        self._error: Exception | None = None

    def begin(self, row: Candidate, points: ClipKps) -> None:
        """Begin a look."""
        with self._timed():
            self._look = self._scorer.begin(row, points)

    def see(self, number: int, image_bgr: np.ndarray) -> None:
        """Look at a frame, unless an earlier one went wrong."""
        if self._look and not self._error:
            with self._timed():
                self._look.see(number, image_bgr)

    def answer(self, row: Candidate) -> Iterable[Model]:
        """Return what was found; raises what went wrong on the way."""
        found: list[Model] = []
        if self._look and not self._error:
            with self._timed():
                found = list(self._look.answer())
        if self._error:
            raise self._error
        return found

    @contextmanager
    def _timed(self) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        except Exception as error:
            self._error = error
        finally:
            self.seconds += time.perf_counter() - start


def _pictures(container: Any) -> Iterator[np.ndarray]:
    for frame in container.decode(video=0):
        yield frame.to_ndarray(format="bgr24")


def failed(found: list[Model]) -> bool:
    """Return whether a scorer failed."""
    return any(isinstance(item, Update) and item.changes.get("is_error") for item in found)


def join(row: Candidate, answers: list[list[Model]]) -> list[Model]:
    """Return the candidate with all that was found, and the rows; the first rejection counts."""
    rows: list[Model] = []
    for item in (item for found in answers for item in found):
        if not isinstance(item, Update):
            rows.append(item)
        elif not (is_rejected(row) and "status" in item.changes):
            row = row.apply(item)
    return [row, *rows]
