"""Videos to look at: reference, asked V-Kps, result, and the truth where a clip drove it.

Written beside the data set's other files, once a video; the sound is the result's own.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np

from vexpress.errors import InputError, PortraitError
from vexpress.faces.portrait import read_image
from vexpress.faces.v_kps_image import draw_v_kps
from vexpress.media.video import VideoWriter, read_frames
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.generation import Generation
from vexpress.schemas.row import content_id
from vexpress.tasks.engine.step import Rejection
from vexpress.tasks.generate.request_clips import reference_picture

SIDE = 256
"""Side of each picture, pixels."""
CAPTIONS = ("reference", "asked", "result", "truth")
CAPTION_PX = 24
GREY = 40


def side_by_side_name(row: Generation, truth: str | None) -> str:
    """Where the video of a request lies, relative to the data set; another if it is made anew."""
    return f"evaluations/{row.request_id}-{content_id(row.finished_at, truth)[:6]}.mp4"


def write_side_by_side(dataset: Dataset, row: Generation, truth: str | None) -> str | None:
    """Write the video of one request unless it is there; None where the result cannot be read.

    `truth`: the driving clip's media, relative to the data set.
    """
    name = side_by_side_name(row, truth)
    if not row.out_path or not dataset.exists(row.out_path):
        return None
    if dataset.exists(name):
        return name
    try:
        return _write(dataset, row, truth, name)
    except (av.FFmpegError, InputError):
        return None


def _write(dataset: Dataset, row: Generation, truth: str | None, name: str) -> str | None:
    assert row.out_path
    with dataset.local_copy(row.out_path) as video:
        pictures = compose(dataset, row, video, truth)
        first = next(pictures, None)
        if first is None:
            return None
        size = first.shape[1] // 2 * 2, first.shape[0] // 2 * 2
        target = dataset.scratch / f"{row.request_id}-side-by-side.mp4"
        with VideoWriter(target, row.fps, size, video) as writer:
            writer.write(first)
            for picture in pictures:
                writer.write(picture)
    dataset.publish(target, name)
    return name


def strip(
    dataset: Dataset, row: Generation, truth: str | None, frames: int = 3
) -> list[np.ndarray]:
    """Return pictures, uint8 RGB, of `frames` moments of a request; none of a broken video."""
    if not row.out_path or not dataset.exists(row.out_path) or not row.frames:
        return []
    moments = {round(at * (row.frames - 1)) for at in np.linspace(0, 1, frames)}
    with dataset.local_copy(row.out_path) as video:
        pictures = enumerate(compose(dataset, row, video, truth))
        try:
            return [picture for number, picture in pictures if number in moments]
        except (av.FFmpegError, InputError):
            return []


def compose(
    dataset: Dataset, row: Generation, video: Path, truth: str | None
) -> Iterator[np.ndarray]:
    """Yield every frame as one RGB picture: the panels beside each other, captions above."""
    reference = _reference(dataset, row)
    with contextlib.ExitStack() as stack:
        real = None
        if truth and dataset.exists(truth):
            path = stack.enter_context(dataset.local_copy(truth))
            real = _AtTime(read_frames(path, SIDE, SIDE))
        for number, (_, result) in enumerate(read_frames(video, SIDE, SIDE)):
            panels = [reference, _asked(row, number), result[..., ::-1]]
            if real is not None:
                panels.append(real.at(number / row.fps))
            yield _captioned(panels)


class _AtTime:
    """The frame of a video that is shown at a time, RGB; times only go on."""

    def __init__(self, frames: Iterator[tuple[float, np.ndarray]]) -> None:
        self._frames = frames
        self._shown = np.full((SIDE, SIDE, 3), GREY, np.uint8)
        self._next = next(frames, None)

    def at(self, seconds: float) -> np.ndarray:
        while self._next is not None and self._next[0] <= seconds + 1e-3:
            self._shown = self._next[1][..., ::-1]
            self._next = next(self._frames, None)
        return self._shown


def _reference(dataset: Dataset, row: Generation) -> np.ndarray:
    try:
        with reference_picture(dataset, row) as path:
            picture = read_image(path)
    except (PortraitError, Rejection):
        return np.full((SIDE, SIDE, 3), GREY, np.uint8)
    return _fitted(picture)


def _asked(row: Generation, frame: int) -> np.ndarray:
    if row.asked_kps is None or not len(row.asked_kps):
        return np.full((SIDE, SIDE, 3), GREY, np.uint8)
    scale = np.array([SIDE / row.width, SIDE / row.height])
    points = row.asked_kps[min(frame, len(row.asked_kps) - 1)] * scale
    return draw_v_kps(points, SIDE, SIDE)


def _fitted(picture: np.ndarray) -> np.ndarray:
    """The whole picture, as large as fits, on grey."""
    scale = SIDE / max(picture.shape[:2])
    size = max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    canvas = np.full((SIDE, SIDE, 3), GREY, np.uint8)
    y, x = (SIDE - small.shape[0]) // 2, (SIDE - small.shape[1]) // 2
    canvas[y : y + small.shape[0], x : x + small.shape[1]] = small
    return canvas


def _captioned(panels: list[np.ndarray]) -> np.ndarray:
    picture = np.concatenate([np.ascontiguousarray(panel) for panel in panels], axis=1)
    bar = np.full((CAPTION_PX, picture.shape[1], 3), 20, np.uint8)
    for number, caption in zip(range(len(panels)), CAPTIONS, strict=False):
        place = (number * SIDE + 8, 17)
        cv2.putText(bar, caption, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (230,) * 3, 1, cv2.LINE_AA)
    return np.concatenate([bar, picture])
