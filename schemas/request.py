"""A video asked for, as a row of a table of requests says it."""

from vexpress.schemas.row import Model

INPUTS = ("reference", "audio", "kps", "video", "clip_id")


class AskedVideo(Model):
    """One row of a table of requests: Parquet, CSV, JSON lines, or the answer to a query."""

    row_number: int
    """Row of the table, from 1 (a header does not count)."""
    name: str | None = None
    """What the requester calls it; free text."""
    reference: str | None = None
    """The portrait: a path, relative to the table's folder. None: the clip's middle frame."""
    audio: str | None = None
    """The sound: a path, also of a video. None: the clip's sound."""
    kps: str | None = None
    """Driving points (kps.pth, of `vexpress extract-kps`): a path."""
    video: str | None = None
    """Driving video: a path."""
    clip_id: str | None = None
    """A clip of the data set: its V-Kps drive; its sound and picture stand in."""
    parameters: dict[str, str | int | float | bool]
    """The other columns that are not empty: parameters of the video by their names."""

    def inputs(self) -> dict[str, str]:
        """Return what was asked to be read, by column."""
        values = {column: getattr(self, column) for column in INPUTS}
        return {column: value for column, value in values.items() if value is not None}
