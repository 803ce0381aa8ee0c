"""The folder of a training run: made once, and recognised when it is resumed.

RUN/run.json              source, settings, and the snapshot of the data set it began with
RUN/clips.safetensors     the clips, as they were when the run started
RUN/files/                videos and sound of the clips, where the data set is remote
RUN/stage_N/…             see vexpress/training/stage_job.py
RUN/weights/              what is exported in the end
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vexpress.files import write_text
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.errors import ConfigError
from vexpress.schemas.manifest import write_part
from vexpress.schemas.metric import TrainingMetric
from vexpress.schemas.row import content_id
from vexpress.tasks.train.clips import gather_clips
from vexpress.tasks.train.row import newest_snapshot
from vexpress.tasks.train.settings import make_settings
from vexpress.training.clips import ClipFiles, ClipIndex, TrainingClip, check_lengths, write_index
from vexpress.training.gates import Gate
from vexpress.training.metrics_log import read_metrics
from vexpress.training.published_list import read_list
from vexpress.training.settings import STAGE_NAMES, TrainSettings
from vexpress.training.stage_job import CLIPS, StageJob

NOTE, SNAPSHOT, FILES = "run.json", "snapshot", "files"
FREE = (
    *("engine.kind", "engine.cpus_per_worker", "engine.max_failures", "engine.sharding"),
    *("engine.save_every", "engine.keep_last", "engine.validate_every", "engine.loggers"),
    *("gates.", "data.loader_workers", "snapshot"),
)
"""Settings that may differ when a run is resumed: they do not change what is learned."""


def absolute_paths(
    source: str, run: str, settings: TrainSettings
) -> tuple[str, Path, TrainSettings]:
    """Source, run's folder and settings whose paths mean the same on every machine that sees
    them: Ray's workers start in another folder. A URI stays as it is."""
    given = {"start": settings.start, "vae": settings.vae}
    found = {name: _absolute(path) for name, path in given.items() if path}
    named = source if "://" in source else str(_absolute(Path(source)))
    return named, _absolute(Path(run)), settings.derive(**found)


def open_run(run: Path, source: str, settings: TrainSettings, stages: Sequence[int]) -> None:
    """Make the run's folder, or check that it is of the same source and settings.

    Raises ConfigError that shows every difference, and ClipError for clips that are shorter
    than a sample of one of the `stages`.
    """
    if source.endswith(".json") and settings.where:
        raise ConfigError("where: expected a data set to filter, found a JSON list")
    wanted = {"source": source, **settings.model_dump(mode="json")}
    note = run / NOTE
    if note.is_file():
        _check_same(note, wanted)
    elif run.exists() and any(path.name != FILES for path in run.iterdir()):
        raise ConfigError(f"{run}: expected a training run or an empty folder, found other files")
    if not (run / CLIPS).is_file():
        snapshot = newest_snapshot(source)
        clips = list_clips(source, settings.where, run / FILES)
        _check_lengths([clip.files for clip in clips], settings, stages)
        _write_note(note, {**wanted, SNAPSHOT: snapshot})
        write_index(run / CLIPS, clips)
    else:
        _check_lengths(ClipIndex(run / CLIPS).clips, settings, stages)
        _write_note(note, {**wanted, SNAPSHOT: read_snapshot(run)})


def read_snapshot(run: Path) -> str | None:
    """Which snapshot of the data set the run's clips are of; None where that is not known."""
    note = run / NOTE
    found: str | None = json.loads(note.read_text()).get(SNAPSHOT) if note.is_file() else None
    return found


def list_clips(source: str, where: str, folder: Path) -> list[TrainingClip]:
    """The clips of a data set, whose files come into `folder` where it is remote, or of a
    published list (.json)."""
    if not source.endswith(".json"):
        return gather_clips(Dataset(source), where, folder)
    return read_list(Path(source))


def record_stage(job: StageJob, source: str, gates: list[Gate]) -> None:
    """Write the stage's numbers into the run, and into the data set's table `training`."""
    metrics = read_metrics(job.folder / "metrics.jsonl")
    if not metrics:
        return  # lost since the stage was finished; what was written then stays
    rows = [*metric_rows(job, metrics), *_gate_rows(job, metrics, gates)]
    local = Dataset(job.run)
    write_part(local, f"stage_{job.number}/metrics.parquet", TrainingMetric, rows)
    if not source.endswith(".json"):
        part = f"{content_id(job.run.resolve())}-stage_{job.number}"
        write_part(Dataset(source), f"manifests/training/{part}.parquet", TrainingMetric, rows)


def metric_rows(job: StageJob, metrics: list[dict[str, Any]]) -> Iterator[TrainingMetric]:
    """A row for every number of the log."""
    for line in metrics:
        for name in line.keys() - {"step", "kind", "at"}:
            yield TrainingMetric(
                run=str(job.run.resolve()),
                stage=job.number,
                step=line["step"],
                kind=line["kind"],
                name=name,
                value=line[name],
                at_s=line["at"],
            )


def _gate_rows(
    job: StageJob, metrics: list[dict[str, Any]], gates: list[Gate]
) -> Iterator[TrainingMetric]:
    for gate in gates:
        yield TrainingMetric(
            run=str(job.run.resolve()),
            stage=job.number,
            step=metrics[-1]["step"],
            kind="gate",
            name=gate.name,
            value=gate.value,
            rule=gate.rule,
            passed=gate.passed,
            at_s=metrics[-1]["at"],
        )


def _absolute(path: Path) -> Path:
    return path.expanduser().resolve()


def _write_note(note: Path, content: dict[str, Any]) -> None:
    """Write the note where it says something else: whole, or not at all."""
    text = json.dumps(content, indent=1)
    if note.is_file() and note.read_text() == text:
        return
    write_text(note, text)


def _check_lengths(
    clips: Sequence[ClipFiles], settings: TrainSettings, stages: Sequence[int]
) -> None:
    """Check the stage of the longest samples: else it is found out when those before are done."""
    longest = max(stages, key=lambda number: settings.stage(number).frames)
    needed = settings.stage(longest).frames + settings.data.reference_margin
    check_lengths(clips, needed, longest)


def _check_same(note: Path, wanted: dict[str, Any]) -> None:
    before, now = dict(_flat(_completed(note, wanted))), dict(_flat(wanted))
    differs = [
        f"  {key}: was {before.get(key)!r}, is {now.get(key)!r}"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key) and not key.startswith(FREE)
    ]
    if differs:
        raise ConfigError(
            f"{note.parent}: expected the settings this run was started with, found others:\n"
            + "\n".join(differs)
            + "\nStart a new run for them, or give the old ones to resume this one."
        )


def _completed(note: Path, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """What a note says, which an earlier version may have written: settings that it did not
    know are as in the preset, stages that it did not know are as they are `wanted` now."""
    try:
        noted = json.loads(note.read_text())
        beside = {key: noted.pop(key) for key in ("source", SNAPSHOT) if key in noted}
        stages = {name: wanted[name] for name in STAGE_NAMES}
        settings = make_settings(noted["preset"], {**stages, **noted})
    except (ValueError, KeyError, TypeError, AttributeError, ConfigError) as error:
        raise ConfigError(f"{note} is damaged ({error}). Start a new run.") from error
    return {**beside, **settings.model_dump(mode="json")}


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
