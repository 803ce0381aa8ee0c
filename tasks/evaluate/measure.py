"""Measure generated videos: one decode, several scorers, a row for every number.

Takes a `Generation` that was made, gives its `Evaluation`s. What cannot be measured is a
row without a value and with a reason; it never stops the run.
"""

import json
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from vexpress.errors import InputError, RunError, raise_if_interrupted
from vexpress.faces.backends import BACKENDS
from vexpress.faces.embedding import FaceEmbedder, embedder_file, load_face_embedder
from vexpress.faces.points import Face, FaceDetector
from vexpress.faces.portrait import read_portrait
from vexpress.media.video import read_frames
from vexpress.metrics.identity import LikenessScorer
from vexpress.metrics.keypoints import KpsScorer, nearest_face
from vexpress.metrics.lip_sync import LipSyncScorer, SyncNetScorer
from vexpress.metrics.picture import FlickerScorer, SharpnessScorer
from vexpress.metrics.table import METRICS, VIDEO_METRICS, Measured, unmeasured
from vexpress.schemas.errors import stop_when_full
from vexpress.schemas.evaluation import Evaluation
from vexpress.schemas.generation import Generation
from vexpress.schemas.row import Model
from vexpress.sync.estimate import SYNCNET_FILES, SYNCNET_LICENCE, find_syncnet
from vexpress.sync.lips import LipReader, lip_reader_files
from vexpress.sync.syncnet import SyncNet, load_syncnet
from vexpress.tasks.curate.faces import FaceConfig, FaceScorer, open_detector
from vexpress.tasks.curate.scores.identity import FaceEmbeddingScorer, IdentityConfig
from vexpress.tasks.curate.scores.lips import LipConfig, LipScorer
from vexpress.tasks.engine.component import make_key
from vexpress.tasks.engine.step import Rejection, Resources, Step
from vexpress.tasks.engine.weights import Weights, file_digest, read_weights
from vexpress.tasks.generate.request_clips import reference_picture

log = logging.getLogger(__name__)


class MeasureConfig(Model):
    """What measures a video."""

    faces: FaceConfig = FaceConfig()
    """What finds the face; the same as found the points that drive makes fair numbers."""
    identity: Literal["auto", "arcface", "dlib"] = "auto"
    """What tells persons apart: `arcface` from an insightface pack under the weights, where
    one has it, else `dlib`."""
    identity_model: str = "auto"
    """insightface pack or folder with a recognition model; `auto`: the first that is here."""
    identity_frames: int = Field(16, ge=1)
    """Frames of a video whose face is compared with the reference's, evenly spread."""


