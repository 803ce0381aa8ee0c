"""Short cuts of real talking heads, cropped as `curate` crops, and damage done to them."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from vexpress.faces.backends import load_face_detector
from vexpress.tasks.curate.clips import crop_square

SIDE = 512
STEP = 5
"""Heads move between frames, though few frames are looked at."""
BLOCK = 16
"""Side of H.264's largest block, pixels."""
NAMES = (
    "vexpress_samples/AOC/gt.mp4",
    "vexpress_samples/talk_jocker/gt.mp4",
    "vexpress_samples/3/gt.mp4",
    "vexpress_samples/7/gt.mp4",
    "videos/demo1_video.mp4",
)


@dataclass(frozen=True)
class RealClip:
    """A cut: BGR frames of `SIDE` pixels and the points of its first frame."""

    name: str
    frames: list[np.ndarray]
    points: np.ndarray
    source: list[np.ndarray]
    """The source's frames around the crop, from multiples of `BLOCK` on, as it was encoded."""
    square: tuple[int, int, int]
    """Left, top and side of the crop within `source`."""

    @property
    def source_side(self) -> int:
        """Side of the crop, source pixels."""
        return self.square[2]


def read_clips(assets: Path, frames: int) -> list[RealClip]:
    """Frames of the beginning of five talking heads, one in `STEP`."""
    model = assets / "models/insightface/models/scrfd_500m"
    detector = load_face_detector("insightface", str(model), min_score=0.5, gpu=False)
    return [_read(assets / name, detector, frames) for name in NAMES]


def _read(path: Path, detector: object, count: int) -> RealClip:
    pictures = decode(path, count * STEP)[::STEP]
    height, width = pictures[0].shape[:2]
    scale = SIDE / max(height, width)
    small = cv2.resize(pictures[0], None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    (face, *_) = detector.detect(small)  # type: ignore[attr-defined]
    left, top, right, bottom = crop_square(face.box[None] / scale, 1.6, (width, height))
    assert left >= 0 and top >= 0 and right <= width and bottom <= height
    x, y = left // BLOCK * BLOCK, top // BLOCK * BLOCK
    wide, high = (min(n, e + BLOCK) for n, e in ((width, right), (height, bottom)))
    source = [np.ascontiguousarray(p[y : high // 2 * 2, x : wide // 2 * 2]) for p in pictures]
    square = (left - x, top - y, right - left)
    points = (face.points / scale - [left, top]) * SIDE / (right - left)
    name = f"{path.parent.name}/{path.name}"
    return RealClip(name, crop(source, square), points, source, square)


def crop(pictures: list[np.ndarray], square: tuple[int, int, int]) -> list[np.ndarray]:
    """Cut left, top, side out of pictures and scale to `SIDE`."""
    left, top, side = square
    cut = (p[top : top + side, left : left + side] for p in pictures)
    return [cv2.resize(p, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) for p in cut]


def decode(path: Path, count: int | None = None) -> list[np.ndarray]:
    """Frames of a video, BGR."""
    found: list[np.ndarray] = []
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            found.append(frame.to_ndarray(format="bgr24"))
            if len(found) == count:
                break
    return found


def encode(path: Path, frames: list[np.ndarray], crf: int = 16) -> Path:
    """Write H.264 as `curate` does; `crf` 51 is the worst."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(25))
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt, stream.options = "yuv420p", {"crf": str(crf), "preset": "veryfast"}
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="bgr24")))
        container.mux(stream.encode(None))
    return path


def blur(clip: RealClip, sigma_px: float, folder: Path) -> list[np.ndarray]:
    return [cv2.GaussianBlur(f, (0, 0), sigma_px) if sigma_px else f for f in clip.frames]


def add_noise(clip: RealClip, levels: float, folder: Path) -> list[np.ndarray]:
    cv2.setRNGSeed(1)
    grain = [cv2.randn(np.empty((SIDE, 3 * SIDE), np.int16), 0, levels) for _ in clip.frames]
    noisy = (f + g.reshape(f.shape) for f, g in zip(clip.frames, grain, strict=True))
    return [np.clip(f, 0, 255).astype(np.uint8) for f in noisy]


def low_rate(clip: RealClip, crf: float, folder: Path) -> list[np.ndarray]:
    """Encode the source, as a bad upload was, and crop from that."""
    return crop(decode(encode(folder / "bad.mp4", clip.source, int(crf))), clip.square)


def darken(clip: RealClip, share: float, folder: Path) -> list[np.ndarray]:
    return [(f * (1 - share)).astype(np.uint8) for f in clip.frames]


def overexpose(clip: RealClip, gain: float, folder: Path) -> list[np.ndarray]:
    return [np.clip(f * (1 + gain), 0, 255).astype(np.uint8) for f in clip.frames]


def freeze(clip: RealClip, count: float, folder: Path) -> list[np.ndarray]:
    first = clip.frames[2]
    return [first if 2 <= n <= 2 + count else f for n, f in enumerate(clip.frames)]


def letterbox(clip: RealClip, share: float, folder: Path) -> list[np.ndarray]:
    bar = round(SIDE * share / 2)
    framed = [f.copy() for f in clip.frames]
    for picture in framed:
        picture[:bar] = picture[SIDE - bar :] = 16
    return framed


def title(clip: RealClip, size: float, folder: Path) -> list[np.ndarray]:
    titled = [f.copy() for f in clip.frames]
    if size:
        for picture in titled:
            place, look = (110, SIDE - 40), (cv2.FONT_HERSHEY_SIMPLEX, size)
            cv2.putText(picture, "TITLE " * 4, place, *look, (255, 255, 255), round(2 * size))
    return titled
