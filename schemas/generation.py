"""A video asked for. Table `generations`, one row per request and weights."""

from typing import ClassVar, Literal

from vexpress.schemas.row import Row, VKps


class Generation(Row):
    """What came of one request: a video, or the reason why there is none."""

    TABLE: ClassVar[str] = "generations"

    request_id: str
    """Hash of the bytes of all inputs, the parameters and the weights; of a request whose
    inputs cannot be read, of their names."""
    asked_id: str
    """Hash of the request as it was written: names, parameters, weights. A request that was
    rejected and is made later has the same."""
    run_id: str
    """The run that wrote this row."""
    requests: str
    """The table of requests: a path, or the SQL."""
    row_number: int
    """Row of that table, from 1 (a header does not count)."""
    name: str | None = None
    """What the requester calls it; not part of `request_id`."""
    status: Literal["made", "failed", "rejected"]
    """`made`; `rejected`: an input is missing or does not do; `failed`: something broke."""
    reason: str | None = None
    """Why there is no video: one word."""
    detail: str | None = None
    """The same in a sentence: what was expected, what was found."""
    reference: str
    """The portrait, an absolute path."""
    audio: str
    """The sound, an absolute path."""
    driving_kps: str | None = None
    """Driving points (kps.pth), an absolute path."""
    driving_video: str | None = None
    """Driving video, an absolute path."""
    clip_id: str | None = None
    """Clip of the data set whose points drive, and whose sound and picture are taken where
    none are given."""
    strategy: str
    """How driving points become the reference's (`vexpress.faces.strategy.Strategy`)."""
    parameters: str
    """Everything else that was asked for, all fields with their values, JSON object."""
    weights: str
    """Name of the weights: `tiny`, or the folder's."""
    weights_sha256: str
    """SHA-256 over the weights' files (names and contents)."""
    licence: str
    """Licence of the weights."""
    out_path: str | None = None
    """The MP4, relative to the data set; null where there is none."""
    asked_kps: VKps | None = None
    """V-Kps [frames][3][2] asked for: left eye, right eye, nose, pixels of the video."""
    width: int
    """Width of the video asked for, pixels."""
    height: int
    """Height of the video asked for, pixels."""
    fps: float
    """Frame rate of the video asked for, frames per second."""
    frames: int | None = None
    """Frames of the video."""
    notes: list[str]
    """What the requester should know though nothing is wrong."""
    seconds: float
    """Time that making it took, seconds."""
    started_at: str
    """When work on it began, ISO 8601 UTC."""
    finished_at: str
    """When it ended, ISO 8601 UTC; of rows with one `request_id` the newest counts."""
    attempt: int
    """1, or more where a worker died on the way; 0 where it was not tried."""
    worker: str
    """Who made it: `local`, or the Ray actor and its node."""
