"""Make one video of a request; the model stays loaded from one request to the next.

The video is written under another name, then a note of what was made (a row of
`generations`), then the video gets its name. A run killed between those finds the note and
makes nothing twice: `found_made`.
"""

import logging
import tempfile
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from vexpress.errors import (
    InputError,
    PointsError,
    PortraitError,
    RunError,
    SettingsError,
    SoundError,
    raise_if_interrupted,
)
from vexpress.faces.points import FaceDetector
from vexpress.faces.portrait import Portrait, read_portrait
from vexpress.hashes import sha256_of_file
from vexpress.inference.generate import Prepared, prepare, render
from vexpress.inference.loading import detector_for, load_pipeline
from vexpress.inference.pipeline import VExpressPipeline
from vexpress.inference.request import Request
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.errors import ConfigError, stop_when_full
from vexpress.schemas.generation import Generation
from vexpress.schemas.row import Model
from vexpress.tasks.engine.step import Rejection
from vexpress.tasks.generate.config import GenerateConfig
from vexpress.tasks.generate.request_clips import write_inputs
from vexpress.tasks.generate.requests import PlannedVideo, new_row
from vexpress.tasks.generate.weights import UsedWeights

log = logging.getLogger(__name__)

FOLDER = "generations"
PORTRAITS = 4
"""Portraits whose features a worker keeps."""
REASONS = {
    PortraitError: "bad_portrait",
    SoundError: "bad_sound",
    PointsError: "bad_points",
    SettingsError: "bad_settings",
    InputError: "bad_input",
}


class GenerateJob(Model):
    """What all workers of a run share."""

    run_id: str
    root: str
    """The data set."""
    config: GenerateConfig
    weights: UsedWeights
    folder: str | None
    """Folder of the weights."""
    device: str
    """`cpu`, `cuda`, or empty for the best there is."""


@dataclass(frozen=True)
class KnownPortrait:
    """A portrait that was read, and what the reference net makes of it."""

    portrait: Portrait
    features: Mapping[str, torch.Tensor] | None


class Generator:
    """Makes videos, one after another."""

    def __init__(self, job: GenerateJob, worker: str = "local") -> None:
        self.job = job
        self.worker = worker
        self.dataset = Dataset(job.root, FOLDER)
        self._portraits: OrderedDict[str, KnownPortrait] = OrderedDict()

    @cached_property
    def pipeline(self) -> VExpressPipeline:
        """The model, loaded when it is first needed."""
        model = self.job.config.model
        preview = Path(model.preview_vae) if model.preview_vae else None
        devices = [self.job.device] if self.job.device else []
        pipeline = load_pipeline(
            model.preset, self._folder, model.dtype, devices, model.solver, preview
        )
        pipeline.set_progress_bar_config(disable=True)
        return pipeline

    @cached_property
    def detector(self) -> FaceDetector:
        """The face detector."""
        return detector_for(self.job.config.model.face_model, self._folder)

    @property
    def _folder(self) -> Path | None:
        return Path(self.job.folder) if self.job.folder else None

    def load(self) -> str:
        """Load everything; return who this is."""
        _ = self.pipeline, self.detector
        return self.worker

    def make(self, planned: PlannedVideo, attempt: int = 1) -> Generation:
        """Return the row of the request; what is wrong with it never raises.

        What is wrong with the run does: RunError.
        """
        began, clock = datetime.now(UTC).isoformat(), time.monotonic()

        def row(**values: Any) -> Generation:
            return describe(
                planned,
                self.job,
                started_at=began,
                finished_at=datetime.now(UTC).isoformat(),
                seconds=round(time.monotonic() - clock, 3),
                attempt=attempt,
                worker=self.worker,
                **values,
            )

        try:
            with stop_when_full(self.job.root), tempfile.TemporaryDirectory() as inputs:
                return self._make(planned, attempt, Path(inputs), row)
        except RunError:
            raise
        except Rejection as rejection:
            return row(status="rejected", reason=rejection.reason, detail=rejection.detail)
        except InputError as error:
            return row(status="rejected", reason=REASONS[type(error)], detail=str(error))
        except (MemoryError, torch.OutOfMemoryError) as error:
            detail = f"{_first_line(error)}. Ask for a smaller or shorter video, or memory=low."
            return row(status="failed", reason="out_of_memory", detail=detail)
        except Exception as error:
            raise_if_interrupted(error)
            log.warning("request %s failed", planned.request_id, exc_info=error)
            return row(status="failed", reason="failed", detail=_first_line(error))

    def _make(self, planned: PlannedVideo, attempt: int, inputs: Path, row: Any) -> Generation:
        unfinished = f"{planned.request_id}.{self.job.run_id}.{attempt}.mp4"
        request = self._request(planned, inputs, self.dataset.scratch / unfinished)
        prepared, features = self._prepare(planned, request)
        result = render(prepared, self.pipeline, (), features)
        changed = [c for c, path in planned.files.items() if not _is_still(path, c, planned)]
        if changed:
            result.path.unlink()
            detail = f"{', '.join(changed)}: the file changed while the run went on; run again"
            return row(status="failed", reason="changed", detail=detail)
        made: Generation = row(
            status="made",
            out_path=video_name(planned.request_id),
            asked_kps=prepared.points,
            frames=result.frames,
            notes=prepared.notes + self._notes(planned),
        )
        self.dataset.write(note_name(planned.request_id), made.model_dump_json().encode())
        self.dataset.publish(result.path, str(made.out_path))
        return made

    def _request(self, planned: PlannedVideo, inputs: Path, out: Path) -> Request:
        files: dict[str, Path] = {}
        if planned.clip:
            files |= write_inputs(self.dataset, planned.clip, inputs)
        files |= {column: Path(path) for column, path in planned.files.items()}
        settings = planned.parameters.settings(planned.strategy)
        return Request(
            **files, out=out, sampling=planned.parameters.sampling, **settings.model_dump()
        )

    def _prepare(
        self, planned: PlannedVideo, request: Request
    ) -> tuple[Prepared, Mapping[str, torch.Tensor] | None]:
        known = self._portraits.get(planned.portrait_key)
        if known is None:
            size = request.width, request.height
            portrait = read_portrait(request.reference, *size, self.detector, request.auto_crop)
            known = KnownPortrait(portrait, None)
        limit = self.job.config.limits.sound_s
        prepared = prepare(request, self.detector, known.portrait, limit)
        if known.features is None and request.sampling.memory == "normal":
            features = self.pipeline.encode_reference(
                known.portrait.image, request.width, request.height
            )
            known = KnownPortrait(known.portrait, features)
        self._portraits[planned.portrait_key] = known
        self._portraits.move_to_end(planned.portrait_key)
        while len(self._portraits) > PORTRAITS:
            self._portraits.popitem(last=False)
        return prepared, known.features if request.sampling.memory == "normal" else None

    def _notes(self, planned: PlannedVideo) -> list[str]:
        driven = {"kps", "video"} & set(planned.files)
        ignored = planned.strategy == "fix_face" and driven
        return [f"fix_face: {', '.join(driven)} was not needed"] if ignored else []


