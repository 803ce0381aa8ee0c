"""StableAvatar.

    video_square_path.txt  video_rec_path.txt  video_vec_path.txt
    speech/ID/{sub_clip.mp4, audio.wav, images/frame_0.png, face_masks/frame_0.png, lip_masks/…}

(Francis-Rings/StableAvatar: README "Model Training",
wan/dataset/talking_video_dataset_fantasy.py.) The prompt is made from the path, which must hold
`speech`, `singing` or `dancing`. A missing mask becomes all ones without an error: every frame
has its two here.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from vexpress.tasks.export.folder import ExportFolder
from vexpress.tasks.export.media import png
from vexpress.tasks.export.trainer import PLACE, Material, Needs, Row, Trainer, copier, of_split
from vexpress.tasks.export.trainers.hallo import write_pictures


class StableAvatar(Trainer):
    """A folder a clip, with frames and masks."""

    KIND: ClassVar[str] = "stableavatar"
    TITLE: ClassVar[str] = "StableAvatar"
    ABOUT: ClassVar[str] = (
        "A folder a clip: video, sound, and frame, face mask and lip mask by number."
    )
    COMMAND: ClassVar[str] = (
        f"ln -s {{place}} {PLACE} && bash train_1B_square.sh  "
        f'# --train_data_square_dir="{PLACE}/video_square_path.txt"'
    )
    NEEDS: ClassVar[Needs] = Needs(frames=81)

    def files(self, row: Row) -> list[str]:
        """Everything in the clip's folder."""
        folder = f"speech/{row['clip_id']}"
        kinds = ("images", "face_masks", "lip_masks")
        numbers = range(row["frames"])
        frames = [f"{folder}/{kind}/frame_{number}.png" for kind in kinds for number in numbers]
        return [f"{folder}/sub_clip.mp4", f"{folder}/audio.wav", *frames]

    def make_all(self, clip: Material, names: Sequence[str], target: ExportFolder) -> None:
        """Decode once for all frames."""
        write_pictures(clip, [n for n in names if "/images/" in n], target)
        super().make_all(clip, [n for n in names if "/images/" not in n], target)

    def make(self, clip: Material, name: str, path: Path) -> None:
        """Copy the media; draw the masks."""
        if not name.endswith(".png"):
            copier(clip.video if name.endswith(".mp4") else clip.sound)(path)
            return
        number = int(Path(name).stem.removeprefix("frame_"))
        draw = clip.places.face_mask if "/face_masks/" in name else clip.places.lip_mask
        path.write_bytes(png(draw(number, clip.side)))

    def lists(self, rows: Sequence[Row]) -> dict[str, str]:
        """Folders of square clips; the lists of other shapes are there and empty."""
        folders = {
            split: "".join(f"{PLACE}/speech/{row['clip_id']}\n" for row in of_split(rows, split))
            for split in ("train", "validation")
        }
        empty = dict.fromkeys(("video_rec_path.txt", "video_vec_path.txt"), "")
        squares = {"video_square_path.txt": folders["train"]}
        return {**squares, **empty, "video_square_validation.txt": folders["validation"]}
