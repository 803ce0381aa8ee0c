"""V-Kps of a clip: the source's detections carried through the crop, nothing detected again.

Takes a `Candidate`, gives it with a `ClipKps`, one row of points per frame of the clip.
"""

from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from vexpress.schemas.clip import Clip
from vexpress.schemas.keypoints import ClipKps
from vexpress.schemas.row import Model
from vexpress.tasks.engine.step import ClipStep
from vexpress.tasks.engine.units import Candidate
from vexpress.tasks.media.resample import shown_frames


class ExtractKps(ClipStep):
    """Map the face's points into the crop."""

    NAME: ClassVar[str] = "kps"
    IN_LEDGER: ClassVar[bool] = False

    def __call__(self, row: Candidate) -> Iterator[Model]:
        """Yield the candidate and its points."""
        yield row
        yield clip_points(row, self.config.size)


def clip_points(row: Candidate, size: int) -> ClipKps:
    """Return the points of a candidate in its clip of `size` pixels, one row a frame."""
    shown = shown_frames(row.times, row.clip.fps, row.clip.frames)
    points = to_crop(row.points[shown], row.clip, size)
    landmarks = None
    if row.landmarks is not None:
        each = row.landmarks.reshape(-1, row.landmark_count, 2)[shown]
        landmarks = to_crop(each, row.clip, size).reshape(-1, 2)
    return ClipKps(
        clip_id=row.clip.clip_id,
        video_id=row.clip.video_id,
        kps=points[:, :3],
        points=points,
        detected=row.detected[shown],
        landmarks=landmarks,
        landmark_count=row.landmark_count,
    )


def to_crop(points: np.ndarray, clip: Clip, size: int) -> np.ndarray:
    """Return source points (…, 2) in pixels of the clip's picture of `size`, float32."""
    corner = np.array([clip.crop_x1, clip.crop_y1], dtype=np.float32)
    scale = size / ((clip.crop_x2 or 0) - (clip.crop_x1 or 0))
    return ((points - corner) * scale).astype(np.float32)
