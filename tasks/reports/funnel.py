"""The numbers of a report: what went in, what was lost where, what was kept.

Everything is summed up in SQL, so that a report of a million clips costs a few seconds.
"""

from dataclasses import dataclass, field
from typing import Any

import duckdb

from vexpress.schemas.query import as_dicts
from vexpress.schemas.text import counted
from vexpress.tasks.engine.duration import THIN, span
from vexpress.tasks.reports.reasons import explain

MAX_SOURCES = 200
STAGES = {
    ("source", "found"): ("Sources", "files found"),
    ("scene", "found"): ("Scenes", "shots between cuts, of readable sources"),
    ("track", "found"): ("Tracks", "faces through scenes; two faces at once count twice"),
    ("clip", "candidates"): ("Candidates", "segments of scenes, kept or rejected by the rules"),
    ("clip", "kept"): ("Kept", "clips to train on"),
}
LOST = {("source", "rejected"), ("source", "duplicate"), ("clip", "rejected")}


@dataclass(frozen=True)
class Bar:
    """One bar: what it counts, how many, how long."""

    name: str
    note: str
    units: int
    seconds: float
    share: float
    """Length of the bar, 0..1 of the longest."""
    kind: str
    """`stage`, `kept` or `rejected`."""


@dataclass(frozen=True)
class Funnel:
    """From sources to kept clips."""

    sources: int
    source_s: float
    clips: int
    kept_s: float
    stages: list[Bar]
    lost_sources: list[Bar]
    lost_clips: list[Bar]

    @property
    def kept_share(self) -> float:
        """Share of the source's time that is kept, 0..1."""
        return self.kept_s / self.source_s if self.source_s else 0.0


@dataclass(frozen=True)
class SourceTable:
    """The sources that lose most, and how many others there are."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    others: int = 0


def read_funnel(connection: duckdb.DuckDBPyConnection) -> Funnel:
    """Return the funnel of a data set."""
    rows = connection.execute("SELECT stage, status, reason, units, hours FROM funnel").fetchall()
    found = {(r[0], r[1]): (r[3], r[4] * 3600) for r in rows if (r[0], r[1]) in STAGES}
    longest = max((seconds for _, seconds in found.values()), default=0.0)
    stages = [_stage(key, *found.get(key, (0, 0.0)), longest) for key in STAGES]
    losses = [row for row in rows if (row[0], row[1]) in LOST]
    return Funnel(
        sources=stages[0].units,
        source_s=stages[0].seconds,
        clips=stages[-1].units,
        kept_s=stages[-1].seconds,
        stages=stages,
        lost_sources=_losses([row for row in losses if row[0] == "source"]),
        lost_clips=_losses([row for row in losses if row[0] == "clip"]),
    )


def _stage(key: tuple[str, str], units: int, seconds: float, longest: float) -> Bar:
    name, note = STAGES[key]
    kind = "kept" if key == ("clip", "kept") else "stage"
    return Bar(name, note, units, seconds, seconds / (longest or 1), kind)


def _losses(rows: list[tuple[Any, ...]]) -> list[Bar]:
    """Bars of rejections, the most time first, as long as their share of the time lost."""
    longest = max([hours for *_, hours in rows], default=0.0) * 3600 or 1.0
    bars = [
        Bar(
            name=reason or status,
            note=explain(reason or status),
            units=units,
            seconds=hours * 3600,
            share=hours * 3600 / longest,
            kind="rejected",
        )
        for _, status, reason, units, hours in rows
    ]
    return sorted(bars, key=lambda bar: (-bar.seconds, -bar.units, bar.name))


SOURCES = """
WITH made AS (
    SELECT video_id, count(*) AS candidates, count(*) FILTER (status = 'kept') AS clips,
           coalesce(sum(end_s - start_s) FILTER (status = 'kept'), 0) AS kept_s
    FROM clips GROUP BY video_id
), losses AS (
    SELECT video_id, reason, count(*) AS units FROM rejected GROUP BY video_id, reason
), said AS (
    SELECT video_id, string_agg(units || ' × ' || reason, ', ' ORDER BY units DESC, reason) AS lost
    FROM losses GROUP BY video_id
), joined AS (
    SELECT source, CASE WHEN duplicate_of IS NULL THEN status ELSE 'duplicate' END AS status,
           reason, coalesce('same content as ' || duplicate_of, detail, 'lost: ' || lost) AS detail,
           coalesce(span_end_s - span_start_s, duration_s, 0) AS seconds, width, height, fps,
           CASE WHEN duplicate_of IS NULL THEN coalesce(kept_s, 0) ELSE 0 END AS kept_s,
           CASE WHEN duplicate_of IS NULL THEN coalesce(clips, 0) ELSE 0 END AS clips,
           CASE WHEN duplicate_of IS NULL THEN coalesce(candidates, 0) ELSE 0 END AS candidates
    FROM videos LEFT JOIN made USING (video_id) LEFT JOIN said USING (video_id)
)
SELECT * FROM joined ORDER BY seconds - kept_s DESC, source LIMIT $limit
"""


def read_sources(connection: duckdb.DuckDBPyConnection) -> SourceTable:
    """Return the sources, the most lost time first, at most `MAX_SOURCES`."""
    rows = as_dicts(connection.execute(SOURCES, {"limit": MAX_SOURCES}))
    (count,) = connection.execute("SELECT count(*) FROM videos").fetchall()[0]
    return SourceTable(rows, count - len(rows))


def headline(funnel: Funnel) -> str:
    """Return the one sentence that says it all."""
    if not funnel.sources:
        return "Nothing is in this data set yet."
    return (
        f"Of {span(funnel.source_s)} in {counted(funnel.sources, 'source')}, "
        f"{span(funnel.kept_s)} were kept in {counted(funnel.clips, 'clip')}: "
        f"{100 * funnel.kept_share:.0f}{THIN}%."
    )
