"""A face tracked through a scene. Table `tracks`, one row per face and scene."""

from typing import Annotated, ClassVar

import numpy as np

from vexpress.schemas.row import Array, Bools, Boxes, FivePoints, Floats, Row, formerly


class FaceTrack(Row):
    """One face from where it is first seen in a scene to where it is last seen."""

    TABLE: ClassVar[str] = "tracks"

    track_id: str
    """Hash of video, scene, first frame and first box."""
    video_id: str
    """The video."""
    batch_id: str = formerly("wave_id", "batch_id", "")
    """The batch that wrote this row."""
    scene_index: int
    """The scene."""
    start_frame: int
    """First frame of the source in which the face is seen."""
    end_frame: int
    """Frame of the source after the last in which it is seen."""
    start_s: float
    """Time of the first frame, seconds."""
    end_s: float
    """End of the last frame, seconds."""
    face_side_px: float
    """Median over its frames of the square root of the box's area, source pixels."""
    score_mean: float
    """Mean detector score over detected frames, 0..1."""
    score_min: float
    """Least detector score over detected frames, 0..1."""
    gap_frames: int
    """Frames looked at in vain, bridged by interpolation."""
    every: int = 1
    """The detector looked at every n-th frame of the source; the others are interpolated."""
    backend: str
    """Detector and model, such as `insightface/scrfd_2.5g`."""
    detected: Bools
    """Per frame: true where the detector saw the face, false where it was interpolated."""
    boxes: Boxes
    """Per frame: x1 y1 x2 y2, source pixels."""
    points: FivePoints
    """Per frame: left eye, right eye, nose, left and right mouth corner, source pixels."""
    scores: Floats
    """Per frame: detector score 0..1; 0 in interpolated frames."""
    landmarks: Annotated[np.ndarray, Array((2,))] | None = None
    """[frames x landmark_count][2]: landmarks where the model gives them, source pixels."""
    landmark_count: int = 0
    """Landmarks per frame: 106 (insightface), 68 (dlib) or 0."""
