"""Who is seen in a clip: the mean embedding of a few frames, sharp and turned to the camera.

A scorer of the finished clip; the models are in `vexpress/faces/embedding.py`. The clip is
divided into `LOOKS` parts; of each the most frontal detected frame is looked at, and of those
the sharpest are embedded.
"""

import heapq
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from vexpress.errors import PointsError
from vexpress.faces.embedding import (
    DLIB_FILE,
    LICENCES,
    PACKS,
    FaceEmbedder,
    embedder_file,
    find_arcface,
    load_face_embedder,
)
from vexpress.faces.points import missing_model
from vexpress.metrics.picture import laplacian_variance
from vexpress.schemas.errors import ConfigError
from vexpress.schemas.face_embedding import FaceEmbedding
from vexpress.schemas.keypoints import ClipKps
from vexpress.schemas.row import Model
from vexpress.tasks.curate.scores.scorer import ClipScorer
from vexpress.tasks.engine.shared_decode import Scoring
from vexpress.tasks.engine.units import Candidate
from vexpress.tasks.engine.weights import Need, Weights, read_weights
from vexpress.weights.sources import get

LOOKS = 12
"""Frames whose sharpness is measured."""


class IdentityConfig(Model):
    """What makes a vector of a face."""

    backend: Literal["auto", "arcface", "dlib", "none"] = "auto"
    """`arcface` where an insightface pack with a recognition model is at hand, else `dlib`."""
    model: str = "auto"
    """insightface pack (`buffalo_l`, …) or folder; `auto`: the best that is at hand."""
    frames: int = Field(3, ge=1, le=LOOKS)
    """Most frames of a clip that are embedded."""


class FaceEmbeddingScorer(ClipScorer):
    """Embeds the face of every clip; loads its model for the first."""

    NAME: ClassVar[str] = "identity"
    GROUP: ClassVar[str] = "identity"
    PLACES: ClassVar[frozenset[str]] = frozenset({"model"})

    def wanted(self, row: Candidate) -> bool:
        """Return whether a back end was chosen."""
        return bool(self.config.backend != "none")

    @classmethod
    def resolve(
        cls, config: IdentityConfig, weights: Path | None
    ) -> tuple[IdentityConfig, str | None]:
        """Choose the back end, and say which.

        Raises ConfigError when ArcFace is asked for and its model is not here.
        """
        if config.backend == "none":
            return config, "identity: none, so persons are not told apart"
        file = None if config.backend == "dlib" else find_arcface(config.model, weights)
        if file:
            folder = str(file.parent)
            chosen = config.model_copy(update={"backend": "arcface", "model": folder})
            return chosen, f"identity: ArcFace, {folder}"
        if config.backend == "arcface" or config.model != "auto":
            wanted = PACKS[0] if config.model == "auto" else config.model
            raise ConfigError(missing_model(wanted, weights))
        return config.model_copy(update={"backend": "dlib"}), "identity: dlib (ResNet, 128 numbers)"

    @classmethod
    def weights(cls, config: IdentityConfig) -> list[Weights]:
        """Return the recognition model."""
        if config.backend == "none":
            return []
        file = embedder_file(config.backend, config.model)
        name = f"identity {config.backend}"
        licence = LICENCES["dlib" if file.name == DLIB_FILE else "arcface"]
        return [read_weights(name, [file], licence)]

    @classmethod
    def needs(cls, weights: Path | None) -> list[Need]:
        """ArcFace is better, dlib's ResNet comes with the installation."""
        file = find_arcface("auto", weights)
        return [
            Need(
                "identity (ArcFace)",
                str(file) if file else f"none of {', '.join(PACKS)}",
                file is not None,
                f"{get('buffalo_l')} ({LICENCES['arcface']}); without a pack dlib is used",
            )
        ]

    @cached_property
    def _embedder(self) -> FaceEmbedder:
        return load_face_embedder(self.config.backend, self.config.model, gpu=self.context.gpu)

    def begin(self, row: Candidate, points: ClipKps) -> Scoring:
        """Begin scoring."""
        return FaceScoring(row, points, self._embedder, self.config.frames)


class FaceScoring:
    """Keeps the sharpest of the chosen frames, and embeds them at the end."""

    def __init__(
        self, row: Candidate, points: ClipKps, embedder: FaceEmbedder, frames: int
    ) -> None:
        self._row = row
        self._points = points.points
        self._chosen = frontal_frames(points.points, points.detected)
        self._embedder = embedder
        self._frames = frames
        self._sharpest: list[tuple[float, int, np.ndarray]] = []

    def see(self, number: int, image_bgr: np.ndarray) -> None:
        """Keep the frame if it is one of the sharpest."""
        if number in self._chosen:
            seen = (face_sharpness(image_bgr, self._points[number]), number)
            keep = heapq.heappush if len(self._sharpest) < self._frames else heapq.heappushpop
            keep(self._sharpest, (*seen, image_bgr.copy()))

    def answer(self) -> Iterable[Model]:
        """Return the face; nothing where no frame shows one that can be laid straight."""
        found: dict[int, np.ndarray] = {}
        for _, number, image in sorted(self._sharpest, key=lambda kept: kept[1]):
            try:
                found[number] = self._embedder.embed(image, self._points[number])
            except PointsError:
                continue
        if not found:
            return
        vectors = np.stack(list(found.values()))
        if not self._embedder.name.startswith("dlib"):
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)  # ArcFace: angles count
        mean = vectors.mean(axis=0)
        yield FaceEmbedding(
            clip_id=self._row.clip.clip_id,
            video_id=self._row.clip.video_id,
            backend=self._embedder.name,
            frames=list(found),
            spread=float(np.linalg.norm(vectors - mean, axis=1).mean()),
            embedding=mean,
        )


def frontal_frames(points: np.ndarray, detected: np.ndarray) -> set[int]:
    """Return of each of `LOOKS` parts of a clip the detected frame that is most frontal.

    `points` float32 (F, 5, 2). Frontal: nose and mouth lie in the middle below the eyes.
    """
    eyes = np.linalg.norm(points[:, 1] - points[:, 0], axis=1) + 1e-6
    middle = points[:, :2].mean(axis=1)
    across = (points[:, 1] - points[:, 0]) / eyes[:, None]
    nose = np.abs(((points[:, 2] - middle) * across).sum(axis=1)) / eyes
    parts = np.array_split(np.flatnonzero(detected), LOOKS)
    return {int(part[nose[part].argmin()]) for part in parts if len(part)}


def face_sharpness(image_bgr: np.ndarray, points: np.ndarray) -> float:
    """Return the variance of the Laplacian over the box of five points (5, 2); 0 outside."""
    height, width = image_bgr.shape[:2]
    x1, y1 = np.clip(points.min(axis=0), 0, [width, height]).astype(int)
    x2, y2 = np.clip(points.max(axis=0) + 1, 0, [width, height]).astype(int)
    if min(x2 - x1, y2 - y1) < 3:
        return 0.0
    return laplacian_variance(image_bgr[y1:y2, x1:x2])
