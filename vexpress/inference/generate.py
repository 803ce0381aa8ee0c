"""One request to one video file: what `vexpress generate` does.

Checks everything first (picture, sound, points, sizes), so that a mistake costs seconds;
then streams frames from the pipeline through the median filter into the file.
"""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from vexpress.errors import PointsError, SettingsError
from vexpress.faces.kps_file import EVEN_S, read_kps, read_times, resample_points, scale_points
from vexpress.faces.points import FaceDetector
from vexpress.faces.portrait import Portrait, read_portrait
from vexpress.faces.retarget import retarget
from vexpress.faces.strategy import Strategy
from vexpress.inference.median_filter import filter_stream
from vexpress.inference.pipeline import FACTOR, VExpressPipeline
from vexpress.inference.request import Request
from vexpress.inference.windows import frames_for, published_frames_for
from vexpress.media.sound import Sound, has_speech, read_sound
from vexpress.media.video import VideoWriter, read_frames


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


def prepare(
    request: Request,
    detector: FaceDetector,
    portrait: Portrait | None = None,
    max_sound_s: float | None = None,
) -> Prepared:
    """Read and check all inputs. Raises InputError.

    `portrait`: the reference, where it was read before. `max_sound_s`: longest sound that
    is accepted, seconds.
    """
    if request.width % FACTOR or request.height % FACTOR:
        raise SettingsError(
            f"a video of {request.width}x{request.height}: expected multiples of {FACTOR}"
        )
    if request.kps and request.video:
        raise SettingsError("driving points: expected kps or video, found both")
    size = request.width, request.height
    sound = read_sound(request.audio, max_sound_s)
    if portrait is None:
        portrait = read_portrait(request.reference, *size, detector, request.auto_crop)
    frames = frames_for(sound.seconds, request.fps)
    if request.published_length:
        window, overlap = request.sampling.window, request.sampling.overlap
        frames = published_frames_for(sound.seconds, request.fps, window, overlap)
        request = request.model_copy(update={"fps": frames / sound.seconds})
    notes = [] if has_speech(sound) else [NO_SPEECH.format(path=sound.path)]
    driving = None
    if request.strategy != Strategy.FIX_FACE:
        driving = _driving_points(request, frames, detector, notes)
    points = retarget(request.strategy, portrait.points, driving, frames, size)
    return Prepared(request, portrait, sound, points, notes)


def render(
    prepared: Prepared,
    pipeline: VExpressPipeline,
    devices: tuple[str, ...] = (),
    features: Mapping[str, torch.Tensor] | None = None,
) -> Result:
    """Make the video. An error leaves no file behind.

    `features`: what `pipeline.encode_reference` gave for the portrait, where it is known.
    """
    began, request = time.monotonic(), prepared.request
    frames = len(prepared.points)
    chunks = pipeline.stream(
        prepared.portrait.image if features is None else features,
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
        points = scale_points(_points_at_rate(request.kps, request, notes), *size)
    elif request.video:
        points = points_of_video(request.video, size, frames, request.fps, detector)
    else:
        return None
    missing = int((~np.isfinite(points).all(axis=(1, 2))).sum())
    if missing:
        notes.append(f"{missing} of {len(points)} driving frames have no face; interpolated")
    if len(points) < frames:
        notes.append(TOO_FEW.format(found=len(points), wanted=frames, fps=request.fps))
    elif len(points) > frames * MUCH_LONGER:
        notes.append(TOO_MANY.format(found=len(points), wanted=frames, fps=request.fps))
    return points


def _points_at_rate(path: Path, request: Request, notes: list[str]) -> np.ndarray:
    """The points of a file, one for each frame of the video to make, as far as they reach."""
    points = read_kps(path)
    times = read_times(path, len(points))
    if request.kps_fps is not None:
        times = np.arange(len(points)) / request.kps_fps
    if times is None:
        return points
    at_rate = resample_points(points, times, request.fps)
    if len(at_rate) == len(points) and np.allclose(
        times, np.arange(len(points)) / request.fps, atol=EVEN_S
    ):
        return points
    rate = (len(points) - 1) / (times[-1] - times[0]) if len(points) > 1 else request.fps
    notes.append(RESAMPLED.format(given=rate, fps=request.fps))
    return at_rate


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
MUCH_LONGER = 1.1
"""How many times as many points as frames are said: a little more is common."""
RESAMPLED = "the driving points are {given:.4g} a second; they were resampled to {fps:g} fps"
TOO_MANY = (
    "the driving points are longer than the sound: {found} points for {wanted} frames at {fps:g} "
    "fps; the rest is left out. If they are of another rate, give it as kps_fps"
)
TOO_FEW = (
    "the sound is longer than the driving points: {found} points for {wanted} frames at {fps:g} "
    "fps; they are stretched, so the motion is slower"
)
