"""One request to one video file: what `vexpress generate` does.

Checks everything first (picture, sound, points, sizes), so that a mistake costs seconds;
then streams frames from the pipeline through the median filter into the file.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field

from vexpress.errors import PointsError, SettingsError
from vexpress.face_points import FaceDetector
from vexpress.kps_file import read_kps, scale_points
from vexpress.median import filter_stream
from vexpress.pipeline import FACTOR, VExpressPipeline
from vexpress.portrait import Portrait, read_portrait
from vexpress.retarget import Strategy, retarget
from vexpress.settings import Sampling
from vexpress.sound import Sound, has_speech, read_sound
from vexpress.video import VideoWriter, read_frames
from vexpress.windows import frames_for


class Request(BaseModel):
    """A video to make."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    reference: Path
    """Portrait of the person."""
    audio: Path
    """Sound that the person shall speak; any format, also a video's."""
    out: Path
    """The MP4 to write."""
    kps: Path | None = None
    """Driving points, kps.pth."""
    video: Path | None = None
    """Driving video, whose points are found here."""
    strategy: Strategy = Strategy.FIX_FACE
    """How driving points become the reference's."""
    width: int = Field(512, ge=64, le=4096)
    """Width of the video, pixels."""
    height: int = Field(512, ge=64, le=4096)
    """Height of the video, pixels."""
    fps: float = Field(25.0, gt=0, le=120)
    """Frames a second of the video."""
    seed: int = 42
    """Seed of the initial noise."""
    auto_crop: bool = False
    """Crop the picture around the face as recommended."""
    median: bool = True
    """Filter against flicker, as published."""
    preview: bool = False
    """Decode with the tiny autoencoder: approximate."""
    sampling: Sampling = Sampling()
    """Parameters of the denoising loop."""


@dataclass(frozen=True)
class Prepared:
    """A request whose inputs were read and found good."""

    request: Request
    portrait: Portrait
    sound: Sound
    points: np.ndarray
    """float32 (frames, 3, 2), pixels of the video."""
    notes: list[str] = field(default_factory=list)
    """What the user should know, though nothing is wrong."""


@dataclass(frozen=True)
class Result:
    """A finished video."""

    path: Path
    frames: int
    seconds: float
    """Time that making it took."""


def prepare(request: Request, detector: FaceDetector) -> Prepared:
    """Read and check all inputs. Raises InputError."""
    if request.width % FACTOR or request.height % FACTOR:
        raise SettingsError(
            f"a video of {request.width}x{request.height}: expected multiples of {FACTOR}"
        )
    if request.kps and request.video:
        raise SettingsError("driving points: expected --kps or --video, found both")
    size = request.width, request.height
    sound = read_sound(request.audio)
    portrait = read_portrait(request.reference, *size, detector, request.auto_crop)
    frames = frames_for(sound.seconds, request.fps)
    notes = [] if has_speech(sound) else [NO_SPEECH.format(path=sound.path)]
    driving = None
    if request.strategy != Strategy.FIX_FACE:
        driving = _driving_points(request, frames, detector, notes)
    points = retarget(request.strategy, portrait.points, driving, frames, size)
    return Prepared(request, portrait, sound, points, notes)


def render(prepared: Prepared, pipeline: VExpressPipeline, devices: tuple[str, ...] = ()) -> Result:
    """Make the video. An error leaves no file behind."""
    began, request = time.monotonic(), prepared.request
    frames = len(prepared.points)
    chunks = pipeline.stream(
        prepared.portrait.image,
        prepared.points,
        prepared.sound.fitted(frames / request.fps),
        request.width,
        request.height,
        request.sampling,
        request.seed,
        devices,
        request.preview,
    )
    pictures = _pictures(chunks)
    size = request.width, request.height
    with VideoWriter(request.out, request.fps, size, request.audio) as writer:
        for picture in filter_stream(pictures) if request.median else pictures:
            writer.write(picture)
    return Result(request.out, frames, time.monotonic() - began)


def _pictures(chunks: Iterator[torch.Tensor]) -> Iterator[np.ndarray]:
    """Decoded chunks to RGB uint8 frames; they become 8 bits before they leave the device."""
    for chunk in chunks:
        eight_bits = (chunk.float() * 255).round().to(torch.uint8)
        yield from eight_bits.permute(0, 2, 3, 1).cpu().numpy()


def _driving_points(
    request: Request, frames: int, detector: FaceDetector, notes: list[str]
) -> np.ndarray | None:
    """Driving points in pixels of the video, one per frame of it where there are enough."""
    size = request.width, request.height
    if request.kps:
        points = scale_points(read_kps(request.kps), *size)
    elif request.video:
        points = points_of_video(request.video, size, frames, request.fps, detector)
    else:
        return None
    missing = int((~np.isfinite(points).all(axis=(1, 2))).sum())
    if missing:
        notes.append(f"{missing} of {len(points)} driving frames have no face; interpolated")
    if len(points) < frames:
        notes.append(TOO_FEW.format(found=len(points), wanted=frames, fps=request.fps))
    return points


def points_of_video(
    path: Path, size: tuple[int, int], frames: int, fps: float, detector: FaceDetector
) -> np.ndarray:
    """Points (F, 3, 2) of the largest face at the video's own times k / fps; NaN where none."""
    points: list[np.ndarray] = []
    for at, picture in read_frames(path, *size):
        if at + 1e-6 < len(points) / fps:
            continue
        found = _largest(picture, detector)
        while len(points) / fps <= at + 1e-6 and len(points) < frames:
            points.append(found)
        if len(points) >= frames:
            break
    if not points:
        raise PointsError(f"{path}: expected a video with pictures, found none")
    return np.stack(points)


def _largest(picture: np.ndarray, detector: FaceDetector) -> np.ndarray:
    faces = detector.detect(picture)
    if not faces:
        return np.full((3, 2), np.nan)
    return max(faces, key=lambda face: float(face.box[3] - face.box[1])).points[:3]


NO_SPEECH = "{path}: no speech was heard in it; the mouth may hardly move"
TOO_FEW = (
    "the sound is longer than the driving points: {found} points for {wanted} frames at {fps:g} "
    "fps; they are stretched, so the motion is slower"
)
