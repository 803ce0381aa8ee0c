"""DiffSynth-Studio, Wan2.2-S2V-14B.

    metadata.csv  metadata_validation.csv  videos/ID_0.mp4  audio/ID_0.wav  pose/ID_0.mp4

It takes the first 81 frames of a video as they are and the sound's features at 16 a second
whatever the video's rate (diffsynth/core/data/unified_dataset.py, pipelines/wan_video.py): a
clip becomes pieces of 81 frames at 16 frames a second, each with its own sound. Sides are
multiples of 16.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np

from vexpress.faces.v_kps_image import draw_v_kps
from vexpress.tasks.curate.sound import RATE
from vexpress.tasks.export.media import read_frames, write_sound, write_video
from vexpress.tasks.export.trainer import (
    Material,
    Needs,
    Row,
    Trainer,
    csv_text,
    of_split,
    plain_text,
)

FPS, FRAMES = 16, 81
SAMPLES = FRAMES * RATE // FPS
COLUMNS = ("video", "prompt", "input_audio", "s2v_pose_video")
FOLDERS = {"videos": ".mp4", "audio": ".wav", "pose": ".mp4"}


class DiffSynth(Trainer):
    """Pieces of 81 frames at 16 frames a second."""

    KIND: ClassVar[str] = "diffsynth"
    TITLE: ClassVar[str] = "DiffSynth-Studio"
    ABOUT: ClassVar[str] = (
        "Pieces of 81 frames (5.06 s) at 16 frames a second, with sound and V-Kps."
    )
    COMMAND: ClassVar[str] = (
        "accelerate launch examples/wanvideo/model_training/train.py --dataset_base_path {place} "
        "--dataset_metadata_path {place}/metadata.csv --num_frames 81 "
        '--data_file_keys "video,input_audio,s2v_pose_video" '
        '--extra_inputs "input_image,input_audio,s2v_pose_video" …'
    )
    NEEDS: ClassVar[Needs] = Needs(frames=127)

    def files(self, row: Row) -> list[str]:
        """Video, sound and pose of each piece."""
        pieces = [f"{row['clip_id']}_{number}" for number in range(count_pieces(row))]
        return [f"{folder}/{piece}{FOLDERS[folder]}" for piece in pieces for folder in FOLDERS]

    def make(self, clip: Material, name: str, path: Path) -> None:
        """Take every frame that is on screen in the middle of one of 16 a second."""
        first = int(Path(name).stem.rpartition("_")[2]) * FRAMES
        side = clip.side // 16 * 16
        wanted = shown(first, clip.row["fps"])
        if name.startswith("audio/"):
            write_sound(path, clip.sound, first / FPS, SAMPLES)
        elif name.startswith("pose/"):
            points = clip.places.points[wanted, :3] * (side / clip.side)
            write_video(path, (draw_v_kps(p, side, side)[..., ::-1] for p in points), FPS)
        else:
            write_video(path, _picked(clip.video, wanted, side), FPS)

    def lists(self, rows: Sequence[Row]) -> dict[str, str]:
        """One list a split, a row a piece."""
        names = {"train": "metadata.csv", "validation": "metadata_validation.csv"}
        return {name: self._list(of_split(rows, split)) for split, name in names.items()}

    def _list(self, rows: Sequence[Row]) -> str:
        found = []
        for row in rows:
            names = self.files(row)
            for video, sound, pose in zip(names[::3], names[1::3], names[2::3], strict=True):
                found.append((video, plain_text(row), sound, pose))
        return csv_text(COLUMNS, found)


def count_pieces(row: Row) -> int:
    """Return how many whole pieces a clip has."""
    return int(row["frames"] / row["fps"] * FPS / FRAMES + 1e-9)


def shown(first: int, fps: float) -> np.ndarray:
    """Return which frames of a clip the frames of the piece that begins with `first` are."""
    middles = (first + np.arange(FRAMES) + 0.5) / FPS
    return np.floor(middles * fps).astype(int)


def _picked(video: Path, wanted: np.ndarray, side: int) -> Iterator[np.ndarray]:
    numbers = set(wanted.tolist())
    for number, frame in enumerate(islice(read_frames(video), int(wanted[-1]) + 1)):
        if number in numbers:
            same = frame.shape[0] == side
            yield frame if same else cv2.resize(frame, (side, side), interpolation=cv2.INTER_AREA)
