"""The chain from sources to clips, one batch of videos at a time."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vexpress.faces.embedding import LICENCES as EMBEDDING_LICENCES
from vexpress.faces.points import LICENCES, dlib_model
from vexpress.schemas.clip import Clip
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.errors import stop_when_full
from vexpress.schemas.manifest import commit_batch
from vexpress.schemas.row import Row, content_id
from vexpress.schemas.video import Video
from vexpress.sync.estimate import SYNCNET_LICENCE
from vexpress.tasks.curate.clips import CutClips, CutConfig
from vexpress.tasks.curate.config import CurateConfig
from vexpress.tasks.curate.crop import CropClip
from vexpress.tasks.curate.detect import DetectConfig, DetectVideo
from vexpress.tasks.curate.faces import resolve_backend
from vexpress.tasks.curate.faces import weight_files as face_files
from vexpress.tasks.curate.features import ExtractFeatures, resolve_features
from vexpress.tasks.curate.features import weight_files as feature_files
from vexpress.tasks.curate.filter import FilterClip, PreFilterClip, PreFilterConfig
from vexpress.tasks.curate.keypoints import ExtractKps
from vexpress.tasks.curate.probe import ProbeSettings, ProbeVideo
from vexpress.tasks.curate.scenes import transnet_file
from vexpress.tasks.curate.scores.identity import resolve_identity
from vexpress.tasks.curate.scores.identity import weight_files as identity_files
from vexpress.tasks.curate.scores.image_quality import resolve_image_quality
from vexpress.tasks.curate.scores.image_quality import weight_files as network_files
from vexpress.tasks.curate.scores.lips import LipConfig
from vexpress.tasks.curate.scores.measure import MeasureClip, ScoreConfig
from vexpress.tasks.curate.scores.syncnet import SyncNetConfig
from vexpress.tasks.curate.sound import TakeSound
from vexpress.tasks.curate.speech.transcribe import PLACES as SPEECH_PLACES
from vexpress.tasks.curate.speech.transcribe import TranscribeClip, resolve_speech
from vexpress.tasks.curate.speech.transcribe import weight_files as speech_files
from vexpress.tasks.curate.sync import SyncClip, resolve_sync
from vexpress.tasks.curate.track import TrackFaces
from vexpress.tasks.curate.vad import DetectSpeech
from vexpress.tasks.engine.engine import Engine, Stage
from vexpress.tasks.engine.ledger import DoneSource, keep_ledger
from vexpress.tasks.engine.step import Step, file_digest, is_error
from vexpress.tasks.engine.units import Candidate, Source

CHAIN_VERSION = 1
PLACES: dict[str, set[str]] = {
    **{name: {"model"} for name in ("faces", "identity", "image_quality", "sync")},
    "speech": set(SPEECH_PLACES),
}
"""Settings that only say where something lies."""
ELSEWHERE = dict.fromkeys(("engine", "duplicates", "persons"), True)
"""Settings of no step."""


@dataclass(frozen=True)
class Weights:
    """Weights that a run uses."""

    name: str
    files: list[str]
    sha256: str
    licence: str


@dataclass(frozen=True)
class Batch:
    """Sources that are committed together."""

    batch_id: str
    sources: list[Source]


def resolve(config: CurateConfig, weights: Path | None) -> tuple[CurateConfig, list[str]]:
    """Return the configuration with definite models, and what the user should know.

    Raises ConfigError when something asked for cannot be had.
    """
    if config.scenes.detector == "transnet":
        transnet_file(weights)
    faces, about_faces = resolve_backend(config.faces, weights)
    features, about_features = resolve_features(config.features, weights)
    identity, about_identity = resolve_identity(config.identity, weights)
    network, about_network = resolve_image_quality(config.image_quality, weights)
    sync, about_sync = resolve_sync(config.sync, weights)
    speech, about_speech = resolve_speech(config.speech, weights)
    changes = {
        "faces": faces,
        "identity": identity,
        "image_quality": network,
        "sync": sync,
        "speech": speech,
        "features": features,
    }
    told = [about_faces, about_identity, about_network, about_sync, about_speech, about_features]
    return config.model_copy(update=changes), told


def used_weights(config: CurateConfig) -> list[Weights]:
    """Return the weights of a resolved configuration, with the digest of their files."""
    found = [(f"faces {config.faces.backend}", face_files(config.faces), _licence(config))]
    if config.identity.backend != "none":
        name, files = f"identity {config.identity.backend}", identity_files(config.identity)
        found.append((name, files, EMBEDDING_LICENCES[config.identity.backend]))
    if network := network_files(config.image_quality):
        found.append(("image quality", network, "as given with the file"))
    if config.speech.model:
        note = "see the model's card (Whisper: MIT)"
        found.append((f"speech {config.speech.backend}", speech_files(config.speech), note))
    if config.features.model:
        note = "see the model's card (wav2vec2-base-960h: Apache-2.0)"
        found.append(("features wav2vec2", feature_files(config.features.model), note))
    if config.sync.model:
        found.append(("sync SyncNet", [Path(config.sync.model)], SYNCNET_LICENCE))
    else:
        model = [dlib_model("shape_predictor_68_face_landmarks.dat")]
        found.append(("sync lip landmarks", model, LICENCES["dlib"]))
    return [
        Weights(name, [str(file) for file in files], file_digest(files), licence)
        for name, files, licence in found
    ]


def _licence(config: CurateConfig) -> str:
    return LICENCES[config.faces.backend]


def stages(config: CurateConfig) -> list[Stage]:
    """Return the chain after `probe`; neighbours in one stage share a worker."""
    watch = DetectConfig(scenes=config.scenes, faces=config.faces)
    plan = CutConfig(clips=config.clips, crop=config.crop)
    return [
        Stage(
            (
                (DetectVideo, watch),
                (DetectSpeech, config.vad),
                (TrackFaces, config.track),
                (CutClips, plan),
                (PreFilterClip, PreFilterConfig(pre_filter=config.pre_filter, keep=config.keep)),
            )
        ),
        Stage(
            (
                (CropClip, config.crop),
                (ExtractKps, config.crop),
                (MeasureClip, measured(config)),
                (SyncClip, config.sync),
                (TakeSound, config.sound),
            )
        ),
        Stage(
            (
                (TranscribeClip, config.speech),
                (ExtractFeatures, config.features),
                (FilterClip, config.keep),
            )
        ),
    ]


def measured(config: CurateConfig) -> ScoreConfig:
    """Return what the scorers of finished clips are told; with SyncNet no lips are read."""
    lips = LipConfig(wanted=config.sync.model is None)
    return ScoreConfig(
        quality=config.quality,
        image_quality=config.image_quality,
        identity=config.identity,
        lips=lips,
        syncnet=SyncNetConfig(model=config.sync.model),
    )


def fingerprint(config: CurateConfig, weights: list[Weights]) -> str:
    """Return a hash of everything but the sources that the manifests depend on."""
    steps: list[type[Step[Any]]] = [
        ProbeVideo,
        *(step for stage in stages(config) for step, _ in stage.steps),
    ]
    versions = [version for step in steps for version in step.versions()]
    digests = [w.sha256 for w in weights]
    settings = config.model_dump_json(exclude={**ELSEWHERE, **PLACES}, by_alias=True)
    return content_id(CHAIN_VERSION, settings, versions, digests)


def stamp(source: Source, config_fingerprint: str) -> str:
    """Return what must be unchanged for `source` to count as done."""
    return content_id(source.size_bytes, source.modified, source.licence, config_fingerprint)


def plan_batches(
    sources: list[Source], engine: Engine, config: CurateConfig, mark: str
) -> list[Batch]:
    """Return the sources that are not done, in batches."""
    pending = [s for s in sources if not engine.ledger.is_done(s.uri, stamp(s, mark))]
    size = config.engine.batch_videos
    groups = [pending[i : i + size] for i in range(0, len(pending), size)]
    return [Batch(content_id(mark, [s.model_dump_json() for s in g]), g) for g in groups]


def curate_batch(
    batch: Batch,
    dataset: Dataset,
    engine: Engine,
    config: CurateConfig,
    mark: str,
    on_row: Callable[[Row], None],
) -> None:
    """Run the chain over a batch and commit it; `on_row` sees every row of the manifests.

    Raises FullDisk when nothing more can be written; what is done stays done.
    """
    with stop_when_full(dataset.root):
        # Files of clips are about to change: whoever stops now must not be taken for done.
        if engine.ledger.reopen([source.uri for source in batch.sources]):
            keep_ledger(dataset, engine.ledger)
        videos = probe(batch, engine, config)
        done = _commit(batch, videos, dataset, engine, config, on_row)
        engine.ledger.mark_done(
            [
                DoneSource(
                    uri=source.uri,
                    stamp=stamp(source, mark),
                    failed=done[source.uri][1],
                    content_hash=done[source.uri][0].content_hash,
                )
                for source in batch.sources
            ]
        )
        keep_ledger(dataset, engine.ledger)


def _commit(
    batch: Batch,
    videos: list[Video],
    dataset: Dataset,
    engine: Engine,
    config: CurateConfig,
    on_row: Callable[[Row], None],
) -> dict[str, tuple[Video, bool]]:
    """Return what became of each source, and whether anything of it failed."""
    failed: set[str] = set()
    by_id = {v.video_id: v for v in videos if v.duplicate_of is None}

    def rows() -> Iterator[Row]:
        for unit in engine.run(stages(config), [v for v in by_id.values() if v.status == "ok"]):
            row = finished(unit, by_id, batch.batch_id)
            if isinstance(row, Video):
                by_id[row.video_id] = row
                continue
            if is_error(row):
                failed.add(row.video_id)  # type: ignore[attr-defined]
            on_row(row)
            yield row
        for video in videos:
            row = same_content(video, by_id).model_copy(update={"batch_id": batch.batch_id})
            on_row(row)
            yield row

    commit_batch(dataset, batch.batch_id, rows())
    known = {v.source: same_content(v, by_id) for v in videos}
    return {uri: (v, v.is_error or v.video_id in failed) for uri, v in known.items()}


def probe(batch: Batch, engine: Engine, config: CurateConfig) -> list[Video]:
    """Return the batch's videos in order of their sources, copies marked as such."""
    asked = ProbeSettings(**config.probe.model_dump(), track=config.sound.track)
    found: Any = engine.run([Stage(((ProbeVideo, asked),))], batch.sources)
    videos = sorted(found, key=lambda video: video.source)
    hashes = [v.content_hash for v in videos if v.content_hash]
    first = dict(engine.ledger.first_sources(hashes))
    marked = []
    for video in videos:
        copy_of = None
        if video.status == "ok":
            original = first.setdefault(str(video.content_hash), video.source)
            copy_of = original if original != video.source else None
        marked.append(video.model_copy(update={"duplicate_of": copy_of}))
    return marked


def same_content(video: Video, by_id: dict[str, Video]) -> Video:
    """Return `video` with what the chain found out about its content."""
    known = by_id.get(video.video_id, video)
    changes = {name: getattr(video, name) for name in ("source", "licence", "duplicate_of")}
    return known.model_copy(update=changes)


def finished(unit: Any, videos: dict[str, Video], batch_id: str) -> Row:
    """Return the manifest row of what came out of the chain."""
    row: Any = unit.clip if isinstance(unit, Candidate) else unit
    changes = {"batch_id": batch_id}
    if isinstance(row, Clip):
        changes["source"] = videos[row.video_id].source
    renamed: Row = row.model_copy(update=changes)
    return renamed
