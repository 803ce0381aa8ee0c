"""Portraits, sounds and driving points for small requests; the same bytes every time."""

import csv
import wave
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from PIL import Image

from tests.talking_heads import Face, Shot, VideoFormat, render

SIZE = VideoFormat(width=320, height=320)
SMALL = {"width": 64, "height": 64, "steps": 1, "guidance": 1, "fps": 10}
RATE = 16_000


def write_portrait(path: Path, identity: str = "astronaut") -> Path:
    """A picture of a face, seen from the front."""
    video = path.with_suffix(".mp4")
    face = Face(width_px=150, identity=identity)  # type: ignore[arg-type]
    render([Shot(duration_s=0.2, faces=(face,))], video, SIZE)
    with av.open(str(video)) as container:
        frame = next(container.decode(video=0))
        Image.fromarray(frame.to_ndarray(format="rgb24")).save(path)
    video.unlink()
    return path


def write_sound(path: Path, seconds: float, pitch_hz: float = 140) -> Path:
    """A buzz, 16 kHz mono."""
    t = np.arange(int(RATE * seconds)) / RATE
    buzz = 8000 * np.sign(np.sin(2 * np.pi * pitch_hz * t)) * np.sin(2 * np.pi * 3 * t)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(buzz.astype("<i2").tobytes())
    return path


def write_kps(path: Path, frames: int = 12) -> Path:
    """A face that moves to the right, in pixels of 512x512."""
    face = np.array([[200, 220], [310, 220], [255, 290]], np.float32)
    torch.save([face + np.array([2.0 * k, 0], np.float32) for k in range(frames)], path)
    return path


def write_table(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Rows as CSV; a row need not have all columns."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    return path
