"""How much of a clip's picture is burnt-in text, by the detector of PP-OCRv4.

The network gives each pixel's probability of lying in a line of text. One frame in 2 s is looked
at, since subtitles stay; parts that it doubts are left out.
"""

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np

from vexpress.schemas.keypoints import ClipKps
from vexpress.schemas.row import Model, added
from vexpress.tasks.curate.rule import Rule
from vexpress.tasks.curate.scores.scorer import ClipScorer
from vexpress.tasks.engine.network import NeedsNetwork, open_onnx
from vexpress.tasks.engine.shared_decode import Scoring
from vexpress.tasks.engine.units import Candidate, Update

SIDE = 480
"""Side at which a clip is looked at, pixels; a multiple of 32."""
EVERY_S = 2.0
PIXEL, PART = 0.3, 0.5
"""Least probability of a pixel, and on average of a part that counts (rapidocr's settings)."""
LEAST_PX = 3
"""Parts with a smaller side are none, pixels."""


class TextThresholds(Model):
    """How much text may be burnt in."""

    max_text_share: float | None = added(None, ge=0, le=1)
    """Most of the picture that is burnt-in text (ours, `strict`: 0.003; a line of subtitles covers
    0.01 and more); null: any."""


TEXT_RULES = (
    Rule(
        "text",
        "text_share",
        "max_text_share",
        "≤ {} of the picture text",
        bound="most",
        means="Subtitles or other text are burnt into the picture.",
    ),
)


class TextScorer(NeedsNetwork, ClipScorer):
    """Looks for text in some frames of a clip."""

    NAME: ClassVar[str] = "text"
    GROUP: ClassVar[str] = "text"
    NETWORK: ClassVar[str] = "text-detector"

    def wanted(self, row: Candidate) -> bool:
        """Only with the network."""
        return self.is_on(self.config)

    def begin(self, row: Candidate, points: ClipKps) -> Scoring:
        """Begin scoring."""
        return TextScoring(self._session, row.clip.fps)

    @cached_property
    def _session(self) -> Any:
        return open_onnx(Path(self.config.model), (1, 3, SIDE, SIDE), gpu=self.context.gpu)


class TextScoring:
    """One clip."""

    def __init__(self, session: Any, fps: float) -> None:
        self._session, self._every = session, max(1, round(EVERY_S * fps))
        self._shares: list[float] = []

    def see(self, number: int, image_bgr: np.ndarray) -> None:
        """Look at a frame in so many."""
        if number % self._every == self._every // 2:
            self._shares.append(text_share(self._session, image_bgr))

    def answer(self) -> Iterable[Model]:
        """Return the mean share; nothing for a clip too short to be looked at."""
        return [
            Update(changes={"text_share": float(np.mean(self._shares))} if self._shares else {})
        ]


def text_share(session: Any, image_bgr: np.ndarray) -> float:
    """Return the share of a picture, uint8 (side, side, 3), that lies in lines of text."""
    small = cv2.resize(image_bgr, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    scaled = (small.astype(np.float32) / 127.5 - 1).transpose(2, 0, 1)[None]
    likely = session.run(None, {session.get_inputs()[0].name: scaled})[0][0, 0]
    count, parts, boxes, _ = cv2.connectedComponentsWithStats((likely > PIXEL).astype(np.uint8))
    means = np.bincount(parts.ravel(), likely.ravel(), count) / boxes[:, cv2.CC_STAT_AREA]
    sides = boxes[:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]].min(axis=1)
    counts = (means >= PART) & (sides > LEAST_PX)
    return float(boxes[1:, cv2.CC_STAT_AREA][counts[1:]].sum() / likely.size)
