"""A page to look at: `report.html` in the data set, and its contact sheets as JPEG files.

Made from the manifests alone, of any data set, local or remote. The page needs nothing
outside itself. The same data set gives the same page.
"""

import json
from typing import Any

import duckdb

from vexpress.schemas.dataset import Dataset
from vexpress.schemas.query import as_dicts, connect
from vexpress.schemas.row import Model
from vexpress.tasks.curate.config import load_config
from vexpress.tasks.curate.presets import PRESETS
from vexpress.tasks.reports.charts import HEIGHT, WIDTH, read_charts
from vexpress.tasks.reports.contact_sheets import draw_sheet, encode_jpeg, read_sheets
from vexpress.tasks.reports.funnel import headline, read_funnel, read_sources
from vexpress.tasks.reports.page import render
from vexpress.tasks.reports.people import read_pairs, read_people
from vexpress.tasks.reports.what_if import compare

PAGE = "report.html"
RUNS_SHOWN = 20


class ReportPaths(Model):
    """Names of what was written, relative to the data set."""

    page: str
    """The page."""
    sheets: list[str]
    """Contact sheets: kept clips first, then one a reason, people and duplicates."""


def write_report(dataset: Dataset) -> ReportPaths:
    """Write the page and the sheets of a data set.

    Raises DatasetError when there is no data set. Sources and clips that are gone or cannot
    be read are shown as such.
    """
    connection = connect(dataset)
    sheets = read_sheets(dataset, connection)
    people, pairs = read_people(dataset, connection), read_pairs(dataset, connection)
    drawn = [*sheets, *(sheet for sheet in (people, pairs) if sheet.exhibits)]
    for name in set(dataset.names("sheets/*.jpg")) - {sheet.file for sheet in drawn}:
        dataset.fs.rm_file(dataset.path(name))  # of an earlier report
    for sheet in drawn:
        dataset.write(sheet.file, encode_jpeg(draw_sheet(sheet)))
    funnel = read_funnel(connection)
    runs = read_runs(connection)
    page = render(
        "dataset",
        shown_runs=RUNS_SHOWN,
        root=dataset.root,
        headline=headline(funnel),
        funnel=funnel,
        charts=read_charts(connection, thresholds(runs)),
        plot=(WIDTH, HEIGHT),
        what_if=compare(dataset, {name: load_config(name).keep for name in PRESETS}),
        sources=read_sources(connection),
        sheets=sheets,
        people=people,
        pairs=pairs,
        runs=runs,
        step_seconds=step_seconds(runs),
        total_seconds=sum(seconds for _, seconds in step_seconds(runs)),
        committed=last_commit(connection),
    )
    dataset.write(PAGE, page.encode())
    return ReportPaths(page=PAGE, sheets=[sheet.file for sheet in drawn])


def read_runs(connection: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Return the rows of `runs`, newest first, with their JSON columns read."""
    rows = as_dicts(connection.sql("SELECT * FROM runs ORDER BY started_at DESC, run_id"))
    readable = ("config", "versions", "counts", "step_seconds")
    for row in rows:
        row |= {name: _object(row[name]) for name in readable}
        row["weights"] = _list(row["weights"])
    return rows


def thresholds(runs: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the rules of the newest run of `curate`, or None."""
    configs = [run["config"] for run in runs if run["kind"] == "curate"]
    keep = configs[0].get("keep") if configs else None
    return keep if isinstance(keep, dict) else None


def step_seconds(runs: list[dict[str, Any]]) -> list[tuple[str, float]]:
    """Return steps and their seconds of work in all runs together, the longest first."""
    total: dict[str, float] = {}
    for run in runs:
        for step, seconds in run["step_seconds"].items():
            total[step] = total.get(step, 0.0) + float(seconds)
    return sorted(total.items(), key=lambda item: (-item[1], item[0]))


def last_commit(connection: duckdb.DuckDBPyConnection) -> str:
    """Return when the newest batch was committed, to the second, or nothing."""
    (stamp,) = connection.sql("SELECT max(committed_at) FROM videos").fetchall()[0]
    return f"{stamp[:19].replace('T', ' ')} UTC" if stamp else ""


def _object(text: str | None) -> dict[str, Any]:
    value = _json(text)
    return value if isinstance(value, dict) else {}


def _list(text: str | None) -> list[Any]:
    value = _json(text)
    return value if isinstance(value, list) else []


def _json(text: str | None) -> Any:
    try:
        return json.loads(text or "null")
    except ValueError:
        return None
