"""Three stages of training as a DAG that survives being stopped.

    clips ─ stage 1 ─ gate ─ stage 2 ─ gate ─ stage 3 ─ gate ─ export

Each box is one task run; the work is in `tasks/`. What is finished is not run again, a
stage that was stopped goes on from its last checkpoint, and a gate that does not hold
stops everything after it.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.logging import get_run_logger

from vexpress.errors import VExpressError
from vexpress.flows.settings import TrainForm
from vexpress.flows.train_artifacts import publish_stage
from vexpress.flows.train_progress import StageProgress
from vexpress.schemas.errors import ConfigError, VexpressDataError
from vexpress.schemas.row import Model
from vexpress.tasks.export.weights import export_weights
from vexpress.tasks.reports.training_page import write_train_report
from vexpress.tasks.train.row import record_run
from vexpress.tasks.train.run import absolute_paths, open_run, read_snapshot, record_stage
from vexpress.tasks.train.stage import read_done, train_stage
from vexpress.training.job import StageJob
from vexpress.training.measurements import Gate, check_gates
from vexpress.training.optimiser import require_optimiser
from vexpress.training.settings import TrainSettings

RETRIES = 2
RETRY_DELAY_S = 10


class GateFailed(VexpressDataError):  # noqa: N818
    """A stage did not reach what the next one needs."""


class TrainReport(Model):
    """What a run did."""

    stages: list[int]
    """Stages that were trained now; those finished before are not."""
    finished_before: list[int]
    """Stages found finished."""
    gates: dict[int, list[Gate]]
    """What each stage reached."""
    weights: str | None
    """Folder in the published layout; null before stage 3 is finished."""
    report: str
    """The page to look at."""
    run_id: str | None = None
    """Row of the table `runs`; null where nothing was trained, or from a list."""
    snapshot: str | None = None
    """Snapshot of the data set whose clips were trained on; null for a list."""


@flow(name="train")
def train(
    source: str,
    run: str,
    settings: TrainForm,
    stages: list[int] | None = None,
    snapshot: str | None = None,
) -> TrainReport:
    """Train V-Express in three stages, resuming where it was stopped.

    Args:
        source: Data set, or a JSON training list of published V-Express.
        run: Folder of the run; made if it is not there, resumed if it is.
        settings: What differs from the preset; a resumed run must be given the same.
        stages: Which stages to train, in order; all three where nothing is said.
        snapshot: State that the data set must be at, by its file; null takes it as it is.
    """
    wanted, started = sorted(set(stages or (1, 2, 3))), datetime.now(UTC)
    for number in wanted:
        require_optimiser(settings.stage(number))
    source, folder, settings = absolute_paths(source, run, settings)
    jobs = [StageJob(run=folder, number=n, settings=settings) for n in wanted]
    _check_start(jobs)
    list_clips_once(folder, source, settings, wanted)
    _check_snapshot(folder, snapshot)
    before = [job.number for job in jobs if read_done(job) is not None]
    gates: dict[int, list[Gate]] = {}
    run_id = None
    try:
        for job in jobs:
            run_stage.with_options(task_run_name=f"stage {job.number}")(job)
            gates[job.number] = pass_gate(job, source)
    finally:
        trained = [j.number for j in jobs if j.number not in before and read_done(j) is not None]
        if trained:
            run_id = record_run(folder, source, settings, started, trained)
        report = write_train_report(folder, settings)
    weights = export(jobs[-1]) if jobs[-1].number == 3 else None
    return TrainReport(
        stages=trained,
        finished_before=before,
        gates=gates,
        weights=weights,
        report=str(report),
        run_id=run_id,
        snapshot=read_snapshot(folder),
    )


def may_help(task: Any, task_run: TaskRun, state: State) -> bool:
    """Whether trying again may help: not where the error says what a person has to do."""
    try:
        state.result(raise_on_failure=True)
    except (VexpressDataError, VExpressError):
        return False
    except Exception:
        return True
    return False


@task(name="list-clips", cache_policy=NO_CACHE, persist_result=False)
def list_clips_once(run: Path, source: str, settings: TrainSettings, stages: list[int]) -> None:
    """Make the run's folder with its list of clips, or recognise it."""
    open_run(run, source, settings, stages)


@task(
    name="train-stage",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=RETRIES,
    retry_delay_seconds=RETRY_DELAY_S,
    retry_condition_fn=may_help,
)
def run_stage(job: StageJob) -> None:
    """Train what is left of a stage."""
    if read_done(job) is not None:
        get_run_logger().info("stage %d is finished", job.number)
        return
    with StageProgress(job):
        train_stage(job)


@task(name="pass-gate", cache_policy=NO_CACHE, persist_result=False)
def pass_gate(job: StageJob, source: str) -> list[Gate]:
    """Write down what the stage reached. Raises GateFailed when that is not enough."""
    done = read_done(job)
    assert done is not None
    gates = check_gates(job.number, done["measurements"], job.settings.gates)
    record_stage(job, source, gates)
    publish_stage(job, gates)
    _check_gates(job, gates)
    return gates


@task(name="export-weights", cache_policy=NO_CACHE, persist_result=False)
def export(job: StageJob) -> str:
    """Write the weights in the published layout."""
    return str(export_weights(job.run, job.run / "weights", beside=job.settings.start))


def _check_snapshot(run: Path, wanted: str | None) -> None:
    """Raises ConfigError for clips of another state of the data set than was asked for."""
    found = read_snapshot(run)
    if wanted and found != wanted:
        raise ConfigError(
            f"{run}: expected clips of the snapshot {wanted}, found those of {found}. Train in a "
            "new folder, or curate again if the data set has changed since."
        )


def _check_start(jobs: list[StageJob]) -> None:
    """Raises ConfigError for a stage that has nothing to start from or would pass over another
    one, GateFailed for one whose predecessor, finished earlier, is not good enough."""
    wanted = {job.number for job in jobs}
    for job in jobs:
        earlier = [job.model_copy(update={"number": n}) for n in range(1, job.number)]
        if not earlier or job.number - 1 in wanted:
            continue
        done = read_done(earlier[-1])
        if done is not None:
            gates = check_gates(job.number - 1, done["measurements"], job.settings.gates)
            _check_gates(earlier[-1], gates)
            continue
        follows = any(e.number in wanted or e.folder.exists() for e in earlier)
        if follows or job.settings.start is None:
            raise ConfigError(
                f"stage {job.number}: expected stage {job.number - 1} finished in {job.run}, or, "
                "in a run without earlier stages, weights to `start` from; found neither. "
                "Train the earlier stages first."
            )


def _check_gates(job: StageJob, gates: list[Gate]) -> None:
    """Raises GateFailed with the numbers of the gates that do not hold."""
    failed = [gate for gate in gates if not gate.passed]
    if failed:
        numbers = "\n".join(f"  {g.name}: {g.value:.4g}, expected {g.rule}" for g in failed)
        raise GateFailed(
            f"stage {job.number} is trained but does not pass its gate:\n{numbers}\n"
            f"Nothing after it was started. Train longer in a new run that starts from "
            f"{job.folder / 'weights'}, or change `gates` and give the same command again."
        )
