"""What `generate-batch --dry-run` says; nothing is written."""

from pathlib import Path

from vexpress.schemas.dataset import Dataset
from vexpress.schemas.query import fetch_rows
from vexpress.schemas.text import counted
from vexpress.tasks.engine.duration import span
from vexpress.tasks.generate.config import GenerateConfig
from vexpress.tasks.generate.done import leave_out_done
from vexpress.tasks.generate.order import cost
from vexpress.tasks.generate.requests import RequestPlan, plan_requests
from vexpress.tasks.generate.weights import used_weights

SHOWN = 40
EARLIER = """
SELECT sum(seconds), sum(frames * width * height *
    (parameters->>'steps')::DOUBLE * (1 + (parameters->>'guidance_share')::DOUBLE
    * CASE WHEN (parameters->>'guidance')::DOUBLE > 1 THEN 1 ELSE 0 END))
FROM generations WHERE status = 'made' AND weights_sha256 = $weights
"""


def describe_requests(
    requests: str, dataset: str, config: GenerateConfig, weights: Path | None
) -> str:
    """Return what would be made, how long it takes, and what cannot be made."""
    data = Dataset(dataset)
    used = used_weights(config.model, weights)
    plan = plan_requests(requests, data, config, used, "dry-run")
    is_there = data.exists("manifests/generations")
    if is_there:
        leave_out_done(plan, data, config.again)
    wrong = [*plan.rejected, *plan.known]
    seconds = sum(planned.sound_s for planned in plan.videos)
    lines = [
        f"{counted(plan.asked, 'request')}: {len(plan.videos)} to make ({span(seconds)} of video), "
        f"{plan.done} done before, {plan.equal} equal to others, {len(wrong)} rejected",
        f"weights: {used.name} ({used.licence})",
        _how_long(plan, data, config, used.sha256) if is_there else UNKNOWN,
        *(f"row {row.row_number}: {row.reason}: {row.detail}" for row in wrong[:SHOWN]),
    ]
    if len(wrong) > SHOWN:
        lines.append(f"and {len(wrong) - SHOWN} more")
    return "\n".join(lines)


def _how_long(plan: RequestPlan, data: Dataset, config: GenerateConfig, sha256: str) -> str:
    """Say how long it takes, by what earlier videos of the same weights took."""
    spent, pixels = fetch_rows(data, EARLIER, weights=sha256)[0]
    if not spent or not pixels:
        return UNKNOWN
    workers = config.workers.count if config.workers.kind == "ray" else 1
    seconds = sum(map(cost, plan.videos)) * spent / pixels / workers
    return f"time: about {span(seconds)}, by the videos made before with these weights"


UNKNOWN = "time: not known yet, no video was made with these weights"
