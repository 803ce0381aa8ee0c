"""Who is seen in a clip, as a vector. Table `face_embeddings`, one row per measured clip."""

from typing import ClassVar

from vexpress.schemas.row import Floats, Row, formerly


class FaceEmbedding(Row):
    """A face's vector: the mean over a few good frames. Vectors of one backend can be compared."""

    TABLE: ClassVar[str] = "face_embeddings"
    FORMER_TABLE: ClassVar[str] = "faces"

    clip_id: str
    """The clip."""
    video_id: str
    """The video."""
    batch_id: str = formerly("wave_id", "batch_id", "")
    """The batch that wrote this row."""
    backend: str
    """Back end and model, such as `dlib/resnet-v1`."""
    frames: list[int]
    """Frames of the clip that were looked at."""
    spread: float
    """Mean distance of their vectors from `embedding`: how sure it is."""
    embedding: Floats
    """[128] (dlib) or [512] (ArcFace)."""
