"""Open and decode untrusted media, upright, with square pixels and exact times.

Only container formats are opened that hold their own streams; playlists and other formats
that name further files are refused. Coordinates and sizes are those of the upright
picture with square pixels.
"""

import contextlib
import queue
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import av
import fsspec
import numpy as np

from vexpress.schemas.video import Video
from vexpress.tasks.engine.step import Rejection

T = TypeVar("T")

FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,mxf,gif,"
    "h264,hevc,m4v,dv,rm,wtv,nut,ivf,apng"
)
OPEN_OPTIONS = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
VIDEO_SUFFIXES = (
    *(".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts"),
    *(".flv", ".wmv", ".asf", ".ogv", ".3gp", ".mxf", ".gif", ".vob"),
)
MAX_SIDE = 16384
"""Largest picture side that is decoded, pixels; a header that claims more is refused."""


@contextlib.contextmanager
def open_media(uri: str) -> Iterator[Any]:
    """Open a local path or a URI as a PyAV container, for reading only.

    Raises Rejection `unreadable` when it is no media file.
    """
    with contextlib.ExitStack() as stack:
        try:
            if "://" in uri:
                file: Any = stack.enter_context(fsspec.open(uri, "rb"))
            else:
                file = f"file:{uri}"
            container = stack.enter_context(av.open(file, options=OPEN_OPTIONS))
        except (av.FFmpegError, OSError, ValueError) as error:
            raise Rejection("unreadable", why_unreadable(uri, error), is_error=True) from error
        yield container


def open_bytes(uri: str) -> Any:
    """Open a local path, whatever its name, or a URI as a file of bytes."""
    return fsspec.open(uri, "rb") if "://" in uri else Path(uri).open("rb")


def why_unreadable(uri: str, error: Exception) -> str:
    """Say in words what is the matter with a file that does not open."""
    with contextlib.suppress(OSError), open_bytes(uri) as file:
        if file.read(12)[4:8] == b"ftyp":
            return "an MP4 without its index (moov): it is cut off or was never finished"
    reason = getattr(error, "strerror", None) or str(error)
    return f"expected a video file; it cannot be opened: {reason}"


def video_streams(container: Any) -> list[Any]:
    """Return the video streams that are no cover pictures."""
    cover = av.stream.Disposition.attached_pic
    return [s for s in container.streams.video if not s.disposition & cover]


def check_size(width: int, height: int) -> None:
    """Raise Rejection `too_large` for a picture larger than any real video."""
    if max(width, height) > MAX_SIDE:
        detail = f"expected at most {MAX_SIDE} pixels a side, found {width}x{height}"
        raise Rejection("too_large", detail)


def pixel_aspect_of(stream: Any) -> Fraction:
    """Return width over height of a coded pixel; 1 where the file does not say."""
    aspect = stream.sample_aspect_ratio
    return Fraction(aspect) if aspect and 0.1 < aspect < 10 else Fraction(1)


def upright_size(width: int, height: int, aspect: Fraction, rotation: int) -> tuple[int, int]:
    """Return width and height of the upright picture with square pixels."""
    square = round(width * aspect), height
    return (square[1], square[0]) if rotation % 180 else square


class Frames:
    """Frames of a video in the order shown, with their numbers and times.

    A frame that cannot be decoded is left out; `damaged` counts those, and `after_damage`
    holds the number of each frame that follows one.
    """

    def __init__(self, container: Any, video: Video) -> None:
        self._container = container
        self._stream = video_streams(container)[0]
        self._stream.thread_type = "AUTO"
        self._video = video
        self.damaged = 0
        self.after_damage: list[int] = []
        self.times: list[float] = []

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        """Yield number and PyAV frame; `times` grows along, seconds from the first frame."""
        step = 1 / (self._video.fps or 25)
        for frame in self._decoded():
            last = self.times[-1] if self.times else -step
            time = last + step if frame.time is None else frame.time - (self._video.start_s or 0)
            if self.times and time <= last:
                continue
            self.times.append(time)
            yield len(self.times) - 1, frame

    def _decoded(self) -> Iterator[Any]:
        for packet in self._container.demux(self._stream):
            try:
                frames = packet.decode()
            except av.FFmpegError:
                self._note_damage()
                continue
            for frame in frames:
                if frame.is_corrupt:
                    self._note_damage()
                else:
                    yield frame

    def _note_damage(self) -> None:
        self.damaged += 1
        if self.times and (not self.after_damage or self.after_damage[-1] != len(self.times)):
            self.after_damage.append(len(self.times))


def to_upright_bgr(frame: Any, size: tuple[int, int], rotation: int) -> np.ndarray:
    """Return `frame` as upright BGR, uint8 (height, width, 3), scaled to `size` (width, height)."""
    width, height = (size[1], size[0]) if rotation % 180 else size
    image = frame.reformat(width, height, format="bgr24", interpolation="AREA").to_ndarray()
    return np.ascontiguousarray(np.rot90(image, k=-(rotation // 90))) if rotation else image


def fit_within(width: int, height: int, longest: int) -> tuple[int, int]:
    """Return the size scaled down so that its longer side is at most `longest` pixels."""
    scale = min(1.0, longest / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def prefetch(items: Iterator[T], depth: int = 8) -> Iterator[T]:
    """Yield `items`, made by another thread up to `depth` ahead."""
    ready: queue.Queue[Any] = queue.Queue(depth)
    stop, end = threading.Event(), object()

    def fill() -> None:
        try:
            for item in items:
                _put(ready, (item, None), stop)
                if stop.is_set():
                    return
            _put(ready, (end, None), stop)
        except BaseException as error:
            _put(ready, (end, error), stop)

    thread = threading.Thread(target=fill, daemon=True)
    thread.start()
    try:
        while True:
            item, error = ready.get()
            if error:
                raise error
            if item is end:
                return
            yield item
    finally:
        stop.set()
        thread.join()


def _put(ready: "queue.Queue[Any]", item: Any, stop: threading.Event) -> None:
    while not stop.is_set():
        with contextlib.suppress(queue.Full):
            ready.put(item, timeout=0.1)
            return
