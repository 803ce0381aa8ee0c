"""Small pictures of clips and of candidates that were never cropped, with what was found drawn in.

The cost is bounded: a frame is reached from the key frame before it, never from further than
`MAX_DECODED` frames. Colours of V-Kps as V-Express draws them: left eye red, right eye green,
nose blue.
"""

import contextlib
from dataclasses import dataclass
from itertools import islice
from typing import Any

import av
import cv2
import numpy as np

from vexpress.media.picture import converted
from vexpress.schemas.video import Video
from vexpress.tasks.curate.crop import decodable
from vexpress.tasks.engine.step import Rejection
from vexpress.tasks.media.frames import (
    check_size,
    open_media,
    open_video,
    picture_of,
    to_upright_bgr,
    video_streams,
)

CLIP_SIDE = 168
"""Side of a clip's thumbnail, pixels."""
SOURCE_BOX = (320, 200)
"""Width and height a source's thumbnail fits in, pixels."""
MAX_DECODED = 500
"""Most frames decoded to reach one, frames."""
KPS_BGR = ((40, 40, 255), (60, 220, 60), (255, 90, 40))
FACE_BGR = (0, 190, 255)
BRIDGED_BGR = (170, 170, 170)
CROP_BGR = (255, 255, 255)


@dataclass(frozen=True)
class FaceMark:
    """A face of one source frame."""

    box: np.ndarray
    """float32 (4,): x1 y1 x2 y2, source pixels."""
    label: str
    detected: bool
    """False where the detector did not see it and its box was interpolated."""


def clip_pictures(
    uri: str, fps: float, numbers: list[int], kps: np.ndarray | None
) -> list[np.ndarray]:
    """Return frames `numbers` of a clip, uint8 (CLIP_SIDE, CLIP_SIDE, 3) BGR.

    `kps` float32 (len(numbers), 3, 2) in pixels of the clip is drawn in. Raises Rejection
    when the clip cannot be read.
    """
    pictures = []
    with open_media(uri) as container:
        stream = _stream(container)
        side = stream.width
        for row, number in enumerate(numbers):
            frame = frame_at(container, stream, (number + 0.5) / fps)
            picture = to_upright_bgr(frame, (CLIP_SIDE, CLIP_SIDE), 0)
            if kps is not None:
                draw_kps(picture, kps[row] * (CLIP_SIDE / side))
            pictures.append(picture)
    return pictures


def source_picture(
    video: Video, time_s: float, faces: list[FaceMark], crop: list[int] | None
) -> np.ndarray:
    """Return the frame of a source on screen at `time_s`, as curation sees it, uint8 (height,
    width, 3) BGR.

    Boxes and the planned `crop` are in pixels of the upright picture. Raises Rejection when there
    is no such frame to be had.
    """
    if not video.width or not video.height:
        raise Rejection("unreadable", "the size of its picture is not known")
    scale = min(SOURCE_BOX[0] / video.width, SOURCE_BOX[1] / video.height)
    small = max(1, round(video.width * scale)), max(1, round(video.height * scale))
    shown = picture_of(video)
    with open_video(video) as container:
        frame = next(converted([frame_at(container, _stream(container), time_s)], shown))
        picture = to_upright_bgr(frame, small, shown.rotation, shown.mirrored)
    if crop is not None:
        _rectangle(picture, np.array(crop) * scale, CROP_BGR, 1)
    for face in faces:
        colour = FACE_BGR if face.detected else BRIDGED_BGR
        _rectangle(picture, face.box * scale, colour, 2)
    for face in faces:
        _label(picture, face.box * scale, face.label)
    return picture


def _stream(container: Any) -> Any:
    streams = video_streams(container)
    if not streams:
        raise Rejection("no_video_stream", "there is no video stream in the file any more")
    check_size(streams[0].width, streams[0].height)
    return streams[0]


def frame_at(container: Any, stream: Any, time_s: float) -> Any:
    """Return the PyAV frame on screen `time_s` seconds after the first.

    Raises Rejection when nothing decodes there or the key frame before it is too far away.
    """
    wanted = float((stream.start_time or 0) * stream.time_base) + time_s
    with contextlib.suppress(av.FFmpegError):  # what cannot seek is read from its start
        container.seek(int(wanted / stream.time_base), stream=stream, backward=True)
    shown = None
    for frame in islice(decodable(container, stream), MAX_DECODED):
        if frame.time > wanted and shown is not None:
            return shown
        shown = frame
        if frame.time > wanted:
            return shown
    if shown is None:
        raise Rejection("no_frames", "nothing could be decoded here")
    if shown.time < wanted - 1:
        raise Rejection("no_frames", f"no key frame within {MAX_DECODED} frames")
    return shown


def draw_kps(picture: np.ndarray, points: np.ndarray) -> None:
    """Draw V-Kps, float (3, 2) in pixels of `picture`: left eye, right eye, nose."""
    for point, colour in zip(points, KPS_BGR, strict=True):
        if np.isfinite(point).all():
            at = _pixel(point)
            cv2.circle(picture, at, 4, (255, 255, 255), -1, cv2.LINE_AA)
            cv2.circle(picture, at, 3, colour, -1, cv2.LINE_AA)


def _rectangle(
    picture: np.ndarray, box: np.ndarray, colour: tuple[int, int, int], width: int
) -> None:
    if np.isfinite(box).all():
        cv2.rectangle(picture, _pixel(box[:2]), _pixel(box[2:]), colour, width, cv2.LINE_AA)


def _label(picture: np.ndarray, box: np.ndarray, text: str) -> None:
    """Write above the box, or inside its top where there is no room above."""
    if not np.isfinite(box).all():
        return
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.36, 1)
    left, top = _pixel(box[:2])
    left = min(max(left, 0), max(picture.shape[1] - width - 4, 0))
    bottom = top if top > height + 5 else top + height + 6
    cv2.rectangle(picture, (left, bottom - height - 5), (left + width + 4, bottom), (0, 0, 0), -1)
    place = (left + 2, bottom - 3)
    cv2.putText(
        picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.36, (255, 255, 255), 1, cv2.LINE_AA
    )


def _pixel(point: np.ndarray) -> tuple[int, int]:
    """OpenCV takes 32 bit integers: what lies far outside is brought near."""
    x, y = np.clip(np.round(point), -10_000, 10_000).astype(int)
    return int(x), int(y)
