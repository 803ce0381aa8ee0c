"""How clean a clip's sound is to listeners, by DNSMOS P.835 (arXiv:2110.01763).

The network hears 9.01 s of raw 16 kHz sound, a second later the next, and guesses how people would
rate the speech, the background, and all of it, from 1 to 5. Shorter sound is repeated.
"""

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from vexpress.schemas.keypoints import ClipKps
from vexpress.schemas.row import Model, added
from vexpress.tasks.curate.rule import Rule
from vexpress.tasks.curate.scores.scorer import ClipScorer
from vexpress.tasks.curate.scores.speaker import clip_sound
from vexpress.tasks.engine.network import NeedsNetwork, open_onnx
from vexpress.tasks.engine.shared_decode import Scoring
from vexpress.tasks.engine.units import Candidate, Update

RATE, WINDOW = 16000, 144160
"""Samples a second, and samples that the network hears at once."""
CURVES = {
    "speech_mos": (-0.08397278, 1.22083953, 0.0052439),
    "background_mos": (-0.13166888, 1.60915514, -0.39604546),
    "overall_mos": (-0.06766283, 1.11546468, 0.04602535),
}
"""Columns in the order of the network's answers, and the published curve (square, factor, offset)
that brings each to what people said."""


class SpeechQualityThresholds(Model):
    """How clean the sound must be."""

    min_overall_mos: float | None = added(None, ge=1, le=5)
    """Least quality of the sound as a whole, 1..5 (ours, `strict`: 2; clean speech 2.7 to 3.5,
    under music or noise 1.1 to 1.7); null: any."""


SPEECH_QUALITY_RULES = (
    Rule(
        "noisy",
        "overall_mos",
        "min_overall_mos",
        "a sound of quality ≥ {}",
        means="Music, noise or a bad recording lies over the speech.",
    ),
)


class SpeechQualityScorer(NeedsNetwork, ClipScorer):
    """Hears a clip; its pictures tell it nothing."""

    NAME: ClassVar[str] = "dnsmos"
    GROUP: ClassVar[str] = "dnsmos"
    NETWORK: ClassVar[str] = "dnsmos"

    def wanted(self, row: Candidate) -> bool:
        """Only with the network, and where there is sound."""
        return self.is_on(self.config) and bool(row.video.audio_streams)

    def begin(self, row: Candidate, points: ClipKps) -> Scoring:
        """Begin scoring."""
        return SpeechQualityScoring(self._session, row)

    @cached_property
    def _session(self) -> Any:
        return open_onnx(Path(self.config.model), (1, WINDOW), gpu=self.context.gpu)


class SpeechQualityScoring:
    """One clip."""

    def __init__(self, session: Any, row: Candidate) -> None:
        self._session, self._row = session, row

    def see(self, number: int, image_bgr: np.ndarray) -> None:
        """Nothing is to be seen."""

    def answer(self) -> Iterable[Model]:
        """Return the scores."""
        return [Update(changes={**speech_quality(self._session, clip_sound(self._row))})]


def speech_quality(session: Any, sound: np.ndarray) -> dict[str, float]:
    """Return the columns of 16 kHz float32 (samples,) in -1 … 1: means over windows."""
    if not len(sound):
        return {}
    whole = np.tile(sound, -(-WINDOW // len(sound)))
    starts = range(0, len(whole) - WINDOW + 1, RATE)
    name = session.get_inputs()[0].name
    raw = [session.run(None, {name: whole[None, s : s + WINDOW]})[0][0] for s in starts]
    return {
        column: float(np.polyval(curve, [answer[place] for answer in raw]).mean())
        for place, (column, curve) in enumerate(CURVES.items())
    }
