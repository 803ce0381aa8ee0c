"""Raw videos to a data set, batch after batch.

A run that was stopped goes on where it was; one that is finished does nothing again.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from vexpress.schemas.dataset import Dataset
from vexpress.schemas.duplicate import Duplicate
from vexpress.schemas.errors import DatasetError, stop_when_full
from vexpress.schemas.manifest import begin_run, prepare_manifests, write_run
from vexpress.schemas.person import ClipPerson
from vexpress.schemas.query import fetch_rows, run_query
from vexpress.schemas.row import Model
from vexpress.schemas.run import Run, new_run_id
from vexpress.schemas.text import counted
from vexpress.schemas.video import Video
from vexpress.tasks.curate.across.duplicates import find_duplicates
from vexpress.tasks.curate.across.persons import find_persons
from vexpress.tasks.curate.chain import (
    Batch,
    Weights,
    curate_batch,
    fingerprint,
    plan_batches,
    resolve,
    used_weights,
)
from vexpress.tasks.curate.config import CurateConfig
from vexpress.tasks.curate.features import why_not_trainable
from vexpress.tasks.curate.missing_files import sources_with_missing_files
from vexpress.tasks.curate.progress import CurateProgress
from vexpress.tasks.engine.engine import Engine, open_engine
from vexpress.tasks.engine.monitor import Monitor
from vexpress.tasks.engine.step import Context
from vexpress.tasks.engine.units import Source
from vexpress.tasks.media.source import (
    describe_again,
    left_out_note,
    list_with_left_out,
    total_duration,
)
from vexpress.tasks.reports.dataset_page import write_report
from vexpress.weights.catalogue import weights_folder

LIBRARIES = ("vexpress", "prefect", "ray", "av", "scenedetect", "insightface", "onnxruntime")


class CurateReport(Model):
    """What a run did."""

    run_id: str
    """Row of the table `runs`."""
    videos: int
    """Sources that were planned; those already done are not."""
    videos_done_before: int
    """Sources found unchanged and already done."""
    videos_failed: int = 0
    """Sources of this run and done before that cannot be used at all, such as unreadable files."""
    clips_kept: int
    """Clips kept, of the sources of this run."""
    clips_rejected: int
    """Candidates rejected, of the sources of this run."""
    kept_hours: float
    """Hours kept in the whole data set."""
    report: str
    """The page to look at."""
    sheets: list[str]
    """Contact sheets that were drawn now, by their names in the data set."""
    notes: list[str]
    """What the user should know: models chosen, steps skipped."""
    not_trainable: str | None = None
    """Why the clips cannot be trained on yet, and what to do; null where they can."""


@dataclass
class CurateRun:
    """A run in the making."""

    label: str
    dataset: Dataset
    config: CurateConfig
    weights: list[Weights]
    notes: list[str]
    engine: Engine
    monitor: Monitor
    progress: CurateProgress
    started: datetime
    run_id: str

    @property
    def mark(self) -> str:
        """Fingerprint of everything but the sources."""
        return fingerprint(self.config, self.weights)


def curate_dataset(
    source: str,
    dataset: str,
    config: CurateConfig = CurateConfig(),
    weights: str | None = None,
    licence: str | None = None,
    limit: int | None = None,
    monitor: Monitor = Monitor(),
    root: str | None = None,
) -> CurateReport:
    """Turn raw talking-head videos into clips, V-Kps, sound and manifests.

    Args:
        source: File, folder (with all below it), glob, or list (.txt, .csv, .json, .jsonl,
            .parquet) of videos or of spans of videos; local or s3://. Never written to.
        dataset: Folder or s3:// prefix of the data set; made if it is not there.
        config: Settings of every step; the preset `default` where nothing is said.
        weights: Folder with models (insightface/models/…, wav2vec2-base-960h); else that of
            VEXPRESS_WEIGHTS where the run runs.
        licence: Licence note to record for every source that does not bring its own.
        limit: Only the first N sources.
        monitor: Told what the run does.
        root: Folder of the videos that a list names by relative paths or ids; else the list's own.

    Returns:
        What the run did, and the page to look at.

    Raises:
        RunError: A source list, setting, model or data set that cannot be used, a
            data set that another run writes to, or a full disk; it says what to do. What is
            wrong with a single video is a row of the data set, no error.
    """
    found, left_out = list_with_left_out(source, root)
    listed = found[:limit]
    noted = [s if s.licence else s.model_copy(update={"licence": licence}) for s in listed]
    notes = [left_out_note(left_out)] if left_out else []
    return _run(source, noted, dataset, config, weights, monitor, notes)


def retry_failures(
    dataset: str, weights: str | None = None, monitor: Monitor = Monitor()
) -> CurateReport:
    """Run again what was rejected because something failed, with the last run's settings.

    Args:
        dataset: Folder or s3:// prefix of the data set.
        weights: Folder with models; else that of VEXPRESS_WEIGHTS.
        monitor: Told what the run does.

    Returns:
        What the run did, and the page to look at.

    Raises:
        RunError: As `curate_dataset`; also where no finished run has left settings.
    """
    data = Dataset(dataset)
    data.require()
    query = "SELECT config FROM runs WHERE kind = 'curate' ORDER BY started_at DESC LIMIT 1"
    last = run_query(data, query).fetchall()
    if not last:
        raise DatasetError(f"{dataset}: expected a finished run to take settings from, found none")
    config = CurateConfig.model_validate_json(last[0][0])
    return _run("retry", None, dataset, config, weights, monitor)


def _run(
    label: str,
    sources: list[Source] | None,
    dataset: str,
    config: CurateConfig,
    weights: str | None,
    monitor: Monitor,
    told: Sequence[str] = (),
) -> CurateReport:
    folder = weights_folder(weights)
    config, notes = resolve(config, folder)
    notes = [*notes, *told]
    data = Dataset(dataset)
    with stop_when_full(data.root):
        data.create()
        prepare_manifests(data)
        progress = CurateProgress(monitor)
        started = datetime.now(UTC)
        context = Context(data, folder, config.engine.gpus_per_worker > 0, progress.advance)
        engine = open_engine(config.engine, context)
        job = CurateRun(
            label=label,
            dataset=data,
            config=config,
            weights=used_weights(config),
            notes=notes,
            engine=engine,
            monitor=monitor,
            progress=progress,
            started=started,
            run_id=new_run_id(started),
        )
        try:
            if sources is None:
                uris = engine.ledger.forget_failures()
                listed = engine.ledger.listed(uris)
                sources = [describe_again(uri, listed.get(uri)) for uri in uris]
            return _work(job, sources)
        finally:
            engine.close()


def _work(job: CurateRun, sources: list[Source]) -> CurateReport:
    for note in job.notes:
        job.monitor.info(note)
    job.engine.ledger.reopen(sources_with_missing_files(job.dataset))
    batches = plan_batches(sources, job.engine, job.config, job.mark)
    planned = [source for batch in batches for source in batch.sources]
    begun = _describe(job, len(planned), len(sources) - len(planned))
    if batches:
        begin_run(job.dataset, begun)
        with job.progress.expect(total_duration(planned)):
            for number, batch in enumerate(batches, 1):
                name = f"batch {number} of {len(batches)}"
                job.monitor.run("curate-batch", run_batch, batch, job, name=name)
    related = job.monitor.run("relate-clips", relate_clips, job)
    clips = count_clips(job.dataset, [batch.batch_id for batch in batches])
    run = _finished(job, begun, clips)
    sheets: list[str] = []
    if batches or related or _is_old("report.html", job.dataset):
        write_run(job.dataset, run)
        sheets = write_report(job.dataset).sheets
    kept_hours = run_query(job.dataset, "SELECT kept_hours FROM hours").fetchall()[0][0]
    return CurateReport(
        run_id=run.run_id,
        videos=run.videos,
        videos_done_before=run.videos_done_before,
        videos_failed=count_failed(job.dataset, sources),
        clips_kept=run.clips_kept,
        clips_rejected=run.clips_rejected,
        kept_hours=kept_hours,
        report=job.dataset.uri("report.html"),
        sheets=sheets,
        notes=job.notes,
        not_trainable=why_not_trainable(job.config.features),
    )


def run_batch(batch: Batch, job: CurateRun) -> None:
    """Run the chain over one batch of videos and commit it."""
    before = job.progress.counts.copy()
    curate_batch(batch, job.dataset, job.engine, job.config, job.mark, job.progress.see)
    counts = job.progress.counts - before
    said = ", ".join(f"{count} {reason}" for reason, count in counts.most_common())
    job.monitor.info(f"{counted(len(batch.sources), 'source')}: {said or 'no candidates'}")


def relate_clips(job: CurateRun) -> bool:
    """Find persons and duplicates across the whole data set; False where nothing has changed."""
    config, dataset = job.config, job.dataset
    changed = find_persons(dataset, config.persons) | find_duplicates(dataset, config.duplicates)
    if changed:
        persons, copies = run_query(dataset, RELATED).fetchall()[0]
        job.monitor.info(f"{counted(persons, 'person')}, {counted(copies, 'duplicate')}")
    return changed


RELATED = """
SELECT (SELECT count(DISTINCT person_id) FROM persons), (SELECT count(*) FROM duplicates)
"""


def count_clips(dataset: Dataset, batch_ids: list[str]) -> dict[str, int]:
    """Return how many clips of the batches are kept and rejected, duplicates among these."""
    rows = fetch_rows(dataset, COUNTED, batches=batch_ids)
    return {"kept": 0, "rejected": 0, **dict(rows)}


COUNTED = """
SELECT status, count(*) FROM clips WHERE list_contains($batches, batch_id) GROUP BY status
"""


def count_failed(dataset: Dataset, sources: list[Source]) -> int:
    """Return how many of the sources are rejected as a whole."""
    if not sources:
        return 0
    ((count,),) = fetch_rows(dataset, FAILED, sources=[source.uri for source in sources])
    return int(count)


FAILED = """
SELECT count(*) FROM videos SEMI JOIN (SELECT unnest($sources) AS source) USING (source)
WHERE status = 'rejected'
"""


def _is_old(report: str, dataset: Dataset) -> bool:
    """Whether clips were written after the report, or there is none: a run was stopped there."""
    tables = (Video.TABLE, Duplicate.TABLE, ClipPerson.TABLE)
    newest = max(dataset.modified(f"manifests/{table}") for table in tables)
    return dataset.modified(report) < newest


def _describe(job: CurateRun, planned: int, done_before: int) -> Run:
    """Return the row of a run that begins."""
    return Run.begun(
        job.run_id,
        "curate",
        job.label,
        job.started,
        engine=job.engine.name,
        config=job.config.model_dump_json(),
        libraries=LIBRARIES,
        weights=[asdict(weights) for weights in job.weights],
        notes=job.notes,
        counts={"videos": planned, "videos_done_before": done_before},
    )


def _finished(job: CurateRun, begun: Run, clips: dict[str, int]) -> Run:
    """Return the row with what became of the run."""
    tallies = job.engine.ledger.tallies()
    counts = {
        **json.loads(begun.counts),
        "clips_kept": clips["kept"],
        "clips_rejected": clips["rejected"],
        "units_run": sum(tally.run for tally in tallies.values()),
        "units_reused": sum(tally.reused for tally in tallies.values()),
    }
    return begun.finished(counts, {step: tally.seconds for step, tally in tallies.items()})
