"""Detect every face of every examined frame of a video; a scorer of `detect.py`.

Detection happens once, on the source, scaled so that its longer side is at most
`detect_px`; boxes and points are given back in source pixels.
"""

from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np
from pydantic import Field

from vexpress.errors import FaceModelError
from vexpress.faces.backends import AUTOMATIC, BACKENDS, BackendName, choose_backend
from vexpress.faces.points import Face, FaceDetector
from vexpress.schemas.errors import ConfigError
from vexpress.schemas.row import Model
from vexpress.schemas.video import Video
from vexpress.tasks.engine.shared_decode import Scorer, Scoring
from vexpress.tasks.engine.units import Detections
from vexpress.tasks.engine.weights import Need, Weights, read_weights
from vexpress.tasks.media.frames import Frames, fit_within, picture_identity

LEVELS = (0.5, 0.75)
"""Smaller sizes at which a frame may be looked at, as shares of the full one."""
MAIN_FACE_PX = 96
"""Side that the main face has at least in the picture that the detector sees, pixels."""


class FaceConfig(Model):
    """What finds faces, and what counts as one."""

    backend: BackendName = "auto"
    """`auto`: insightface where its model is at hand, else dlib. `insightface`: downloads a pack
    that is not at hand; its licence is non-commercial."""
    model: str = "auto"
    """insightface pack (`buffalo_l`, `scrfd_2.5g`, …) or a folder with .onnx files; `auto`: the
    first that is at hand, else `buffalo_l`."""
    detect_px: int = Field(512, ge=96, le=4096)
    """Longer side of the largest picture the detector sees, pixels; V-Express detects at 512."""
    every: int = Field(1, ge=1, le=25)
    """Look at every n-th frame; the frames between are interpolated."""
    min_score: float = Field(0.5, gt=0, lt=1)
    """Detector score below which a face is ignored (LatentSync: 0.5)."""


class FaceScorer(Scorer[Video, Frames]):
    """Finds the faces of a video; loads its detector for the first."""

    NAME: ClassVar[str] = "faces"
    GROUP: ClassVar[str] = "faces"
    PLACES: ClassVar[frozenset[str]] = frozenset({"model"})

    @classmethod
    def resolve(cls, config: FaceConfig, weights: Path | None) -> tuple[FaceConfig, str | None]:
        """Choose the back end and its model, and say which.

        Raises ConfigError when one is asked for that cannot be had.
        """
        asked = config.backend != "auto"
        try:
            name, model = choose_backend(_candidates(config), config.model, weights, fetch=asked)
        except FaceModelError as error:
            raise ConfigError(str(error)) from error
        note = f"faces: {BACKENDS[name].about(model)}"
        if not asked and name != AUTOMATIC[0]:
            note += f", because no {AUTOMATIC[0]} model is here"
        return config.model_copy(update={"backend": name, "model": model}), note

    @classmethod
    def weights(cls, config: FaceConfig) -> list[Weights]:
        """Return the detector's model."""
        backend = BACKENDS[config.backend]
        return [
            read_weights(f"faces {config.backend}", backend.files(config.model), backend.licence)
        ]

    @classmethod
    def needs(cls, weights: Path | None) -> list[Need]:
        """One back end is enough."""
        here = {name: backend.at_hand(weights) for name, backend in BACKENDS.items()}
        return [
            Need(
                f"faces ({name})",
                here[name] or backend.absent,
                bool(here[name]),
                backend.todo,
                required=not any(here.values()),
            )
            for name, backend in BACKENDS.items()
        ]

    def key(self, row: Video) -> str:
        """Return the ledger key: the content, and all that looks at it."""
        return self.make_key(picture_identity(row))

    def begin(self, row: Video, shown: Frames) -> Scoring:
        """Begin scoring."""
        width = fit_within(row.width or 1, row.height or 1, self.config.detect_px)[0]
        return FaceCollector(self.config, self._detector, (row.width or 1) / width)

    @cached_property
    def _detector(self) -> FaceDetector:
        return open_detector(self.config, gpu=self.context.gpu)


def _candidates(config: FaceConfig) -> tuple[str, ...]:
    """Back ends that may be chosen, the best first; a model that is named is the first's."""
    if config.backend != "auto":
        return (config.backend,)
    return AUTOMATIC if config.model == "auto" else AUTOMATIC[:1]


