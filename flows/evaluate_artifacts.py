"""What an evaluation leaves in the Prefect UI: the numbers by weights, and where to look."""

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from vexpress.schemas.dataset import Dataset
from vexpress.schemas.query import connect
from vexpress.tasks.reports.evaluation_page import summary_rows


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
