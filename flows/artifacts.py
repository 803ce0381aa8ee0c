"""What curation leaves in the Prefect UI: the funnel, where to look, and contact sheets."""

from pathlib import Path
from typing import Any

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from vexpress.schemas.dataset import Dataset
from vexpress.schemas.query import connect
from vexpress.tasks.reports.contact_sheets import shrink_jpeg
from vexpress.tasks.reports.funnel import Funnel, headline, read_funnel, span
from vexpress.tasks.reports.page import data_uri

SHEET_WIDTH = 1200
"""Most pixels a contact sheet is wide in the UI."""


def publish_funnel(dataset: Dataset, report: str, notes: list[str]) -> None:
    """Leave the funnel as a table, and a page with hours, notes and where to look."""
    funnel = read_funnel(connect(dataset))
    create_table_artifact(funnel_rows(funnel), key="funnel", description="From sources to clips")
    text = summary(dataset, headline(funnel), report, notes)
    create_markdown_artifact(text, key="summary", description="What was made and where to look")


def funnel_rows(funnel: Funnel) -> list[dict[str, Any]]:
    """Return the funnel as a person reads it, each loss below the stage it happens in."""
    rows = []
    for bar in funnel.stages:
        kept = f"{100 * funnel.kept_share:.0f} % of the sources' time" if bar.kind == "kept" else ""
        rows.append((bar.name, bar, kept or bar.note))
        lost = {"Sources": funnel.lost_sources, "Candidates": funnel.lost_clips}
        rows += [(f"− {loss.name}", loss, loss.note) for loss in lost.get(bar.name, [])]
    return [
        {"stage": name, "count": bar.units, "time": span(bar.seconds), "meaning": note}
        for name, bar, note in rows
    ]


def summary(dataset: Dataset, said: str, report: str, notes: list[str]) -> str:
    """Return what was made and where to look, as Markdown."""
    lines = [
        f"## {said}",
        "",
        f"- data set `{dataset.root}`",
        f"- report `{report}`: open it from disk, it needs nothing else",
        *(f"- {note}" for note in notes),
        "",
        "Ask it:",
        "```",
        f"vexpress query {dataset.root} 'SELECT * FROM funnel'",
        "```",
    ]
    return "\n".join(lines)


def publish_sheets(dataset: Dataset, sheets: list[str]) -> None:
    """Leave contact sheets as pictures that need no file of the data set to be seen."""
    for name in sheets:
        key = "sheet-" + Path(name).stem.replace("_", "-").lower()
        text = f"Contact sheet {Path(name).stem.replace('_', ' ')}"
        # An image artifact would show the picture's whole address below it.
        small = data_uri(shrink_jpeg(dataset.read(name), SHEET_WIDTH), "jpeg")
        picture = f"`{dataset.uri(name)}`\n\n![{text}]({small})"
        create_markdown_artifact(picture, key=key, description=text)
