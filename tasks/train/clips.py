"""From a data set's manifests to the clips of a training run.

Reads the views `kept` and `kps`, checks every file once, and gives `TrainingClip`s, or
one error that names all that cannot be trained on.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import av
import duckdb
import numpy as np

from vexpress.media.formats import open_media, video_streams
from vexpress.schemas.arrow import read_value
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.query import ask_where, connect
from vexpress.training.audio_features import check_vectors
from vexpress.training.clips import ClipError, ClipFiles, TrainingClip
from vexpress.training.lips import lip_boxes, lip_source
from vexpress.weights.sources import get

PROBES = 8
"""Files opened at once while they are checked."""
SHOWN = 5
AUDIO_ENCODER = "wav2vec2-base-960h"
IDENTITY = "person_id"
"""Column of `clips` that tells who is seen, where the data set has one; else the source counts."""


def gather_clips(
    dataset: Dataset, where: str = "", folder: Path | None = None
) -> list[TrainingClip]:
    """Return the kept clips that satisfy the SQL condition `where`, by clip id. Files of a
    remote data set are copied as `Dataset.fetch` does.

    Raises QueryError for a wrong condition, ClipError for clips that cannot be trained on.
    """
    rows = list(clip_rows(dataset, where))
    if not rows:
        condition = f" with {where}" if where else ""
        raise ClipError(
            f"{dataset.root}: expected kept clips{condition}, found none. "
            f'Look with: vexpress query {dataset.root} "SELECT * FROM funnel"'
        )
    with ThreadPoolExecutor(PROBES) as pool:
        found = list(pool.map(lambda row: _clip(dataset, row, folder), rows))
    problems = [answer for answer in found if isinstance(answer, str)]
    if problems:
        more = f"\n  and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        raise ClipError(
            f"{len(problems)} of {len(rows)} clips cannot be trained on:\n  "
            + "\n  ".join(problems[:SHOWN])
            + more
            + "\nRun `vexpress curate` again, or leave these out with `where`."
        )
    return [answer for answer in found if isinstance(answer, TrainingClip)]


def clip_rows(dataset: Dataset, where: str) -> Iterator[dict[str, Any]]:
    """What training needs to know of every kept clip that satisfies `where`, by clip id."""
    connection = connect(dataset)
    table = ask_where(
        connection,
        where,
        f"SELECT clip_id, {identity_column(connection)} AS who, fps, frames, media_path, "
        "features_path, features_note, det_score_mean, k.points, k.landmarks, k.landmark_count "
        "FROM kept SEMI JOIN chosen USING (clip_id) "
        "JOIN (SELECT clip_id, points, landmarks, landmark_count FROM kps) k USING (clip_id) "
        "ORDER BY clip_id",
    )
    for batch in table.to_batches():
        for number in range(batch.num_rows):
            yield {name: read_value(batch.column(name)[number]) for name in table.column_names}


def identity_column(connection: duckdb.DuckDBPyConnection) -> str:
    """The SQL expression over `clips` that tells who is seen: the person, else the source."""
    columns = {row[0] for row in connection.sql("DESCRIBE kept").fetchall()}
    return f"coalesce({IDENTITY}, video_id)" if IDENTITY in columns else "video_id"


def _clip(dataset: Dataset, row: dict[str, Any], folder: Path | None) -> TrainingClip | str:
    """The clip, or what is wrong with it in words."""
    name = row["clip_id"]
    if not row["media_path"] or not row["features_path"]:
        note = str(row["features_note"])
        todo = f" ({get(AUDIO_ENCODER)}, then curate again)" if "no wav2vec2" in note else ""
        return f"{name}: expected media and audio features, found: {note}{todo}"
    missing = [p for p in (row["media_path"], row["features_path"]) if not dataset.exists(p)]
    if missing:
        return f"{name}: {', '.join(missing)} is missing"
    video, sound = (dataset.fetch(row[n], folder) for n in ("media_path", "features_path"))
    points = points_of(row)
    try:
        width, height = _check_picture(video, len(points))
        check_vectors(sound, len(points), row["fps"])
    except ClipError as error:
        return f"{name}: {error}"
    count = row["landmark_count"] or 0
    files = ClipFiles(
        clip_id=name,
        video=str(video),
        sound=str(sound),
        group=str(row["who"]),
        frames=len(points),
        width=width,
        height=height,
        lips=lip_source(count),
    )
    return TrainingClip(files, points[:, :3], lip_boxes(points, landmarks_of(row), count))


def points_of(row: dict[str, Any]) -> np.ndarray:
    """Points of a row of `clip_rows`, float32 (F, 5, 2), pixels of the clip."""
    return np.asarray(row["points"], dtype=np.float32).reshape(-1, 5, 2)


def landmarks_of(row: dict[str, Any]) -> np.ndarray | None:
    """Landmarks of a row of `clip_rows`, float32 (F, count, 2), or None."""
    if not row["landmark_count"]:
        return None
    return np.asarray(row["landmarks"], np.float32).reshape(-1, row["landmark_count"], 2)


def _check_picture(path: Path, frames: int) -> tuple[int, int]:
    """Width and height of a clip. Raises ClipError when it has not as many frames as points."""
    try:
        with open_media(path) as container:
            stream = video_streams(container)[0]
            found, size = stream.frames, (stream.width, stream.height)
    except (av.FFmpegError, IndexError, OSError) as error:
        raise ClipError(f"{path} cannot be opened: {error}") from error
    if found != frames:
        raise ClipError(
            f"{path}: expected {frames} frames, one for each row of points, found {found}"
        )
    return size
