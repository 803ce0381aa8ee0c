"""Write a data set as the training list of published V-Express, for use elsewhere."""

from collections.abc import Iterator
from pathlib import Path

from schemas.dataset import Dataset
from tasks.training_clips import clip_rows, gather_clips, landmarks_of, points_of
from vexpress.training.published_list import Listed, write_list
from vexpress.training.sound_vectors import read_vectors


def export_list(dataset: Dataset, folder: Path, where: str = "") -> Path:
    """Write `folder/list.json` of the kept clips that satisfy `where`; returns its path.

    Videos stay where they are and are named by their full paths. Raises ClipError for clips
    without media or audio features, as training does.
    """
    files = {clip.files.clip_id: clip.files for clip in gather_clips(dataset, where)}

    def listed() -> Iterator[Listed]:
        for row in clip_rows(dataset, where):
            clip = files[row["clip_id"]]
            yield Listed(
                name=clip.clip_id,
                video=Path(clip.video),
                points=points_of(row),
                landmarks=landmarks_of(row),
                score=row["det_score_mean"] or 0.0,
                vectors=read_vectors(Path(clip.sound))[:, None],
            )

    return write_list(folder, list(listed()))