class FaceCollector:
    """Feed it every frame in order; then ask for all detections."""

    def __init__(self, config: FaceConfig, detector: FaceDetector, scale: float) -> None:
        self._config = config
        self._detector = SizedDetector(detector)
        self._backend = detector.name
        self._scale = scale
        self._frames: list[int] = []
        self._faces: list[np.ndarray] = []
        self._landmark_count = 0

    def see(self, number: int, image_bgr: np.ndarray) -> None:
        """Look at frame `number`, uint8 (height, width, 3), at the detector's scale."""
        if number % self._config.every:
            return
        for face in self._detector.detect(image_bgr):
            self._frames.append(number)
            self._faces.append(self._packed(face))

    def answer(self) -> Iterable[Model]:
        """Return the one answer: `detections`."""
        return [self.detections()]

    def detections(self) -> Detections:
        """Return everything seen, in source pixels."""
        width = 15 + 2 * self._landmark_count
        faces = np.stack(self._faces) if self._faces else np.zeros((0, width), np.float32)
        return Detections(
            backend=self._backend,
            every=self._config.every,
            frames=np.array(self._frames, dtype=np.int32),
            scores=faces[:, 0],
            boxes=faces[:, 1:5],
            points=faces[:, 5:15].reshape(-1, 5, 2),
            landmarks=faces[:, 15:].reshape(-1, 2),
            landmark_count=self._landmark_count,
        )

    def _packed(self, face: Face) -> np.ndarray:
        """One row of numbers a face: an hour of video holds a hundred thousand of them."""
        landmarks = np.zeros((0, 2), np.float32) if face.landmarks is None else face.landmarks
        self._landmark_count = len(landmarks)
        places = np.concatenate([face.box.ravel(), face.points.ravel(), landmarks.ravel()])
        return np.concatenate([[face.score], places * self._scale]).astype(np.float32)


class SizedDetector:
    """Show a detector no more pixels than the main face needs.

    A face far larger than those a detector was trained on costs time and loses points:
    with SCRFD-2.5g at half of 512 px, V-Kps of V-Express's samples are 2.8 px from the
    published ones instead of 3.6 (benchmarks/README.md). The size follows the largest face
    of the frame before; a frame where that face is gone or small is looked at in full.
    """

    def __init__(self, detector: FaceDetector) -> None:
        self._detector = detector
        # Half as large a face, which still makes a frame two-faced, must be found as well.
        self._aim_px = max(MAIN_FACE_PX, 2 * detector.min_face_px)
        self._level = 1.0

    def detect(self, image_bgr: np.ndarray) -> list[Face]:
        """Return the faces of `image_bgr`, uint8 (height, width, 3), in its pixels."""
        faces = self._at(self._level, image_bgr)
        if self._level < 1 and largest_side(faces) * self._level < self._aim_px * 2 / 3:
            faces = self._at(1.0, image_bgr)
        side = largest_side(faces)
        self._level = next((level for level in LEVELS if side * level >= self._aim_px), 1.0)
        return faces

    def _at(self, level: float, image_bgr: np.ndarray) -> list[Face]:
        if level == 1:
            return self._detector.detect(image_bgr)
        height, width = image_bgr.shape[:2]
        size = round(width * level), round(height * level)
        small = cv2.resize(image_bgr, size, interpolation=cv2.INTER_AREA)
        return [
            Face(
                box=face.box / level,
                points=face.points / level,
                score=face.score,
                landmarks=None if face.landmarks is None else face.landmarks / level,
            )
            for face in self._detector.detect(small)
        ]


def largest_side(faces: list[Face]) -> float:
    """Return the side of the largest face, the square root of its box's area; 0 without faces."""
    return max((float(np.sqrt((f.box[2:] - f.box[:2]).prod())) for f in faces), default=0.0)


def open_detector(config: FaceConfig, *, gpu: bool) -> FaceDetector:
    """Load the detector of a resolved configuration."""
    try:
        return BACKENDS[config.backend].load(config.model, min_score=config.min_score, gpu=gpu)
    except FaceModelError as error:
        raise ConfigError(str(error)) from error
