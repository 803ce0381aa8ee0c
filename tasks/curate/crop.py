"""Cut and crop a clip: one fixed square, H.264 with sound.

Takes a `Candidate`, gives it with `media_path`. The picture goes from decoder to encoder
through libavfilter; rotation, mirroring and pixel aspect are applied, fields become frames and
HDR becomes BT.709, a variable frame rate is resampled by time, the sound is cut to the same
instants. The clip carries the colour tags of its source.
"""

import contextlib
import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, ClassVar

import av
import numpy as np
from pydantic import Field

from vexpress.media.decode import decode, prefetch
from vexpress.media.picture import MATRICES, PRIMARIES, TRANSFERS, converted, filter_graph
from vexpress.media.video import MP4_OPTIONS
from vexpress.schemas.clip import Clip
from vexpress.schemas.row import Model
from vexpress.schemas.video import Video
from vexpress.tasks.engine.step import ClipStep, Rejection, Resources
from vexpress.tasks.engine.units import Candidate
from vexpress.tasks.media.frames import (
    SAME_FRAME_S,
    color_tags,
    decoded_from,
    open_video,
    picture_of,
    video_streams,
)
from vexpress.tasks.media.resample import read_sound, shown_frames

VERSION = 1
AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000)
UNKNOWN, TV_RANGE = 2, 1
"""FFmpeg's numbers: a colour tag that is not known, the limited range."""
WAITING = 4
"""Pictures that wait for the encoder."""


class CropConfig(Model):
    """The recipe of a clip."""

    size: int = Field(512, ge=32, le=2048, multiple_of=2)
    """Side of the clip, pixels (V-Express: 512)."""
    fps: float = Field(25.0, gt=0, le=120)
    """Frame rate, frames per second (LatentSync, MuseTalk: 25)."""
    margin: float = Field(1.6, ge=1, le=4)
    """Side of the crop over the union of the face's boxes (TalkVid: 1.6)."""
    crf: int = Field(16, ge=0, le=51)
    """H.264 constant rate factor; lower is better and larger."""
    keyframe_every: int = Field(25, ge=1)
    """Frames from one key frame to the next: what a reader decodes at most to reach one frame."""


class CropClip(ClipStep):
    """Decode a span of the source, crop, encode."""

    NAME: ClassVar[str] = "crop"
    VERSION: ClassVar[int] = VERSION
    RESOURCES: ClassVar[Resources] = Resources(cpus=1)

    def __call__(self, row: Candidate) -> Iterator[Candidate]:
        """Yield the candidate with its clip written."""
        name = f"media/{row.clip.clip_id}.mp4"
        with temporary_file(self.context.dataset.scratch, ".mp4") as path:
            self._write(row, path)
            self.context.dataset.publish(path, name)
        yield row.update(media_path=name)

    def _write(self, row: Candidate, path: Path) -> None:
        with av.open(str(path), "w", format="mp4", options=MP4_OPTIONS) as output:
            picture = self._picture_stream(output, color_tags(row.video))
            sound = sound_stream(output, row.video)
            written = 0
            for frame in prefetch(cropped_frames(row, self.config), WAITING):
                frame.pts, frame.time_base = written, picture.codec_context.time_base
                output.mux(picture.encode(frame))
                written += 1
            if written != row.clip.frames:
                detail = f"expected {row.clip.frames} frames, the source gave {written}"
                raise Rejection("damaged", detail, is_error=True)
            output.mux(picture.encode(None))
            if sound:
                write_sound(output, sound, row)

    def _picture_stream(self, output: Any, tags: dict[str, str]) -> Any:
        rate = Fraction(self.config.fps).limit_denominator(1001)
        stream = output.add_stream("libx264", rate=rate)
        stream.width = stream.height = self.config.size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = 1 / rate
        stream.codec_context.gop_size = self.config.keyframe_every
        # A fixed number of threads gives the same bytes on every machine.
        stream.codec_context.thread_count = 2
        stream.options = {"crf": str(self.config.crf), "preset": "veryfast"}
        if tags:
            codec = stream.codec_context
            codec.colorspace = number_of(MATRICES, tags.get("matrix"))
            codec.color_trc = number_of(TRANSFERS, tags.get("transfer"))
            codec.color_primaries = number_of(PRIMARIES, tags.get("primaries"))
            codec.color_range = TV_RANGE
        return stream


def number_of(names: dict[int, str], name: str | None) -> int:
    """Return FFmpeg's number of a colour tag; of none, that for "not known"."""
    return next((number for number, known in names.items() if known == name), UNKNOWN)


def cropped_frames(row: Candidate, config: CropConfig) -> Iterator[Any]:
    """Yield the frames of the clip, cropped and scaled, repeated where the source is slower."""
    wanted = shown_frames(row.times, config.fps, row.clip.frames)
    counts = np.bincount(wanted, minlength=len(row.times) - 1)
    graph: Any = None
    for index, frame in frames_of_span(row):
        if not counts[index]:
            continue
        graph = graph or crop_graph(frame, row.clip, row.video, config.size)
        frame.pts = None
        graph.push(frame)
        cropped = graph.pull()
        cropped.pict_type = 0
        for _ in range(counts[index]):
            yield cropped