class EvaluateVideo(Step[Generation]):
    """All numbers of one video."""

    NAME: ClassVar[str] = "evaluate"
    TAKES = Generation
    RESOURCES = Resources(cpus=1, gpus=1)
    IN_LEDGER: ClassVar[bool] = False  # the table itself says what is done

    def __call__(self, row: Generation) -> Iterator[Model]:
        """Yield the evaluations of one video."""
        key = self.key(row)
        for found in self._measure(row):
            yield evaluation_of(row, found, key, failed=found.reason == "failed")

    def key(self, row: Generation) -> str:
        """Return a hash of all that the numbers of a video depend on."""
        return self.key_of(row.request_id, row.finished_at)

    def key_of(self, request_id: str, finished_at: str) -> str:
        """Return the key of the video of a request, made at a time."""
        versions = ",".join(f"{m.name}={m.version}" for m in VIDEO_METRICS)
        settings, digest = self.config.model_dump_json(), self.weights_digest
        return make_key(self.NAME, versions, settings, digest, request_id, finished_at)

    @cached_property
    def weights_digest(self) -> str:
        """Digest of the files of all models that measure."""
        faces, folder = self.config.faces, self.context.weights
        syncnet = find_syncnet(folder)
        files = [
            *BACKENDS[faces.backend].files(faces.model),
            embedder_file(self.config.identity, self.config.identity_model, folder),
            *lip_reader_files(),
            *([syncnet] if syncnet else []),
        ]
        return file_digest(files)

    def guarded(
        self,
        row: Any,
        work: Callable[[Any], Iterable[Model]],
        attempt: int = 1,
        name: str | None = None,
    ) -> list[Model]:
        """Return the rows of `work(row)`; what breaks gives rows that say so."""
        try:
            with stop_when_full(self.context.dataset.root):
                return list(work(row))
        except RunError:
            raise
        except Exception as error:
            raise_if_interrupted(error)
            log.warning("evaluating %s failed", row.request_id, exc_info=error)
            text = f"{type(error).__name__}: {error}"[:500]
            names = tuple(metric.name for metric in VIDEO_METRICS)
            rows = unmeasured(names, "failed", text)
            return [evaluation_of(row, found, self.key(row), failed=True) for found in rows]

    def _measure(self, row: Generation) -> Iterator[Measured]:
        names = tuple(metric.name for metric in VIDEO_METRICS)
        if not row.out_path or not self.context.dataset.exists(row.out_path):
            text = f"expected the video at {row.out_path}, found none"
            yield from unmeasured(names, "no_video", text)
            return
        with self.context.dataset.local_copy(row.out_path) as video:
            scorers = list(self._scorers(row, video))
            for number, (_, picture) in enumerate(read_frames(video, row.width, row.height)):
                face = self._face(picture, row.asked_kps, number)
                for scorer in scorers:
                    scorer.see(number, picture, face)
            found = [m for scorer in scorers for m in results_of(scorer)]
        yield from found
        yield from self._without_numbers(row, {m.name for m in found})

    def _scorers(self, row: Generation, video: Path) -> Iterator[Any]:
        every = max(1, (row.frames or 1) // self.config.identity_frames)
        if row.asked_kps is not None and len(row.asked_kps):
            yield KpsScorer(row.asked_kps, self._detector.name)
        yield FlickerScorer()
        yield LipSyncScorer(self._lip_reader, video, row.fps)
        if self._syncnet is not None:
            yield SyncNetScorer(self._syncnet, video, row.fps)
        portrait = self._portrait(row)
        if isinstance(portrait, Reference):
            yield SharpnessScorer(portrait.image_bgr)
            if portrait.vector is not None:
                yield LikenessScorer(self._embedder, portrait.vector, every)

    def _without_numbers(self, row: Generation, found: set[str]) -> Iterator[Measured]:
        """Every number that no scorer gave, with the reason why."""
        if self._syncnet is None:
            text = f"expected {SYNCNET_FILES[0]} under the weights, found none"
            yield from unmeasured(SyncNetScorer.NAMES, "no_model", text)
        portrait = self._portrait(row)
        if not isinstance(portrait, Reference):
            missing = tuple({"sharpness", *LikenessScorer.NAMES} - found)
            yield from unmeasured(missing, "no_reference", portrait)
        elif portrait.vector is None:
            yield from unmeasured(
                LikenessScorer.NAMES, "no_face", "no face is found in the reference"
            )
        if row.asked_kps is None or not len(row.asked_kps):
            yield from unmeasured(
                KpsScorer.NAMES, "no_points", "the request's points were not recorded"
            )

    def _face(self, picture: np.ndarray, asked: np.ndarray | None, frame: int) -> Face | None:
        faces = self._detector.detect(picture)
        if asked is None or not len(asked):
            return faces[0] if faces else None
        return nearest_face(faces, asked[min(frame, len(asked) - 1)])

    def _portrait(self, row: Generation) -> "Reference | str":
        """The reference as the model saw it, or why it cannot be had; the last one is kept."""
        wanted = row.reference, row.width, row.height, row.parameters
        if self._last_wanted != wanted:
            self._last_wanted, self._last = wanted, self._read_portrait(row)
        return self._last

    def _read_portrait(self, row: Generation) -> "Reference | str":
        try:
            crop = bool(json.loads(row.parameters).get("auto_crop", False))
            size = row.width, row.height
            with reference_picture(self.context.dataset, row) as path:
                portrait = read_portrait(path, *size, self._detector, auto_crop=crop)
        except (InputError, Rejection) as error:
            return str(error)[:300]
        picture = np.ascontiguousarray(portrait.image[..., ::-1])
        face = nearest_face(self._detector.detect(picture), portrait.points)
        vector = self._embedder.embed(picture, face.points) if face else None
        return Reference(picture, vector)

    _last_wanted: tuple[Any, ...] | None = None
    _last: "Reference | str" = ""

    @cached_property
    def _detector(self) -> FaceDetector:
        return open_detector(self.config.faces, gpu=self.context.gpu)

    @cached_property
    def _embedder(self) -> FaceEmbedder:
        folder, gpu = self.context.weights, self.context.gpu
        return load_face_embedder(self.config.identity, self.config.identity_model, folder, gpu=gpu)

    @cached_property
    def _lip_reader(self) -> LipReader:
        return LipReader()

    @cached_property
    def _syncnet(self) -> SyncNet | None:
        file = find_syncnet(self.context.weights)
        return load_syncnet(file, gpu=self.context.gpu) if file else None


@dataclass(frozen=True)
class Reference:
    """The portrait as the model saw it, uint8 (height, width, 3) BGR, and its face's vector."""

    image_bgr: np.ndarray
    vector: np.ndarray | None


def results_of(scorer: Any) -> list[Measured]:
    """Return a scorer's numbers; one that breaks takes none of the others with it."""
    try:
        return list(scorer.results())
    except Exception as error:
        raise_if_interrupted(error)
        log.warning("%s failed", type(scorer).__name__, exc_info=error)
        return unmeasured(scorer.NAMES, "failed", f"{type(error).__name__}: {error}"[:500])


def resolve_measuring(
    config: MeasureConfig, weights: Path | None
) -> tuple[MeasureConfig, list[str]]:
    """Return the configuration with definite models, and what they are in words.

    Raises ConfigError for a model that is asked for and is not here.
    """
    faces, found_by = FaceScorer.resolve(config.faces, weights)
    asked = IdentityConfig(backend=config.identity, model=config.identity_model)
    identity, told_by = FaceEmbeddingScorer.resolve(asked, weights)
    changes = {"faces": faces, "identity": identity.backend, "identity_model": identity.model}
    return config.model_copy(update=changes), [str(found_by), str(told_by)]


def used_weights(config: MeasureConfig, weights: Path | None) -> list[Weights]:
    """Return the models that measure videos with a resolved configuration. Their files are read."""
    identity = IdentityConfig(backend=config.identity, model=config.identity_model)
    found = [*FaceScorer.weights(config.faces), *FaceEmbeddingScorer.weights(identity)]
    found += LipScorer.weights(LipConfig(wanted=True))
    if syncnet := find_syncnet(weights):
        found.append(read_weights("sync SyncNet", [syncnet], SYNCNET_LICENCE))
    return found


def evaluation_of(
    row: Generation, found: Measured, key: str, *, failed: bool = False
) -> Evaluation:
    """Return the row of one number of one video; `run_id` is filled in by the run."""
    return evaluation_row(found, key, failed=failed).model_copy(
        update={
            "request_id": row.request_id,
            "weights": row.weights,
            "weights_sha256": row.weights_sha256,
            "clip_id": row.clip_id,
        }
    )


def evaluation_row(found: Measured, key: str, *, failed: bool = False) -> Evaluation:
    """Return a row without a video."""
    metric = METRICS[found.name]
    status: Literal["measured", "unmeasurable", "failed"] = "measured"
    if found.value is None:
        status = "failed" if failed else "unmeasurable"
    return Evaluation(
        request_id=None,
        weights="",
        weights_sha256="",
        metric=found.name,
        version=metric.version,
        status=status,
        value=found.value,
        unit=metric.unit,
        better=metric.better,
        reason=found.reason,
        detail=found.detail,
        measured_by=found.by,
        count=found.count,
        key=key,
        run_id="",
        evaluated_at=datetime.now(UTC).isoformat(),
    )
