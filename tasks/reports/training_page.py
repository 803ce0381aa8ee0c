"""The page of a training run: `report.html` in its folder, which needs nothing outside itself."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vexpress.files import write_text
from vexpress.tasks.reports.page import data_uri, render
from vexpress.training.gates import Gate, check_gates
from vexpress.training.metrics_log import read_metrics
from vexpress.training.settings import StageSettings, TrainSettings
from vexpress.training.stage_job import StageJob, read_done

WIDTH, HEIGHT = 560, 160
"""Plot area, SVG units."""
CURVE_POINTS = 200


@dataclass(frozen=True)
class StagePage:
    """One stage on the page."""

    settings: StageSettings
    steps: int
    finished: bool
    held_out: bool
    lips: str
    gates: list[Gate]
    measurements: dict[str, float]
    train: str
    """Points of the polyline of the training loss."""
    validation: str
    """Points of the polyline of the held-out loss."""
    most: float
    """Loss at the top of the plot."""
    samples_a_second: float
    waiting: float
    """Share of the time spent waiting for data, 0..1."""
    preview: str | None
    """The last preview as a data URI."""


def write_train_report(run: Path, settings: TrainSettings) -> Path:
    """Write the page of what the run has reached so far; returns its path."""
    stages = []
    for stage in settings.stages:
        job = StageJob(run=run, number=stage.number, settings=settings)
        metrics = read_metrics(job.folder / "metrics.jsonl")
        if metrics:
            stages.append(stage_page(job, metrics))
    page = render(
        "training",
        root=run.resolve(),
        headline="Training run",
        settings=settings,
        stages=stages,
        plot=(WIDTH, HEIGHT),
    )
    path = run / "report.html"
    write_text(path, page)
    return path


def stage_page(job: StageJob, metrics: list[dict[str, Any]]) -> StagePage:
    """Everything about a stage that is drawn."""
    done = read_done(job)
    stage = job.settings.stage(job.number)
    train = [(p["step"], p["loss"]) for p in loss_curve(metrics, CURVE_POINTS)]
    held = [(ln["step"], ln["held_out_loss"]) for ln in metrics if ln["kind"] == "validation"]
    most = max([y for _, y in (*train, *held)], default=1.0)
    lines = [line for line in metrics if line["kind"] == "train"]
    seconds = sum(line["seconds"] for line in lines) or 1.0
    samples = len(lines) * stage.batch * stage.accumulate * job.settings.engine.workers
    previews = sorted(job.folder.glob("previews/*.png"))
    return StagePage(
        settings=stage,
        steps=metrics[-1]["step"],
        finished=done is not None,
        held_out=bool(done and done["held_out"]),
        lips=", ".join(done["lips"]) if done else "",
        gates=check_gates(job.number, done["measurements"], job.settings.gates) if done else [],
        measurements=done["measurements"] if done else {},
        train=_polyline(train, stage.steps, most),
        validation=_polyline(held, stage.steps, most),
        most=most,
        samples_a_second=samples / seconds,
        waiting=sum(line["seconds_waiting"] for line in lines) / seconds,
        preview=data_uri(previews[-1].read_bytes(), "png") if previews else None,
    )


def _polyline(points: list[tuple[float, float]], steps: int, most: float) -> str:
    return " ".join(f"{WIDTH * x / steps:.1f},{HEIGHT * (1 - y / most):.1f}" for x, y in points)


def loss_curve(metrics: list[dict[str, Any]], points: int) -> list[dict[str, float]]:
    """Mean training loss over ranges of steps: the last step of each, and its mean."""
    lines = [line for line in metrics if line["kind"] == "train"]
    size = max(1, -(-len(lines) // points))
    groups = [lines[i : i + size] for i in range(0, len(lines), size)]
    return [
        {"step": group[-1]["step"], "loss": sum(g["loss"] for g in group) / len(group)}
        for group in groups
    ]
