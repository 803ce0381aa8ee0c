"""Detect every face of every examined frame of a video.

Detection happens once, on the source, scaled so that its longer side is at most
`detect_px`; boxes and points are given back in source pixels.
"""

from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from pydantic import Field

from vexpress.faces.points import (
    Face,
    FaceDetector,
    dlib_model,
    fetch_insightface,
    find_insightface,
    load_face_detector,
    missing_model,
)
from vexpress.schemas.errors import ConfigError
from vexpress.schemas.row import Model
from vexpress.tasks.engine.units import Detections

VERSION = 1
PACKS = (
    "buffalo_l",
    "antelopev2",
    "buffalo_m",
    "buffalo_s",
    "scrfd_10g",
    "scrfd_2.5g",
    "scrfd_500m",
)
"""insightface packs that are looked for, the best first."""
LEVELS = (0.5, 0.75)
"""Smaller sizes at which a frame may be looked at, as shares of the full one."""
MAIN_FACE_PX = 96
"""Side that the main face has at least in the picture that the detector sees, pixels."""


class FaceConfig(Model):
    """What finds faces, and what counts as one."""

    backend: Literal["auto", "insightface", "dlib"] = "auto"
    """`auto`: insightface where its model is at hand, else dlib. `insightface`: downloads a pack
    that is not at hand; its licence is non-commercial."""
    model: str = "auto"
    """insightface pack (`buffalo_l`, `scrfd_2.5g`, …) or a folder with .onnx files; `auto`: the
    first of `PACKS` that is at hand, else `buffalo_l`."""
    detect_px: int = Field(512, ge=96, le=4096)
    """Longer side of the largest picture the detector sees, pixels; V-Express detects at 512."""
    every: int = Field(1, ge=1, le=25)
    """Look at every n-th frame; the frames between are interpolated."""
    min_score: float = Field(0.5, gt=0, lt=1)
    """Detector score below which a face is ignored (LatentSync: 0.5)."""


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

    def see(self, frame: int, image_bgr: np.ndarray) -> None:
        """Look at frame number `frame`, uint8 (height, width, 3), at the detector's scale."""
        if frame % self._config.every:
            return
        for face in self._detector.detect(image_bgr):
            self._frames.append(frame)
            self._faces.append(self._packed(face))

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


def resolve_backend(config: FaceConfig, weights: Path | None) -> tuple[FaceConfig, str]:
    """Return the configuration with a definite back end, and a sentence that says which.

    Raises ConfigError when insightface is asked for and its model cannot be had.
    """
    if config.backend == "dlib":
        return config, "faces: dlib (HOG, 68 landmarks)"
    packs = PACKS if config.model == "auto" else (config.model,)
    here = (find_insightface(pack, weights) for pack in packs)
    folder = next(filter(None, here), None)
    if folder is None and config.backend == "insightface":
        folder = fetch_insightface(packs[0])
    if folder:
        chosen = config.model_copy(update={"backend": "insightface", "model": str(folder)})
        return chosen, f"faces: insightface, {folder}"
    if config.backend == "insightface" or config.model != "auto":
        raise ConfigError(missing_model(packs[0], weights))
    note = f"faces: dlib (HOG, 68 landmarks), because no insightface model ({packs[0]}) is here"
    return config.model_copy(update={"backend": "dlib"}), note


def weight_files(config: FaceConfig) -> list[Path]:
    """Return the files of a resolved back end."""
    if config.backend == "dlib":
        return [dlib_model("shape_predictor_68_face_landmarks.dat")]
    return sorted(Path(config.model).glob("*.onnx"))


def open_detector(config: FaceConfig, *, gpu: bool) -> FaceDetector:
    """Load the detector of a resolved configuration. Raises FaceModelError."""
    return load_face_detector(config.backend, config.model, min_score=config.min_score, gpu=gpu)
