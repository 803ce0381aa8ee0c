"""Distributions of the scores that thresholds use, ready to be drawn.

Which columns, and how each is drawn, stands beside them in `schemas/clip.py`. Counting happens
in SQL; here numbers become the geometry of small SVG charts.
"""

import math
from dataclasses import dataclass
from typing import Any

import duckdb

from vexpress.schemas.axis import Axis, axis_of, unit_of
from vexpress.schemas.clip import Clip
from vexpress.tasks.curate.filter import RULES, Rule

BINS = 24
FEWEST_BINS = 8
"""Bins of whole numbers, where fewer than that differ."""
WIDTH, HEIGHT = 280, 96
"""Plot area, SVG units."""


@dataclass(frozen=True)
class Score:
    """A column of `clips` to look at."""

    column: str
    axis: Axis
    unit: str
    whole: bool
    """Whether values are whole numbers."""

    @property
    def rule(self) -> Rule | None:
        """The rule with a threshold on this column."""
        return next((rule for rule in RULES if rule.column == self.column), None)

    @property
    def least(self) -> bool:
        """Whether the threshold is the least value allowed, not the most."""
        return self.rule is None or self.rule.bound == "least"


def scores() -> dict[str, list[Score]]:
    """Return the columns of `clips` that have an axis, by heading."""
    found: dict[str, list[Score]] = {}
    for name, field in Clip.columns().items():
        axis = axis_of(field)
        if axis:
            whole = field.annotation in (int, int | None)
            score = Score(name, axis, unit_of(name, field), whole)
            found.setdefault(axis.heading, []).append(score)
    return found


@dataclass(frozen=True)
class Column:
    """One column of a histogram: kept below, rejected on top, SVG units."""

    x: float
    width: float
    kept_y: float
    kept_height: float
    rejected_y: float
    rejected_height: float
    label: str


@dataclass(frozen=True)
class Chart:
    """A histogram with its axis and its threshold."""

    score: Score
    count: int
    columns: list[Column]
    ticks: list[tuple[float, str]]
    tallest: int
    threshold: float | None
    threshold_x: float | None
    """Where the line stands; null where there is no threshold or it lies outside."""


def read_charts(
    connection: duckdb.DuckDBPyConnection, keep: dict[str, Any] | None
) -> dict[str, list[Chart]]:
    """Return the charts by heading; `keep` holds the thresholds, null where none are known.

    A score that this data set does not have yet has no chart.
    """
    known = {row[0] for row in connection.execute("DESCRIBE clips").fetchall()}
    charts = {
        heading: [_chart(connection, s, keep or {}) for s in group if s.column in known]
        for heading, group in scores().items()
    }
    return {heading: found for heading, found in charts.items() if found}


def _chart(connection: duckdb.DuckDBPyConnection, score: Score, keep: dict[str, Any]) -> Chart:
    threshold = keep.get(score.rule.setting) if score.rule else None
    name = score.column
    found = f"SELECT count({name}), min({name}), max({name}) FROM clips"
    count, least, most = connection.execute(found).fetchall()[0]
    start, step, bins = _bins(score, least or 0, most or 0, threshold)
    tallies = _tally(connection, name, start, step, bins)
    tallest = max([kept + rejected for kept, rejected in tallies], default=0)
    end = start + step * bins
    inside = threshold is not None and start <= threshold <= end
    return Chart(
        score=score,
        count=count,
        columns=[_column(i, n, tallest, bins, start, step, score) for i, n in enumerate(tallies)],
        ticks=_ticks(start, end, score, bins),
        tallest=tallest,
        threshold=threshold,
        threshold_x=_x(_edge(threshold, score), start, end) if inside and threshold else None,
    )


def _edge(threshold: float, score: Score) -> float:
    """The line of a most allowed whole number stands behind its column."""
    return threshold + 1 if score.whole and not score.least else threshold


def _bins(
    score: Score, least: float, most: float, threshold: float | None
) -> tuple[float, float, int]:
    """Return start, width and number of bins; whole numbers get bins of whole width."""
    start = least if score.axis.low is None else score.axis.low
    end = max(most, threshold or most) if score.axis.high is None else score.axis.high
    if score.whole:
        end = max(end, start + FEWEST_BINS - 1)
        step = max(1, math.ceil((end + 1 - start) / BINS))
        return start, step, max(1, math.ceil((end + 1 - start) / step))
    return start, (end - start) / BINS or 1.0, BINS


def _tally(
    connection: duckdb.DuckDBPyConnection, name: str, start: float, step: float, bins: int
) -> list[tuple[int, int]]:
    """Return kept and rejected per bin; what lies outside counts in the bin nearest to it."""
    rows = connection.execute(
        f"SELECT greatest(0, least($last, floor(({name} - $start) / $step)))::INT AS bin, "
        f"count(*) FILTER (status = 'kept'), count(*) FILTER (status <> 'kept') "
        f"FROM clips WHERE {name} IS NOT NULL GROUP BY bin",
        {"last": bins - 1, "start": start, "step": step},
    ).fetchall()
    known = {number: (kept, rejected) for number, kept, rejected in rows}
    return [known.get(number, (0, 0)) for number in range(bins)]


def _column(
    number: int,
    tally: tuple[int, int],
    tallest: int,
    bins: int,
    start: float,
    step: float,
    score: Score,
) -> Column:
    kept, rejected = (HEIGHT * n / (tallest or 1) for n in tally)
    width = WIDTH / bins
    low, high = start + number * step, start + (number + 1) * step
    span = f"{low:g}" if score.whole and step == 1 else f"{low:.4g} to {high:.4g}"
    return Column(
        x=number * width,
        width=max(width - 1.5, 1),
        kept_y=HEIGHT - kept,
        kept_height=kept,
        rejected_y=HEIGHT - kept - rejected,
        rejected_height=rejected,
        label=f"{span} {score.unit}: {tally[0]} kept, {tally[1]} rejected",
    )


def _x(value: float, start: float, end: float) -> float:
    return WIDTH * (value - start) / ((end - start) or 1)


def _ticks(start: float, end: float, score: Score, bins: int) -> list[tuple[float, str]]:
    """Return positions and labels of round numbers along the axis."""
    step = _round_step((end - start) / 4, score.whole)
    first = math.ceil(start / step) * step
    values = [first + i * step for i in range(math.floor((end - first) / step + 1e-9) + 1)]
    if score.whole and (end - start) == bins:  # one number a bin: its label stands in the middle
        return [(_x(v + 0.5, start, end), f"{v:g}") for v in values if v < end]
    return [(_x(v, start, end), f"{v:.4g}") for v in values]


def _round_step(rough: float, whole: bool) -> float:
    """Return 1, 2 or 5 times a power of ten, at least `rough`."""
    power = 10 ** math.floor(math.log10(rough)) if rough > 0 else 1.0
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    return max(1.0, round(step)) if whole else step
