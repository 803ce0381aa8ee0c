"""Decode clips and encode what is made of their frames: the same frames give the same bytes."""

from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from vexpress.media.decode import use_one_thread
from vexpress.tasks.curate.crop import MP4_OPTIONS
from vexpress.tasks.curate.sound import RATE, write_wav
from vexpress.tasks.media.frames import open_media
from vexpress.tasks.media.resample import read_sound

CRF = 16
"""H.264 constant rate factor of what is encoded anew, as of clips."""


def read_frames(path: Path) -> Iterator[np.ndarray]:
    """Yield the frames of a clip, BGR uint8 (H, W, 3)."""
    with open_media(str(path)) as container:
        stream = container.streams.video[0]
        use_one_thread(stream)
        for frame in container.decode(stream):
            yield frame.to_ndarray(format="bgr24")


def side_of(path: Path) -> int:
    """Return the width of a clip, pixels."""
    with open_media(str(path)) as container:
        return int(container.streams.video[0].width)


def write_video(
    path: Path, frames: Iterable[np.ndarray], fps: float, sound_of: Path | None = None
) -> None:
    """Write BGR frames as H.264 in MP4, with the sound of another MP4, packet for packet."""
    with av.open(str(path), "w", format="mp4", options=MP4_OPTIONS) as output:
        stream: Any = output.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 2  # a fixed number gives the same bytes everywhere
        stream.options = {"crf": str(CRF), "preset": "veryfast"}
        sound = _Sound(output, sound_of) if sound_of else None
        for number, picture in enumerate(frames):
            if not number:
                stream.height, stream.width = picture.shape[:2]
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="bgr24")))
        output.mux(stream.encode(None))
        if sound:
            sound.copy()


class _Sound:
    """The sound of one file on its way into another."""

    def __init__(self, output: Any, path: Path) -> None:
        self._output, self._path = output, path
        with open_media(str(path)) as container:
            streams = container.streams.audio
            self._stream = output.add_stream_from_template(streams[0]) if streams else None

    def copy(self) -> None:
        """Copy its packets."""
        if self._stream is None:
            return
        with open_media(str(self._path)) as container:
            for packet in container.demux(container.streams.audio[0]):
                if packet.dts is not None:
                    packet.stream = self._stream
                    self._output.mux(packet)


def write_sound(path: Path, clip: Path, start_s: float, samples: int) -> None:
    """Write 16 kHz mono of a clip's sound, from a WAV or an MP4."""
    write_wav(str(path), read_sound(str(clip), start_s, samples, RATE)[:, 0])


def png(picture: np.ndarray) -> bytes:
    """Return a picture, grey (H, W) or BGR (H, W, 3), as PNG."""
    return cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 3])[1].tobytes()
