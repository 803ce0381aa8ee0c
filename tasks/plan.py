"""Turn stretches into candidates for clips: span, crop square, id.

Takes a `Followed`, gives `Candidate`s that cover it. A stretch without exactly one face
becomes one rejected candidate (`no_face`, `several_faces`); a long one is divided evenly.
Nothing is decoded.
"""

import itertools
import math
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from schemas.clip import Clip
from schemas.row import Model, content_id
from schemas.track import FaceTrack
from tasks.crop import VERSION as CROP_VERSION
from tasks.crop import CropConfig
from tasks.follow import median_side
from tasks.step import Step
from tasks.units import Candidate, Followed

WORDS = {0: "no face", 1: "one face"}


class ClipConfig(Model):
    """How long a clip may be."""

    max_s: float = Field(10.0, gt=0)
    """Longest clip, seconds; longer stretches are divided into equal parts (LatentSync: 5-10 s)."""


class PlanConfig(Model):
    """Length and recipe: both go into the clip's id."""

    clips: ClipConfig
    crop: CropConfig


class PlanClips(Step[Followed]):
    """Divide a stretch and choose each part's square."""

    NAME: ClassVar[str] = "plan"
    TAKES: ClassVar[type] = Followed
    IN_LEDGER: ClassVar[bool] = False

    def __call__(self, row: Followed) -> Iterator[Candidate]:
        """Yield the candidates of one stretch, in order."""
        if row.track is None:
            yield self._rejected(row)
            return
        for first, last in divide(row.times, self.config.clips.max_s):
            yield self._candidate(row, row.track, first, last)

    def _candidate(self, row: Followed, track: FaceTrack, first: int, last: int) -> Candidate:
        start = row.start_frame + first - track.start_frame
        span = slice(start, start + last - first)
        size = (row.video.width or 1, row.video.height or 1)
        square = crop_square(track.boxes[span], self.config.crop.margin, size)
        detected = track.detected[span]
        scores = track.scores[span][detected]
        clip = self._clip(row, first, last, square).model_copy(
            update={
                "track_id": track.track_id,
                **dict(zip(("crop_x1", "crop_y1", "crop_x2", "crop_y2"), square, strict=True)),
                "face_side_px": median_side(track.boxes[span]),
                "det_score_mean": float(scores.mean()) if len(scores) else 0.0,
                "det_score_min": float(scores.min()) if len(scores) else 0.0,
                "gap_frames": int((~detected).sum()),
            }
        )
        return Candidate(
            video=row.video,
            clip=clip,
            times=row.times[first : last + 1],
            points=track.points[span],
            detected=detected,
            landmarks=self._landmarks(track, span),
            landmark_count=track.landmark_count,
        )

    @staticmethod
    def _landmarks(track: FaceTrack, span: slice) -> np.ndarray | None:
        if track.landmarks is None:
            return None
        return track.landmarks.reshape(-1, track.landmark_count, 2)[span].reshape(-1, 2)

    def _rejected(self, row: Followed) -> Candidate:
        frames = row.end_frame - row.start_frame
        reason = "several_faces" if row.faces else "no_face"
        found = WORDS.get(row.faces, f"{row.faces} faces at once")
        clip = self._clip(row, 0, frames, (row.faces,)).model_copy(
            update={
                "status": "rejected",
                "reason": reason,
                "detail": f"expected one face in every frame, found {found}",
            }
        )
        nothing = np.zeros((0, 5, 2), np.float32)
        return Candidate(
            video=row.video, clip=clip, times=row.times, points=nothing, detected=nothing[:, 0, 0]
        )

    def _clip(self, row: Followed, first: int, last: int, square: tuple[int, ...]) -> Clip:
        crop = self.config.crop
        recipe = (CROP_VERSION, crop.model_dump_json())
        span = (row.start_frame + first, row.start_frame + last)
        start_s, end_s = float(row.times[first]), float(row.times[last])
        return Clip(
            clip_id=content_id(row.video.content_hash, *span, *square, *recipe),
            video_id=row.video.video_id,
            source=row.video.source,
            status="kept",
            scene_index=row.scene_index,
            start_frame=span[0],
            end_frame=span[1],
            start_s=start_s,
            end_s=end_s,
            faces=row.faces,
            has_sound=bool(row.video.audio_streams),
            fps=crop.fps,
            frames=max(1, math.floor((end_s - start_s) * crop.fps + 1e-3)),
        )


def divide(times: np.ndarray, max_s: float) -> list[tuple[int, int]]:
    """Return first and end frame of equal parts no longer than `max_s`, of frame times (F + 1,)."""
    length = float(times[-1] - times[0])
    parts = max(1, math.ceil(length / max_s - 1e-6))
    edges = np.searchsorted(times, times[0] + np.arange(1, parts) * length / parts)
    return list(itertools.pairwise([0, *edges.tolist(), len(times) - 1]))


def crop_square(boxes: np.ndarray, margin: float, size: tuple[int, int]) -> tuple[Any, ...]:
    """Return x1 y1 x2 y2, even integers: the union of boxes (F, 4) times `margin`, squared.

    The square is moved to lie inside the picture of `size` (width, height). Where it is
    larger than the picture it shrinks to fit, though never below the union itself; what then
    still lies outside is padded.
    """
    x1, y1 = boxes[:, :2].min(axis=0)
    x2, y2 = boxes[:, 2:].max(axis=0)
    union = max(x2 - x1, y2 - y1)
    largest = min(size) // 2 * 2
    side = even(max(union, min(union * margin, largest)))
    left = place((x1 + x2) / 2, side, size[0])
    top = place((y1 + y2) / 2, side, size[1])
    return left, top, left + side, top + side


def place(centre: float, side: int, length: int) -> int:
    """Return the even start of a stretch of `side` around `centre`, inside 0 … `length`."""
    start = centre - side / 2
    if side <= length:
        return 2 * int(min(max(start, 0), length - side) / 2)
    return even((length - side) / 2)


def even(value: float) -> int:
    """Return the even integer nearest to `value`."""
    return 2 * round(value / 2)
