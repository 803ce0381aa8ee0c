"""Small real clips for training tests: rendered pictures with points that are known exactly.

A face of flat colours moves over a gradient; its mouth opens with the loudness that the
audio vectors carry. The vectors are no wav2vec2's: they are deterministic functions of
the loudness, good enough to be learned from.
"""

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import torch
from safetensors.torch import save_file

from vexpress.training.clips import ClipFiles, TrainingClip, write_index
from vexpress.training.lips import lip_boxes

SIDE, FPS, AUDIO_DIM = 64, 25, 32


def loudness(frames: int, seed: int) -> np.ndarray:
    """Loudness of every half frame, (2 · frames,), 0..1."""
    random = np.random.default_rng(seed)
    beats = random.uniform(0, 1, frames // 4 + 2)
    return np.interp(np.arange(2 * frames) / 8, np.arange(len(beats)), beats)


def points_at(frame: int, seed: int) -> np.ndarray:
    """Five points (5, 2) of the face, which sways."""
    centre = [32 + 8 * np.sin(frame / 9 + seed), 30 + 4 * np.cos(frame / 7 + 2 * seed)]
    return np.array([[-9, -7], [9, -7], [0, 2], [-7, 11], [7, 11]]) + centre


def draw(frame: int, open_px: float, seed: int) -> np.ndarray:
    """The picture, RGB uint8 (SIDE, SIDE, 3)."""
    ramp = np.linspace(60, 200, SIDE, dtype=np.uint8)
    picture = np.dstack(
        [
            np.tile(ramp, (SIDE, 1)),
            np.tile(ramp[:, None], SIDE),
            np.full((SIDE, SIDE), 90, np.uint8),
        ]
    )
    points = points_at(frame, seed)
    centre = tuple(int(v) for v in points[:3].mean(axis=0) + np.array([0, 4]))
    cv2.ellipse(picture, centre, (19, 24), 0, 0, 360, (220, 180, 150), -1)
    for x, y in points[:2]:
        cv2.circle(picture, (int(x), int(y)), 3, (20, 40, 90), -1)
    mouth = tuple(int(v) for v in points[3:].mean(axis=0))
    cv2.ellipse(picture, mouth, (7, max(1, int(open_px))), 0, 0, 360, (120, 20, 30), -1)
    return picture


def write_clip(folder: Path, name: str, frames: int, seed: int) -> TrainingClip:
    """Write picture and audio vectors of one clip."""
    folder.mkdir(parents=True, exist_ok=True)
    loud = loudness(frames, seed)
    pictures = [draw(f, 1 + 6 * loud[2 * f], seed) for f in range(frames)]
    write_video(folder / f"{name}.mp4", pictures)
    write_vectors(folder / f"{name}.safetensors", loud)
    points = np.stack([points_at(f, seed) for f in range(frames)]).astype(np.float32)
    files = ClipFiles(
        clip_id=name,
        video=str(folder / f"{name}.mp4"),
        sound=str(folder / f"{name}.safetensors"),
        group=f"source of {name}",
        frames=frames,
        width=SIDE,
        height=SIDE,
        lips="mouth corners of five points",
    )
    return TrainingClip(files, points[:, :3], lip_boxes(points))


def write_video(path: Path, pictures: list[np.ndarray]) -> None:
    """Write RGB pictures as H.264."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(FPS))
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt, stream.options = "yuv420p", {"crf": "10"}
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def write_vectors(path: Path, loud: np.ndarray) -> None:
    """Write vectors (N, 1, AUDIO_DIM) that carry the loudness in smooth functions of it."""
    phases = torch.linspace(0, 3, AUDIO_DIM)
    vectors = torch.sin(torch.from_numpy(loud).float()[:, None] * 4 + phases)
    save_file({"global_embeds": vectors[:, None].contiguous()}, path)


def write_clips(folder: Path, count: int = 3, frames: int = 48) -> Path:
    """Write clips and their index; returns the index's path."""
    clips = [write_clip(folder / "media", f"clip{n}", frames - n, n) for n in range(count)]
    write_index(folder / "clips.safetensors", clips)
    return folder / "clips.safetensors"
