"""Generated videos to numbers, shard after shard.

A video that has its numbers is not measured again; a run that was stopped goes on where it
was.
"""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, cast

from vexpress.metrics.feature_network import find_network
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.errors import stop_when_full
from vexpress.schemas.evaluation import Evaluation
from vexpress.schemas.manifest import prepare_manifests, write_part, write_run
from vexpress.schemas.query import fetch_rows
from vexpress.schemas.row import Model
from vexpress.schemas.run import Run, new_run_id
from vexpress.tasks.engine.engine import Engine, Stage, open_engine
from vexpress.tasks.engine.monitor import Monitor
from vexpress.tasks.engine.step import Context
from vexpress.tasks.engine.weights import read_weights
from vexpress.tasks.evaluate.measure import EvaluateVideo, resolve_measuring, used_weights
from vexpress.tasks.evaluate.plan import (
    DONE,
    EvaluateConfig,
    EvaluationPlan,
    plan_evaluation,
    plan_sets,
    read_generations,
)
from vexpress.tasks.evaluate.progress import EvaluateProgress
from vexpress.tasks.evaluate.sets import FILES, SetMeasurer
from vexpress.tasks.reports.evaluation_page import PAGE, write_evaluation_report
from vexpress.weights.catalogue import weights_folder

LIBRARIES = ("vexpress", "prefect", "ray", "av", "torch", "insightface", "onnxruntime")


class EvaluateReport(Model):
    """What an evaluation did."""

    run_id: str
    """Row of the table `runs`, and of the rows of `evaluations` that it wrote."""
    videos: int
    """Videos measured now."""
    videos_done_before: int
    """Videos that had their numbers already."""
    failed: int
    """Videos of which something broke while they were measured."""
    report: str
    """The page to look at."""
    notes: list[str]
    """What the user should know: models chosen, models that are not here."""


@dataclass
class EvaluateRun:
    """An evaluation in the making."""

    run_id: str
    started: datetime
    dataset: Dataset
    config: EvaluateConfig
    checkpoint: str | None
    context: Context
    engine: Engine
    monitor: Monitor
    failed: int = 0

    @property
    def stage(self) -> Stage:
        """What measures a video."""
        return Stage(((EvaluateVideo, self.config.measure),))


def evaluate_videos(
    dataset: str,
    config: EvaluateConfig = EvaluateConfig(),
    weights: str | None = None,
    checkpoint: str | None = None,
    limit: int | None = None,
    monitor: Monitor = Monitor(),
) -> EvaluateReport:
    """Measure generated videos: V-Kps, likeness, sharpness, flicker, lips and sound, FID, FVD.

    Args:
        dataset: Folder or s3:// prefix of the data set with the table `generations`.
        config: Settings: what finds and tells faces, how much at once.
        weights: Folder with the models that measure (insightface/models/…,
            inception-2015-12-05.pt, i3d_torchscript.pt), each of which may be missing; else that
            of VEXPRESS_WEIGHTS where the run runs.
        checkpoint: Only videos made by these weights: their name, or the start of their SHA-256.
        limit: Only the first N videos.
        monitor: Told what the run does.

    Returns:
        How many videos were measured, and the page to look at.

    Raises:
        RunError: A data set, setting or model that cannot be used, or a full disk; it
            says what to do. What cannot be measured of a video is a row with its reason.
    """
    folder = weights_folder(weights)
    measure, notes = resolve_measuring(config.measure, folder)
    config = config.model_copy(update={"measure": measure})
    data = Dataset(dataset)
    data.require()
    with stop_when_full(data.root):
        prepare_manifests(data)
        context = Context(data, folder, config.engine.gpus_per_worker > 0)
        engine = open_engine(config.engine, context)
        started = datetime.now(UTC)
        run_id = new_run_id(started)
        job = EvaluateRun(run_id, started, data, config, checkpoint, context, engine, monitor)
        try:
            return _work(job, notes, limit)
        finally:
            engine.close()


