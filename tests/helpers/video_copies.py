"""Copies of a video as they turn up: re-encoded, scaled, cropped, at another speed, trimmed, …"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

RATE = 44100


@dataclass(frozen=True)
class Film:
    """Pictures and sound of a video."""

    frames: list[np.ndarray]
    """BGR uint8 (height, width, 3)."""
    fps: float
    sound: np.ndarray
    """float32 (samples,), mono, `RATE`."""
    crf: int = 20
    bit_rate: int = 128_000


def read_film(path: Path, seconds: float, longest: int) -> Film:
    """The beginning of a video, scaled so that its longer side is at most `longest` pixels."""
    frames: list[np.ndarray] = []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        fps = float(stream.average_rate)
        scale = min(1.0, longest / max(stream.width, stream.height))
        size = (round(stream.width * scale / 2) * 2, round(stream.height * scale / 2) * 2)
        for frame in container.decode(video=0):
            if len(frames) == round(seconds * fps):
                break
            frames.append(frame.reformat(*size, format="bgr24", interpolation="AREA").to_ndarray())
    with av.open(str(path)) as container:
        resampler = av.AudioResampler("fltp", "mono", RATE)
        chunks = [c for f in container.decode(audio=0) for c in resampler.resample(f)]
        sound = np.concatenate([c.to_ndarray()[0] for c in chunks])
    return Film(frames, fps, sound[: round(len(frames) / fps * RATE)])


def write_film(film: Film, path: Path) -> None:
    """Write H.264 with AAC."""
    with av.open(str(path), "w") as container:
        picture = container.add_stream("libx264", rate=Fraction(film.fps).limit_denominator(1001))
        height, width = (side // 2 * 2 for side in film.frames[0].shape[:2])
        picture.width, picture.height, picture.pix_fmt = width, height, "yuv420p"
        picture.options = {"crf": str(film.crf), "preset": "veryfast"}
        voice = container.add_stream("aac", rate=RATE, layout="mono")
        voice.bit_rate = film.bit_rate
        for frame in film.frames:
            whole = np.ascontiguousarray(frame[:height, :width])
            container.mux(picture.encode(av.VideoFrame.from_ndarray(whole, format="bgr24")))
        container.mux(picture.encode(None))
        for first in range(0, len(film.sound), 1024):
            piece = np.ascontiguousarray(film.sound[None, first : first + 1024], np.float32)
            chunk = av.AudioFrame.from_ndarray(piece, "fltp", "mono")
            chunk.sample_rate, chunk.pts, chunk.time_base = RATE, first, Fraction(1, RATE)
            container.mux(voice.encode(chunk))
        container.mux(voice.encode(None))


def speed(film: Film, factor: float) -> Film:
    """Played at `factor`: as many frames a second, fewer or more of them; the pitch changes."""
    shown = (np.arange(int(len(film.frames) / factor)) * factor).astype(int)
    places = np.arange(int(len(film.sound) / factor)) * factor
    sound = np.interp(places, np.arange(len(film.sound)), film.sound)
    return replace(film, frames=[film.frames[i] for i in shown], sound=sound.astype(np.float32))


def trim(film: Film, seconds: float) -> Film:
    """Without its beginning."""
    first = round(seconds * film.fps)
    return replace(
        film, frames=film.frames[first:], sound=film.sound[round(first / film.fps * RATE) :]
    )


def crop(film: Film, share: float) -> Film:
    """Without `share` of the height at the top and of the width at the left."""
    height, width = film.frames[0].shape[:2]
    top, left = round(share * height), round(share * width)
    return replace(film, frames=[frame[top:, left:] for frame in film.frames])


def scale(film: Film, factor: float) -> Film:
    """Smaller or larger."""
    frames = [
        cv2.resize(f, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA) for f in film.frames
    ]
    return replace(film, frames=frames)


def recolour(film: Film) -> Film:
    """Brighter in the shadows, warmer, and half as loud."""
    curve = (255 * (np.arange(256) / 255) ** 0.75).astype(np.uint8)
    warm = np.array([0.8, 1.0, 1.15])
    frames = [np.clip(curve[f] * warm, 0, 255).astype(np.uint8) for f in film.frames]
    return replace(film, frames=frames, sound=film.sound * 0.5)


COPIES: dict[str, Callable[[Film], Film]] = {
    "reencoded": lambda film: replace(film, crf=35, bit_rate=32_000),
    "scaled": lambda film: scale(film, 0.6),
    "cropped": lambda film: crop(film, 0.05),
    "faster": lambda film: speed(film, 1.02),
    "slower": lambda film: speed(film, 0.98),
    "trimmed": lambda film: trim(film, 1.03),
    "mirrored": lambda film: replace(film, frames=[frame[:, ::-1] for frame in film.frames]),
    "recoloured": recolour,
}
"""What is done to a video, by its name."""
