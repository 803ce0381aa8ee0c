"""VideoX-Fun: Wan2.2-S2V, FantasyTalking, InfiniteTalk, LongCat-Video-Avatar, FlashHead.

    metadata.json  metadata_validation.json  videos/ID.mp4  audio/ID.wav  control/ID.mp4

A JSON list of `file_path`, `audio_path`, `control_file_path`, `text`, `type`, `width`, `height`
(aigc-apps/VideoX-Fun @804a425, videox_fun/data/dataset_video.py, VideoSpeechDataset and
VideoSpeechControlDataset). Wan2.2-S2V reads `control_file_path`, which its README does not name,
and without it never trains; here it is a video of V-Kps. The WAV may not be shorter than the
window.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from vexpress.faces.v_kps_image import draw_v_kps
from vexpress.tasks.export.media import write_video
from vexpress.tasks.export.trainer import Material, Needs, Row, Trainer, copier, of_split


class VideoXFun(Trainer):
    """Clips as they are, their sound, and V-Kps as a control video."""

    KIND: ClassVar[str] = "videox-fun"
    TITLE: ClassVar[str] = "VideoX-Fun"
    ABOUT: ClassVar[str] = (
        "Clips with 16 kHz sound, and their V-Kps as control videos of the same frames. Windows "
        "are 81 frames (InfiniteTalk, FantasyTalking), 33 (FlashHead), 80 of every second frame "
        "(Wan2.2-S2V, LongCat); shorter clips are used as far as they go."
    )
    COMMAND: ClassVar[str] = (
        "accelerate launch scripts/wan2.2/train_s2v.py --train_data_dir={place} "
        "--train_data_meta={place}/metadata.json …"
    )
    NEEDS: ClassVar[Needs] = Needs(frames=160, short_are_left_out=False)

    def files(self, row: Row) -> list[str]:
        """Video, sound, control video."""
        name = row["clip_id"]
        return [f"videos/{name}.mp4", f"audio/{name}.wav", f"control/{name}.mp4"]

    def make(self, clip: Material, name: str, path: Path) -> None:
        """Copy the media; draw the control video."""
        if name.startswith("control/"):
            drawn = (draw_v_kps(p[:3], clip.side, clip.side)[..., ::-1] for p in clip.places.points)
            write_video(path, drawn, clip.row["fps"])
        else:
            copier(clip.sound if name.startswith("audio/") else clip.video)(path)

    def lists(self, rows: Sequence[Row]) -> dict[str, str]:
        """One list a split."""
        names = {"train": "metadata.json", "validation": "metadata_validation.json"}
        return {
            name: json.dumps([self._entry(r) for r in of_split(rows, split)], indent=1) + "\n"
            for split, name in names.items()
        }

    def _entry(self, row: Row) -> dict[str, str | int]:
        video, sound, control = self.files(row)
        paths = {"file_path": video, "audio_path": sound, "control_file_path": control}
        return {
            **paths,
            "text": row["text"] or "",
            "type": "video",
            "width": row["side"],
            "height": row["side"],
        }
