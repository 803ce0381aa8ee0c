"""The page of evaluations: `evaluation.html` in the data set, with videos beside it.

Numbers by weights, pairs of checkpoints, and requests from the best to the worst with
reference, asked V-Kps, result, and truth where a clip of the data set drove them.
"""

from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np

from vexpress.metrics.table import METRICS, VIDEO_METRICS
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.query import as_dicts, connect
from vexpress.tasks.evaluate.plan import read_generations
from vexpress.tasks.evaluate.side_by_side import strip, write_side_by_side
from vexpress.tasks.reports.contact_sheets import encode_jpeg
from vexpress.tasks.reports.page import render

PAGE = "evaluation.html"
SHEET = "sheets/evaluation.jpg"
ORDER = list(METRICS)


@dataclass(frozen=True)
class Exhibit:
    """One request on the page."""

    request_id: str
    name: str
    weights: str
    numbers: list[tuple[str, str]]
    pictures: list[np.ndarray]
    video: str | None


def write_evaluation_report(dataset: Dataset, shown: int) -> None:
    """Write the page, its contact sheet, and `shown` videos of each set of weights."""
    connection = connect(dataset)
    exhibits = [exhibit_of(dataset, connection, name) for name in choose(connection, shown)]
    kept = {exhibit.video for exhibit in exhibits}
    for name in set(dataset.names("evaluations/*.mp4")) - kept:
        dataset.fs.rm_file(dataset.path(name))  # of an earlier report
    strips = [picture for exhibit in exhibits for picture in exhibit.pictures[1:2]]
    if strips:
        dataset.write(SHEET, encode_jpeg(stack(strips)))
    page = render(
        "evaluation",
        number=number,
        root=dataset.root,
        headline="Generated videos in numbers",
        rows=summary_rows(connection),
        pairs=pair_rows(connection),
        exhibits=exhibits,
    )
    dataset.write(PAGE, page.encode())


def summary_rows(connection: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Return `evaluation_summary` in the order of the table of metrics, with reasons."""
    rows = as_dicts(connection.sql(SUMMARY))
    for row in rows:
        metric = METRICS.get(row["metric"])
        row["says"] = metric.says if metric else row["metric"]
    known = [row for row in rows if row["metric"] in METRICS]
    return sorted(known, key=lambda row: (ORDER.index(row["metric"]), row["weights"]))


SUMMARY = """
SELECT s.*, coalesce(r.reasons, '') AS reasons FROM evaluation_summary s LEFT JOIN (
    SELECT metric, weights_sha256, measured_by, version,
           string_agg(n || ' ' || reason, ', ' ORDER BY n DESC, reason) AS reasons
    FROM (SELECT metric, weights_sha256, measured_by, version, reason, count(*) AS n
          FROM evaluations WHERE value IS NULL GROUP BY ALL)
    GROUP BY ALL
) r USING (metric, weights_sha256, measured_by, version)
"""


def pair_rows(connection: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Return each pair of checkpoints once, where both made the same requests."""
    query = "SELECT * FROM evaluation_pairs WHERE weights_sha256 < other_sha256"
    rows = as_dicts(connection.sql(query))
    for row in rows:
        row["says"] = METRICS[row["metric"]].says if row["metric"] in METRICS else row["metric"]
    return rows


CHOOSE = """
WITH ordered AS (
    SELECT request_id, weights_sha256,
           row_number() OVER (PARTITION BY weights_sha256 ORDER BY value, request_id) AS n,
           count(*) OVER (PARTITION BY weights_sha256) AS total
    FROM (SELECT request_id, weights_sha256, max(value) FILTER (metric = 'kps_share') AS value
          FROM evaluations WHERE request_id IS NOT NULL GROUP BY ALL)
)
SELECT request_id FROM ordered
WHERE n * $shown // total > (n - 1) * $shown // total
ORDER BY weights_sha256, n
"""
"""Evenly from the nearest to the asked V-Kps to the farthest; those without a face last."""


def choose(connection: duckdb.DuckDBPyConnection, shown: int) -> list[str]:
    """Return the requests that are shown."""
    return [name for (name,) in connection.execute(CHOOSE, {"shown": shown}).fetchall()]


def exhibit_of(dataset: Dataset, connection: duckdb.DuckDBPyConnection, request_id: str) -> Exhibit:
    """Return what is shown of a request; its video is written unless it is there."""
    (row,) = read_generations(dataset, [request_id])
    truth = None
    if row.clip_id:
        query = "SELECT media_path FROM clips WHERE clip_id = $clip"
        paths = connection.execute(query, {"clip": row.clip_id}).fetchall()
        truth = paths[0][0] if paths else None
    query = "SELECT metric, value, unit, reason FROM evaluations WHERE request_id = $request"
    found = connection.execute(query, {"request": request_id}).fetchall()
    numbers = {name: rest for name, *rest in found}
    said = [
        (metric.name, number(value, unit) if value is not None else f"– ({reason})")
        for metric in VIDEO_METRICS
        if metric.name in numbers
        for value, unit, reason in [numbers[metric.name]]
    ]
    return Exhibit(
        request_id=request_id,
        name=row.name or request_id,
        weights=row.weights,
        numbers=said,
        pictures=[picture[..., ::-1] for picture in strip(dataset, row, truth)],
        video=write_side_by_side(dataset, row, truth),
    )


def stack(pictures: list[np.ndarray]) -> np.ndarray:
    """Return pictures of different widths below each other, uint8 BGR."""
    width = max(picture.shape[1] for picture in pictures)
    padded = [np.pad(p, ((0, 0), (0, width - p.shape[1]), (0, 0))) for p in pictures]
    return np.concatenate(padded)


def number(value: float | None, unit: str = "") -> str:
    """Return a number as a person reads it."""
    if value is None:
        return "–"
    return f"{value:.3g} {unit}".strip()
