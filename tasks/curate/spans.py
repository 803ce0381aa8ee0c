"""Find where a listed span lies in its file.

Takes a `Video`, gives it with the times and frames of its span, or rejects it as `outside`. A whole
file passes by, and so does a span that is listed with times and frames. Reads the time stamps of
all packets; decodes nothing.

Below the step: how the sources of a batch that are spans of files become rows of `videos`.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from vexpress.schemas.row import Model, content_id
from vexpress.schemas.span import Span
from vexpress.schemas.video import Video
from vexpress.tasks.engine.step import Rejection, Step, is_rejected, reject
from vexpress.tasks.engine.units import FrameRange, Source
from vexpress.tasks.media.frames import SAME_FRAME_S, clip_identity, clock_of, open_media, stamps_of

LATE_S = 1.0
"""How far beyond the end of the video a span may reach, seconds: lists round to whole seconds."""


class LocateSpan(Step[Video]):
    """Turn the times of a span into frames, or its frames into times."""

    NAME: ClassVar[str] = "span"
    TAKES: ClassVar[type] = Video

    @classmethod
    def versions(cls, config: Any) -> list[tuple[str, int]]:
        """None: videos that are no spans do not depend on it."""
        return []

    def skip(self, row: Video) -> list[Model] | None:
        """Whole files, and spans of which all is known."""
        return [row] if row.span is None or row.span.is_located else None

    def identity(self, row: Video) -> str:
        """The content, and what is listed of it."""
        return f"{clip_identity(row)} {row.span.identity if row.span else ''}"

    def condense(self, row: Video, answers: list[Model]) -> list[Model]:
        """Keep where the span lies; what else the list says may change."""
        return [
            _range(a.span) if isinstance(a, Video) and not is_rejected(a) else a for a in answers
        ]

    def restore(self, row: Video, kept: list[Any]) -> list[Model]:
        """Put what was kept into the video at hand."""
        return [
            located(row, k)
            if isinstance(k, FrameRange)
            else reject(row, Rejection(k.reason or "", k.detail or "", is_error=k.is_error))
            for k in kept
        ]

    def __call__(self, row: Video) -> Iterator[Video]:
        """Yield the video with its span located."""
        assert row.span is not None
        times = frame_times(row.file, row.content_hash, row.sound_track)
        yield located(row, find_frames(row.span, times, row.duration_s or 0))


@lru_cache(maxsize=2)
def frame_times(uri: str, _: str | None, track: int | None) -> np.ndarray:
    """Return the times of all frames of a file, seconds from the first, float64 (F,)."""
    with open_media(uri) as container:
        pictures, sounds, _unit = stamps_of(container, track)
        shown = clock_of(container, pictures, sounds, track).shown(pictures)
    times = np.unique(np.array(shown))
    return times - times[:1]


def find_frames(span: Span, times: np.ndarray, duration_s: float) -> FrameRange:
    """Return the frames that begin within the span, of frame times (F,), and when these are shown.

    Raises Rejection `outside`.
    """
    count = len(times)
    if span.span_start_s is None:
        first, last = span.span_start_frame or 0, span.span_end_frame or 0
        is_outside, whole = last > count, f"{count} frames"
    else:
        edges = np.array([span.span_start_s, span.span_end_s]) - SAME_FRAME_S
        first, last = np.searchsorted(times, edges).tolist()
        is_outside = edges[1] > duration_s + LATE_S
        whole = f"{duration_s:.2f} s"
    if is_outside or first >= min(last, count):
        detail = f"expected a span within the {whole} of the video, found {span.identity[1:]}"
        raise Rejection("outside", detail)
    end_s = float(times[last]) if last < count else duration_s
    return FrameRange(start_frame=first, end_frame=last, start_s=float(times[first]), end_s=end_s)


def located(row: Video, found: FrameRange) -> Video:
    """Return the video with times and frames of its span."""
    assert row.span is not None
    places = {f"span_{name}": value for name, value in found.model_dump().items()}
    return row.model_copy(update={"span": row.span.model_copy(update=places)})


def _range(span: Span | None) -> FrameRange:
    assert span is not None
    names = FrameRange.model_fields
    return FrameRange(**{name: getattr(span, f"span_{name}") for name in names})


def files_of(sources: Sequence[Source]) -> list[Source]:
    """Return the files to probe: each once, however many spans of it are listed."""
    spans = {s.file: s.whole() for s in sources if s.span and not s.problem}
    return list((spans | {s.uri: s for s in sources if not s.span}).values())


def video_of(source: Source, probed: Video | None) -> Video:
    """Return the row of a source, of what `probe` said of its file; None for a span whose file was
    not probed, because of its problem."""
    if source.span is None and probed:
        return probed
    own = {"source": source.uri, "licence": source.licence, "span": source.span}
    unknown = Video(video_id=content_id("no content", source.uri), status="rejected", **own)
    if probed is None or source.problem:
        return unknown.model_copy(
            update={"reason": source.reason, "detail": source.problem, "is_error": False}
        )
    video = probed.model_copy(update=own)
    video_id = content_id(video.content_key) if video.content_key else unknown.video_id
    return video.model_copy(update={"video_id": video_id})


def apart(videos: list[Video], ledger: Any) -> list[Video]:
    """Return the videos, rejected as `mixed` where the data set has spans of a whole file, or the
    whole of a span's: their clips could be the same ones."""
    usable = [v for v in videos if v.status == "ok" and v.content_hash]
    of_spans = {str(v.content_hash) for v in usable if v.span}
    whole = {v.content_hash for v in usable if not v.span} | set(ledger.first_sources([*of_spans]))
    whole -= ledger.with_spans([str(v.content_hash) for v in usable if not v.span])
    return [_mixed(v) if _is_mixed(v, whole) else v for v in videos]


def _is_mixed(video: Video, whole: set[str | None]) -> bool:
    is_whole = video.content_hash in whole
    return video.status == "ok" and (is_whole if video.span else not is_whole)


def _mixed(video: Video) -> Video:
    found = "the whole file" if video.span else "spans of it"
    detail = (
        f"expected a file of which the data set has nothing, found {found}: use another data set"
    )
    rejected: Video = reject(video, Rejection("mixed", detail))
    return rejected


def known_content(video: Video) -> str | None:
    """Return the content that a committed source holds, where clips were made from it."""
    return None if video.reason == "mixed" else video.content_key
