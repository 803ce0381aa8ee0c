"""Named selections of clips: made once from SQL, then a frozen list for training and exports."""

import re
from datetime import UTC, datetime

import duckdb

from vexpress.schemas.dataset import Dataset
from vexpress.schemas.errors import PickError
from vexpress.schemas.manifest import write_part
from vexpress.schemas.query import connect, query_errors, run_query
from vexpress.schemas.selection import Pick

NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")


def make_pick(dataset: Dataset, name: str, sql: str, *, replace: bool = False) -> Pick:
    """Save the kept clips that `sql` answers with, by its column `clip_id`, under `name`.

    Raises PickError for a bad or taken name, an answer without clips, or clips that are not
    kept; QueryError for a wrong question. Nothing is written then.
    """
    if not NAME.fullmatch(name):
        raise PickError(
            f"--name {name!r}: expected a small letter, then small letters, digits, `-` or `_`, "
            "at most 63, such as hdtf-like."
        )
    if _part(name) in dataset.names("manifests/picks/*.parquet") and not replace:
        raise PickError(f"--name {name}: such a pick is there. Choose another name, or --replace.")
    chosen = _chosen(dataset, sql)
    made = Pick(
        name=name,
        sql=sql,
        picked_at=datetime.now(UTC).isoformat(),
        clips=len(chosen),
        seconds=_seconds(dataset, chosen),
        clip_ids=chosen,
    )
    write_part(dataset, _part(name), Pick, [made])
    return made


def read_picks(dataset: Dataset) -> list[Pick]:
    """Return all picks by name, without their clips."""
    if not dataset.exists("manifests/picks"):
        dataset.require()
        return []
    columns = [name for name in Pick.model_fields if name != "clip_ids"]
    answer = run_query(dataset, f"SELECT {', '.join(columns)} FROM picks ORDER BY name")
    return [Pick(**dict(zip(columns, r, strict=True)), clip_ids=[]) for r in answer.fetchall()]


def within_pick(dataset: Dataset, name: str, where: str = "") -> str:
    """Return the SQL condition on clips for those of a pick that satisfy `where` as well.

    Raises PickError when there is no such pick, or some of its clips are not kept any more.
    """
    known = [pick.name for pick in read_picks(dataset)]
    if name not in known:
        found = ", ".join(known) or "none"
        raise PickError(f"--pick {name}: expected one of this data set's picks, found: {found}.")
    _require_kept(dataset, f"SELECT clip_id FROM picked WHERE name = '{name}'", f"--pick {name}")
    condition = f"clip_id IN (SELECT clip_id FROM picked WHERE name = '{name}')"
    return f"{condition} AND ({where})" if where else condition


def _part(name: str) -> str:
    return f"manifests/picks/{name}.parquet"


def _chosen(dataset: Dataset, sql: str) -> list[str]:
    answer = run_query(dataset, sql)
    if "clip_id" not in answer.columns:
        found = ", ".join(answer.columns)
        raise PickError(
            f"expected a question that answers with clip_id, such as "
            f'"SELECT clip_id FROM kept WHERE yaw_max_deg < 20"; found the columns {found}.'
        )
    with query_errors():
        found = answer.select("clip_id").fetchall()
    chosen = sorted({str(clip_id) for (clip_id,) in found if clip_id is not None})
    if not chosen:
        raise PickError("expected at least one clip; the question is answered with none.")
    _require_kept(dataset, "SELECT unnest($ids) AS clip_id", "the question", ids=chosen)
    return chosen


def _require_kept(dataset: Dataset, listed: str, what: str, **values: list[str]) -> None:
    """Raise PickError unless all listed clips are kept, with why they are not."""
    connection = connect(dataset)
    lost = connection.execute(
        f"SELECT coalesce(c.reason, 'no such clip'), count(*) FROM ({listed}) AS listed "
        "LEFT JOIN clips c USING (clip_id) WHERE c.status IS DISTINCT FROM 'kept' "
        "GROUP BY 1 ORDER BY 2 DESC, 1",
        values or None,
    ).fetchall()
    if lost:
        why = ", ".join(f"{count} {reason}" for reason, count in lost)
        raise PickError(
            f"{what}: expected clips that are kept, found {sum(n for _, n in lost)} others: {why}. "
            "Ask with FROM kept, or curate again with other thresholds."
        )


def _seconds(dataset: Dataset, ids: list[str]) -> float:
    connection: duckdb.DuckDBPyConnection = connect(dataset)
    total = "SELECT sum(end_s - start_s) FROM clips SEMI JOIN (SELECT unnest($ids) AS clip_id) x "
    return float(connection.execute(total + "USING (clip_id)", {"ids": ids}).fetchall()[0][0])
