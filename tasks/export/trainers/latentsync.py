"""LatentSync 1.5 (256 px) and 1.6 (512 px), U-Net and SyncNet.

    train/ID.mp4  validation/ID.mp4  fileslist.txt

Videos of 25 frames a second with their sound inside, the face aligned in every frame: its loader
does not align (latentsync/data/unet_dataset.py). Three points a frame (brows and nose, means of
landmarks) go by a similarity onto a template, the shift smoothed; the warped picture of 210x280
parts of 256 is filled with grey 127 and made square (latentsync/utils/affine_transform.py,
image_processor.py). With 68 landmarks the three points are those of the like parts: an
approximation.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import cv2
import numpy as np

from vexpress.tasks.export.media import read_frames, write_video
from vexpress.tasks.export.trainer import PLACE, Material, Needs, Row, Trainer, of_split

USUAL_SIZE = 256
TEMPLATE = np.array([[17, 20], [58, 20], [37.5, 40]]) * 2.8
"""Left brow, right brow, nose in the warped picture of size 256."""
WARPED = (210, 280)
"""Its width and height."""
PARTS = {
    106: ([43, 48, 49, 51, 50], [101, 102, 103, 104, 105], [74, 77, 83, 86]),
    68: ([17, 18, 19, 20, 21], [22, 23, 24, 25, 26], [31, 32, 34, 35]),
}
"""Landmarks whose means are left brow, right brow and nose."""
KEPT_SHIFT = 0.2
"""Share of the shift before that stays in the next frame's."""
GREY = 127


class LatentSync(Trainer):
    """Aligned faces."""

    KIND: ClassVar[str] = "latentsync"
    TITLE: ClassVar[str] = "LatentSync"
    ABOUT: ClassVar[str] = (
        "Faces aligned as its loader takes for granted, with their sound. `--size 256` is for 1.5, "
        "`--size 512` for 1.6."
    )
    COMMAND: ClassVar[str] = (
        "torchrun scripts/train_unet.py --unet_config_path configs/unet/stage1.yaml  "
        '# data.train_data_dir: "{place}/train"'
    )
    NOTES: ClassVar[str] = (
        f"`fileslist.txt` takes this folder to be `{PLACE}` in its repository; `train_data_dir` "
        "needs no list. SyncNet's confidence and hyperIQA, which its authors ask for (≥ 3, ≥ 40), "
        "are the columns sync_confidence and image_quality."
    )
    NEEDS: ClassVar[Needs] = Needs(frames=48, face_px=256, landmarks=True, fps=25)

    def files(self, row: Row) -> list[str]:
        """The aligned video, in the folder of its split."""
        return [f"{row['split']}/{row['clip_id']}.mp4"]

    def make(self, clip: Material, name: str, path: Path) -> None:
        """Warp every frame."""
        landmarks = clip.places.landmarks
        assert landmarks is not None
        frames = aligned(read_frames(clip.video), landmarks, self.size or USUAL_SIZE)
        write_video(path, frames, clip.row["fps"], sound_of=clip.video)

    def lists(self, rows: Sequence[Row]) -> dict[str, str]:
        """The training list, a path a line, without a head."""
        names = [self.files(row)[0] for row in of_split(rows, "train")]
        return {"fileslist.txt": "".join(f"{PLACE}/{name}\n" for name in names)}


def aligned(frames: Iterator[np.ndarray], landmarks: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Yield frames (H, W, 3) with their faces in one place, uint8 (size, size, 3).

    `landmarks` float32 (F, 68 or 106, 2).
    """
    scale = size / 256
    width, height = (round(side * scale) for side in WARPED)
    shift: np.ndarray | None = None
    for frame, marks in zip(frames, landmarks, strict=True):
        parts = PARTS[len(marks)]
        points = np.round([marks[part].mean(axis=0) for part in parts])
        matrix, own = similarity(points, TEMPLATE * scale)
        shift = own if shift is None else KEPT_SHIFT * shift + (1 - KEPT_SHIFT) * own
        matrix[:, 2] += shift
        warped = cv2.warpAffine(
            frame, matrix, (width, height), flags=cv2.INTER_LANCZOS4, borderValue=(GREY,) * 3
        )
        yield cv2.resize(warped, (size, size), interpolation=cv2.INTER_LANCZOS4)


def similarity(points: np.ndarray, template: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the similarity (2, 3) that takes points (3, 2) to a template, by centres, spreads and
    the best rotation (Procrustes), and by how much the last point misses its place in units of the
    spread, (2,)."""
    centres = points.mean(axis=0), template.mean(axis=0)
    spreads = (points - centres[0]).std(), (template - centres[1]).std()
    mine, theirs = (points - centres[0]) / spreads[0], (template - centres[1]) / spreads[1]
    left, _, right = np.linalg.svd(mine.T @ theirs)
    turn = (left @ right).T * spreads[1] / spreads[0]
    matrix = np.column_stack([turn, centres[1] - turn @ centres[0]])
    return matrix, theirs[2] - mine[2]
