"""Write videos with the original sound, and read driving videos upright, through PyAV."""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import numpy as np

from vexpress.errors import PointsError, SettingsError, SoundError
from vexpress.media.clock import MAY_JUMP, Window, read_clock, read_stamps, straighten
from vexpress.media.decode import decode
from vexpress.media.formats import open_media, video_streams
from vexpress.media.picture import Picture, converted, describe_picture
from vexpress.media.tracks import SoundTrack, decode_sound, sound_track

CRF = "17"
"""H.264 quality: visually lossless."""
AUDIO_BITS = 192_000
SMALL_OPTIONS = {"x264-params": "mbtree=0"}
"""With mbtree x264 gives other bytes every time for pictures 64 pixels wide (measured)."""
MP4_OPTIONS = {"movflags": "+faststart", "fflags": "+bitexact"}
MAX_PIXELS = 36_000_000
"""Most pixels of a driving video's picture (8K has 33 million)."""


class VideoWriter:
    """An H.264 MP4 with the sound of another file, written frame by frame.

    The file appears under its name only when complete; an error leaves nothing behind.
    """

    def __init__(self, path: Path, fps: float, size: tuple[int, int], sound: Path) -> None:
        """`size` width and height, even; `fps` is kept exactly."""
        if size[0] % 2 or size[1] % 2:
            raise SettingsError(f"a video of {size[0]}x{size[1]}: H.264 wants even numbers")
        self.path = path
        self.frames = 0
        self._rate = Fraction(fps).limit_denominator(1001)
        self._size, self._sound_path = size, sound
        self._partial = path.with_name(f".{path.stem}.{os.getpid()}.partial.mp4")

    def __enter__(self) -> "VideoWriter":
        self.path.parent.mkdir(parents=True, exist_ok=True)
        track = sound_track(self._sound_path)
        self._source = open_media(self._sound_path)
        self._sound = _SoundFeed(self._source, track)
        self._container = av.open(str(self._partial), "w", options=MP4_OPTIONS)
        self._video: Any = self._container.add_stream("libx264", rate=self._rate)
        self._video.width, self._video.height = self._size
        self._video.pix_fmt = "yuv420p"
        self._video.options = {"crf": CRF, **(SMALL_OPTIONS if min(self._size) < 128 else {})}
        # A fixed number of threads gives the same bytes on every machine.
        self._video.codec_context.thread_count = 2
        self._video.time_base = 1 / self._rate
        self._audio: Any = self._container.add_stream("aac", rate=self._sound.rate)
        self._audio.layout = self._sound.layout
        self._audio.bit_rate = AUDIO_BITS
        return self

    def write(self, frame: np.ndarray) -> None:
        """Add a frame, RGB uint8 (H, W, 3)."""
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        picture.pts, picture.time_base = self.frames, 1 / self._rate
        self._container.mux(self._video.encode(picture))
        self.frames += 1
        # Sound goes along with the pictures, so that the muxer holds neither back.
        self._mux_sound(self.frames / self._rate)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self._container.mux(self._video.encode(None))
                self._mux_sound(None)
                self._container.mux(self._audio.encode(None))
        finally:
            self._container.close()
            self._source.close()
            if error is None:
                self._partial.replace(self.path)
            self._partial.unlink(missing_ok=True)

    def _mux_sound(self, until: Fraction | None) -> None:
        for frame in self._sound.frames_until(until):
            self._container.mux(self._audio.encode(frame))


class _SoundFeed:
    """Decodes sound bit by bit, as mono or stereo floats at a rate that AAC takes."""

    def __init__(self, source: Any, track: SoundTrack | None) -> None:
        if track is None:
            name = source.name.removeprefix("file:")
            raise SoundError(f"{name}: expected sound, found none in the file.")
        stream = source.streams.audio[track.number]
        self.rate = stream.rate if stream.rate in (32_000, 44_100, 48_000) else 48_000
        self.layout = "mono" if stream.channels == 1 else "stereo"
        self._resampler = av.AudioResampler("fltp", self.layout, self.rate)
        self._decoded = decode_sound(source, stream, inverted=track.inverted)
        self._samples = 0
        self._ended = False

    def frames_until(self, until: Fraction | None) -> Iterator[av.AudioFrame]:
        """Frames up to `until` seconds, or all that is left."""
        while not self._ended and (until is None or self._samples < until * self.rate):
            decoded = next(self._decoded, None)
            self._ended = decoded is None
            for frame in self._resampler.resample(decoded):
                frame.pts, frame.time_base = self._samples, Fraction(1, self.rate)
                self._samples += frame.samples
                yield frame


def read_frames(path: Path, width: int, height: int) -> Iterator[tuple[float, np.ndarray]]:
    """Frames of a video as seconds from the first and BGR uint8 (height, width, 3).

    Pictures are upright, with square pixels, progressive, of BT.709; times go on where the
    file's clock jumps. The largest part in the middle that has the shape asked for is taken and
    scaled. Raises PointsError for what is no video or has pictures larger than any real video's.
    """
    try:
        with ExitStack() as stack:
            container = stack.enter_context(open_media(path))
            streams = video_streams(container)
            if not streams:
                return
            check_picture(streams[0].width, streams[0].height, path)
            picture = describe_picture(container, streams[0])
            if picture is None:
                return
            container = stack.enter_context(_open_straight(path))
            first: float | None = None
            frames = decode(container, video_streams(container)[0])
            for frame in converted((f for f in frames if f is not None), picture):
                time = float(frame.time or 0.0)
                first = time if first is None else first
                yield time - first, _cover(frame, picture, width, height)
    except (av.FFmpegError, EOFError) as error:
        raise PointsError(f"{path} cannot be read as a video; is it damaged? ({error})") from error


def _open_straight(path: Path) -> Any:
    """Open a video, on a clock that goes on where its own jumps. Raises ClockError."""
    with open_media(path) as container:
        stream = video_streams(container)[0]
        sound = next(iter(container.streams.audio), None)
        stamps = read_stamps(container, stream, sound)
        may_jump = bool(container.format.flags & MAY_JUMP)
        clock = read_clock(*stamps, may_jump=may_jump, sound=None)
    if not clock.jumps:
        return open_media(path)
    with open_media(path) as container:
        return open_media(Window(straighten(container, video_streams(container)[0], clock)))


def check_picture(width: int, height: int, path: Path) -> None:
    """Raise PointsError for a picture of more than `MAX_PIXELS`."""
    if width * height > MAX_PIXELS:
        raise PointsError(
            f"{path}: {width}x{height} pixels; expected at most {MAX_PIXELS // 1_000_000} million."
        )


def _cover(frame: Any, picture: Picture, width: int, height: int) -> np.ndarray:
    import cv2

    image = np.rot90(frame.to_ndarray(format="bgr24"), k=-(picture.rotation // 90))
    if picture.mirrored:
        image = image[:, ::-1]
    aspect = float(picture.pixel_aspect)
    aspect = 1 / aspect if picture.rotation % 180 else aspect
    scale = min(image.shape[1] * aspect / width, image.shape[0] / height)
    wide, high = round(width * scale / aspect), round(height * scale)
    x, y = (image.shape[1] - wide) // 2, (image.shape[0] - high) // 2
    part = np.ascontiguousarray(image[y : y + high, x : x + wide])
    return cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA)
