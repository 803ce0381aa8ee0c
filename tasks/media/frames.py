"""Open and decode sources, upright, with square pixels, BT.709 colours and exact times.

What a file needs for that (`vexpress.media`) was found by `probe` and stands in its `Video`.
Coordinates and sizes are those of the upright picture with square pixels.
"""

import contextlib
import math
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import av
import fsspec

from vexpress.media.clock import (
    MAY_JUMP,
    Clock,
    ClockError,
    Stamps,
    Window,
    read_clock,
    read_stamps,
    straighten,
)
from vexpress.media.decode import decode, prefetch
from vexpress.media.formats import open_media as open_container
from vexpress.media.formats import video_streams
from vexpress.media.picture import Picture, converted, to_upright_bgr
from vexpress.schemas.row import content_id
from vexpress.schemas.video import Video
from vexpress.tasks.engine.step import Rejection

__all__ = ["Frames", "prefetch", "to_upright_bgr", "video_streams"]

VIDEO_SUFFIXES = (
    *(".mp4", ".mov", ".m4v", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts"),
    *(".flv", ".wmv", ".asf", ".ogv", ".3gp", ".mxf", ".gif", ".vob"),
)
SAME_FRAME_S = 0.002
"""Time stamps closer than this are of the same frame, seconds."""
SEEK_BACK_S = (0.0, 5.0, 30.0, math.inf)
"""How much earlier to look for a key frame, try after try, seconds."""
MAX_SIDE = 16384
"""Largest picture side that is decoded, pixels; a header that claims more is refused."""


@contextlib.contextmanager
def open_media(uri: str) -> Iterator[Any]:
    """Open a local path or a URI as a PyAV container, for reading only.

    Raises Rejection `unreadable` when it is no media file.
    """
    with contextlib.ExitStack() as stack:
        try:
            file: Any = Path(uri)
            if "://" in uri:
                file = stack.enter_context(fsspec.open(uri, "rb"))
            container = stack.enter_context(open_container(file))
        except (av.FFmpegError, OSError, ValueError) as error:
            raise Rejection("unreadable", why_unreadable(uri, error), is_error=True) from error
        yield container


@contextlib.contextmanager
def open_video(video: Video) -> Iterator[Any]:
    """Open a source as `open_media` does, on a clock that goes on where its own jumps."""
    if not video.clock_jumps:
        with open_media(video.file) as container:
            yield container
        return
    with open_container(Window(straightened(video)[0])) as container:
        yield container


def straightened(video: Video) -> tuple[IO[bytes], Clock]:
    """Return a temporary copy of a video whose clock jumps, and where it did."""
    return _straightened(video.file, video.content_hash, video.sound_track)


@lru_cache(maxsize=2)
def _straightened(uri: str, _: str | None, track: int | None) -> tuple[IO[bytes], Clock]:
    with open_media(uri) as container:
        clock = clock_of(container, *stamps_of(container, track)[:2], track)
    with open_media(uri) as container:
        return straighten(container, video_streams(container)[0], clock), clock


def stamps_of(container: Any, track: int | None) -> tuple[Stamps, Stamps, float]:
    """Return the time stamps of the pictures and of a sound track, and the pictures' time base."""
    stream = video_streams(container)[0]
    sound = None if track is None else container.streams.audio[track]
    return *read_stamps(container, stream, sound), float(stream.time_base)


def clock_of(container: Any, pictures: Stamps, sounds: Stamps, track: int | None) -> Clock:
    """Return where the clock of a source jumps. Raises Rejection `clock_jumps`."""
    may_jump = bool(container.format.flags & MAY_JUMP)
    try:
        return read_clock(pictures, sounds, may_jump=may_jump, sound=track)
    except ClockError as error:
        raise Rejection("clock_jumps", str(error)) from error


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


def check_size(width: int, height: int) -> None:
    """Raise Rejection `too_large` for a picture larger than any real video."""
    if max(width, height) > MAX_SIDE:
        detail = f"expected at most {MAX_SIDE} pixels a side, found {width}x{height}"
        raise Rejection("too_large", detail)


def picture_of(video: Video) -> Picture:
    """Return what `probe` found out about a video's picture."""
    return Picture(
        coded_width=video.coded_width or 1,
        coded_height=video.coded_height or 1,
        pixel_aspect=Fraction(video.pixel_aspect or 1),
        rotation=video.rotation or 0,
        mirrored=bool(video.mirrored),
        transfer=video.color_transfer,
        primaries=video.color_primaries,
        matrix=video.color_matrix,
        color_range=video.color_range,
        field_order=video.field_order,
        interlaced=bool(video.interlaced),
    )


def picture_identity(video: Video) -> str:
    """Return what the pictures that a step sees depend on: the content's hash alone, but for
    listed spans, and videos that are decoded in another way than version 0.1 did."""
    return _of_span(_picture_identity(video), video)


def _picture_identity(video: Video) -> str:
    picture = picture_of(video)
    odd = {
        "mirrored": picture.mirrored,
        "deinterlaced": picture.interlaced,
        f"BT.709 from {picture.transfer} {picture.primaries}": picture.wide,
        "clock": bool(video.clock_jumps),
    }
    return _identity(video, [name for name, is_so in odd.items() if is_so])


def sound_identity(video: Video) -> str:
    """Return what the sound that a step hears depends on, as `picture_identity` does."""
    return _of_span(_sound_identity(video), video)


def _sound_identity(video: Video) -> str:
    odd = {
        f"track {video.sound_track}": bool(video.sound_track),
        "inverted": bool(video.sound_inverted),
        "clock": bool(video.clock_jumps),
    }
    return _identity(video, [name for name, is_so in odd.items() if is_so])


def clip_identity(video: Video) -> str | None:
    """Return what a clip's picture and sound depend on, apart from its own span."""
    ordinary = str(video.content_hash)
    parts = [_picture_identity(video), _sound_identity(video)]
    changed = [part for part in parts if part != ordinary]
    return content_id(ordinary, *changed) if changed else video.content_hash


def _of_span(identity: str, video: Video) -> str:
    """Return `identity`, of a listed span together with where it lies."""
    span = video.span
    if span is None:
        return identity
    frames = (span.span_start_frame, span.span_end_frame)
    return content_id(identity, *frames, span.span_start_s, span.span_end_s)


def _identity(video: Video, odd: list[str]) -> str:
    return content_id(video.content_hash, *odd) if odd else str(video.content_hash)


def color_tags(video: Video) -> dict[str, str]:
    """Return the colour tags of clips of a video, by FFmpeg's names: BT.709 where they were
    converted to it, else what the source says, where it says anything."""
    picture = picture_of(video)
    if picture.wide:
        return {"matrix": "bt709", "transfer": "bt709", "primaries": "bt709"}
    said = {
        "matrix": None if picture.matrix == "gbr" else picture.matrix,
        "transfer": picture.transfer,
        "primaries": picture.primaries,
    }
    return {name: value for name, value in said.items() if value}


def picture_note(video: Video) -> str | None:
    """Return in words what is done to a video's picture; None for nothing."""
    picture = picture_of(video)
    done = {
        "deinterlaced": picture.interlaced,
        f"converted from {picture.hdr or picture.primaries} to BT.709": picture.wide,
        "mirrored, as the file asks": picture.mirrored,
    }
    return ", ".join(words for words, is_so in done.items() if is_so) or None


def sound_note(video: Video) -> str | None:
    """Return in words which sound of a video is taken, and how; None for the ordinary one."""
    notes = []
    if (video.audio_streams or 0) > 1:
        about = filter(None, (video.sound_language, video.sound_title))
        named = " ".join(
            ["track", str(video.sound_track), f"of 0…{(video.audio_streams or 1) - 1}"]
        )
        notes.append(", ".join([named, *about, video.sound_choice or ""]))
    if video.sound_inverted:
        notes.append("the right channel is inverted, and was turned over")
    return "; ".join(notes) or None


def decoded_from(container: Any, stream: Any, start_s: float) -> Iterator[Any]:
    """Yield what `decode` does, from a key frame at or before `start_s` of the container's time on;
    the first is a whole frame.

    A container without an index (MPEG-TS) may land behind what was asked for, hence the retries.
    """
    for earlier_s in SEEK_BACK_S:
        target = max(start_s - SAME_FRAME_S - earlier_s, 0)
        container.seek(int(target / stream.time_base), stream=stream, backward=True)
        frames = decode(container, stream)
        first = next((f for f in frames if f is not None and f.time is not None), None)
        if first is not None and first.time <= start_s + SAME_FRAME_S:
            break
    if first is not None:
        yield first
        yield from frames


class Frames:
    """Frames of a video, or of the span of it that is listed, in the order shown, with their
    numbers and times.

    A frame that is damaged, and what was predicted from it, is left out; `damaged` counts the
    former. `breaks` holds the number of each frame that follows damage or a jump of the clock.
    """

    def __init__(self, container: Any, video: Video) -> None:
        self._container = container
        self._stream = video_streams(container)[0]
        self._video = video
        self._picture = picture_of(video)
        self._starts = straightened(video)[1].starts if video.clock_jumps else []
        self._lost = 0
        self.damaged = 0
        """Damaged frames before the last whole one: what is cut off at the end is not missed."""
        self.breaks: list[int] = []
        self.times: list[float] = []

    def __iter__(self) -> Iterator[tuple[int, Any]]:
        """Yield number and PyAV frame; `times` grows along, seconds from the first frame."""
        yield from enumerate(converted(self._whole(), self._picture), first_frame(self._video))

    @property
    def end_s(self) -> float:
        """When the last frame ends, seconds from the first frame of the file."""
        span = self._video.span
        if span and span.span_end_s is not None:
            return span.span_end_s
        return self.times[-1] + 1 / (self._video.fps or 25)

    def _whole(self) -> Iterator[Any]:
        step = 1 / (self._video.fps or 25)
        for frame in self._decoded():
            if frame is None:
                self._lost += 1
                continue
            last = self.times[-1] if self.times else -step
            time = last + step if frame.time is None else frame.time - (self._video.start_s or 0)
            if self.times and time <= last:
                continue
            if self._is_break(last, time):
                self.breaks.append(len(self.times))
            self.damaged += self._lost
            self._lost = 0
            self.times.append(time)
            yield frame

    def _decoded(self) -> Iterator[Any]:
        span, origin = self._video.span, self._video.start_s or 0
        if span is None:
            yield from decode(self._container, self._stream)
            return
        first = origin + (span.span_start_s or 0) - SAME_FRAME_S
        end = origin + (span.span_end_s or 0) - SAME_FRAME_S
        for frame in decoded_from(self._container, self._stream, max(first, 0)):
            if frame is None:
                yield None
            elif frame.time is not None and frame.time >= end:
                return
            elif frame.time is not None and frame.time >= first:
                yield frame

    def _is_break(self, last: float, time: float) -> bool:
        jumped = any(last < start - 1e-3 <= time for start in self._starts)
        return bool(self.times) and (jumped or self._lost > 0)


def fit_within(width: int, height: int, longest: int) -> tuple[int, int]:
    """Return the size scaled down so that its longer side is at most `longest` pixels."""
    scale = min(1.0, longest / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def first_frame(video: Video) -> int:
    """Return the number of the first frame that is looked at: that of a listed span, else 0."""
    return (video.span.span_start_frame or 0) if video.span else 0
