"""Who is seen, and what is seen twice: one face a person, and duplicates beside what is kept.

Both lists are short whatever the size of the data set: the people with the most clips, and
the copies that are least alike, since those are worth a look.
"""

import logging
from collections.abc import Callable
from functools import partial
from pathlib import PurePosixPath
from typing import Any

import duckdb
import numpy as np

from vexpress.schemas.dataset import Dataset
from vexpress.schemas.query import as_dicts
from vexpress.tasks.engine.duration import span
from vexpress.tasks.engine.step import Rejection
from vexpress.tasks.reports.contact_sheets import Exhibit, Sheet
from vexpress.tasks.reports.thumbnails import clip_pictures

log = logging.getLogger(__name__)

PEOPLE_SHOWN = 48
PAIRS_SHOWN = 12
PEOPLE = """
WITH seen AS (
    SELECT *, distance, row_number() OVER (one ORDER BY distance, clip_id) AS n,
           count(*) OVER one AS clips, sum(end_s - start_s) OVER one AS seconds
    FROM kept JOIN (SELECT clip_id, distance FROM persons) USING (clip_id)
    WHERE person_id IS NOT NULL WINDOW one AS (PARTITION BY person_id)
)
SELECT person_id AS name, * EXCLUDE (n), count(*) OVER () AS total FROM seen WHERE n = 1
ORDER BY clips DESC, seconds DESC, person_id LIMIT $shown
"""
"""Of each person the clip nearest to the mean of all of theirs."""
PAIRS = """
SELECT c.*, k.media_path AS kept_path, k.fps AS kept_fps, k.frames AS kept_frames,
       k.source AS kept_source, d.shift_s, d.speed, d.overlap_s, count(*) OVER () AS total
FROM duplicates d JOIN clips c USING (clip_id) JOIN kept k ON k.clip_id = d.duplicate_of
WHERE c.reason = 'duplicate'
ORDER BY coalesce(d.picture, d.look) + coalesce(d.sound, 0), c.clip_id LIMIT $shown
"""


def read_people(dataset: Dataset, connection: duckdb.DuckDBPyConnection) -> Sheet:
    """Return a face of each person of kept clips, those with the most clips first."""
    rows = as_dicts(connection.execute(PEOPLE, {"shown": PEOPLE_SHOWN}))
    exhibits = [
        _exhibit(
            {**row, "clip_id": row["name"], "detail": _counted(row)},
            partial(_frame, dataset, row, row["frames"] // 2),
        )
        for row in rows
    ]
    total = rows[0]["total"] if rows else 0
    note = "One face of each person, from the clip nearest to the mean of all of theirs."
    return Sheet("People", note, total, exhibits, "sheets/people.jpg")


def read_pairs(dataset: Dataset, connection: duckdb.DuckDBPyConnection) -> Sheet:
    """Return duplicates, each beside the clip that is kept, at the same moment."""
    rows = as_dicts(connection.execute(PAIRS, {"shown": PAIRS_SHOWN}))
    exhibits = [_exhibit(row, partial(_both, dataset, row)) for row in rows]
    total = rows[0]["total"] if rows else 0
    note = "Left the clip that is kept, right its copy at the same moment; the least alike first."
    return Sheet("Duplicates", note, total, exhibits, "sheets/duplicates.jpg")


def same_moment(row: dict[str, Any]) -> tuple[float, float]:
    """Return the middle of what both show: seconds of the kept clip, and of its copy."""
    middle = max(row["shift_s"], 0.0) + row["overlap_s"] / 2
    return middle, (middle - row["shift_s"]) / row["speed"]


def _both(dataset: Dataset, row: dict[str, Any]) -> list[np.ndarray]:
    kept = {"media_path": row["kept_path"], "fps": row["kept_fps"], "frames": row["kept_frames"]}
    times = same_moment(row)
    return [
        picture
        for clip, time_s in zip((kept, row), times, strict=True)
        for picture in _frame(dataset, clip, round(time_s * clip["fps"]))
    ]


def _frame(dataset: Dataset, clip: dict[str, Any], number: int) -> list[np.ndarray]:
    path = PurePosixPath(clip["media_path"])
    if path.is_absolute() or ".." in path.parts:
        raise Rejection("unreadable", "its media_path leads out of the data set")
    number = min(max(number, 0), clip["frames"] - 1)
    return clip_pictures(dataset.uri(str(path)), clip["fps"], [number], None)


def _exhibit(row: dict[str, Any], look: Callable[[], list[np.ndarray]]) -> Exhibit:
    pictures: list[np.ndarray] = []
    problem = ""
    try:
        pictures = look()
    except Exception as error:
        # A report is made of whatever is left: files and storage fail in ways of their own.
        log.info("no picture of %s", row["clip_id"], exc_info=error)
        problem = f"No picture: {getattr(error, 'detail', error)}"[:200]
    names = ("clip_id", "source", "start_s", "end_s", "detail")
    return Exhibit(**{n: row[n] for n in names}, pictures=pictures, problem=problem)


def _counted(row: dict[str, Any]) -> str:
    clips = "1 clip" if row["clips"] == 1 else f"{row['clips']:,} clips"
    return f"{clips}, {span(row['seconds'])}"