def _work(job: EvaluateRun, notes: list[str], limit: int | None) -> EvaluateReport:
    for note in notes:
        job.monitor.info(note)
    step = EvaluateVideo(job.config.measure, job.context)
    plan: EvaluationPlan = plan_evaluation(job.dataset, step, job.checkpoint, limit)
    size = job.config.shard_videos
    shards = [plan.pending[start : start + size] for start in range(0, len(plan.pending), size)]
    if shards:
        with EvaluateProgress(job.monitor, len(plan.pending)) as progress:
            for number, shard in enumerate(shards, 1):
                name = f"videos {number} of {len(shards)}"
                job.failed += job.monitor.run(
                    "measure-videos", measure_shard, job, number, shard, progress, name=name
                )
    sets, missing = job.monitor.run("measure-sets", measure_sets, job)
    notes = [*notes, *missing]
    page = job.dataset.uri(PAGE)
    if shards or sets or not job.dataset.exists(PAGE):
        write_evaluation_report(job.dataset, job.config.shown)
    if shards or sets:
        write_run(job.dataset, _describe(job, plan, sets, notes))
    return EvaluateReport(
        run_id=job.run_id,
        videos=len(plan.pending),
        videos_done_before=plan.done_before,
        failed=job.failed,
        report=page,
        notes=notes,
    )


def measure_shard(
    job: EvaluateRun, number: int, requests: list[str], progress: EvaluateProgress
) -> int:
    """Measure some videos and write their rows together; returns how many broke."""
    generations = read_generations(job.dataset, requests)
    answers = cast("Iterator[Any]", job.engine.run([job.stage], generations))
    rows = []
    for row in answers:
        rows.append(row.model_copy(update={"run_id": job.run_id}))
        progress.see(row)
    write_part(job.dataset, _part(job, f"{number:05}"), Evaluation, rows)
    broken = {row.request_id for row in rows if row.status == "failed"}
    job.monitor.info(f"{len(requests)} videos, {len(broken)} of them failed")
    return len(broken)


def measure_sets(job: EvaluateRun) -> tuple[int, list[str]]:
    """Measure FID and FVD of each set of weights; returns how many numbers are new, and what
    models are missing."""
    gpu = job.context.gpu
    measurer = SetMeasurer(job.dataset, job.config.sets, job.context.weights, gpu)
    known = {key for (key,) in fetch_rows(job.dataset, DONE)}
    sets = plan_sets(job.dataset, job.config.sets, job.checkpoint)
    rows = [row for videos in sets for row in measurer.evaluate(videos, known)]
    rows = [row.model_copy(update={"run_id": job.run_id}) for row in rows]
    if rows:
        write_part(job.dataset, _part(job, "sets"), Evaluation, rows)
    return len(rows), sorted(missing_networks(measurer))


def missing_networks(measurer: SetMeasurer) -> list[str]:
    """Return which numbers cannot be had here, and why."""
    absent = [metric for metric, file in measurer.networks.items() if file is None]
    return [f"{m}: expected {FILES[m]} under the weights, found none" for m in absent]


def _describe(job: EvaluateRun, plan: EvaluationPlan, sets: int, notes: list[str]) -> Run:
    """Return the row of the run."""
    folder = job.context.weights
    networks = {metric: find_network(folder, name) for metric, name in FILES.items()}
    weights = [
        *used_weights(job.config.measure, folder),
        *(
            read_weights(m, [file], "as given with the file")
            for m, file in networks.items()
            if file
        ),
    ]
    begun = Run.begun(
        job.run_id,
        "evaluate",
        job.checkpoint or "",
        job.started,
        engine=job.engine.name,
        config=job.config.model_dump_json(),
        libraries=LIBRARIES,
        weights=[asdict(used) for used in weights],
        notes=notes,
    )
    counts = {
        "videos_measured": len(plan.pending) - job.failed,
        "videos_done_before": plan.done_before,
        "videos_failed": job.failed,
        "numbers_of_sets": sets,
    }
    seconds = (datetime.now(UTC) - job.started).total_seconds()
    return begun.finished(counts, {"evaluate": seconds})


def _part(job: EvaluateRun, name: str) -> str:
    return f"manifests/evaluations/{job.run_id}-{name}.parquet"
