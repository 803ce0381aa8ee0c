"""TalkVerse.

    metadata.csv  metadata_validation.csv  videos/ID.mp4

(wan/src/dataset_resolution_bins.py.) A column `video_path`, relative to the base; the sound is
inside the video, which must be of exactly 25 frames a second. A window is 121 frames after 73 of
motion. Text embeddings (umT5, `TEXT_DIR/VIDEO_ID.pt`) are made by its own scripts.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from vexpress.tasks.export.trainer import (
    Material,
    Needs,
    Row,
    Trainer,
    copier,
    csv_text,
    of_split,
    plain_text,
)

COLUMNS = ("video_path", "caption")


class TalkVerse(Trainer):
    """Clips as they are."""

    KIND: ClassVar[str] = "talkverse"
    TITLE: ClassVar[str] = "TalkVerse"
    ABOUT: ClassVar[str] = "Clips as they are, of 25 frames a second, with their sound inside."
    COMMAND: ClassVar[str] = "# csv_path: {place}/metadata.csv, base_dir: {place}, in its config"
    NOTES: ClassVar[str] = "Text embeddings are made by its own scripts, from the column `caption`."
    NEEDS: ClassVar[Needs] = Needs(frames=121 + 73, fps=25)

    def files(self, row: Row) -> list[str]:
        """The video."""
        return [f"videos/{row['clip_id']}.mp4"]

    def make(self, clip: Material, name: str, path: Path) -> None:
        """Copy it."""
        copier(clip.video)(path)

    def lists(self, rows: Sequence[Row]) -> dict[str, str]:
        """One list a split."""
        names = {"train": "metadata.csv", "validation": "metadata_validation.csv"}
        return {name: self._list(of_split(rows, split)) for split, name in names.items()}

    def _list(self, rows: Sequence[Row]) -> str:
        return csv_text(COLUMNS, [(self.files(row)[0], plain_text(row)) for row in rows])
