"""What an image-quality network thinks of a clip, where its weights are present.

No package carries such weights, so any ONNX file is taken that does what hyperIQA does:
float32 (N, 3, 224, 224), RGB normalised as ImageNet, in; one number a picture out. As
LatentSync does (`filter_visual_quality.py`): the first, middle and last frame at 256 pixels,
the middle 224 of them, and the mean of their scores; it keeps 40 of 100 and more.
"""

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np

from vexpress.schemas.errors import ConfigError
from vexpress.schemas.keypoints import ClipKps
from vexpress.schemas.row import Model
from vexpress.tasks.curate.scores.scorer import ClipScorer
from vexpress.tasks.engine.network import open_session
from vexpress.tasks.engine.shared_decode import Scoring
from vexpress.tasks.engine.units import Candidate, Update
from vexpress.tasks.engine.weights import Need, Weights, read_weights

DEFAULT_FILE = "iqa/hyperiqa.onnx"
SIDE, SEEN = 256, 224
MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
"""Of ImageNet, RGB."""


class ImageQualityConfig(Model):
    """Which network scores pictures."""

    model: str | None = "auto"
    """An ONNX file, by its path or its name under the weights; `auto`: `iqa/hyperiqa.onnx` where
    it is there; null: none."""


class ImageQualityScorer(ClipScorer):
    """Shows three frames of a clip to the network."""

    NAME: ClassVar[str] = "image_quality"
    GROUP: ClassVar[str] = "image_quality"
    PLACES: ClassVar[frozenset[str]] = frozenset({"model"})

    @classmethod
    def resolve(
        cls, config: ImageQualityConfig, weights: Path | None
    ) -> tuple[ImageQualityConfig, str | None]:
        """Choose the file or none, and say which.

        Raises ConfigError when a file is asked for that is not there.
        """
        if config.model is None:
            return config, "image quality: none asked for"
        if config.model == "auto":
            file = weights / DEFAULT_FILE if weights else None
            if file and file.is_file():
                return _with(file)
            note = f"image quality: no network, {DEFAULT_FILE} is not under the weights"
            return ImageQualityConfig(model=None), note
        places = [Path(config.model).expanduser(), *([weights / config.model] if weights else [])]
        for place in places:
            if place.is_file():
                return _with(place)
        raise ConfigError(
            f"image_quality.model: expected an ONNX file at {', '.join(map(str, places))}; "
            "found none. Give its path, or image_quality.model=null to go without."
        )

    @classmethod
    def weights(cls, config: ImageQualityConfig) -> list[Weights]:
        """Return the network; nothing without one, or before one was looked for."""
        if config.model in (None, "auto"):
            return []
        return [read_weights("image quality", [Path(str(config.model))], "as given with the file")]

    @classmethod
    def needs(cls, weights: Path | None) -> list[Need]:
        """Any network will do that scores pictures."""
        file = (weights or Path("WEIGHTS")) / DEFAULT_FILE
        return [
            Need(
                "image quality",
                str(file) if file.is_file() else f"no {file}",
                file.is_file(),
                f"to have the score: put an ONNX file as of hyperIQA at WEIGHTS/{DEFAULT_FILE}",
            )
        ]

    def wanted(self, row: Candidate) -> bool:
        """Only where there are weights."""
        return self.config.model not in (None, "auto")

    def begin(self, row: Candidate, points: ClipKps) -> Scoring:
        """Begin scoring."""
        return ImageQualityScoring(self._session, row.clip.frames)

    @cached_property
    def _session(self) -> Any:
        return open_network(Path(self.config.model), gpu=self.context.gpu)


class ImageQualityScoring:
    """Three frames of one clip."""

    def __init__(self, session: Any, frames: int) -> None:
        self._session = session
        self._numbers = {0, frames // 2, frames - 1}
        self._pictures: list[np.ndarray] = []

    def see(self, number: int, image_bgr: np.ndarray) -> None:
        """Keep the frame when it is one of the three."""
        if number in self._numbers:
            self._pictures.append(prepared(image_bgr))

    def answer(self) -> Iterable[Model]:
        """Return the mean score."""
        name = self._session.get_inputs()[0].name
        scores = [self._session.run(None, {name: p[None]})[0] for p in self._pictures]
        return [Update(changes={"image_quality": float(np.mean(scores))})]


def prepared(image_bgr: np.ndarray) -> np.ndarray:
    """Return BGR uint8 (side, side, 3) as the network's float32 (3, SEEN, SEEN)."""
    small = cv2.resize(image_bgr, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    edge = (SIDE - SEEN) // 2
    rgb = small[edge : edge + SEEN, edge : edge + SEEN, ::-1] / 255
    return np.ascontiguousarray(((rgb - MEAN) / DEVIATION).transpose(2, 0, 1), np.float32)


def open_network(file: Path, *, gpu: bool) -> Any:
    """Load the network.

    Raises ConfigError when it does not take pictures of `SEEN` pixels and give one number.
    """
    try:
        session = open_session(file, gpu=gpu)
        name = session.get_inputs()[0].name
        (score, *_) = session.run(None, {name: np.zeros((1, 3, SEEN, SEEN), np.float32)})
    except Exception as error:  # onnxruntime's errors have no common base
        raise ConfigError(
            "image_quality.model: expected an ONNX file that scores float32 "
            f"(1, 3, {SEEN}, {SEEN}), {file} does not: {error}"
        ) from error
    if np.size(score) != 1:
        raise ConfigError(
            f"image_quality.model: expected one number a picture, {file} gives {np.size(score)}."
        )
    return session


def _with(file: Path) -> tuple[ImageQualityConfig, str]:
    return ImageQualityConfig(model=str(file.resolve())), f"image quality: {file}"
