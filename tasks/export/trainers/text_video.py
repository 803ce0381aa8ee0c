"""Trainers of video from text: musubi-tuner, diffusion-pipe, finetrainers.

    train/ID.mp4  train/ID.txt  train/metadata.jsonl  train/videos.txt  train/prompt.txt
    validation/…  musubi.toml  diffusion-pipe.toml

musubi-tuner reads JSON lines of `video_path` and `caption` and a TOML (docs/dataset_config.md)
in which `source_fps` is a decimal; diffusion-pipe a folder of videos with texts of the same
names (examples/dataset.toml); finetrainers `videos.txt` and `prompt.txt`, line for line.
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

MUSUBI = """# musubi-tuner, docs/dataset_config.md
[general]
resolution = [{side}, {side}]
caption_extension = ".txt"
batch_size = 1
enable_bucket = true

[[datasets]]
video_jsonl_file = "{place}/train/metadata.jsonl"
cache_directory = "{place}/cache"
target_frames = [81]
frame_extraction = "head"
source_fps = {fps:.1f}
"""
PIPE = """# diffusion-pipe, examples/dataset.toml
resolutions = [{side}]
enable_ar_bucket = false
frame_buckets = [1, 33, 81]

[[directory]]
path = "{place}/train"
num_repeats = 1
"""


class TextVideo(Trainer):
    """Clips with texts beside them."""

    KIND: ClassVar[str] = "text-video"
    TITLE: ClassVar[str] = "musubi-tuner, diffusion-pipe, finetrainers"
    ABOUT: ClassVar[str] = "Clips with a text beside each; the sound stays inside the video."
    COMMAND: ClassVar[str] = (
        f"ln -s {{place}} {PLACE} && "
        f"python src/musubi_tuner/wan_cache_latents.py --dataset_config {PLACE}/musubi.toml …"
    )
    NEEDS: ClassVar[Needs] = Needs(frames=127, short_are_left_out=False, sound=False)

    def files(self, row: Row) -> list[str]:
        """Video and text."""
        return [f"{row['split']}/{row['clip_id']}{suffix}" for suffix in (".mp4", ".txt")]

    def make(self, clip: Material, name: str, path: Path) -> None:
        """Copy the video, write the text."""
        if name.endswith(".txt"):
            path.write_text(plain_text(clip.row))
        else:
            copier(clip.video)(path)

    def lists(self, rows: Sequence[Row]) -> dict[str, str]:
        """Lists of each split in its folder, and a settings file for each trainer."""
        about = {"place": PLACE, "side": rows[0]["side"], "fps": rows[0]["fps"]}
        made = {"musubi.toml": MUSUBI.format(**about), "diffusion-pipe.toml": PIPE.format(**about)}
        for split in ("train", "validation"):
            own = of_split(rows, split)
            entries = [
                {"video_path": f"{PLACE}/{self.files(r)[0]}", "caption": plain_text(r)} for r in own
            ]
            made |= {
                f"{split}/metadata.jsonl": "".join(
                    json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries
                ),
                f"{split}/videos.txt": "".join(f"{r['clip_id']}.mp4\n" for r in own),
                f"{split}/prompt.txt": "".join(f"{plain_text(r)}\n" for r in own),
            }
        return made
