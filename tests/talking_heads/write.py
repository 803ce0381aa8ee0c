"""Store pictures and sound as an mp4 with PyAV."""

import struct
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from tests.talking_heads.portrait import Floats, Pixels
from tests.talking_heads.script import VideoFormat

THREADS = 2  # fixed, because x264's output depends on it
TICKS_PER_FRAME = 512
_CV_TURN = {
    90: cv2.ROTATE_90_COUNTERCLOCKWISE,
    180: cv2.ROTATE_180,
    270: cv2.ROTATE_90_CLOCKWISE,
}
_MATRIX = {0: (1, 0, 0, 1), 90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}


def write_video(
    path: Path,
    form: VideoFormat,
    pictures: Iterable[tuple[int, Pixels]],
    track: Floats | None,
) -> None:
    """Write upright BGR pictures, each with its time in frame periods, and mono samples."""
    options = {"movflags": "faststart"} if form.faststart else {}
    with av.open(str(path), "w", format="mp4", options=options) as container:
        picture_stream = _picture_stream(container, form)
        sound_stream = None
        if track is not None:
            sound_stream = container.add_stream("aac", rate=form.sample_rate, layout="mono")
            sound_stream.bit_rate = 96_000
            container.mux(_encode_sound(sound_stream, track, form))
        for number, picture in pictures:
            frame = av.VideoFrame.from_ndarray(_stored(picture, form), format="bgr24")
            frame = frame.reformat(format=form.pixel_format)
            frame.pts = number * TICKS_PER_FRAME
            frame.time_base = 1 / (form.fps * TICKS_PER_FRAME)
            container.mux(picture_stream.encode(frame))
        container.mux(picture_stream.encode(None))
    if form.rotation:
        set_rotation(path, form.rotation)


def _picture_stream(container: av.container.OutputContainer, form: VideoFormat) -> av.VideoStream:
    stream = container.add_stream(form.codec, rate=form.fps)
    stream.width, stream.height = _stored_size(form)
    stream.pix_fmt = form.pixel_format
    stream.codec_context.time_base = 1 / (form.fps * TICKS_PER_FRAME)
    stream.codec_context.sample_aspect_ratio = form.pixel_aspect
    stream.codec_context.thread_count = THREADS
    stream.options = {"preset": "superfast", "crf": str(form.crf)}
    return stream


def _encode_sound(stream: av.AudioStream, track: Floats, form: VideoFormat) -> list[av.Packet]:
    """Packets of the samples from `sound_from_s` on."""
    start = round(form.sound_from_s * form.sample_rate)
    packets = []
    for at in range(start, len(track), 1024):
        frame = av.AudioFrame.from_ndarray(track[None, at : at + 1024], "fltp", layout="mono")
        frame.sample_rate = form.sample_rate
        frame.pts = at
        frame.time_base = Fraction(1, form.sample_rate)
        packets += stream.encode(frame)
    return packets + stream.encode(None)


def _stored_size(form: VideoFormat) -> tuple[int, int]:
    upright = (form.width, form.height)
    width, height = upright[::-1] if form.rotation in (90, 270) else upright
    return round(width / form.pixel_aspect), height


def _stored(picture: Pixels, form: VideoFormat) -> Pixels:
    if form.rotation:
        picture = cv2.rotate(picture, _CV_TURN[form.rotation])
    if form.pixel_aspect != 1:
        picture = cv2.resize(picture, _stored_size(form), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(picture)


def set_rotation(path: Path, degrees: int) -> None:
    """Tell players to turn the first track clockwise: its matrix in the `tkhd` box.

    ISO/IEC 14496-12, 8.3.2, version 0 of the box: the matrix starts 40 bytes after its version.
    """
    content = bytearray(path.read_bytes())
    matrix_at = content.index(b"tkhd") + 4 + 40
    a, b, c, d = (value * 65536 for value in _MATRIX[degrees])
    content[matrix_at : matrix_at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
