"""hallo and hallo2, which read the same lists and masks.

    vexpress_stage1.json  vexpress_stage2.json
    videos/ID.mp4  audios/ID.wav  images/ID/0000.png …  face_mask/ID.png
    sep_pose_mask/ID.png  sep_face_mask/ID.png  sep_lip_mask/ID.png  face_emb/ID.pt

(fudan-generative-vision/hallo: scripts/extract_meta_info_stage1.py, …2.py, hallo/datasets.) The
rectangle of `face_mask` is that of all frames; boxes of landmarks reach to the brows and are
carried up for the forehead. Masks of 64 px are blurred: lips, face without lips, and the rest.
Paths are made by replacing `videos` and `images` in a whole path, so that no other folder may be
called so.

`face_emb` is written where the data set's vectors are ArcFace's 512 numbers. `audio_emb` (all
layers of wav2vec2 on separated vocals) is its own script's work: scripts/data_preprocess.py
--step 2.
"""

import io
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np

from vexpress.tasks.export.folder import ExportFolder
from vexpress.tasks.export.masks import FacePlaces, box_mask, union
from vexpress.tasks.export.media import png, read_frames
from vexpress.tasks.export.trainer import PLACE, Material, Needs, Row, Trainer, copier, of_split

SMALL = 64
"""Side of the masks that divide the picture, pixels."""
FACE_BLUR, LIP_BLUR = 51, 31
"""Sides of the Gaussian kernels, pixels of the small mask."""
ARCFACE = 512
"""Numbers of a vector of ArcFace."""
PARTS = ("sep_pose_mask", "sep_face_mask", "sep_lip_mask")


class Hallo(Trainer):
    """Clips, their frames, and masks."""

    KIND: ClassVar[str] = "hallo"
    TITLE: ClassVar[str] = "hallo and hallo2"
    ABOUT: ClassVar[str] = (
        "Clips, their frames as pictures, and masks of face, lips and the rest. Advised are faces "
        "of half the picture and yaw below 30°."
    )
    COMMAND: ClassVar[str] = (
        f"ln -s {{place}} {PLACE} && python scripts/data_preprocess.py --input_dir {PLACE}/videos "
        "--step 2 && accelerate launch -m scripts.train_stage1 --config configs/train/stage1.yaml"
        f"  # data.meta_paths: [{PLACE}/vexpress_stage1.json]"
    )
    NOTES: ClassVar[str] = (
        "`audio_emb/ID.pt` (and `face_emb/ID.pt`, where the data set was made without ArcFace) are "
        "made by the step 2 above; lists name them already."
    )
    NEEDS: ClassVar[Needs] = Needs(frames=21, face_px=256, fps=25)

    def files(self, row: Row) -> list[str]:
        """Media, masks, and every frame."""
        name = row["clip_id"]
        masks = [f"{folder}/{name}.png" for folder in ("face_mask", *PARTS)]
        vector = [f"face_emb/{name}.pt"] if row["face_numbers"] == ARCFACE else []
        frames = [f"images/{name}/{number:04d}.png" for number in range(row["frames"])]
        return [f"videos/{name}.mp4", f"audios/{name}.wav", *masks, *vector, *frames]

    def make_all(self, clip: Material, names: Sequence[str], target: ExportFolder) -> None:
        """Decode once for all frames."""
        write_pictures(clip, [n for n in names if n.startswith("images/")], target)
        super().make_all(clip, [n for n in names if not n.startswith("images/")], target)

    def make(self, clip: Material, name: str, path: Path) -> None:
        """Copy the media; draw the masks."""
        folder = name.partition("/")[0]
        if folder in ("videos", "audios"):
            copier(clip.video if folder == "videos" else clip.sound)(path)
        elif folder == "face_emb":
            path.write_bytes(tensor(clip.face_vector))
        elif folder == "face_mask":
            path.write_bytes(png(box_mask(union(clip.places.face_boxes()), clip.side)))
        else:
            path.write_bytes(png(parts_of(clip.places, clip.side)[PARTS.index(folder)]))

    def lists(self, rows: Sequence[Row]) -> dict[str, str]:
        """A list a stage, of training clips; that of validation beside each."""
        made = {}
        for split, end in (("train", ""), ("validation", "_validation")):
            own = of_split(rows, split)
            for stage, entry in (("stage1", still_entry), ("stage2", clip_entry)):
                text = json.dumps([entry(row["clip_id"]) for row in own], indent=1) + "\n"
                made[f"vexpress_{stage}{end}.json"] = text
        return made


def still_entry(name: str) -> dict[str, str]:
    """Return what stage 1 reads of a clip."""
    return {
        "image_path": f"{PLACE}/images/{name}",
        "mask_path": f"{PLACE}/face_mask/{name}.png",
        "face_emb": f"{PLACE}/face_emb/{name}.pt",
    }


def clip_entry(name: str) -> dict[str, str]:
    """Return what stage 2 reads of a clip."""
    return {
        "video_path": f"{PLACE}/videos/{name}.mp4",
        "mask_path": f"{PLACE}/face_mask/{name}.png",
        "sep_mask_border": f"{PLACE}/sep_pose_mask/{name}.png",
        "sep_mask_face": f"{PLACE}/sep_face_mask/{name}.png",
        "sep_mask_lip": f"{PLACE}/sep_lip_mask/{name}.png",
        "face_emb_path": f"{PLACE}/face_emb/{name}.pt",
        "audio_path": f"{PLACE}/audios/{name}.wav",
        "vocals_emb_base_all": f"{PLACE}/audio_emb/{name}.pt",
    }


def parts_of(places: FacePlaces, side: int) -> list[np.ndarray]:
    """Return masks of all but the face, the face without lips, and the lips, uint8 (64, 64)."""
    scale = SMALL / side
    face = _blurred(union(places.face_boxes()) * scale, FACE_BLUR)
    lips = _blurred(union(places.lip_boxes()) * scale, LIP_BLUR)
    return [_stretched(mask) for mask in (255 - face, np.clip(face - lips, 0, None), lips)]


def _blurred(box: np.ndarray, kernel: int) -> np.ndarray:
    return cv2.GaussianBlur(box_mask(box, SMALL).astype(np.float32), (kernel, kernel), 0)


def _stretched(mask: np.ndarray) -> np.ndarray:
    """A mask whose least value is 0 and whose greatest is 255."""
    reach = max(float(np.ptp(mask)), 1e-6)
    return np.round((mask - mask.min()) / reach * 255).astype(np.uint8)


def write_pictures(clip: Material, names: Sequence[str], target: ExportFolder) -> None:
    """Write frames of a clip, whose names end with their numbers, as PNG."""
    if not names:
        return
    wanted = {int("".join(filter(str.isdigit, Path(name).stem))): name for name in names}
    for number, frame in enumerate(read_frames(clip.video)):
        if number in wanted:
            target.write(wanted[number], partial(_put, png(frame)))


def _put(data: bytes, path: Path) -> None:
    path.write_bytes(data)


def tensor(numbers: list[float]) -> bytes:
    """Return a float32 tensor as torch saves it."""
    import torch

    file = io.BytesIO()
    torch.save(torch.tensor(numbers, dtype=torch.float32), file)
    return file.getvalue()
