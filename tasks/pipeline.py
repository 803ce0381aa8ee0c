"""The whole way: from raw videos to videos of a model trained on them.

    curate ─ gate ─ train (three stages) ─ generate a sample ─ evaluate ─ generate requests

What is done is not done again, so a pipeline that was stopped goes on where it was.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import Field

from vexpress.errors import RunError
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.query import run_query
from vexpress.schemas.row import Model
from vexpress.tasks.curate.config import CurateConfig
from vexpress.tasks.curate_dataset import curate_dataset
from vexpress.tasks.engine.monitor import Monitor
from vexpress.tasks.evaluate_videos import evaluate_videos
from vexpress.tasks.generate.config import GenerateConfig
from vexpress.tasks.generate_videos import generate_videos
from vexpress.tasks.train_model import train_model
from vexpress.training.settings import TrainSettings

SAMPLE = "SELECT clip_id FROM kept ORDER BY clip_id LIMIT 4"
WORK: dict[str, Callable[..., Any]] = {
    "curate": curate_dataset,
    "train": train_model,
    "generate": generate_videos,
    "evaluate": evaluate_videos,
}
"""What does each step."""


class PipelineStopped(RunError):  # noqa: N818 - it says what happened
    """A gate did not hold, or a step did not complete."""


class DataGate(Model):
    """What the data set must be like before anything is trained on it."""

    min_kept_minutes: float = Field(10.0, ge=0)
    """Least length of all kept clips together, minutes."""
    max_reject_share: float = Field(0.98, ge=0, le=1)
    """Largest share of the candidates that may be rejected: more points at wrong rules."""


class GateReport(Model):
    """What the gate saw."""

    snapshot: str
    """State of the data set, by its file."""
    kept_minutes: float
    """Length of all kept clips, minutes."""
    reject_share: float
    """Share of the candidates that was rejected."""
    clips: int
    """Kept clips."""


class GateCheck(Model):
    """A number of the data set against what was expected."""

    what: str
    """Which number."""
    found: float
    """The number."""
    expected: str
    """What it must be, such as `≥ 10`."""
    passed: bool
    """Whether it is."""


class DataGateResult(Model):
    """What the gate found, as a monitor is told."""

    snapshot: str
    """State of the data set, by its file."""
    checks: list[GateCheck]
    """Each number that was looked at."""


class PipelineReport(Model):
    """What a run did."""

    steps: list[str]
    """Steps that completed, in order."""
    gate: GateReport
    """What the gate saw."""
    weights: str
    """Folder of the trained weights, in the published layout."""


def run_pipeline(
    source: str,
    dataset: str,
    run: str,
    train: TrainSettings,
    curate: CurateConfig = CurateConfig(),
    gate: DataGate = DataGate(),
    generate: GenerateConfig = GenerateConfig(),
    sample: str | None = SAMPLE,
    requests: str | None = None,
    weights: str | None = None,
    monitor: Monitor = Monitor(),
    start: Callable[..., object] | None = None,
) -> PipelineReport:
    """Curate videos, train on them, make videos with what was trained, and measure those.

    Args:
        source: Videos: file, folder, glob or list, as in `curate_dataset`.
        dataset: Data set that they become.
        run: Folder of the training run.
        train: Settings of training.
        curate: Settings of curation.
        gate: What the data set must be like before training starts.
        generate: Settings of generation.
        sample: Query over the data set for a few clips to generate and evaluate; null: none.
        requests: Table of requests to generate in the end; null: none.
        weights: Folder with models (insightface/models/…, wav2vec2-base-960h); else that of
            VEXPRESS_WEIGHTS where the steps run.
        monitor: Told what the run does.
        start: Does a step, given its name (curate, train, generate, evaluate) and the parameters
            of its function, in place of that function.

    Returns:
        Which steps were done, what the gate saw, and where the trained weights are.

    Raises:
        PipelineStopped: The data set does not pass the gate.
        VExpressError: As the function of each step.
    """
    start = start or partial(_do, monitor)
    done = []

    def do(step: str, **parameters: Any) -> None:
        start(step, **parameters)
        done.append(step)

    do("curate", source=source, dataset=dataset, config=curate, weights=weights)
    seen = monitor.run("pass-data-gate", pass_data_gate, dataset, gate, monitor)
    do("train", source=dataset, run=run, settings=train, snapshot=seen.snapshot)
    made = str(Path(run) / "weights")
    for table in filter(None, (sample, requests)):
        do("generate", requests=table, dataset=dataset, config=generate, weights=made)
        if table == sample:
            do("evaluate", dataset=dataset, weights=weights)
    return PipelineReport(steps=done, gate=seen, weights=made)


def _do(monitor: Monitor, step: str, **parameters: Any) -> None:
    """Do a step here."""
    WORK[step](**parameters, monitor=monitor)


def pass_data_gate(dataset: str, gate: DataGate, monitor: Monitor) -> GateReport:
    """Look at the data set. Raises PipelineStopped with the numbers where it is not enough."""
    seen = look(dataset)
    checks = [
        GateCheck(
            what="kept minutes",
            found=round(seen.kept_minutes, 3),
            expected=f"≥ {gate.min_kept_minutes:g}",
            passed=seen.kept_minutes >= gate.min_kept_minutes,
        ),
        GateCheck(
            what="rejected share",
            found=round(seen.reject_share, 3),
            expected=f"≤ {gate.max_reject_share:g}",
            passed=seen.reject_share <= gate.max_reject_share,
        ),
    ]
    monitor.publish(DataGateResult(snapshot=seen.snapshot, checks=checks))
    if not all(check.passed for check in checks):
        numbers = "\n".join(f"  {c.what}: {c.found:.3f}, expected {c.expected}" for c in checks)
        raise PipelineStopped(
            f"{dataset} does not pass the gate before training:\n{numbers}\n"
            "Nothing was trained. Add videos, look at the reasons in report.html, or change `gate`."
        )
    return seen


def look(dataset: str) -> GateReport:
    """Return the numbers of a data set as it is after its last curation."""
    kept, rejected, minutes, snapshot = run_query(
        Dataset(dataset),
        "SELECT (SELECT count(*) FROM kept), (SELECT count(*) FROM rejected), kept_hours * 60, "
        "(SELECT snapshot FROM runs WHERE kind = 'curate' ORDER BY finished_at DESC LIMIT 1) "
        "FROM hours",
    ).fetchall()[0]
    share = rejected / (kept + rejected) if kept + rejected else 0.0
    return GateReport(snapshot=snapshot, kept_minutes=minutes, reject_share=share, clips=kept)
