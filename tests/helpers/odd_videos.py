"""Small videos of the kinds that people have: every picture says its number."""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

SIDE = 128
BITS = 8
RATE = 48_000
FPS = 25


def numbered(number: int, side: int = SIDE) -> np.ndarray:
    """A grey picture, uint8 (side, side, 3), whose lower half shows `number` in bits."""
    picture = np.full((side, side, 3), 90, np.uint8)
    width = side // BITS
    for bit in range(BITS):
        picture[side // 2 :, bit * width : (bit + 1) * width] = 230 if number >> bit & 1 else 20
    return picture


def number_of(grey: np.ndarray) -> int:
    """The number in a picture, uint8 (height, width)."""
    height, width = grey.shape
    places = ((np.arange(BITS) + 0.5) * width / BITS).astype(int)
    row = grey[height * 3 // 4, places]
    return int(sum(1 << bit for bit in range(BITS) if row[bit] > 128))


def tone(seconds: float, channels: Sequence[float] = (1.0,), hertz: float = 440) -> np.ndarray:
    """A tone, float32 (channels, samples), each channel times its number."""
    wave = 0.4 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)
    return np.array(channels, np.float32)[:, None] * wave.astype(np.float32)


def write(
    path: Path,
    numbers: Iterable[int],
    sounds: Sequence[np.ndarray] = (),
    times: Sequence[float] | None = None,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    prepare: Any = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """Write pictures of `numbers` at `times` (every 1/25 s), and sound tracks as AAC or FLAC.

    `prepare(video, sounds)` is told the streams before anything is written.
    """
    shown = list(numbers)
    with av.open(str(path), "w", options=container_options or {}) as container:
        video = container.add_stream(codec, rate=FPS)
        video.width = video.height = SIDE
        video.pix_fmt = "yuv420p"
        video.options = options or {"g": "25", "x264-params": "mbtree=0"}
        video.codec_context.time_base = Fraction(1, 1000 if times else FPS)
        kind = "flac" if path.suffix == ".mkv" else "aac"
        tracks = [
            container.add_stream(kind, rate=RATE, layout="stereo" if len(s) == 2 else "mono")
            for s in sounds
        ]
        if prepare:
            prepare(video, tracks)
        for place, number in enumerate(shown):
            frame = av.VideoFrame.from_ndarray(numbered(number), "rgb24").reformat(format="yuv420p")
            frame.pts = round(times[place] * 1000) if times else place
            frame.time_base = video.codec_context.time_base
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        for track, sound in zip(tracks, sounds, strict=True):
            _encode(container, track, sound)
    return path


def _encode(container: Any, track: Any, sound: np.ndarray) -> None:
    layout = "stereo" if len(sound) == 2 else "mono"
    resampler = av.AudioResampler(track.format.name, layout, RATE)
    for first in range(0, sound.shape[1], 1024):
        piece = np.ascontiguousarray(sound[:, first : first + 1024])
        frame = av.AudioFrame.from_ndarray(piece, "fltp", layout)
        frame.sample_rate, frame.pts, frame.time_base = RATE, first, Fraction(1, RATE)
        for ready in resampler.resample(frame):
            container.mux(track.encode(ready))
    container.mux(track.encode(None))
