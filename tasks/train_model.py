"""Stages of training as a DAG that survives being stopped.

    clips ─ stage 1 ─ gate ─ stage 2 ─ gate ─ … ─ last stage ─ gate ─ export

Each box is one unit of work. What is finished is not run again, a
stage that was stopped goes on from its last checkpoint, and a gate that does not hold
stops everything after it.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from vexpress.errors import RunError, VExpressError
from vexpress.schemas.errors import ConfigError
from vexpress.schemas.row import Model
from vexpress.tasks.engine.monitor import Monitor, Retry
from vexpress.tasks.export.weights import export_weights
from vexpress.tasks.reports.training_page import write_train_report
from vexpress.tasks.train.progress import StageProgress
from vexpress.tasks.train.row import record_run
from vexpress.tasks.train.run import absolute_paths, open_run, read_snapshot, record_stage
from vexpress.tasks.train.stage import train_stage
from vexpress.training.gates import Gate, check_gates
from vexpress.training.loggers import require_loggers
from vexpress.training.optimiser import require_optimiser
from vexpress.training.settings import TrainSettings
from vexpress.training.stage_job import StageJob, read_done


class GateFailed(RunError):  # noqa: N818
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
    """Folder in the published layout; null before the last stage is finished."""
    report: str
    """The page to look at."""
    run_id: str | None = None
    """Row of the table `runs`; null where nothing was trained, or from a list."""
    snapshot: str | None = None
    """Snapshot of the data set whose clips were trained on; null for a list."""


@dataclass(frozen=True)
class StageResult:
    """What a stage reached, as a monitor is told."""

    job: StageJob
    """The stage."""
    gates: list[Gate]
    """What it reached, and what was expected."""


def may_help(error: BaseException) -> bool:
    """Whether trying again may help: not where the error says what a person has to do."""
    return not isinstance(error, VExpressError)


RETRY = Retry(times=2, delay_s=10, may_help=may_help)
"""Of a stage, which goes on from its last checkpoint."""


def train_model(
    source: str,
    run: str,
    settings: TrainSettings,
    stages: list[int] | None = None,
    snapshot: str | None = None,
    monitor: Monitor = Monitor(),
) -> TrainReport:
    """Train V-Express stage by stage, resuming where it was stopped.

    Args:
        source: Data set, or a JSON training list of published V-Express.
        run: Folder of the run; made if it is not there, resumed if it is.
        settings: All settings; a resumed run must be given the same.
        stages: Which stages to train, in order; all of them where nothing is said.
        snapshot: State that the data set must be at, by its file; null takes it as it is.
        monitor: Told what the run does.

    Returns:
        What each stage reached, where the weights are, and the page to look at.

    Raises:
        GateFailed: A stage did not reach what the next one needs.
        VExpressError: Clips, weights, settings or a run's folder that cannot
            be used, or a full disk; it says what to do.
    """
    wanted = sorted(set(stages or (stage.number for stage in settings.stages)))
    started = datetime.now(UTC)
    for number in wanted:
        require_optimiser(settings.stage(number))
    require_loggers(settings.engine.loggers)
    source, folder, settings = absolute_paths(source, run, settings)
    jobs = [StageJob(run=folder, number=n, settings=settings) for n in wanted]
    _check_start(jobs)
    monitor.run("list-clips", open_run, folder, source, settings, wanted)
    _check_snapshot(folder, snapshot)
    before = [job.number for job in jobs if read_done(job) is not None]
    gates: dict[int, list[Gate]] = {}
    run_id = None
    try:
        for job in jobs:
            name = f"stage {job.number}"
            monitor.run("train-stage", run_stage, job, monitor, name=name, retry=RETRY)
            gates[job.number] = monitor.run("pass-gate", pass_gate, job, source, monitor)
    finally:
        trained = [j.number for j in jobs if j.number not in before and read_done(j) is not None]
        if trained:
            run_id = record_run(folder, source, settings, started, trained)
        report = write_train_report(folder, settings)
    last = jobs[-1]
    weights = monitor.run("export-weights", export, last) if last.is_last else None
    return TrainReport(
        stages=trained,
        finished_before=before,
        gates=gates,
        weights=weights,
        report=str(report),
        run_id=run_id,
        snapshot=read_snapshot(folder),
    )


def run_stage(job: StageJob, monitor: Monitor) -> None:
    """Train what is left of a stage."""
    if read_done(job) is not None:
        monitor.info(f"stage {job.number} is finished")
        return
    with StageProgress(monitor, job):
        train_stage(job)


def pass_gate(job: StageJob, source: str, monitor: Monitor) -> list[Gate]:
    """Write down what the stage reached. Raises GateFailed when that is not enough."""
    done = read_done(job)
    assert done is not None
    gates = check_gates(job.number, done["measurements"], job.settings.gates)
    record_stage(job, source, gates)
    monitor.publish(StageResult(job, gates))
    _check_gates(job, gates)
    return gates


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
