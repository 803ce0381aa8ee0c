"""A data set with generated videos whose worth is known: real ones passed off as results."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np

from vexpress.faces.kps_file import read_kps
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.generation import Generation
from vexpress.schemas.manifest import prepare_manifests, write_part

SIDE, FRAMES = 256, 60


@dataclass(frozen=True)
class Asked:
    """A request for a sample's own motion and sound, and what shall be its result."""

    name: str
    sample: str = "7"
    of: str | None = None
    """The sample that is passed off as the result; itself."""
    blur: float = 0
    shift_px: tuple[float, float] = (0, 0)
    """How far the asked points are moved, pixels."""
    sound_late: float = 0
    """How much later the sound is, seconds."""
    sound_of: str | None = None
    """The sample whose sound it has; that of the result."""
    weights: str = "run-a"
    clip_id: str | None = None
    """Clip of the data set that drove it."""
    reference: str = "ref.jpg"
    title: str | None = None
    """What the requester calls it."""


def write_generations(
    root: Path, samples: Path, asked: list[Asked], part: str = "g1", frames: int = FRAMES
) -> Dataset:
    """Write videos and the table `generations`; returns the data set."""
    dataset = Dataset(root)
    dataset.create()
    prepare_manifests(dataset)
    rows = [_write(dataset, samples, request, frames) for request in asked]
    write_part(dataset, f"manifests/generations/{part}.parquet", Generation, rows)
    return dataset


def _write(dataset: Dataset, samples: Path, asked: Asked, frames: int) -> Generation:
    folder, shown = samples / asked.sample, samples / (asked.of or asked.sample)
    out = Path(dataset.path(f"generated/{asked.name}.mp4"))
    out.parent.mkdir(parents=True, exist_ok=True)
    fps = _copy_video(shown / "gt.mp4", out, frames, asked)
    points = read_kps(folder / "kps.pth")[:frames] * SIDE / 512 + np.array(asked.shift_px)
    return Generation(
        request_id=asked.name,
        asked_id=asked.name,
        run_id="g1",
        requests="requests.csv",
        row_number=1,
        name=asked.title or asked.name,
        clip_id=asked.clip_id,
        status="made",
        reference=str(folder / asked.reference),
        audio=str(folder / "aud.mp3"),
        driving_kps=str(folder / "kps.pth"),
        strategy="no_retarget",
        parameters='{"auto_crop": false}',
        weights=asked.weights,
        weights_sha256=asked.weights * 4,
        licence="none",
        out_path=f"generated/{asked.name}.mp4",
        asked_kps=points.astype(np.float32),
        width=SIDE,
        height=SIDE,
        fps=fps,
        frames=frames,
        notes=[],
        seconds=1.0,
        started_at="2026-01-01",
        finished_at="2026-01-01",
        attempt=1,
        worker="local",
    )


def _copy_video(source: Path, target: Path, frames: int, asked: Asked) -> float:
    """Write the first frames at `SIDE` with their sound; returns the frame rate."""
    with av.open(str(source)) as given, av.open(str(target), "w") as made:
        rate = Fraction(given.streams.video[0].average_rate)
        video = made.add_stream("libx264", rate=rate)
        video.width = video.height = SIDE
        video.pix_fmt, video.options = "yuv420p", {"crf": "12"}
        sound = made.add_stream("aac", rate=16000)
        for number, frame in zip(range(frames), given.decode(video=0), strict=False):
            picture = cv2.resize(
                frame.to_ndarray(format="rgb24"), (SIDE, SIDE), interpolation=cv2.INTER_AREA
            )
            if asked.blur:
                picture = cv2.GaussianBlur(picture, (0, 0), asked.blur)
            shown = av.VideoFrame.from_ndarray(picture, format="rgb24")
            shown.pts, shown.time_base = number, 1 / rate
            made.mux(video.encode(shown))
        made.mux(video.encode(None))
        other = source.parents[1] / asked.sound_of / source.name if asked.sound_of else source
        heard = _sound(other, frames / float(rate), asked.sound_late)
        block = av.AudioFrame.from_ndarray(heard[None], format="fltp", layout="mono")
        block.sample_rate, block.pts, block.time_base = 16000, 0, Fraction(1, 16000)
        made.mux(sound.encode(block))
        made.mux(sound.encode(None))
    return float(rate)


def _sound(source: Path, seconds: float, late_s: float) -> np.ndarray:
    resampler = av.AudioResampler("fltp", "mono", 16000)
    with av.open(str(source)) as container:
        heard = [
            part.to_ndarray()[0]
            for frame in (*container.decode(audio=0), None)
            for part in resampler.resample(frame)
        ]
    shifted = np.concatenate([np.zeros(round(late_s * 16000), np.float32), *heard])
    samples = round(seconds * 16000)
    return np.pad(shifted[:samples], (0, max(0, samples - len(shifted)))).astype(np.float32)
