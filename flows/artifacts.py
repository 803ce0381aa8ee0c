"""What a run leaves in the Prefect UI."""

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from schemas.dataset import Dataset
from schemas.query import run_query


def publish_funnel(dataset: Dataset, report: str, notes: list[str]) -> None:
    """Leave the funnel as a table, and a page with hours, notes and where to look."""
    funnel = run_query(dataset, "SELECT * FROM funnel")
    rows = [dict(zip(funnel.columns, row, strict=True)) for row in funnel.fetchall()]
    table = [
        {**row, "hours": round(row["hours"], 4), "reason": row["reason"] or ""} for row in rows
    ]
    create_table_artifact(table, key="funnel", description="From sources to kept clips")
    create_markdown_artifact(summary(dataset, report, notes), key="summary")


def summary(dataset: Dataset, report: str, notes: list[str]) -> str:
    """Return what was made and where to look, as Markdown."""
    query = "SELECT source_hours, kept_hours, (SELECT count(*) FROM kept) FROM hours"
    source_h, kept_h, clips = run_query(dataset, query).fetchall()[0]
    lines = [
        f"# {kept_h * 60:.1f} of {source_h * 60:.1f} minutes kept, in {clips} clips",
        f"Data set: `{dataset.root}`  ",
        f"Report: `{report}`",
        "",
        *(f"- {note}" for note in notes),
        "",
        f'Ask it: `vexpress query {dataset.root} "SELECT * FROM funnel"`',
    ]
    return "\n".join(lines)
