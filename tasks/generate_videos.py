"""Tables of requests to portrait videos, shard after shard.

Equal requests are made once, also over runs: a run that was stopped goes on where it was,
and a table that grew costs what was added to it.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from vexpress.schemas.dataset import Dataset
from vexpress.schemas.errors import ConfigError, stop_when_full
from vexpress.schemas.generation import Generation
from vexpress.schemas.manifest import prepare_manifests, write_part, write_run
from vexpress.schemas.row import Model
from vexpress.schemas.run import Run, new_run_id
from vexpress.schemas.text import counted
from vexpress.tasks.engine.ledger import lock_file
from vexpress.tasks.engine.monitor import Monitor
from vexpress.tasks.generate.config import GenerateConfig
from vexpress.tasks.generate.done import leave_out_done, not_written
from vexpress.tasks.generate.generator import FOLDER, GenerateJob, forget_notes, found_made
from vexpress.tasks.generate.order import cost, in_runs, in_shards
from vexpress.tasks.generate.pool import open_pool
from vexpress.tasks.generate.progress import GenerateProgress
from vexpress.tasks.generate.requests import PlannedVideo, RequestPlan, plan_requests
from vexpress.tasks.generate.weights import used_weights
from vexpress.tasks.reports.generations_page import write_page
from vexpress.weights.catalogue import weights_folder

LIBRARIES = ("vexpress", "prefect", "ray", "av", "torch", "diffusers", "transformers")


class GenerateReport(Model):
    """What a run did."""

    run_id: str
    """Row of the table `runs`, and of the rows of `generations` that it wrote."""
    asked: int
    """Rows of the tables of requests."""
    made: int
    """Videos made now."""
    done_before: int
    """Requests found made (or tried) in an earlier run."""
    equal: int
    """Rows that ask for the same as an earlier row."""
    rejected: int
    """Requests that cannot be made."""
    failed: int
    """Requests that failed, now."""
    failed_before: int = 0
    """Requests among those done before that failed then."""
    reasons: dict[str, int]
    """How many of each reason."""
    seconds: float
    """Time the run took, seconds."""
    page: str
    """The page to look at."""


class Generating:
    """Videos in the making."""

    def __init__(
        self,
        dataset: Dataset,
        run_id: str,
        shards: list[list[list[PlannedVideo]]],
        results: Iterator[Generation],
        progress: GenerateProgress,
        monitor: Monitor,
    ) -> None:
        self.dataset = dataset
        self.monitor = monitor
        self.run_id = run_id
        self._shards = shards
        self._results = results
        self._progress = progress
        self._early: dict[str, Generation] = {}

    def rows_of(self, number: int) -> Iterator[Generation]:
        """Yield the rows of shard `number`, from 1, as they are ready.

        Workers do not wait at its end: rows of the next shard that are ready early are kept.
        """
        waiting = {p.request_id for run in self._shards[number - 1] for p in run}
        while waiting:
            ready = waiting & self._early.keys()
            if ready:
                row = self._early.pop(ready.pop())
            else:
                row = next(self._results)
                self._progress.see(row)
            if row.request_id in waiting:
                waiting.discard(row.request_id)
                yield row
            else:
                self._early[row.request_id] = row


def generate_videos(
    requests: str,
    dataset: str,
    config: GenerateConfig = GenerateConfig(),
    weights: str | None = None,
    monitor: Monitor = Monitor(),
) -> GenerateReport:
    """Make the portrait videos that a table asks for; those made before are not made again.

    Args:
        requests: A table (.parquet, .csv, .jsonl, .sql), a folder of such tables (every night
            the new requests only), or a query over the data set: SELECT clip_id FROM kept.
            Columns: reference, audio, kps or video or clip_id, retarget, name, and any
            parameter by its name (steps, seed, width, …).
        dataset: Folder or s3:// prefix of the data set; made if it is not there.
        config: Model, workers, limits, and the parameters of requests that do not say otherwise.
        weights: Folder with V-Express's weights, downloaded or trained here; else that of
            VEXPRESS_WEIGHTS where the run runs.
        monitor: Told what the run does.

    Returns:
        How many videos were made, rejected and failed, why, and the page to look at.

    Raises:
        VExpressError: A table, setting, model or data set that cannot be
            used, a data set that another run generates into, or a full disk; it says what to
            do. A request that cannot be made is a row with its reason, unless `config.strict`.
    """
    folder = weights_folder(weights)
    data = Dataset(dataset, FOLDER)
    with stop_when_full(data.root):
        data.create()
        prepare_manifests(data)
        lock = lock_file(data.ledger_path.with_name("generations.lock"))
        try:
            return _run(requests, data, config, folder, monitor)
        finally:
            data.clear_scratch()
            lock.close()


def _run(
    requests: str, data: Dataset, config: GenerateConfig, folder: Path | None, monitor: Monitor
) -> GenerateReport:
    started = datetime.now(UTC)
    run_id = new_run_id(started)
    data.clear_scratch()
    recover(data, run_id, monitor)
    used = used_weights(config.model, folder)
    plan = plan_requests(requests, data, config, used, run_id)
    refuse_if_strict(plan, config)
    leave_out_done(plan, data, config.again)
    _say_plan(plan, monitor)
    if plan.rejected:
        write_part(
            data, f"manifests/generations/{run_id}-rejected.parquet", Generation, plan.rejected
        )
    job = GenerateJob(
        run_id=run_id,
        root=data.root,
        config=config.model_copy(update={"model": config.model.absolute()}),
        weights=used,
        folder=str(folder) if folder else None,
        device="" if config.workers.kind == "local" else device_of(config),
    )
    counts = _make(plan, data, job, monitor) if plan.videos else Counter[str]()
    counts.update(row.reason or "" for row in [*plan.rejected, *plan.known])
    made = counts.pop("", 0)
    failed = sum(n for reason, n in counts.items() if reason in FAILURES)
    report = GenerateReport(
        run_id=run_id,
        asked=plan.asked,
        made=made,
        done_before=plan.done,
        equal=plan.equal,
        rejected=counts.total() - failed,
        failed=failed,
        failed_before=plan.failed_before,
        reasons=dict(counts),
        seconds=(datetime.now(UTC) - started).total_seconds(),
        page=data.uri(write_page(data)),
    )
    if plan.videos or plan.rejected:
        write_run(data, _describe(requests, job, report, started))
    return report


FAILURES = ("failed", "crashed", "out_of_memory", "changed")


def device_of(config: GenerateConfig) -> str:
    """Return the device of an actor: the GPU that Ray shows it, else the CPU."""
    return "cuda" if config.workers.gpus_per_worker else "cpu"


def recover(data: Dataset, run_id: str, monitor: Monitor) -> None:
    """Write down what a killed run made and did not write down."""
    found = found_made(data)
    rows = not_written(found, data)
    if rows:
        write_part(data, f"manifests/generations/{run_id}-found.parquet", Generation, rows)
        monitor.info(f"of a run that was killed: {counted(len(rows), 'video')} found whole")
    forget_notes(data, found)


def refuse_if_strict(plan: RequestPlan, config: GenerateConfig) -> None:
    """Raise ConfigError that lists what is wrong, where the run shall be all or nothing."""
    if config.strict and plan.rejected:
        listed = [f"row {r.row_number}: {r.reason}: {r.detail}" for r in plan.rejected[:40]]
        more = len(plan.rejected) - len(listed)
        raise ConfigError(
            f"{len(plan.rejected)} of {plan.asked} requests cannot be made, and the run is "
            "strict: nothing was started, for\n  "
            + "\n  ".join(listed)
            + (f"\n  and {more} more" if more else "")
        )


def _say_plan(plan: RequestPlan, monitor: Monitor) -> None:
    rejected = len(plan.rejected) + len(plan.known)
    monitor.info(
        f"{counted(plan.asked, 'request')}: {len(plan.videos)} to make, {plan.done} done before, "
        f"{plan.equal} equal to others, {rejected} rejected"
    )
    for row in plan.rejected[:20]:
        monitor.info(f"row {row.row_number}: {row.reason}: {row.detail}")


def _make(plan: RequestPlan, data: Dataset, job: GenerateJob, monitor: Monitor) -> Counter[str]:
    """Make all videos; return how many of each reason, those made under an empty one."""
    workers = job.config.workers
    runs = in_runs(plan.videos, workers.count if workers.kind == "ray" else 1)
    shards = in_shards(runs, workers.shard_requests)
    counts: Counter[str] = Counter()
    pool = open_pool(job)
    try:
        costs = {p.request_id: cost(p) for p in plan.videos}
        with GenerateProgress(monitor, costs) as progress:
            results = pool.results(runs)
            running = Generating(data, job.run_id, shards, results, progress, monitor)
            for number in range(1, len(shards) + 1):
                name = f"shard {number} of {len(shards)}"
                counts += monitor.run("generate-shard", run_shard, number, running, name=name)
    finally:
        pool.close()
    return counts


def run_shard(number: int, running: Generating) -> Counter[str]:
    """Make the videos of a shard and write their rows down."""
    rows = list(running.rows_of(number))
    part = f"manifests/generations/{running.run_id}-{number:04}.parquet"
    write_part(running.dataset, part, Generation, rows)
    forget_notes(running.dataset, rows)
    counts = Counter(row.reason or "" for row in rows)
    said = ", ".join(f"{n} {reason or 'made'}" for reason, n in counts.most_common())
    running.monitor.info(f"{counted(len(rows), 'request')}: {said}")
    return counts


def _describe(requests: str, job: GenerateJob, report: GenerateReport, started: datetime) -> Run:
    weights = job.weights.model_dump(include={"name", "files", "sha256", "licence"})
    begun = Run.begun(
        job.run_id,
        "generate",
        requests,
        started,
        engine=job.config.workers.kind,
        config=job.config.model_dump_json(),
        libraries=LIBRARIES,
        weights=[weights],
        notes=[f"faces: {job.weights.faces}"],
    )
    counts = {
        "videos_made": report.made,
        "requests_done_before": report.done_before,
        "requests_rejected": report.rejected,
        "requests_failed": report.failed,
    }
    return begun.finished(counts, {"generate": report.seconds})
