"""Clips of the data set as inputs of a request: points, sound and picture.

What a clip stands in for is written to files, so that it is read and checked like any
other input.
"""

import hashlib
from pathlib import Path

import numpy as np
from PIL import Image

from schemas.dataset import Dataset
from schemas.query import connect
from schemas.row import Model
from tasks.extract_kps import SIZE, save_kps
from tasks.media import open_media, to_upright_bgr, video_streams
from tasks.step import Rejection

FIND = """
SELECT clip_id, media_path, coalesce(audio_path, media_path), fps, frames, md5(kps::VARCHAR)
FROM clips JOIN (SELECT clip_id, wave_id, kps FROM kps) USING (clip_id, wave_id)
WHERE media_path IS NOT NULL AND clip_id IN (SELECT unnest($ids))
QUALIFY row_number() OVER (PARTITION BY clip_id ORDER BY wave_id) = 1
"""
POINTS = """
SELECT kps FROM kps SEMI JOIN clips USING (clip_id, wave_id) WHERE clip_id = $id
ORDER BY wave_id LIMIT 1
"""


class ClipInputs(Model):
    """A clip that a request names."""

    clip_id: str
    media_path: str
    """Relative to the data set."""
    sound_path: str
    """The same; the WAV where there is one: AAC is a little longer than its pictures."""
    seconds: float
    digest: str
    """Hash of the clip's file and of its points."""


def find_clips(dataset: Dataset, clip_ids: list[str]) -> dict[str, ClipInputs]:
    """Return those of the clips that are there with media, by id."""
    if not clip_ids or not dataset.exists("manifests/clips"):
        return {}
    found = connect(dataset).execute(FIND, {"ids": sorted(set(clip_ids))}).fetchall()
    return {
        clip_id: ClipInputs(
            clip_id=clip_id,
            media_path=media,
            sound_path=sound,
            seconds=frames / fps,
            digest=f"{_digest(dataset, media)}{_digest(dataset, sound)}{points}",
        )
        for clip_id, media, sound, fps, frames, points in found
        if all(_is_inside(name) and dataset.exists(name) for name in (media, sound))
    }


def write_inputs(dataset: Dataset, clip: ClipInputs, folder: Path) -> dict[str, Path]:
    """Write the clip's first frame and points into `folder`; return all its files by column.

    Raises Rejection where the clip cannot be read any more.
    """
    media = dataset.fetch(clip.media_path)
    with open_media(str(media)) as container:
        stream = video_streams(container)[0]
        frame = next(container.decode(stream), None)
        if frame is None:
            raise Rejection("no_clip", f"clip {clip.clip_id}: expected a picture, found none")
        size = (stream.width, stream.height)
        picture = to_upright_bgr(frame, size, 0)
    Image.fromarray(np.ascontiguousarray(picture[..., ::-1])).save(folder / "reference.png")
    rows = connect(dataset).execute(POINTS, {"id": clip.clip_id}).fetchall()
    if not rows:
        raise Rejection("no_clip", f"clip {clip.clip_id}: expected its points, found none")
    points = np.array(rows[0][0], np.float32) * (SIZE / np.array(size, np.float32))
    save_kps(points, folder / "kps.pth")
    sound = dataset.fetch(clip.sound_path)
    return {"reference": folder / "reference.png", "kps": folder / "kps.pth", "audio": sound}


def _is_inside(name: str) -> bool:
    return not Path(name).is_absolute() and ".." not in Path(name).parts


def _digest(dataset: Dataset, name: str) -> str:
    with dataset.fs.open(dataset.path(name), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
