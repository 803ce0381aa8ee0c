"""Write videos with the original sound, and read driving videos, through PyAV."""

import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import numpy as np

from vexpress.errors import PointsError, SettingsError, SoundError
from vexpress.media.formats import open_media

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
        self._source = open_media(self._sound_path)
        self._sound = _SoundFeed(self._source)
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

    def __init__(self, source: Any) -> None:
        if not source.streams.audio:
            name = source.name.removeprefix("file:")
            raise SoundError(f"{name}: expected sound, found none in the file.")
        stream = source.streams.audio[0]
        self.rate = stream.rate if stream.rate in (32_000, 44_100, 48_000) else 48_000
        self.layout = "mono" if stream.channels == 1 else "stereo"
        self._resampler = av.AudioResampler("fltp", self.layout, self.rate)
        self._decoded = source.decode(audio=0)
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
    """Frames of a video as time in seconds and BGR uint8 (height, width, 3).

    The largest part in the middle that has the shape asked for is taken and scaled. Raises
    PointsError for what is no video or has pictures larger than any real video's.
    """
    try:
        with open_media(path) as container:
            for stream in container.streams.video[:1]:
                check_picture(stream.width, stream.height, path)
                for frame in container.decode(stream):
                    picture = _cover(frame.to_ndarray(format="bgr24"), width, height)
                    yield float(frame.time or 0.0), picture
    except (av.FFmpegError, EOFError) as error:
        raise PointsError(f"{path} cannot be read as a video; is it damaged? ({error})") from error


def check_picture(width: int, height: int, path: Path) -> None:
    """Raise PointsError for a picture of more than `MAX_PIXELS`."""
    if width * height > MAX_PIXELS:
        raise PointsError(
            f"{path}: {width}x{height} pixels; expected at most {MAX_PIXELS // 1_000_000} million."
        )


def _cover(image: np.ndarray, width: int, height: int) -> np.ndarray:
    import cv2

    scale = min(image.shape[1] / width, image.shape[0] / height)
    wide, high = round(width * scale), round(height * scale)
    x, y = (image.shape[1] - wide) // 2, (image.shape[0] - high) // 2
    part = image[y : y + high, x : x + wide]
    return cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA)
