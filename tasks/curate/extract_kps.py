"""V-Kps and sound of one driving video, in V-Express's own formats, without cropping."""

from pathlib import Path

import numpy as np

from vexpress.files import whole_file
from vexpress.schemas.video import Video
from vexpress.tasks.curate.faces import FaceCollector, FaceConfig, open_detector
from vexpress.tasks.curate.probe import describe
from vexpress.tasks.curate.sound import RATE, write_wav
from vexpress.tasks.curate.track import interpolate
from vexpress.tasks.engine.step import Rejection
from vexpress.tasks.engine.units import Detections
from vexpress.tasks.media.frames import Frames, fit_within, open_media, prefetch, to_upright_bgr
from vexpress.tasks.media.resample import read_sound

SIZE = 512
"""V-Express's points are in pixels of the picture resized to 512 x 512."""


def extract_kps(source: Path, config: FaceConfig) -> tuple[np.ndarray, int]:
    """Return V-Kps float32 (frames, 3, 2) of the main face in 512 x 512 pixels, and how many
    frames had no detection and were interpolated.

    Raises Rejection `unreadable`, `no_video_stream`, `no_frames` or `no_face`.
    """
    video = probe_file(source)
    size = fit_within(video.width or 1, video.height or 1, config.detect_px)
    scale = (video.width or 1) / size[0]
    scorer = FaceCollector(config, open_detector(config, gpu=False), scale)
    with open_media(str(source)) as container:
        frames = Frames(container, video)
        images = ((n, to_upright_bgr(f, size, video.rotation or 0)) for n, f in frames)
        for number, image in prefetch(images):
            scorer.see(number, image)
    seen = scorer.detections()
    rows = main_face(seen)
    if not rows:
        raise Rejection("no_face", f"expected a face, none was found in {len(frames.times)} frames")
    points = interpolate(seen.frames[rows], seen.points[rows], len(frames.times))
    square = np.array([SIZE / (video.width or 1), SIZE / (video.height or 1)], dtype=np.float32)
    return points[:, :3] * square, len(frames.times) - len(rows)


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
    video = probe_file(source)
    if not video.audio_streams:
        raise Rejection("no_sound", "expected a sound track, the video has none")
    samples = round((video.duration_s or 0) * RATE)
    return read_sound(str(source), video.start_s or 0.0, samples, RATE)[:, 0]


def probe_file(source: Path) -> Video:
    """Return what the file says of itself, without reading all of its bytes for a hash."""
    with open_media(str(source)) as container:
        return Video(video_id="", source=str(source), status="ok", **describe(container))


def save_kps(kps: np.ndarray, path: Path) -> None:
    """Write V-Kps as `kps.pth`: a pickled list of float32 (3, 2) arrays, one a frame."""
    import torch

    listed = [np.ascontiguousarray(points, dtype=np.float32) for points in kps]
    with whole_file(path) as partial, partial.open("wb") as file:
        torch.save(listed, file)


def save_sound(sound: np.ndarray, path: Path) -> None:
    """Write 16 kHz mono WAV."""
    with whole_file(path) as partial:
        write_wav(str(partial), sound)
