"""MuseTalk 1.5.

    HDTF/train.txt  HDTF/meta/ID.json  HDTF/video/ID.mp4  HDTF/audio/ID.wav

The loader (musetalk/data/dataset.py @0a89dec) knows data sets called HDTF and VFHQ only, in
`./dataset/`, and skips the first line of train.txt as a head, which its own writer does not
write: the first clip is lost. Here the head is there. Points are iBUG's 68 as integers.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from vexpress.tasks.export.trainer import Material, Needs, Row, Trainer, copier, of_split

NAME = "HDTF"
HEAD = "# names of files in meta/\n"


class MuseTalk(Trainer):
    """Clips as they are, with boxes and 68 points a frame."""

    KIND: ClassVar[str] = "musetalk"
    TITLE: ClassVar[str] = "MuseTalk"
    ABOUT: ClassVar[str] = (
        "Clips with 68 points and a box in every frame. Stage 1 takes faces from 150 px and 10 "
        "frames on, stage 2 from 200 px and 160 frames on; clips are at most 30 s long."
    )
    COMMAND: ClassVar[str] = (
        "ln -s {place}/HDTF dataset/HDTF && "
        "accelerate launch train.py --config configs/training/stage1.yaml"
    )
    NEEDS: ClassVar[Needs] = Needs(
        frames=160, short_are_left_out=False, face_px=200, landmarks=True, fps=25
    )

    def files(self, row: Row) -> list[str]:
        """Video, sound, and what is known of every frame."""
        name = row["clip_id"]
        return [f"{NAME}/video/{name}.mp4", f"{NAME}/audio/{name}.wav", f"{NAME}/meta/{name}.json"]

    def make(self, clip: Material, name: str, path: Path) -> None:
        """Copy the media; write the points."""
        if name.endswith(".json"):
            path.write_text(json.dumps(self._meta(clip)))
        else:
            copier(clip.video if name.endswith(".mp4") else clip.sound)(path)

    def _meta(self, clip: Material) -> dict[str, object]:
        points = clip.places.landmarks_68
        assert points is not None
        boxes = np.round(clip.places.face_boxes()).clip(0, clip.side).astype(int)
        video, sound, _ = self.files(clip.row)
        width, height = boxes[0, 2:] - boxes[0, :2]
        return {
            "mp4_path": f"./dataset/{video}",
            "wav_path": f"./dataset/{sound}",
            "video_size": [clip.side, clip.side],
            "face_size": [int(height), int(width)],
            "frames": len(points),
            "face_list": boxes.tolist(),
            "landmark_list": np.round(points).astype(int).tolist(),
            "isvalid": True,
        }

    def lists(self, rows: Sequence[Row]) -> dict[str, str]:
        """Names of the meta files, behind a head that is skipped."""
        names = {"train": "train.txt", "validation": "validation.txt"}
        return {
            f"{NAME}/{file}": HEAD
            + "".join(f"{row['clip_id']}.json\n" for row in of_split(rows, split))
            for split, file in names.items()
        }
