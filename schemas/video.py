"""A source video, as it was found and probed. Table `videos`, one row per source."""

from typing import ClassVar, Literal

from vexpress.schemas.row import Row, formerly
from vexpress.schemas.span import Span

Status = Literal["ok", "rejected"]


class Video(Row):
    """One source. Its file is only ever read."""

    TABLE: ClassVar[str] = "videos"

    video_id: str
    """First 16 hex digits of the content hash; of a listed span, a hash of that and the span; for
    what has no content, a hash of its name."""
    batch_id: str = formerly("wave_id", "batch_id", "")
    """The batch that wrote this row; rows of other tables count only with the same batch_id."""
    source: str
    """Where the video is: an absolute path or a URI; of a listed span, with `#t=start,end` and the
    like after it."""
    status: Status
    """`ok`, or `rejected` with a reason."""
    reason: str | None = None
    """Why it was rejected: one of the reasons in `docs/data-set.md`."""
    detail: str | None = None
    """The same in a sentence: what was expected, what was found."""
    is_error: bool = False
    """Whether something failed (`vexpress retry` runs it again), not a rule that said no."""
    duplicate_of: str | None = None
    """Source with the same content, listed earlier; clips are made from that one alone."""
    licence: str | None = None
    """Licence note of the source, as the user gave it."""
    content_hash: str | None = None
    """BLAKE2b-256 of the file's bytes, hex."""
    size_bytes: int | None = None
    """Size of the file, bytes."""
    container: str | None = None
    """Container format, as libavformat names it."""
    video_codec: str | None = None
    """Codec of the first video stream."""
    pixel_format: str | None = None
    """Pixel format of the first video stream."""
    audio_codec: str | None = None
    """Codec of the sound that counts; null where there is no sound."""
    audio_rate: int | None = None
    """Its sample rate, Hz."""
    audio_channels: int | None = None
    """Its channels."""
    video_streams: int | None = None
    """Number of video streams (cover pictures not counted)."""
    audio_streams: int | None = None
    """Number of audio streams."""
    sound_track: int | None = None
    """Which of them counts, from 0; null where there is none."""
    sound_choice: str | None = None
    """Why that one: the only one, marked default, most speech, or asked for."""
    sound_language: str | None = None
    """Its language, as the file says."""
    sound_title: str | None = None
    """Its title, as the file says."""
    sound_inverted: bool | None = None
    """Whether its two channels cancel each other out; the right one is turned over then."""
    coded_width: int | None = None
    """Width of the coded picture, pixels."""
    coded_height: int | None = None
    """Height of the coded picture, pixels."""
    rotation: int | None = None
    """Clockwise turn that puts the coded picture upright, degrees: 0, 90, 180 or 270."""
    mirrored: bool | None = None
    """Whether left and right change places after the turn, as the file asks."""
    color_transfer: str | None = None
    """Transfer function, as FFmpeg names it (`bt709`, `arib-std-b67` is HLG, `smpte2084` PQ); null
    where the file does not say, as below."""
    color_primaries: str | None = None
    """Primaries (`bt709`, `bt2020`, …)."""
    color_matrix: str | None = None
    """Matrix from Y'CbCr to R'G'B' (`bt709`, `smpte170m`, `bt2020nc`, …)."""
    color_range: str | None = None
    """`tv` (limited) or `pc` (full)."""
    field_order: str | None = None
    """`progressive`, or the order of fields: `tt`, `bb`, `tb`, `bt` (coded first, shown first)."""
    interlaced: bool | None = None
    """Whether pictures are of two fields each; clips are deinterlaced. Null in rows of version
    0.1."""
    clock_jumps: int | None = None
    """How often the file's clock jumps; times go on there, and the video is cut."""
    pixel_aspect: float | None = None
    """Width of a coded pixel over its height."""
    width: int | None = None
    """Width of the upright picture with square pixels: the frame of all coordinates here."""
    height: int | None = None
    """Height of the upright picture with square pixels."""
    fps: float | None = None
    """Mean frame rate, frames per second."""
    variable_fps: bool | None = None
    """Whether the time between frames varies by more than a tenth of its median."""
    frames: int | None = None
    """Frames in the video stream."""
    start_s: float | None = None
    """Time stamp of the first frame, seconds; all other times count from it."""
    duration_s: float | None = None
    """From the first frame to the end of the last, seconds."""
    committed_at: str | None = None
    """When the batch was committed, ISO 8601 UTC; the newest commit of a source counts."""
    span: Span | None = None
    """The part of its file that a list names; None for a whole file."""

    @property
    def file(self) -> str:
        """Where the file is: the source, without the span."""
        return self.span.file if self.span else self.source

    @property
    def content_key(self) -> str | None:
        """What tells a copy: the content hash, with what of the content is listed."""
        if self.span is None or self.content_hash is None:
            return self.content_hash
        return f"{self.content_hash} {self.source.removeprefix(self.span.file)}"

    def further_columns(self) -> dict[str, str]:
        """The list's own columns."""
        return self.span.source_columns if self.span else {}
