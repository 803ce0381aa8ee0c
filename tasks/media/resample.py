"""Which source frame each frame of a clip shows, and the sound of a span.

A clip's frame number i is shown from i / fps to (i + 1) / fps after the clip's start; it
takes the source frame that is on screen in the middle of that time. So a variable frame
rate keeps picture and sound together, and an equal one is copied frame for frame.
"""

from collections.abc import Iterator
from typing import Any

import av
import numpy as np

from vexpress.tasks.media.frames import open_media

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
    uri: str, start_s: float, samples: int, rate: int, layout: str = "mono"
) -> np.ndarray:
    """Return float32 (samples, channels) in -1 … 1, from `start_s` of the container's time.

    Where the source has no sound, or it has ended, the samples are zero.
    """
    channels = 1 if layout == "mono" else 2
    sound = np.zeros((samples, channels), dtype=np.float32)
    with open_media(uri) as container:
        streams = container.streams.audio
        if streams:
            _fill(sound, container, streams[0], start_s, rate, layout)
    return sound


def stream_sound(uri: str, start_s: float, seconds: float, rate: int) -> Iterator[np.ndarray]:
    """Yield `seconds` of mono sound from `start_s` of the container's time, float32 (N,) blocks.

    Together they are as long as asked for, each at most `BLOCK_S`: what the source does not
    have is zero, so that neither a long film nor a false time stamp fills memory.
    """
    position, end = 0, round(seconds * rate)
    with open_media(uri) as container:
        for at, data in _placed(container, start_s, rate):
            if at >= end:
                break
            yield from _zeros(at - position, rate)
            position = max(position, at)
            new = data[position - at : end - at]
            position += len(new)
            if len(new):
                yield new
    yield from _zeros(end - position, rate)


def _placed(container: Any, start_s: float, rate: int) -> Iterator[tuple[int, np.ndarray]]:
    """Yield place, in samples from `start_s`, and mono samples of what the sound holds."""
    streams = container.streams.audio
    if not streams:
        return
    resampler = av.AudioResampler(format="flt", layout="mono", rate=rate)
    position = 0
    for chunk in _chunks(container, streams[0], resampler):
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
    sound: np.ndarray, container: Any, stream: Any, start_s: float, rate: int, layout: str
) -> None:
    resampler = av.AudioResampler(format="flt", layout=layout, rate=rate)
    if start_s > PREROLL_S:
        target = int((start_s - PREROLL_S) / stream.time_base)
        container.seek(target, stream=stream, backward=True)
    position: int | None = None
    for chunk in _chunks(container, stream, resampler):
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


def _chunks(container: Any, stream: Any, resampler: Any) -> Any:
    for packet in container.demux(stream):
        try:
            frames = packet.decode()
        except av.FFmpegError:
            continue
        for frame in frames:
            yield from resampler.resample(frame)
    yield from resampler.resample(None)


def _put(sound: np.ndarray, data: np.ndarray, position: int) -> None:
    first, last = max(position, 0), min(position + len(data), len(sound))
    if last > first:
        sound[first:last] = data[first - position : last - position]
