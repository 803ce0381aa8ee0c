"""What a generated video is worth. Table `evaluations`, one row per number."""

from typing import ClassVar, Literal

from vexpress.schemas.row import Row


class Evaluation(Row):
    """One number of one video, or of all videos of a set of weights; or why there is none."""

    TABLE: ClassVar[str] = "evaluations"

    request_id: str | None
    """The video (`generations.request_id`); null for a number of all videos together."""
    weights: str
    """Name of the weights that made it."""
    weights_sha256: str
    """Their SHA-256: what tells checkpoints apart."""
    clip_id: str | None = None
    """Clip of the data set that drove it."""
    metric: str
    """What was measured (`vexpress/metrics/table.py`)."""
    version: int
    """Version of the metric."""
    status: Literal["measured", "unmeasurable", "failed"]
    """`unmeasurable`: this video has no such number, or the model for it is not here; `failed`:
    something broke, and the next run tries again."""
    value: float | None = None
    """The number; null where there is none, never a number in its place."""
    unit: str = ""
    """Its unit."""
    better: str
    """`less`, `more`, `near 1` or `near 0`."""
    reason: str | None = None
    """Why there is no number: one word."""
    detail: str | None = None
    """The same in a sentence."""
    measured_by: str = ""
    """The model that measured it; numbers of different models cannot be compared."""
    count: int = 0
    """Frames (pictures, videos) that the number stands on."""
    key: str
    """Hash of all that the number depends on: the video's bytes, settings, versions, models."""
    run_id: str
    """The run that measured it."""
    evaluated_at: str
    """ISO 8601 UTC; of several rows of a metric and request the newest counts."""
