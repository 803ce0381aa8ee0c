"""Decode a video once: its cuts and its faces.

Takes a `Video`, gives a `DetectedVideo`, or rejects the video: `damaged`, `no_frames` or
`other_frames`. Of a listed span nothing but the span is decoded. Cuts and
faces are kept apart in the ledger: with another scene detector no face is detected again,
and the other way round.
"""

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from vexpress.schemas.row import Model
from vexpress.schemas.video import Video
from vexpress.tasks.curate.faces import FaceConfig, FaceScorer
from vexpress.tasks.curate.scenes import SceneConfig, SceneScorer
from vexpress.tasks.engine.shared_decode import Scorer, SharedDecode, TimedScoring
from vexpress.tasks.engine.step import Rejection, Resources, is_rejected
from vexpress.tasks.engine.units import DetectedVideo
from vexpress.tasks.media.frames import Frames, fit_within, open_video, prefetch, to_upright_bgr

MAX_DAMAGED_SHARE = 0.05
"""Share of frames that may be damaged, those that are cut off at the end not counted; a scene
ends where one is, and the next begins with the next key frame."""
DECODED = 3
"""Whole pictures that wait while those before are made small."""


class DetectConfig(Model):
    """What the two scorers are told."""

    scenes: SceneConfig
    faces: FaceConfig


class DetectVideo(SharedDecode[Video]):
    """Decode a video once, small, and show every frame to the scorers that need it."""

    NAME: ClassVar[str] = "detect"
    TAKES: ClassVar[type] = Video
    RESOURCES: ClassVar[Resources] = Resources(cpus=2, gpus=0.25)
    SCORERS: ClassVar[tuple[type[Scorer[Any, Any]], ...]] = (SceneScorer, FaceScorer)
    DECODING: ClassVar[str] = "decode"

    @classmethod
    def versions(cls, config: Any) -> list[tuple[str, int]]:
        """None: all that is kept is the scorers'."""
        return []

    def show(self, row: Video, scorings: Sequence[TimedScoring]) -> None:
        """Show the video at the size of the face detector; raises Rejection when it is damaged."""
        size = fit_within(row.width or 1, row.height or 1, self.config.faces.detect_px)
        with open_video(row) as container:
            frames = Frames(container, row)
            for scoring in scorings:
                scoring.begin(row, frames)
            for number, image in prefetch(_images(frames, size, row)):
                for scoring in scorings:
                    scoring.see(number, image)
                self.context.progress(1 / (row.fps or 25))
        require_whole(frames)
        require_listed(frames, row)

    def join(self, row: Video, answers: dict[str, list[Any]]) -> list[Model]:
        """Return the video and what was found, or the first rejection."""
        found = {name: items[0] for name, items in answers.items()}
        for answer in found.values():
            if is_rejected(answer):
                why = {name: getattr(answer, name) for name in ("reason", "detail", "is_error")}
                return [row.model_copy(update={"status": "rejected", **why})]
        return [row, DetectedVideo(video=row, cuts=found["scenes"], detections=found["faces"])]


def _images(
    frames: Frames, size: tuple[int, int], video: Video
) -> Iterator[tuple[int, np.ndarray]]:
    for number, frame in prefetch(iter(frames), DECODED):
        yield number, to_upright_bgr(frame, size, video.rotation or 0, bool(video.mirrored))


def require_whole(frames: Frames) -> None:
    """Raise Rejection when nothing, or too little, could be decoded."""
    whole = len(frames.times)
    if not whole:
        raise Rejection("no_frames", "expected pictures, none could be decoded", is_error=True)
    if frames.damaged > MAX_DAMAGED_SHARE * (whole + frames.damaged):
        where = frames.times[frames.breaks[0]]
        detail = (
            f"{frames.damaged} of {whole + frames.damaged} frames are damaged, from {where:.1f} s"
        )
        raise Rejection("damaged", detail, is_error=True)


def require_listed(frames: Frames, video: Video) -> None:
    """Raise Rejection where a span that is one clip as listed has other frames in this file."""
    span, found = video.span, len(frames.times)
    if span is None or span.span_crop is None:
        return
    listed = (span.span_end_frame or 0) - (span.span_start_frame or 0)
    if found != listed:
        detail = f"expected {listed} frames in the listed span, found {found}: the file is another"
        raise Rejection("other_frames", detail)
