"""Look at a source: what it is, and whether it can be used at all.

Takes a `Source`, gives a `Video`: `ok`, or rejected as `not_a_file`, `empty`, `unreadable`,
`no_video_stream`, `no_frames`, `too_large`, `truncated` or `clock_jumps`. Reads every byte (the
hash) and every packet's time stamp; decodes a frame, of stereo some sound, and where several
sound tracks are alike the beginning of each.
"""

import hashlib
import itertools
import statistics
from collections.abc import Iterator
from typing import Any, ClassVar

from pydantic import Field

from vexpress.media.clock import Stamps
from vexpress.media.picture import Picture, describe_picture
from vexpress.media.tracks import choose_track
from vexpress.schemas.row import Model
from vexpress.schemas.video import Video
from vexpress.tasks.engine.step import Rejection, Step
from vexpress.tasks.engine.units import Source
from vexpress.tasks.media.frames import (
    check_size,
    clock_of,
    open_bytes,
    open_media,
    stamps_of,
    video_streams,
)

BLOCK = 1 << 20


class ProbeConfig(Model):
    """What is asked of a file before anything else."""

    min_whole_share: float = Field(0.98, ge=0, le=1)
    """Least share of the frames that the header declares; a file with fewer is truncated."""


class ProbeSettings(ProbeConfig):
    """The same, and which sound to take."""

    track: int | None = Field(None, ge=0, exclude_if=lambda track: track is None)
    """`sound.track`; no part of keys while it is not given."""


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
            raise Rejection(row.reason, row.problem)
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
            track = getattr(self.config, "track", None)
            video = video.model_copy(update=describe(row.uri, track))
            self._require_whole(video)
        except Rejection as no:
            changes = {"reason": no.reason, "detail": no.detail, "is_error": no.is_error}
            video = video.model_copy(update={"status": "rejected", **changes})
        yield video

    def _require_whole(self, video: Video) -> None:
        with open_media(video.source) as container:
            declared = video_streams(container)[0].frames
            least = declared * self.config.min_whole_share
            found = video.frames or 0
            if found < least:
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


def probe_file(uri: str) -> Video:
    """Return what a file says of itself, without reading all of its bytes for a hash.

    Raises Rejection as `describe` does.
    """
    return Video(video_id="", source=uri, status="ok", **describe(uri))


def describe(uri: str, track: int | None = None) -> dict[str, Any]:
    """Return the columns of `Video` that container and streams tell; `track` is the sound that
    is asked for.

    Raises Rejection `unreadable`, `no_video_stream`, `no_frames`, `too_large` or `clock_jumps`.
    """
    with open_media(uri) as container:
        streams = video_streams(container)
        if not streams:
            found = ", ".join(stream.type for stream in container.streams) or "no streams"
            raise Rejection("no_video_stream", f"expected a video stream, found: {found}")
        stream = streams[0]
        check_size(stream.width, stream.height)
        picture = describe_picture(container, stream)
        if picture is None:
            detail = "expected pictures, found a video stream without a whole one"
            raise Rejection("no_frames", detail)
        columns = {
            "container": container.format.name,
            "video_codec": stream.codec_context.name,
            "pixel_format": stream.codec_context.pix_fmt,
            "video_streams": len(streams),
            **describe_size(picture),
        }
    with open_media(uri) as container:
        columns |= describe_sound(container, track)
    with open_media(uri) as container:
        return columns | describe_times(container, columns["sound_track"])


def describe_size(picture: Picture) -> dict[str, Any]:
    """Return the columns of `Video` about its picture."""
    width, height = picture.size
    return {
        "coded_width": picture.coded_width,
        "coded_height": picture.coded_height,
        "rotation": picture.rotation,
        "mirrored": picture.mirrored,
        "pixel_aspect": float(picture.pixel_aspect),
        "width": width,
        "height": height,
        "color_transfer": picture.transfer,
        "color_primaries": picture.primaries,
        "color_matrix": picture.matrix,
        "color_range": picture.color_range,
        "field_order": picture.field_order,
        "interlaced": picture.interlaced,
    }


def describe_sound(container: Any, asked: int | None = None) -> dict[str, Any]:
    """Return the columns of `Video` about the sound that counts."""
    track = choose_track(container, asked)
    columns: dict[str, Any] = {"audio_streams": len(container.streams.audio), "sound_track": None}
    if track is not None:
        codec = container.streams.audio[track.number].codec_context
        columns |= {
            "audio_codec": codec.name,
            "audio_rate": codec.sample_rate,
            "audio_channels": codec.channels,
            "sound_track": track.number,
            "sound_choice": track.choice,
            "sound_language": track.language,
            "sound_title": track.title,
            "sound_inverted": track.inverted,
        }
    return columns


def count_packets(container: Any) -> int:
    """Return how many pictures the first video stream holds, shown or not."""
    return sum(1 for packet in container.demux(video_streams(container)[0]) if packet.size)


def describe_times(container: Any, track: int | None) -> dict[str, Any]:
    """Return frame count, rate, start, duration and jumps from the packets' time stamps."""
    pictures, sounds, unit = stamps_of(container, track)
    clock = clock_of(container, pictures, sounds, track)
    rate = float(video_streams(container)[0].average_rate or 25)
    return {**_timing(clock.shown(pictures), pictures, unit, rate), "clock_jumps": clock.jumps}


def _timing(stamps: list[float], pictures: Stamps, unit: float, rate: float) -> dict[str, Any]:
    if not stamps:
        stamps = [n / rate for n in range(len(pictures.numbers))]
    gaps = [b - a for a, b in itertools.pairwise(stamps) if b > a]
    gap = statistics.median(gaps) if gaps else 1 / rate
    duration = stamps[-1] - stamps[0] + gap
    return {
        "frames": len(stamps),
        "fps": len(stamps) / duration,
        "variable_fps": any(abs(g - gap) > max(0.1 * gap, unit * 1.01) for g in gaps),
        "start_s": stamps[0],
        "duration_s": duration,
    }
