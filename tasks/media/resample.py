"""Which source frame each frame of a clip shows, and the sound of a span.

A clip's frame number i is shown from i / fps to (i + 1) / fps after the clip's start; it
takes the source frame that is on screen in the middle of that time. So a variable frame
rate keeps picture and sound together, and an equal one is copied frame for frame.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import av
import numpy as np

from vexpress.media.tracks import decode_sound
from vexpress.schemas.video import Video
from vexpress.tasks.media.frames import open_media, open_video, straightened

PREROLL_S = 0.5
"""Sound decoded before the span, so that decoder and resampler have settled, seconds."""
RESYNC_S = 0.05
"""Time stamps that disagree with the samples by more than this are believed, seconds."""
BLOCK_S = 10.0
"""Sound handed on at once by `stream_sound`, at most, seconds."""


def shown_frames(times: np.ndarray, fps: float, count: int) -> np.ndarray:
    """Return for each of `count` clip frames the index of the source frame it shows, int (count,).

    `times` float64 (F + 1,): time of each source frame and the end of the last, seconds.
    """
    middles = times[0] + (np.arange(count) + 0.5) / fps
    indices = np.searchsorted(times[:-1], middles, side="right") - 1
    return np.clip(indices, 0, len(times) - 2)


def read_sound(
    source: Video | str, start_s: float, samples: int, rate: int, layout: str = "mono"
) -> np.ndarray:
    """Return float32 (samples, channels) in -1 … 1, from `start_s` of the container's time.

    Of a video, its sound that counts, its channels put right; of a file of ours, by its URI,
    the first. Where there is no sound, or it has ended, the samples are zero. Where the clock
    jumps it is the sound of the pictures in the middle of the span.
    """
    sound = np.zeros((samples, 1 if layout == "mono" else 2), dtype=np.float32)
    with _open_sound(source, start_s + samples / rate / 2) as (container, stream, inverted):
        if stream is not None:
            _fill(sound, container, stream, start_s, rate, layout, inverted)
    return sound


@contextlib.contextmanager
def _open_sound(source: Video | str, at_s: float) -> Iterator[tuple[Any, Any, bool]]:
    """Give container, sound stream (None: there is none) and whether it is inverted."""
    if isinstance(source, str):
        with open_media(source) as container:
            yield container, next(iter(container.streams.audio), None), False
        return
    number = source.sound_track or 0
    if source.clock_jumps:
        number = straightened(source)[1].stretch(at_s - (source.start_s or 0))
    with open_video(source) as container:
        streams = container.streams.audio
        stream = streams[number] if number < len(streams) else None
        yield container, stream, bool(source.sound_inverted)


def stream_sound(
    source: Video | str, start_s: float, seconds: float, rate: int
) -> Iterator[np.ndarray]:
    """Yield `seconds` of mono sound from `start_s` of the container's time, float32 (N,) blocks.

    Together they are as long as asked for, each at most `BLOCK_S`: what the source does not
    have is zero, so that neither a long film nor a false time stamp fills memory.
    """
    edges = [start_s, start_s + seconds]
    if isinstance(source, Video) and source.clock_jumps:
        starts = (start + (source.start_s or 0) for start in straightened(source)[1].starts)
        edges[1:1] = [start for start in starts if edges[0] < start < edges[1]]
    ends = [round((edge - start_s) * rate) for edge in edges]
    for first, begin, end in zip(edges, ends, ends[1:], strict=False):
        yield from _stretch(source, first, end - begin, rate)


def _stretch(source: Video | str, start_s: float, end: int, rate: int) -> Iterator[np.ndarray]:
    position = 0
    with _open_sound(source, start_s + 1e-3) as (container, stream, inverted):
        for at, data in _placed(container, stream, start_s, rate, inverted):
            if at >= end:
                break
            yield from _zeros(at - position, rate)
            position = max(position, at)
            new = data[position - at : end - at]
            position += len(new)
            if len(new):
                yield new
    yield from _zeros(end - position, rate)


def _placed(
    container: Any, stream: Any, start_s: float, rate: int, inverted: bool
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield place, in samples from `start_s`, and mono samples of what the sound holds."""
    if stream is None:
        return
    resampler = av.AudioResampler(format="flt", layout="mono", rate=rate)
    position = 0
    for chunk in _chunks(container, stream, resampler, inverted):
        if chunk.time is not None:
            stamp = round((chunk.time - start_s) * rate)
            if abs(stamp - position) > RESYNC_S * rate or not position:
                position = stamp
        data = chunk.to_ndarray()[0]
        yield position, data
        position += len(data)


def _zeros(count: int, rate: int) -> Iterator[np.ndarray]:
    block = round(BLOCK_S * rate)
    for first in range(0, count, block):
        yield np.zeros(min(block, count - first), np.float32)


def _fill(
    sound: np.ndarray,
    container: Any,
    stream: Any,
    start_s: float,
    rate: int,
    layout: str,
    inverted: bool,
) -> None:
    resampler = av.AudioResampler(format="flt", layout=layout, rate=rate)
    if start_s > PREROLL_S:
        target = int((start_s - PREROLL_S) / stream.time_base)
        container.seek(target, stream=stream, backward=True)
    position: int | None = None
    for chunk in _chunks(container, stream, resampler, inverted):
        if chunk.time is not None:
            stamp = round((chunk.time - start_s) * rate)
            if position is None or abs(stamp - position) > RESYNC_S * rate:
                position = stamp
        position = position or 0
        if position >= len(sound):
            return
        data = chunk.to_ndarray().reshape(-1, sound.shape[1])
        _put(sound, data, position)
        position += len(data)


def _chunks(container: Any, stream: Any, resampler: Any, inverted: bool) -> Iterator[Any]:
    for frame in decode_sound(container, stream, inverted=inverted):
        yield from resampler.resample(frame)
    yield from resampler.resample(None)


def _put(sound: np.ndarray, data: np.ndarray, position: int) -> None:
    first, last = max(position, 0), min(position + len(data), len(sound))
    if last > first:
        sound[first:last] = data[first - position : last - position]
