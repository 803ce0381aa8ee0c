"""What other thresholds would keep, from the scores in the manifests alone.

The rules are those of `tasks/curate/filter.py`, turned into SQL; no video is opened and no
step runs.
"""

from dataclasses import dataclass
from typing import Any

import duckdb

from vexpress.schemas.dataset import Dataset
from vexpress.schemas.query import connect
from vexpress.tasks.curate.filter import RULES, KeepRules, Rule
from vexpress.tasks.reports.reasons import NOT_MEASURED

KEPT = "kept"


@dataclass(frozen=True)
class Sum:
    """Candidates of one verdict."""

    clips: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Comparison:
    """Verdicts under several sets of thresholds."""

    verdicts: list[str]
    """`kept`, then reasons, the most frequent of all sets first."""
    sums: dict[str, dict[str, Sum]]
    """By set, then by verdict; the set `now` is what the manifests say."""
    unknown: dict[str, dict[str, int]]
    """By set: candidates that were cropped but lack the score of a rule, by column."""


def compare(dataset: Dataset, sets: dict[str, KeepRules]) -> Comparison:
    """Return what each of `sets` would keep, beside what is kept now.

    Raises DatasetError when there is no data set.
    """
    connection = connect(dataset)
    columns = {row[0] for row in connection.execute("DESCRIBE clips").fetchall()}
    now = "SELECT coalesce(reason, status) AS verdict, end_s - start_s AS seconds FROM clips"
    sums = {"now": _sums(connection, now)}
    unknown = {}
    for name, keep in sets.items():
        sums[name] = _sums(connection, verdicts_sql(keep, columns))
        unknown[name] = _unknown(connection, keep, columns)
    counts: dict[str, int] = {}
    for found in sums.values():
        for verdict, total in found.items():
            counts[verdict] = counts.get(verdict, 0) + total.clips
    reasons = sorted(counts.keys() - {KEPT}, key=lambda verdict: (-counts[verdict], verdict))
    return Comparison([KEPT, *reasons], sums, unknown)


def verdicts_sql(keep: KeepRules, columns: set[str]) -> str:
    """Return the SQL that answers with verdict and seconds of every candidate under `keep`.

    A copy is rejected as one where these rules keep a better copy, as in the view `clips`.
    """
    return (
        f"WITH verdicts AS (SELECT clip_id, {verdict_sql(keep, columns)} AS verdict, "
        "end_s - start_s AS seconds FROM filtered), copies AS (SELECT clip_id FROM duplicates "
        f"SEMI JOIN (SELECT clip_id AS duplicate_of FROM verdicts WHERE verdict = '{KEPT}') "
        f"USING (duplicate_of)) SELECT CASE WHEN verdict = '{KEPT}' AND clip_id IN "
        "(SELECT clip_id FROM copies) THEN 'duplicate' ELSE verdict END AS verdict, seconds "
        "FROM verdicts"
    )


def verdict_sql(keep: KeepRules, columns: set[str]) -> str:
    """Return an SQL expression over `filtered`: `kept` or the reason under the rules `keep`.

    What no rule decided (no face, several faces, an error) stays as it is.
    A candidate that was never cropped and that these rules would let pass is `not_measured`.
    """
    reasons = ", ".join(sorted({f"'{rule.reason}'" for rule in RULES}))
    cases = [f"WHEN status = 'rejected' AND (is_error OR reason NOT IN ({reasons})) THEN reason"]
    for rule in RULES:
        threshold = getattr(keep, rule.setting)
        if threshold is not None and rule.column in columns:
            cases.append(f"WHEN {breaks_sql(rule, threshold)} THEN '{rule.reason}'")
    cases.append(f"WHEN media_path IS NULL THEN '{NOT_MEASURED}'")
    return f"CASE {' '.join(cases)} ELSE '{KEPT}' END"


def breaks_sql(rule: Rule, threshold: Any) -> str:
    """Return the condition under which a clip breaks a rule; an unknown score breaks none."""
    if rule.bound == "among":
        allowed = ", ".join(f"'{value}'" for value in threshold)
        return f"{rule.column} NOT IN ({allowed})"
    value = str(threshold).lower() if isinstance(threshold, bool) else repr(threshold)
    return f"{rule.column} {'<' if rule.bound == 'least' else '>'} {value}"


def _sums(connection: duckdb.DuckDBPyConnection, verdicts: str) -> dict[str, Sum]:
    rows = connection.execute(
        f"SELECT verdict, count(*), sum(seconds) FROM ({verdicts}) GROUP BY verdict"
    ).fetchall()
    return {name: Sum(count, seconds) for name, count, seconds in rows}


def _unknown(
    connection: duckdb.DuckDBPyConnection, keep: KeepRules, columns: set[str]
) -> dict[str, int]:
    asked = {r.column for r in RULES if getattr(keep, r.setting) is not None}
    counts = [f"count(*) - count({c})" if c in columns else "count(*)" for c in sorted(asked)]
    query = f"SELECT {', '.join(counts)} FROM clips WHERE media_path IS NOT NULL"
    (row,) = connection.execute(query).fetchall()
    return {name: count for name, count in zip(sorted(asked), row, strict=True) if count}
