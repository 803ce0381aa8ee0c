"""Who is seen in a clip, as a vector. Table `faces`, one row per clip that was measured."""

from typing import ClassVar

from vexpress.schemas.row import Floats, Row


class ClipFace(Row):
    """A face's vector: the mean over a few good frames. Vectors of one backend can be compared."""

    TABLE: ClassVar[str] = "faces"

    clip_id: str
    """The clip."""
    video_id: str
    """The video."""
    wave_id: str = ""
    """The wave that wrote this row."""
    backend: str
    """Back end and model, such as `dlib/resnet-v1`."""
    frames: list[int]
    """Frames of the clip that were looked at."""
    spread: float
    """Mean distance of their vectors from `embedding`: how sure it is."""
    embedding: Floats
    """[128] (dlib) or [512] (ArcFace)."""
