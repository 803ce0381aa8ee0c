"""A shot of a video. Table `scenes`, one row per shot."""

from typing import ClassVar

from vexpress.schemas.row import Row, formerly


class Scene(Row):
    """The part of one video between two cuts; scenes cover the whole video."""

    TABLE: ClassVar[str] = "scenes"

    video_id: str
    """The video."""
    batch_id: str = formerly("wave_id", "batch_id", "")
    """The batch that wrote this row."""
    scene_index: int
    """Number of the scene in its video, from 0."""
    start_s: float
    """First frame, seconds from the start of the video."""
    end_s: float
    """End of the last frame, seconds from the start of the video."""
    start_frame: int
    """First frame of the source."""
    end_frame: int
    """Frame of the source after the last."""
