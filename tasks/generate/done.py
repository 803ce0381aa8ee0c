"""What of a plan was done in earlier runs."""

from vexpress.schemas.dataset import Dataset
from vexpress.schemas.generation import Generation
from vexpress.schemas.query import fetch_rows
from vexpress.tasks.generate.generator import FOLDER
from vexpress.tasks.generate.requests import RequestPlan

KNOWN = """
SELECT request_id, status, out_path, reason, detail FROM generations
WHERE request_id IN (SELECT unnest($ids))
"""

WRITTEN = """
SELECT request_id, run_id FROM generations WHERE request_id IN (SELECT unnest($ids))
"""


def not_written(rows: list[Generation], dataset: Dataset) -> list[Generation]:
    """Return the rows that are not in the manifest."""
    if not rows:
        return []
    ids = [row.request_id for row in rows]
    written = set(fetch_rows(dataset, WRITTEN, ids=ids))
    return [row for row in rows if (row.request_id, row.run_id) not in written]


def leave_out_done(plan: RequestPlan, dataset: Dataset, again: bool) -> None:
    """Take out of the plan what was made before, and what was tried and can only fail again.

    A video that is gone is made again; `again`: so is what failed.
    """
    ids = [p.request_id for p in plan.videos] + [r.request_id for r in plan.rejected]
    rows = fetch_rows(dataset, KNOWN, ids=ids)
    there = set(dataset.names(f"{FOLDER}/*.mp4"))
    done = {
        request_id
        for request_id, status, out_path, *_ in rows
        if (out_path in there if status == "made" else not (again and status == "failed"))
    }
    said = {(request_id, reason, detail) for request_id, _, _, reason, detail in rows}
    todo = [planned for planned in plan.videos if planned.request_id not in done]
    plan.done += len(plan.videos) - len(todo)
    failed = {request_id for request_id, status, *_ in rows if status != "made"} & done
    plan.failed_before += sum(planned.request_id in failed for planned in plan.videos)
    plan.videos = todo
    # A row that is rejected for the same reason as before need not be written again.
    plan.known = [r for r in plan.rejected if (r.request_id, r.reason, r.detail) in said]
    plan.rejected = [r for r in plan.rejected if (r.request_id, r.reason, r.detail) not in said]
