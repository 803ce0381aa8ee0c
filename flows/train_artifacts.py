"""What a stage leaves in the Prefect UI: gates, loss, and what it draws."""

import base64

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from vexpress.tasks.reports.training_page import loss_curve
from vexpress.training.job import StageJob
from vexpress.training.measurements import Gate
from vexpress.training.metrics_log import read_metrics

POINTS = 40
"""Rows of the loss table, means over as many ranges of steps."""


def publish_stage(job: StageJob, gates: list[Gate]) -> None:
    """Leave the gate table, the loss curve as a table, and the last preview."""
    name = f"stage-{job.number}"
    rows = [gate.model_dump() for gate in gates]
    create_table_artifact(rows, key=f"{name}-gates", description="What the stage reached")
    curve = loss_curve(read_metrics(job.folder / "metrics.jsonl"), POINTS)
    create_table_artifact(curve, key=f"{name}-loss", description="Loss, mean over steps")
    previews = sorted(job.folder.glob("previews/*.png"))
    if previews:
        picture = base64.b64encode(previews[-1].read_bytes()).decode()
        text = "Reference, then truth, generated, V-Kps (rows)"
        uri = f"data:image/png;base64,{picture}"
        create_markdown_artifact(f"![{text}]({uri})", key=f"{name}-preview", description=text)
