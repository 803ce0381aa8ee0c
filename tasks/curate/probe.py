"""Look at a source: what it is, and whether it can be used at all.

Takes a `Source`, gives a `Video`: `ok`, or rejected as `not_a_file`, `empty`, `unreadable`,
`no_video_stream`, `no_frames`, `too_large` or `truncated`. Reads every byte (the hash) and
every packet's time stamp; decodes one frame.
"""

import hashlib
import itertools
import statistics
from collections.abc import Iterator
from typing import Any, ClassVar

import av
from pydantic import Field

from vexpress.schemas.row import Model
from vexpress.schemas.video import Video
from vexpress.tasks.engine.step import Rejection, Step
from vexpress.tasks.engine.units import Source
from vexpress.tasks.media.frames import (
    check_size,
    open_bytes,
    open_media,
    pixel_aspect_of,
    upright_size,
    video_streams,
)

BLOCK = 1 << 20


class ProbeConfig(Model):
    """What is asked of a file before anything else."""

    min_whole_share: float = Field(0.98, ge=0, le=1)
    """Least share of the frames that the header declares; a file with fewer is truncated."""


class ProbeVideo(Step[Source]):
    """Hash and probe one source."""

    NAME: ClassVar[str] = "probe"
    TAKES: ClassVar[type] = Source

    def identity(self, row: Source) -> str:
        """Path, size and modification time stand for the content until it is read."""
        return f"{row.uri}|{row.size_bytes}|{row.modified}|{row.licence}"

    def __call__(self, row: Source) -> Iterator[Video]:
        """Yield the video; a source that is none becomes a rejected row with what is known."""
        if row.problem:
            raise Rejection("not_a_file", row.problem)
        content_hash, size = hash_content(row.uri)
        video = Video(
            video_id=content_hash[:16],
            source=row.uri,
            status="ok",
            licence=row.licence,
            content_hash=content_hash,
            size_bytes=size,
        )
        try:
            if not size:
                raise Rejection("empty", "expected a video, found a file of 0 bytes")
            with open_media(row.uri) as container:
                video = video.model_copy(update=describe(container))
                self._require_whole(video, container)
        except Rejection as no:
            changes = {"reason": no.reason, "detail": no.detail, "is_error": no.is_error}
            video = video.model_copy(update={"status": "rejected", **changes})
        yield video

    def _require_whole(self, video: Video, container: Any) -> None:
        declared = video_streams(container)[0].frames
        least = declared * self.config.min_whole_share
        found = video.frames or 0
        if found < least:
            container.seek(0)
            found = count_packets(container)  # with those that an edit list hides
        if found < least:
            detail = f"the header declares {declared} frames, the file holds {found}: it is cut off"
            raise Rejection("truncated", detail, is_error=True)


def hash_content(uri: str) -> tuple[str, int]:
    """Return BLAKE2b-256 of all bytes, hex, and how many there are.

    Raises Rejection `unreadable` when the file cannot be read.
    """
    digest, size = hashlib.blake2b(digest_size=32), 0
    try:
        with open_bytes(uri) as file:
            while block := file.read(BLOCK):
                digest.update(block)
                size += len(block)
    except OSError as error:
        detail = f"the file cannot be read: {error.strerror or error}"
        raise Rejection("unreadable", detail, is_error=True) from error
    return digest.hexdigest(), size


def describe(container: Any) -> dict[str, Any]:
    """Return the columns of `Video` that container and streams tell.

    Raises Rejection `no_video_stream`, `no_frames` or `too_large`.
    """
    streams = video_streams(container)
    if not streams:
        found = ", ".join(stream.type for stream in container.streams) or "no streams"
        raise Rejection("no_video_stream", f"expected a video stream, found: {found}")
    stream = streams[0]
    check_size(stream.width, stream.height)
    rotation = -first_frame(container, stream).rotation % 360
    aspect = pixel_aspect_of(stream)
    width, height = upright_size(stream.width, stream.height, aspect, rotation)
    container.seek(0)
    return {
        "container": container.format.name,
        "video_codec": stream.codec_context.name,
        "pixel_format": stream.codec_context.pix_fmt,
        "video_streams": len(streams),
        "coded_width": stream.width,
        "coded_height": stream.height,
        "rotation": rotation,
        "pixel_aspect": float(aspect),
        "width": width,
        "height": height,
        **describe_sound(container),
        **describe_times(container, stream),
    }


def first_frame(container: Any, stream: Any) -> Any:
    """Return the first frame that decodes; raise Rejection `no_frames` when none does."""
    for packet in container.demux(stream):
        try:
            for frame in packet.decode():
                return frame
        except av.FFmpegError:
            continue
    raise Rejection("no_frames", "expected pictures, found a video stream without a whole one")


def describe_sound(container: Any) -> dict[str, Any]:
    """Return the columns of `Video` about its first audio stream."""
    streams = container.streams.audio
    columns: dict[str, Any] = {"audio_streams": len(streams)}
    if streams:
        codec = streams[0].codec_context
        columns |= {
            "audio_codec": codec.name,
            "audio_rate": codec.sample_rate,
            "audio_channels": codec.channels,
        }
    return columns


def count_packets(container: Any) -> int:
    """Return how many pictures the first video stream holds, shown or not."""
    return sum(1 for packet in container.demux(video_streams(container)[0]) if packet.size)


def describe_times(container: Any, stream: Any) -> dict[str, Any]:
    """Return frame count, rate, start and duration from the packets' time stamps."""
    unit = stream.time_base
    packets = [p for p in container.demux(stream) if p.size and not p.is_discard]
    stamps = sorted(float(p.pts * unit) for p in packets if p.pts is not None)
    if not stamps:
        stamps = [n / float(stream.average_rate or 25) for n in range(len(packets))]
    gaps = [b - a for a, b in itertools.pairwise(stamps) if b > a]
    gap = statistics.median(gaps) if gaps else 1 / float(stream.average_rate or 25)
    duration = stamps[-1] - stamps[0] + gap
    return {
        "frames": len(stamps),
        "fps": len(stamps) / duration,
        "variable_fps": any(abs(g - gap) > max(0.1 * gap, float(unit) * 1.01) for g in gaps),
        "start_s": stamps[0],
        "duration_s": duration,
    }
