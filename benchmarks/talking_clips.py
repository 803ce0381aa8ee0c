"""The talking clips of the assets: cut by our own `curate`, with lip shapes and real sound.

Who is seen is told by hand, so that filters are never tried on a person they were fitted on.
"""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from vexpress.schemas.dataset import Dataset
from vexpress.schemas.query import run_query
from vexpress.sync.lip_sound import RATE, at_25_fps
from vexpress.sync.lips import LipReader, lip_shape
from vexpress.tasks.media.resample import read_sound

AROUND_S = 2.0
"""Sound taken from the source before and after a clip, seconds."""
VIDEOS = (
    *("vexpress_samples/3/gt.mp4", "vexpress_samples/7/gt.mp4", "vexpress_samples/AOC/gt.mp4"),
    *("vexpress_samples/talk_jocker/gt.mp4", "vexpress_samples/tys/gt.mp4"),
    *("vexpress_samples/RD_Radio10/RD_Radio10_0_clip_0.mp4", "videos/demo1_video.mp4"),
    *("videos/demo2_video.mp4", "videos/WDA_AlexandriaOcasioCortez_000.mp4"),
    *("videos/multishot.mp4", "videos/short_hamilton_clip.mp4", "videos/video3.mp4"),
)
SHOTS = ((0, "tys"), (10, "AOC"), (14.4, "nobody"), (43.4, "5"), (58.4, "hamilton"))
SHOTS += ((67.2, "kara"), (77.2, "nobody"), (82.2, "l4"))
"""Who is seen in multishot.mp4, from which second on (multishot.json)."""
WITHOUT = ("identity.backend=none", "speech.backend=none", "sync.repair=false")
WITHOUT += ("duplicates.find=false", "persons.find=false")
"""What nobody asks here."""
PERSONS = {"AlexandriaOcasioCortez": "AOC", "hamilton": "hamilton"}


@dataclass(frozen=True)
class TalkingClip:
    """Lip shape float64 (F, 6) at 25 fps, and sound from `AROUND_S` before to after it."""

    name: str
    person: str
    lips: np.ndarray
    sound: np.ndarray


def talking_clips(assets: Path, dataset: Path, model: str) -> Iterator[TalkingClip]:
    """Curate the assets' videos into `dataset` (where that is not done) and yield its clips."""
    _curate(assets, dataset, model)
    reader = LipReader()
    query = """
        SELECT c.source, c.start_s, c.fps, c.frames, c.media_path, coalesce(v.start_s, 0), k.points
        FROM clips c JOIN videos v USING (video_id) JOIN kps k USING (clip_id)
        ORDER BY c.source, c.start_s"""
    found = run_query(Dataset(dataset), query).fetchall()
    for source, start_s, fps, frames, media, origin, points in found:
        lips = _lips(reader, dataset / media, np.array(points, np.float32))
        samples = round((frames / fps + 2 * AROUND_S) * RATE)
        sound = read_sound(source, origin + start_s - AROUND_S, samples, RATE)[:, 0]
        name = f"{_short(source)} {start_s:.1f} s"
        yield TalkingClip(name, _person(source, start_s), at_25_fps(lips, fps), sound)


def _curate(assets: Path, dataset: Path, model: str) -> None:
    dataset.parent.mkdir(parents=True, exist_ok=True)
    names = dataset.parent / "talking_clips.txt"
    names.write_text("".join(f"{assets / name}\n" for name in VIDEOS))
    command = [sys.executable, "-m", "vexpress.flows.cli.app", "curate", str(names), str(dataset)]
    options = ["--preset", "permissive", "--weights", str(assets / "models")]
    settings = [f"faces.model={model}", *WITHOUT]
    options += [word for setting in settings for word in ("--set", setting)]
    subprocess.run([*command, *options], check=True, stdout=subprocess.DEVNULL)


def _lips(reader: LipReader, media: Path, points: np.ndarray) -> np.ndarray:
    with av.open(str(media)) as container:
        frames = container.decode(video=0)
        pictures = (frame.to_ndarray(format="bgr24") for frame in frames)
        pairs = zip(pictures, points, strict=True)
        return lip_shape(np.stack([reader.landmarks(image, five) for image, five in pairs]))


def _short(source: str) -> str:
    path = Path(source)
    return path.parent.name if path.stem == "gt" else path.stem[:24]


def _person(source: str, start_s: float) -> str:
    if Path(source).stem == "multishot":
        return [name for first, name in SHOTS if first <= start_s + 0.1][-1]
    found = [person for part, person in PERSONS.items() if part in source]
    return found[0] if found else _short(source)
