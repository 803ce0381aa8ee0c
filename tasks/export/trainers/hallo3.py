"""hallo3 (CogVideoX-5B).

    vexpress.json  videos/ID.mp4  audios/ID.wav  bbox/ID.json  caption/ID.txt  face_emb/ID.pt

(fudan-generative-vision/hallo3: hallo3/extract_meta_info.py, data_video.py.) `bbox` holds the
face's box of every frame as shares of the picture and stands instead of a mask. The caption is
in the list itself. `vocals_emb_base_all` is its own script's work, as in hallo.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from vexpress.tasks.export.trainer import (
    PLACE,
    Material,
    Needs,
    Row,
    Trainer,
    copier,
    of_split,
    plain_text,
)
from vexpress.tasks.export.trainers.hallo import ARCFACE, tensor


class Hallo3(Trainer):
    """Clips with boxes and captions."""

    KIND: ClassVar[str] = "hallo3"
    TITLE: ClassVar[str] = "hallo3"
    ABOUT: ClassVar[str] = "Clips with the face's box in every frame, and a caption in the list."
    COMMAND: ClassVar[str] = (
        f"ln -s {{place}} {PLACE} && python hallo3/data_preprocess.py -i {PLACE}/videos -o {PLACE} "
        f"&& bash scripts/finetune_multi_gpus_s1.sh  # train_data: [{PLACE}/vexpress.json]"
    )
    NOTES: ClassVar[str] = "`audio_emb/ID.pt` is made by its own preprocessing; the list names it."
    NEEDS: ClassVar[Needs] = Needs(frames=52)

    def files(self, row: Row) -> list[str]:
        """Media, boxes, caption, and the face's vector where it is ArcFace's."""
        name = row["clip_id"]
        vector = [f"face_emb/{name}.pt"] if row["face_numbers"] == ARCFACE else []
        media = [f"videos/{name}.mp4", f"audios/{name}.wav"]
        return [*media, f"bbox/{name}.json", f"caption/{name}.txt", *vector]

    def make(self, clip: Material, name: str, path: Path) -> None:
        """Copy the media; write boxes and caption."""
        folder = name.partition("/")[0]
        if folder == "bbox":
            shares = (clip.places.face_boxes() / clip.side).clip(0, 1)
            path.write_text(json.dumps([[round(float(v), 6) for v in box] for box in shares]))
        elif folder == "caption":
            path.write_text(plain_text(clip.row))
        elif folder == "face_emb":
            path.write_bytes(tensor(clip.face_vector))
        else:
            copier(clip.video if folder == "videos" else clip.sound)(path)

    def lists(self, rows: Sequence[Row]) -> dict[str, str]:
        """One list a split."""
        names = {"train": "vexpress.json", "validation": "vexpress_validation.json"}
        return {
            name: json.dumps([_entry(row) for row in of_split(rows, split)], indent=1) + "\n"
            for split, name in names.items()
        }


def _entry(row: Row) -> dict[str, str]:
    name = row["clip_id"]
    return {
        "video_path": f"{PLACE}/videos/{name}.mp4",
        "bbox": f"{PLACE}/bbox/{name}.json",
        "face_emb_path": f"{PLACE}/face_emb/{name}.pt",
        "vocals_emb_base_all": f"{PLACE}/audio_emb/{name}.pt",
        "caption": plain_text(row),
    }
