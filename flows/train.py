"""Training as a Prefect flow: a stage, and each gate, is a task run."""

from prefect import flow
from prefect.artifacts import create_markdown_artifact, create_table_artifact

from vexpress.flows.monitor import PrefectMonitor
from vexpress.flows.settings import TrainForm
from vexpress.tasks.reports.page import data_uri
from vexpress.tasks.reports.training_page import loss_curve
from vexpress.tasks.train_model import StageResult, TrainReport, train_model
from vexpress.training.metrics_log import read_metrics

CURVE_POINTS = 40
"""Rows of the loss table, means over as many ranges of steps."""


@flow(name="train")
def train(
    source: str,
    run: str,
    settings: TrainForm,
    stages: list[int] | None = None,
    snapshot: str | None = None,
) -> TrainReport:
    """Train V-Express stage by stage, resuming where it was stopped.

    Args:
        source: Data set, or a JSON training list of published V-Express.
        run: Folder of the run; made if it is not there, resumed if it is.
        settings: What differs from the preset; a resumed run must be given the same.
        stages: Which stages to train, in order; all of them where nothing is said.
        snapshot: State that the data set must be at, by its file; null takes it as it is.
    """
    monitor = PrefectMonitor(publish_stage)
    return train_model(source, run, settings, stages, snapshot, monitor)


def publish_stage(stage: StageResult) -> None:
    """Leave the gate table, the loss curve as a table, and the last preview."""
    job, name = stage.job, f"stage-{stage.job.number}"
    rows = [gate.model_dump() for gate in stage.gates]
    create_table_artifact(rows, key=f"{name}-gates", description="What the stage reached")
    curve = loss_curve(read_metrics(job.folder / "metrics.jsonl"), CURVE_POINTS)
    create_table_artifact(curve, key=f"{name}-loss", description="Loss, mean over steps")
    previews = sorted(job.folder.glob("previews/*.png"))
    if previews:
        text = "Reference, then truth, generated, V-Kps (rows)"
        uri = data_uri(previews[-1].read_bytes(), "png")
        create_markdown_artifact(f"![{text}]({uri})", key=f"{name}-preview", description=text)
