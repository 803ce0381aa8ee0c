"""Evaluation as a Prefect flow: a shard of videos is a task run."""

from prefect import flow
from prefect.artifacts import create_markdown_artifact, create_table_artifact

from vexpress.flows.monitor import PrefectMonitor
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.query import connect
from vexpress.tasks.evaluate.plan import EvaluateConfig
from vexpress.tasks.evaluate_videos import EvaluateReport, evaluate_videos
from vexpress.tasks.reports.evaluation_page import summary_rows


@flow(name="evaluate")
def evaluate(
    dataset: str,
    config: EvaluateConfig = EvaluateConfig(),
    weights: str | None = None,
    checkpoint: str | None = None,
    limit: int | None = None,
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
    """
    report = evaluate_videos(dataset, config, weights, checkpoint, limit, PrefectMonitor())
    publish_evaluation(Dataset(dataset), report.report, report.notes)
    return report


def publish_evaluation(dataset: Dataset, page: str, notes: list[str]) -> None:
    """Leave the table of metrics, and a page that says what was found and how to ask more."""
    rows = summary_rows(connect(dataset))
    table = [
        {
            "metric": row["says"],
            "weights": f"{row['weights']} ({row['weights_sha256'][:8]})",
            "mean": "–" if row["mean"] is None else f"{row['mean']:.4g} {row['unit']}",
            "better": row["better"],
            "videos": row["measured"],
            "without": row["reasons"],
        }
        for row in rows
    ]
    create_table_artifact(table, key="evaluation", description="Generated videos, by weights")
    lines = [
        "# Generated videos in numbers",
        f"Data set: `{dataset.root}`  ",
        f"Page with videos side by side: `{page}`",
        "",
        *(f"- {note}" for note in notes),
        "",
        f'Ask: `vexpress query {dataset.root} "SELECT * FROM evaluation_summary"`',
    ]
    create_markdown_artifact("\n".join(lines), key="evaluation-summary")
