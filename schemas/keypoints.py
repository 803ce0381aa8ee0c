"""The points of a clip. Table `kps`, one row per clip that was cropped."""

from typing import Annotated, ClassVar

import numpy as np

from vexpress.schemas.row import Array, Bools, FivePoints, Row, VKps, formerly


class ClipKps(Row):
    """Points in pixels of the crop, one row of each array per frame of the clip."""

    TABLE: ClassVar[str] = "kps"

    clip_id: str
    """The clip."""
    video_id: str
    """The video."""
    batch_id: str = formerly("wave_id", "batch_id", "")
    """The batch that wrote this row."""
    kps: VKps
    """V-Kps [frames][3][2]: left eye, right eye, nose, as x y in crop pixels."""
    points: FivePoints
    """[frames][5][2]: the same with both mouth corners."""
    detected: Bools
    """[frames]: false where the detector's gap was bridged."""
    landmarks: Annotated[np.ndarray, Array((2,))] | None = None
    """[frames x landmark_count][2]: landmarks where the model gives them, frame after frame."""
    landmark_count: int = 0
    """Landmarks per frame: 106 (insightface), 68 (dlib) or 0."""
