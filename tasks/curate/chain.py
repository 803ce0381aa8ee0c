"""The chain from sources to clips, one batch of videos at a time."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vexpress.schemas.clip import Clip
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.errors import stop_when_full
from vexpress.schemas.manifest import commit_batch
from vexpress.schemas.model import former_names
from vexpress.schemas.row import Model, Row, content_id
from vexpress.schemas.video import Video
from vexpress.tasks.curate.clips import CutClips, CutConfig
from vexpress.tasks.curate.config import CurateConfig
from vexpress.tasks.curate.crop import CropClip
from vexpress.tasks.curate.detect import DetectConfig, DetectVideo
from vexpress.tasks.curate.features import ExtractFeatures
from vexpress.tasks.curate.filter import FilterClip, PreFilterClip, PreFilterConfig
from vexpress.tasks.curate.keypoints import ExtractKps
from vexpress.tasks.curate.other_faces import WatchOtherFaces
from vexpress.tasks.curate.probe import ProbeSettings, ProbeVideo
from vexpress.tasks.curate.scores.lips import LipConfig
from vexpress.tasks.curate.scores.measure import AddedScores, MeasureClip, ScoreConfig
from vexpress.tasks.curate.scores.syncnet import SyncNetConfig
from vexpress.tasks.curate.sound import TakeSound
from vexpress.tasks.curate.spans import LocateSpan, apart, files_of, known_content, video_of
from vexpress.tasks.curate.speaking import TellSpeaker
from vexpress.tasks.curate.speech.transcribe import TranscribeClip
from vexpress.tasks.curate.sync import SyncClip
from vexpress.tasks.curate.track import TrackFaces
from vexpress.tasks.curate.vad import DetectSpeech
from vexpress.tasks.engine.component import Component
from vexpress.tasks.engine.engine import Engine, Stage
from vexpress.tasks.engine.ledger import DoneSource, keep_ledger
from vexpress.tasks.engine.network import NetworkConfig
from vexpress.tasks.engine.step import Step, is_error
from vexpress.tasks.engine.units import Candidate, Source
from vexpress.tasks.engine.weights import Weights

CHAIN_VERSION = 1
ELSEWHERE = dict.fromkeys(("engine", "duplicates", "persons"), True)
"""Settings of no step."""
PLACE_IN_FINGERPRINT = "features"
"""Group whose place is part of fingerprints, as in version 0.1; another would change them all."""
DIGESTS = ("faces", "identity", "image", "speech", "features", "sync")
"""First words of the names of weights, in the order of their digests in fingerprints of version
0.1; those of other weights follow."""


@dataclass(frozen=True)
class Batch:
    """Sources that are committed together."""

    batch_id: str
    sources: list[Source]


def resolve(config: CurateConfig, weights: Path | None) -> tuple[CurateConfig, list[str]]:
    """Return the configuration with definite models, and what the user should know.

    Raises ConfigError when something asked for cannot be had.
    """
    found = {}
    notes = []
    for component, _ in components(config):
        if component.GROUP:
            group = getattr(config, component.GROUP)
            found[component.GROUP], note = component.resolve(group, weights)
            notes += [note] if note else []
    return config.model_copy(update=found), notes


def used_weights(config: CurateConfig) -> list[Weights]:
    """Return the weights of a resolved configuration, with the digest of their files."""
    return [w for component, settings in components(config) for w in component.weights(settings)]


def components(config: CurateConfig) -> list[tuple[type[Component], Any]]:
    """Return every step of the chain and every scorer, each with its settings."""
    steps: list[tuple[type[Step[Any]], Any]] = [
        (ProbeVideo, config.probe),
        *(step for stage in stages(config) for step in stage.steps),
    ]
    return [found for step, settings in steps for found in step.components(settings)]


def stages(config: CurateConfig) -> list[Stage]:
    """Return the chain after `probe`; neighbours in one stage share a worker."""
    detect = DetectConfig(scenes=config.scenes, faces=config.faces)
    cut = CutConfig(clips=config.clips, crop=config.crop)
    return [
        Stage(
            (
                (LocateSpan, None),
                (DetectVideo, detect),
                (DetectSpeech, config.vad),
                (TrackFaces, config.track),
                (CutClips, cut),
                (PreFilterClip, PreFilterConfig(pre_filter=config.pre_filter, keep=config.keep)),
            )
        ),
        Stage(
            (
                (CropClip, config.crop),
                (ExtractKps, config.crop),
                (MeasureClip, measured(config)),
                (SyncClip, config.sync),
                (WatchOtherFaces, config.speaker),
                (TellSpeaker, config.speaker),
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
        **{name: getattr(config, name) for name in AddedScores.model_fields},
    )


def fingerprint(config: CurateConfig, weights: list[Weights]) -> str:
    """Return a hash of everything but the sources that the manifests depend on."""
    versions = [
        version
        for component, settings in components(config)
        for version in component.versions(settings)
    ]
    places = {
        component.GROUP: set(component.PLACES)
        for component, _ in components(config)
        if component.GROUP not in ("", PLACE_IN_FINGERPRINT) and component.PLACES
    }
    former = former_names(CurateConfig)
    groups = [
        f'"{former.get(name, name)}":{group.model_dump_json(exclude=places.get(name))}'
        for name, group in config
        if name not in ELSEWHERE and not _is_off(group)
    ]
    settings = f"{{{','.join(groups)}}}"
    digests = [w.sha256 for w in sorted(weights, key=_place_of_digest)]
    return content_id(CHAIN_VERSION, settings, versions, digests)


def _is_off(group: Model) -> bool:
    """Whether a group of settings is of a network that is not used: then all is as without it."""
    return isinstance(group, NetworkConfig) and group.model in (None, "auto")


def _place_of_digest(weights: Weights) -> int:
    first = weights.name.split()[0]
    return DIGESTS.index(first) if first in DIGESTS else len(DIGESTS)


def stamp(source: Source, config_fingerprint: str) -> str:
    """Return what must be unchanged for `source` to count as done."""
    listed = [source.span.model_dump_json()] if source.span else []
    return content_id(
        source.size_bytes, source.modified, source.licence, config_fingerprint, *listed
    )


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
                    content_hash=known_content(done[source.uri][0]),
                    listed=source.model_dump_json() if source.span else None,
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

    further = sorted({n for s in batch.sources if s.span for n in s.span.source_columns})
    commit_batch(dataset, batch.batch_id, rows(), further)
    known = {v.source: same_content(v, by_id) for v in videos}
    return {uri: (v, v.is_error or v.video_id in failed) for uri, v in known.items()}


def probe(batch: Batch, engine: Engine, config: CurateConfig) -> list[Video]:
    """Return the batch's videos in order of their sources, copies marked as such."""
    asked = ProbeSettings(**config.probe.model_dump(), track=config.sound.track)
    files = files_of(batch.sources)
    answers: Any = engine.run([Stage(((ProbeVideo, asked),))], files)
    found = {video.source: video for video in answers}
    listed = [video_of(source, found.get(source.file)) for source in batch.sources]
    videos = apart(sorted(listed, key=lambda video: video.source), engine.ledger)
    keys = [v.content_key for v in videos if v.content_key]
    first = dict(engine.ledger.first_sources(keys))
    marked = []
    for video in videos:
        copy_of = None
        if video.status == "ok":
            original = first.setdefault(str(video.content_key), video.source)
            copy_of = original if original != video.source else None
        marked.append(video.model_copy(update={"duplicate_of": copy_of}))
    return marked


def same_content(video: Video, by_id: dict[str, Video]) -> Video:
    """Return `video` with what the chain found out about its content."""
    known = by_id.get(video.video_id, video)
    names = [
        "source",
        "licence",
        "duplicate_of",
        *(["span"] if known.source != video.source else []),
    ]
    return known.model_copy(update={name: getattr(video, name) for name in names})


def finished(unit: Any, videos: dict[str, Video], batch_id: str) -> Row:
    """Return the manifest row of what came out of the chain."""
    row: Any = unit.clip if isinstance(unit, Candidate) else unit
    changes = {"batch_id": batch_id}
    if isinstance(row, Clip):
        changes["source"] = videos[row.video_id].source
    renamed: Row = row.model_copy(update=changes)
    return renamed