def describe(planned: PlannedVideo, job: GenerateJob, **values: Any) -> Generation:
    """Return the row of a request that was looked at."""
    row = new_row(
        planned.table,
        planned.asked,
        planned.parameters,
        job.weights,
        **values
        | {
            "request_id": planned.request_id,
            "asked_id": planned.asked_id,
            "run_id": job.run_id,
        },
    )
    columns = {
        "reference": "reference",
        "audio": "audio",
        "kps": "driving_kps",
        "video": "driving_video",
    }
    paths: dict[str, Any] = {columns[c]: path for c, path in planned.files.items()}
    if planned.clip:
        dataset = Dataset(job.root)
        picture, sound = planned.clip.media_path, planned.clip.sound_path
        paths = {"reference": dataset.uri(picture), "audio": dataset.uri(sound)} | paths
    return row.model_copy(update={**paths, "strategy": planned.strategy.value})


def video_name(request_id: str) -> str:
    """Return where a video lies in the data set."""
    return f"{FOLDER}/{request_id}.mp4"


def note_name(request_id: str) -> str:
    """Return where a video's row lies until it is in the manifest."""
    return f"{FOLDER}/{request_id}.json"


def found_made(dataset: Dataset) -> list[Generation]:
    """Return the rows of videos that a killed run made and did not get to write down."""
    videos = set(dataset.names(f"{FOLDER}/*.mp4"))
    found = []
    for name in dataset.names(f"{FOLDER}/*.json"):
        if f"{name.removesuffix('.json')}.mp4" in videos:
            found.append(Generation.model_validate_json(dataset.read(name)))
        else:
            dataset.fs.rm_file(dataset.path(name))
    return found


def forget_notes(dataset: Dataset, rows: list[Generation]) -> None:
    """Remove the notes of rows that are in the manifest now."""
    for row in rows:
        name = note_name(row.request_id)
        if row.status == "made" and dataset.exists(name):
            dataset.fs.rm_file(dataset.path(name))


def _is_still(path: str, column: str, planned: PlannedVideo) -> bool:
    try:
        return sha256_of_file(Path(path)) == planned.digests[column]
    except OSError:
        return False


def _first_line(error: BaseException) -> str:
    lines = str(error).splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"[:500]


def require_device(job: GenerateJob) -> None:
    """Raise ConfigError where this process shall use a GPU and has none."""
    if job.config.workers.gpus_per_worker and not torch.cuda.is_available():
        raise ConfigError(
            f"workers.gpus_per_worker={job.config.workers.gpus_per_worker:g}: expected a CUDA "
            "device here, found none. Set it to 0, or workers.kind to ray."
        )