def frames_of_span(row: Candidate) -> Iterator[tuple[int, Any]]:
    """Yield index within the span and PyAV frame, decoding from the key frame before it."""
    with open_video(row.video) as container:
        stream = video_streams(container)[0]
        origin = row.video.start_s or 0.0
        decoded = frames_from(container, stream, origin + row.times[0])
        for frame in converted(decoded, picture_of(row.video)):
            time = frame.time - origin
            if time > row.times[-1] - SAME_FRAME_S:
                return
            index = int(np.argmin(np.abs(row.times[:-1] - time)))
            if abs(row.times[index] - time) < SAME_FRAME_S:
                yield index, frame


def frames_from(container: Any, stream: Any, start_s: float) -> Iterator[Any]:
    """Yield the whole frames from a key frame at or before `start_s` of the container's time on."""
    frames = decoded_from(container, stream, start_s)
    return (frame for frame in frames if frame is not None and frame.time is not None)


def decodable(container: Any, stream: Any) -> Iterator[Any]:
    """Yield the frames that are whole and have a time."""
    for frame in decode(container, stream):
        if frame is not None and frame.time is not None:
            yield frame


def crop_graph(frame: Any, clip: Clip, video: Video, size: int) -> Any:
    """Return a filter graph from frames like `frame` to upright squares of `size` pixels."""
    left, top, width, height = coded_rectangle(clip, video)
    pad_left, pad_top = max(-left, 0), max(-top, 0)
    whole_width = max(frame.width, left + width) + pad_left
    whole_height = max(frame.height, top + height) + pad_top
    turns = {90: ("clock",), 180: ("clock", "clock"), 270: ("cclock",)}
    matrix = color_tags(video).get("matrix")
    kept = f":out_color_matrix={matrix}" if matrix else ""
    steps = [
        ("pad", f"{whole_width}:{whole_height}:{pad_left}:{pad_top}"),
        ("crop", f"{width}:{height}:{left + pad_left}:{top + pad_top}:exact=1"),
        ("scale", f"{size}:{size}:flags=bicubic+accurate_rnd:out_range=tv{kept}"),
        *(("transpose", turn) for turn in turns.get(video.rotation or 0, ())),
        *([("hflip", "")] if video.mirrored else []),
        ("setsar", "1"),
        ("format", "yuv420p"),
    ]
    if (whole_width, whole_height) == (frame.width, frame.height):
        steps = steps[1:]
    return filter_graph(frame, steps, Fraction(1, 1000))


def coded_rectangle(clip: Clip, video: Video) -> tuple[int, int, int, int]:
    """Return left, top, width and height of the crop in coded pixels (turned and squeezed back)."""
    corners = np.array(
        [[clip.crop_x1, clip.crop_y1], [clip.crop_x2, clip.crop_y2]], dtype=np.float64
    )
    width, height = video.width or 1, video.height or 1
    x, y = corners.T
    if video.mirrored:
        x = width - x
    turned = {
        0: (x, y),
        90: (y, width - x),
        180: (width - x, height - y),
        270: (height - y, x),
    }[video.rotation or 0]
    across = np.sort(turned[0]) / (video.pixel_aspect or 1)
    down = np.sort(turned[1])
    left, top = round(across[0]), round(down[0])
    return left, top, round(across[1]) - left, round(down[1]) - top


def sound_stream(output: Any, video: Video) -> Any:
    """Add an AAC stream at the source's rate, mono or stereo; None where there is no sound."""
    if not video.audio_streams:
        return None
    rate = video.audio_rate if video.audio_rate in AAC_RATES else 48000
    layout = "mono" if video.audio_channels == 1 else "stereo"
    return output.add_stream("aac", rate=rate, layout=layout)


def write_sound(output: Any, stream: Any, row: Candidate, later_s: float = 0) -> None:
    """Encode the sound of the clip's span, exactly as long as its picture.

    Sound that is late in the source is taken from there `later_s` seconds later.
    """
    rate, layout = stream.codec_context.sample_rate, stream.codec_context.layout.name
    samples = math.floor(row.clip.frames / row.clip.fps * rate)
    start = (row.video.start_s or 0.0) + row.clip.start_s + later_s
    sound = read_sound(row.video, start, samples, rate, layout)
    planes = np.ascontiguousarray(sound.T)
    for first in range(0, samples, 1024):
        frame = av.AudioFrame.from_ndarray(planes[:, first : first + 1024].copy(), "fltp", layout)
        frame.sample_rate, frame.pts, frame.time_base = rate, first, Fraction(1, rate)
        output.mux(stream.encode(frame))
    output.mux(stream.encode(None))


@contextlib.contextmanager
def temporary_file(folder: Path, suffix: str) -> Iterator[Path]:
    """Give a path for an unfinished file; it is gone afterwards unless it was published."""
    with NamedTemporaryFile(dir=folder, suffix=suffix, delete=False) as file:
        path = Path(file.name)
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)
