"""V-Kps and sound of one driving video, in V-Express's own formats, without cropping."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vexpress.faces.kps_file import rate_file, write_rate
from vexpress.files import whole_file
from vexpress.tasks.curate.faces import FaceCollector, FaceConfig, open_detector
from vexpress.tasks.curate.probe import probe_file
from vexpress.tasks.curate.sound import RATE, write_wav
from vexpress.tasks.curate.track import interpolate
from vexpress.tasks.engine.step import Rejection
from vexpress.tasks.engine.units import Detections
from vexpress.tasks.media.frames import Frames, fit_within, open_video, prefetch, to_upright_bgr
from vexpress.tasks.media.resample import read_sound

SIZE = 512
"""V-Express's points are in pixels of the picture resized to 512 x 512."""


@dataclass(frozen=True)
class DrivingKps:
    """V-Kps of a driving video."""

    points: np.ndarray
    """float32 (frames, 3, 2), in pixels of the picture resized to 512 x 512."""
    times_s: np.ndarray
    """Of each frame, seconds from the first."""
    fps: float
    """Mean frame rate."""
    bridged: int
    """Frames without a detection, interpolated."""


def extract_kps(source: Path, config: FaceConfig) -> DrivingKps:
    """Return the V-Kps of the main face of a video.

    Raises Rejection `unreadable`, `no_video_stream`, `no_frames` or `no_face`.
    """
    video = probe_file(str(source))
    size = fit_within(video.width or 1, video.height or 1, config.detect_px)
    scale = (video.width or 1) / size[0]
    scorer = FaceCollector(config, open_detector(config, gpu=False), scale)
    with open_video(video) as container:
        frames = Frames(container, video)
        turn = video.rotation or 0, bool(video.mirrored)
        images = ((n, to_upright_bgr(f, size, *turn)) for n, f in frames)
        for number, image in prefetch(images):
            scorer.see(number, image)
    seen = scorer.detections()
    rows = main_face(seen)
    if not rows:
        raise Rejection("no_face", f"expected a face, none was found in {len(frames.times)} frames")
    points = interpolate(seen.frames[rows], seen.points[rows], len(frames.times))
    square = np.array([SIZE / (video.width or 1), SIZE / (video.height or 1)], dtype=np.float32)
    return DrivingKps(
        points=points[:, :3] * square,
        times_s=np.array(frames.times),
        fps=float(video.fps or 25),
        bridged=len(frames.times) - len(rows),
    )


def main_face(seen: Detections) -> list[int]:
    """Return the row of the largest face of each frame that has one."""
    sides = seen.boxes[:, 2:] - seen.boxes[:, :2]
    best: dict[int, int] = {}
    for row, frame in enumerate(seen.frames.tolist()):
        if frame not in best or sides[row].prod() > sides[best[frame]].prod():
            best[frame] = row
    return list(best.values())


def extract_sound(source: Path) -> np.ndarray:
    """Return the sound of the whole video, 16 kHz mono float32 (samples,).

    Raises Rejection `no_sound`.
    """
    video = probe_file(str(source))
    if not video.audio_streams:
        raise Rejection("no_sound", "expected a sound track, the video has none")
    samples = round((video.duration_s or 0) * RATE)
    return read_sound(video, video.start_s or 0.0, samples, RATE)[:, 0]


def save_kps(kps: np.ndarray, path: Path, times_s: np.ndarray, fps: float) -> None:
    """Write V-Kps as `kps.pth`: a pickled list of float32 (3, 2) arrays, one a frame; and beside
    it the rate, in `kps.pth.json`."""
    import torch

    rate_file(path).unlink(missing_ok=True)  # whoever is killed now leaves no false rate
    listed = [np.ascontiguousarray(points, dtype=np.float32) for points in kps]
    with whole_file(path) as partial, partial.open("wb") as file:
        torch.save(listed, file)
    write_rate(path, times_s, fps)


def save_sound(sound: np.ndarray, path: Path) -> None:
    """Write 16 kHz mono WAV."""
    with whole_file(path) as partial:
        write_wav(str(partial), sound)
