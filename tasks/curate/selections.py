"""Named selections of clips: made once from SQL, then a frozen list for training and exports."""

import re
from collections import defaultdict
from datetime import UTC, datetime

from vexpress.schemas.dataset import Dataset
from vexpress.schemas.errors import SelectionError
from vexpress.schemas.manifest import write_part
from vexpress.schemas.query import fetch_rows, run_query
from vexpress.schemas.selection import Selection

NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
SLACK_S = 1e-6


def make_selection(
    dataset: Dataset,
    name: str,
    sql: str,
    *,
    replace: bool = False,
    per_person_minutes: float | None = None,
) -> Selection:
    """Save the kept clips that `sql` answers with, by its column `clip_id`, under `name`.

    With `per_person_minutes` clips of each person are taken in the order of the answer, as long as
    they are no longer than that together; clips whose person is not known are all taken.

    Raises SelectionError for a bad or taken name, an answer without clips, or clips that are not
    kept; QueryError for a wrong question. Nothing is written then.
    """
    if not NAME.fullmatch(name):
        raise SelectionError(
            f"name {name!r}: expected a small letter, then small letters, digits, `-` or `_`, "
            "at most 63, such as hdtf-like."
        )
    if not replace and name in {known.name for known in read_selections(dataset)}:
        raise SelectionError(
            f"selection {name} is there already: choose another name, or replace it."
        )
    chosen = _chosen(dataset, sql)
    if per_person_minutes is not None:
        chosen = _balanced(dataset, chosen, per_person_minutes)
    chosen = sorted(chosen)
    made = Selection(
        name=name,
        sql=sql,
        per_person_minutes=per_person_minutes,
        selected_at=datetime.now(UTC).isoformat(),
        clips=len(chosen),
        seconds=_seconds(dataset, chosen),
        clip_ids=chosen,
    )
    write_part(dataset, _part(name), Selection, [made])
    return made


def read_selections(dataset: Dataset) -> list[Selection]:
    """Return all selections by name, without their clips."""
    columns = [name for name in Selection.model_fields if name != "clip_ids"]
    answer = run_query(dataset, f"SELECT {', '.join(columns)} FROM selections ORDER BY name")
    return [Selection(**row, clip_ids=[]) for row in answer.dicts()]


def within_selection(dataset: Dataset, name: str, where: str = "") -> str:
    """Return the SQL condition on clips for those of a selection that satisfy `where` as well.

    Raises SelectionError when there is no such selection, or some of its clips are not kept now.
    """
    known = [selection.name for selection in read_selections(dataset)]
    if name not in known:
        found = ", ".join(known) or "none"
        raise SelectionError(
            f"selection {name}: expected one of this data set's selections, found: {found}."
        )
    _require_kept(
        dataset, f"SELECT clip_id FROM selected WHERE name = '{name}'", f"selection {name}"
    )
    condition = f"clip_id IN (SELECT clip_id FROM selected WHERE name = '{name}')"
    return f"{condition} AND ({where})" if where else condition


def _part(name: str) -> str:
    return f"manifests/selections/{name}.parquet"


def _chosen(dataset: Dataset, sql: str) -> list[str]:
    answer = run_query(dataset, sql)
    if "clip_id" not in answer.columns:
        found = ", ".join(answer.columns)
        raise SelectionError(
            f"expected a question that answers with clip_id, such as "
            f'"SELECT clip_id FROM kept WHERE yaw_max_deg < 20"; found the columns {found}.'
        )
    place = answer.columns.index("clip_id")
    chosen = list(dict.fromkeys(str(row[place]) for row in answer.rows if row[place] is not None))
    if not chosen:
        raise SelectionError("expected at least one clip; the question is answered with none.")
    _require_kept(dataset, "SELECT unnest($ids) AS clip_id", "the question", ids=chosen)
    return chosen


def _balanced(dataset: Dataset, ids: list[str], minutes: float) -> list[str]:
    """Return the clips, in order, that fit into `minutes` of each person."""
    of = {
        clip_id: (person, seconds) for clip_id, person, seconds in fetch_rows(dataset, OF, ids=ids)
    }
    taken: defaultdict[str, float] = defaultdict(float)
    fitting = []
    for clip_id in ids:
        person, seconds = of[clip_id]
        if person is None or taken[person] + seconds <= minutes * 60 + SLACK_S:
            fitting.append(clip_id)
            taken[person] += seconds
    if not fitting:
        raise SelectionError(
            f"expected a clip of at most {minutes:g} minutes, found longer ones alone."
        )
    return fitting


def _require_kept(dataset: Dataset, listed: str, what: str, **values: list[str]) -> None:
    """Raise SelectionError unless all listed clips are kept, with why they are not."""
    lost = fetch_rows(
        dataset,
        f"SELECT coalesce(c.reason, 'no such clip'), count(*) FROM ({listed}) AS listed "
        "LEFT JOIN clips c USING (clip_id) WHERE c.status IS DISTINCT FROM 'kept' "
        "GROUP BY 1 ORDER BY 2 DESC, 1",
        **values,
    )
    if lost:
        why = ", ".join(f"{count} {reason}" for reason, count in lost)
        raise SelectionError(
            f"{what}: expected clips that are kept, found {sum(n for _, n in lost)} others: {why}. "
            "Ask with FROM kept, or curate again with other thresholds."
        )


def _seconds(dataset: Dataset, ids: list[str]) -> float:
    return float(sum(seconds for _, _, seconds in fetch_rows(dataset, OF, ids=ids)))


OF = """
SELECT clip_id, person_id, end_s - start_s
FROM clips SEMI JOIN (SELECT unnest($ids) AS clip_id) x USING (clip_id)
"""
"""Person and length, seconds, of clips."""
