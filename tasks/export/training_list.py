"""Write a data set as the training list of published V-Express, for use elsewhere.

    list.json  face_info/ID.pt  audio_embeds/ID.pt  licences.json

Videos stay where they are and are named by their full paths; those of a remote data set are
written beside the list, as `videos/ID.mp4`.
"""

import shutil
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from vexpress.schemas.dataset import Dataset
from vexpress.tasks.export.boxes import Boxes
from vexpress.tasks.export.clips import LICENCES, ClipPoints, clip_points, select_clips
from vexpress.tasks.export.folder import ExportFolder, digest_of
from vexpress.tasks.train.clips import gather_clips
from vexpress.training.audio_features import read_vectors
from vexpress.training.clips import ClipFiles
from vexpress.training.published_list import Listed, write_face_info, write_vectors

KIND = "vexpress-json"
LIST = "list.json"


def export_list(dataset: Dataset, folder: Path, where: str = "") -> Path:
    """Write `folder/list.json` of the kept clips that satisfy `where`; returns its path.

    Goes on where it was stopped. Beside what published V-Express reads, an entry says
    `clip_id`, `source` and `licence`. Raises ClipError for clips without media or audio
    features, as training does; DatasetError where the folder holds something else.
    """
    target = ExportFolder(folder, KIND)
    with TemporaryDirectory(dir=None if dataset.is_local else dataset.scratch) as fetched:
        return _export(dataset, target, Path(fetched), where)


def _export(dataset: Dataset, target: ExportFolder, fetched: Path, where: str) -> Path:
    """Write the list; `fetched` is for files of a remote data set."""
    files = {clip.files.clip_id: clip.files for clip in gather_clips(dataset, where, fetched)}
    selection = select_clips(dataset, where, 0)
    entries = {row["clip_id"]: _entry(row, dataset) for row in selection.rows()}
    stamps = {row["clip_id"]: digest_of(selection.stamp(row)) for row in selection.rows()}
    kinds = ["face_info", "audio_embeds", *([] if dataset.is_local else ["video"])]
    plan = {entries[i][kind]: stamps[i] for kind in kinds for i in entries}
    whole = digest_of(list(entries.values()), stamps)
    pending = set(target.plan({**plan, LICENCES: whole, LIST: whole}))
    wanted = (r for r in selection.rows() if pending.intersection(entries[r["clip_id"]].values()))
    boxes = Boxes(dataset)
    for row, points in clip_points(dataset, wanted):
        entry, paths = entries[row["clip_id"]], files[row["clip_id"]]
        if entry["video"] in pending:
            target.write(entry["video"], partial(shutil.copyfile, paths.video))
        if entry["face_info"] in pending:
            listed = _listed(row, points, boxes, paths)
            target.write(entry["face_info"], partial(write_face_info, listed))
        if entry["audio_embeds"] in pending:
            vectors = read_vectors(Path(paths.sound))[:, None]
            target.write(entry["audio_embeds"], partial(write_vectors, vectors))
    target.write_json(LICENCES, selection.licences)
    target.write_json(LIST, list(entries.values()))
    return target.path / LIST


def _entry(row: dict[str, Any], dataset: Dataset) -> dict[str, Any]:
    beside = f"videos/{row['clip_id']}.mp4"
    return {
        "video": dataset.path(row["media_path"]) if dataset.is_local else beside,
        "face_info": f"face_info/{row['clip_id']}.pt",
        "audio_embeds": f"audio_embeds/{row['clip_id']}.pt",
        "clip_id": row["clip_id"],
        "source": row["source"],
        "licence": row["licence"],
    }


def _listed(row: dict[str, Any], points: ClipPoints, boxes: "Boxes", files: ClipFiles) -> Listed:
    seen = boxes.of(row, files.width)
    return Listed(
        points=points.points,
        landmarks=points.landmarks,
        boxes=None if seen is None else seen[0],
        scores=np.full(len(points.points), row["det_score_mean"] or 0.0)
        if seen is None
        else seen[1],
    )
