"""What is to be evaluated: videos without the numbers that today's code and models give."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from vexpress.schemas.dataset import Dataset
from vexpress.schemas.generation import Generation
from vexpress.schemas.query import as_dicts, connect
from vexpress.schemas.row import Model
from vexpress.tasks.engine.engine import EngineConfig
from vexpress.tasks.evaluate.measure import EvaluateVideo, MeasureConfig
from vexpress.tasks.evaluate.sets import SetConfig, VideoSet


class EvaluateConfig(Model):
    """Settings of an evaluation."""

    measure: MeasureConfig = MeasureConfig()
    """What measures each video."""
    sets: SetConfig = SetConfig()
    """Which pictures FID and FVD are made of."""
    shard_videos: int = Field(50, ge=1)
    """Videos that are measured and written together: what a kill may lose."""
    shown: int = Field(12, ge=0)
    """Videos of each set of weights shown side by side in the report, from the best to the
    worst."""
    engine: EngineConfig = EngineConfig()
    """Where the work runs and how much of it at once."""


@dataclass(frozen=True)
class EvaluationPlan:
    """Requests to measure, in order, and how many were measured before."""

    pending: list[str]
    done_before: int


MADE = """
SELECT request_id, finished_at FROM generations
WHERE status = 'made' AND (CAST($weights AS VARCHAR) IS NULL
      OR weights IN ($weights, $folder) OR starts_with(weights_sha256, $weights))
ORDER BY reference, width, height, request_id
"""
"""Requests with one reference come after each other: it is read and embedded once."""
DONE = """
SELECT DISTINCT key FROM evaluations
EXCEPT SELECT key FROM evaluations WHERE status = 'failed'
"""


def plan_evaluation(
    dataset: Dataset, step: EvaluateVideo, weights: str | None, limit: int | None
) -> EvaluationPlan:
    """Return the requests made by `weights` (a name, a folder or the start of a SHA-256; None:
    any) that lack numbers."""
    connection = connect(dataset)
    done = {key for (key,) in connection.sql(DONE).fetchall()}
    made = connection.execute(MADE, _names(weights)).fetchall()[:limit]
    pending = [request for request, at in made if step.key_of(request, at) not in done]
    return EvaluationPlan(pending, len(made) - len(pending))


def _names(weights: str | None) -> dict[str, str | None]:
    """What the queries take: a folder's weights are named by its absolute path."""
    folder = str(Path(weights).expanduser().absolute()) if weights else None
    return {"weights": weights, "folder": folder}


def read_generations(dataset: Dataset, requests: list[str]) -> Iterator[Generation]:
    """Yield the rows of `requests`, in their order."""
    query = "SELECT * FROM generations WHERE list_contains($wanted, request_id)"
    known = set(Generation.model_fields)
    rows = {}
    for row in as_dicts(connect(dataset).sql(query, params={"wanted": requests})):
        fields = {name: value for name, value in row.items() if name in known}
        rows[fields["request_id"]] = Generation.model_validate(fields)
    yield from (rows[request] for request in requests if request in rows)


def plan_sets(dataset: Dataset, config: SetConfig, weights: str | None) -> list[VideoSet]:
    """Return a set for each set of weights with videos, and the real videos to compare with."""
    connection = connect(dataset)
    real = [path for (path,) in connection.sql(REAL).fetchall()]
    made = connection.execute(OUTPUTS, _names(weights)).fetchall()
    chosen = tuple(_evenly(real, config.most_videos))
    return [
        VideoSet(name, digest, tuple(_evenly(paths, config.most_videos)), chosen)
        for name, digest, paths in made
    ]


REAL = "SELECT media_path FROM kept WHERE media_path IS NOT NULL ORDER BY clip_id"
OUTPUTS = """
SELECT any_value(weights), weights_sha256, list(out_path ORDER BY request_id) FROM generations
WHERE status = 'made' AND (CAST($weights AS VARCHAR) IS NULL
      OR weights IN ($weights, $folder) OR starts_with(weights_sha256, $weights))
GROUP BY weights_sha256 ORDER BY ALL
"""


def _evenly(items: list[str], most: int) -> list[str]:
    if len(items) <= most:
        return items
    return [items[number * len(items) // most] for number in range(most)]
