"""Who speaks when in a clip. Table `speaking`, one row per span of speech and speaker."""

from typing import ClassVar, Literal

from vexpress.schemas.row import Row


class Speaking(Row):
    """A span in which one face of the source speaks, or a voice whose face is not seen."""

    TABLE: ClassVar[str] = "speaking"

    clip_id: str
    """The clip."""
    video_id: str
    """The video."""
    batch_id: str = ""
    """The batch that wrote this row."""
    speaker: Literal["clip", "other", "unseen"]
    """The clip's own face, another face of the source's picture, or nobody who is seen."""
    track_id: str | None
    """The face that speaks; null for nobody who is seen."""
    start_s: float
    """Start, seconds from the start of the clip, as its picture goes."""
    end_s: float
    """End, seconds from the start of the clip."""
