"""Clips of the data set as inputs of a request: points, sound and picture.

What a clip stands in for is written to files, so that it is read and checked like any
other input.
"""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from vexpress.hashes import sha256_of_file
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.generation import Generation
from vexpress.schemas.query import fetch_rows
from vexpress.schemas.row import Model
from vexpress.tasks.curate.extract_kps import SIZE, save_kps
from vexpress.tasks.engine.step import Rejection
from vexpress.tasks.media.frames import open_media, to_upright_bgr, video_streams

FIND = """
SELECT clip_id, media_path, coalesce(audio_path, media_path), fps, frames, md5(kps::VARCHAR)
FROM clips JOIN (SELECT clip_id, batch_id, kps FROM kps) USING (clip_id, batch_id)
WHERE media_path IS NOT NULL AND clip_id IN (SELECT unnest($ids))
QUALIFY row_number() OVER (PARTITION BY clip_id ORDER BY batch_id) = 1
"""
POINTS = """
SELECT kps FROM kps SEMI JOIN clips USING (clip_id, batch_id) WHERE clip_id = $id
ORDER BY batch_id LIMIT 1
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
    found = fetch_rows(dataset, FIND, ids=sorted(set(clip_ids)))
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
    """Write the clip's middle frame and points into `folder`; return all its files by column.

    Raises Rejection where the clip cannot be read any more.
    """
    picture = middle_picture(dataset, clip.media_path)
    size = (picture.shape[1], picture.shape[0])
    Image.fromarray(picture).save(folder / "reference.png")
    rows = fetch_rows(dataset, POINTS, id=clip.clip_id)
    if not rows:
        raise Rejection("no_clip", f"clip {clip.clip_id}: expected its points, found none")
    points = np.array(rows[0][0], np.float32) * (SIZE / np.array(size, np.float32))
    fps = len(points) / clip.seconds
    save_kps(points, folder / "kps.pth", np.arange(len(points)) / fps, fps)
    sound = dataset.fetch(clip.sound_path)
    return {"reference": folder / "reference.png", "kps": folder / "kps.pth", "audio": sound}


def middle_picture(dataset: Dataset, media_path: str) -> np.ndarray:
    """Return a clip's middle frame, uint8 (height, width, 3) RGB; the ends may be faded.

    Raises Rejection where it has none.
    """
    with (
        dataset.local_copy(media_path) as path,
        open_media(str(path)) as container,
    ):
        stream = video_streams(container)[0]
        frames = itertools.islice(container.decode(stream), stream.frames // 2, None)
        frame = next(frames, None)
        if frame is None:
            raise Rejection("no_clip", f"{media_path}: expected a picture, found none")
        picture = to_upright_bgr(frame, (stream.width, stream.height), 0)
    return np.ascontiguousarray(picture[..., ::-1])


@contextmanager
def reference_picture(dataset: Dataset, row: Generation) -> Iterator[Path]:
    """Give the picture that a video was made from: a file, or the middle frame of its clip.

    Raises Rejection where the clip has no frame any more.
    """
    media = f"media/{row.clip_id}.mp4"
    if not row.clip_id or Path(row.reference).name != Path(media).name:
        yield Path(row.reference)
        return
    with TemporaryDirectory() as folder:
        path = Path(folder) / "reference.png"
        if dataset.exists(media):
            Image.fromarray(middle_picture(dataset, media)).save(path)
        yield path


def _is_inside(name: str) -> bool:
    return not Path(name).is_absolute() and ".." not in Path(name).parts


def _digest(dataset: Dataset, name: str) -> str:
    with dataset.fs.open(dataset.path(name), "rb") as file:
        return sha256_of_file(file)
