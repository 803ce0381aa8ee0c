"""What every export takes of a data set: kept clips, who is where, licences, files.

Rows are ordered by batch, so that the points of one batch at a time are in memory.
"""

import io
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import safetensors.numpy

from vexpress.schemas.arrow import read_value
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.errors import DatasetError
from vexpress.schemas.query import ask_where, connect
from vexpress.tasks.train.clips import identity_column, landmarks_of, points_of
from vexpress.training.clips import held_out

INTERNAL = ("status", "reason", "detail", "is_error")
"""Columns of `clips` that mean nothing outside the data set."""
SPLITS = ("train", "validation")
NOT_STATED = "not stated"
LICENCES = "licences.json"
"""In every export: licences of sources and of the weights that were used."""
SEED = 0
SHOWN = 5


@dataclass(frozen=True)
class Selection:
    """The clips of an export and where they are."""

    dataset: Dataset
    clips: pa.Table
    """Columns of `clips` that are not internal, with `licence`, `split` and `points_hash`."""
    files: dict[str, tuple[int, str]]
    """Size in bytes and time or tag of every file of clips, by its name in the data set."""
    licences: dict[str, Any]
    """Licences of sources and weights, for JSON."""

    def rows(self, split: str | None = None) -> Iterator[dict[str, Any]]:
        """Yield the clips, or those of one split, one by one."""
        for batch in self.clips.to_batches(max_chunksize=1024):
            yield from (r for r in batch.to_pylist() if split in (None, r["split"]))

    def stamp(self, row: dict[str, Any]) -> list[Any]:
        """Return what tells whether anything of a clip has changed."""
        return [described(row), *self.contents(row)]

    def contents(self, row: dict[str, Any]) -> list[Any]:
        """Return what tells whether a clip's files or points have changed."""
        return [[self.files[name] for name in file_names(row).values()], row["points_hash"]]


@dataclass(frozen=True)
class ClipPoints:
    """Points of one clip in its pixels, one item a frame."""

    points: np.ndarray
    """float32 (F, 5, 2)."""
    detected: np.ndarray
    """bool (F,)."""
    landmarks: np.ndarray | None
    """float32 (F, 106 or 68, 2), or None."""


def select_clips(dataset: Dataset, where: str = "", validation_share: float = 0.1) -> Selection:
    """Return the kept clips that satisfy the SQL condition `where`, split by who is seen.

    No person is in both splits; with one person only, everything is training. Raises
    QueryError for a wrong condition, DatasetError where no clip or not every file is there.
    """
    connection = connect(dataset)
    clips = with_public_sources(_clips(dataset, connection, where))
    groups = clips["split"].to_pylist()
    held = held_out(groups, validation_share, SEED) if len(set(groups)) > 1 else set()
    split = pa.array([SPLITS[group in held] for group in groups], pa.string())
    clips = clips.set_column(clips.column_names.index("split"), "split", split)
    files = _files(dataset)
    _require_files(dataset, clips, files)
    return Selection(dataset, clips, files, _licences(connection, clips))


def _clips(dataset: Dataset, connection: duckdb.DuckDBPyConnection, where: str) -> pa.Table:
    """The chosen clips with `split` holding who is seen, until it is split."""
    clips = ask_where(
        connection,
        where,
        f"SELECT kept.* EXCLUDE ({', '.join(INTERNAL)}), v.licence, k.points_hash, "
        f"{identity_column(connection)} AS split FROM kept "
        "SEMI JOIN chosen USING (clip_id) LEFT JOIN (SELECT video_id, batch_id, "
        "any_value(licence) AS licence FROM videos WHERE duplicate_of IS NULL "
        "GROUP BY ALL) v USING (video_id, batch_id) LEFT JOIN (SELECT clip_id, batch_id, "
        "hash(points, detected, landmarks) AS points_hash FROM kps) k USING (clip_id, batch_id) "
        "ORDER BY batch_id, clip_id",
    )
    if not clips.num_rows:
        raise DatasetError(
            f"{dataset.root}: expected kept clips{f' with {where}' if where else ''}, found none. "
            f'Look with: vexpress query {dataset.root} "SELECT * FROM funnel"'
        )
    return clips


def with_public_sources(clips: pa.Table) -> pa.Table:
    """Return the clips with sources as they are told elsewhere: a path on this machine from the
    folder on that all of them share."""
    sources = clips["source"].to_pylist()
    local = {source for source in sources if source.startswith("/")}
    shared = os.path.commonpath([os.path.dirname(s) for s in local]) if local else ""  # noqa: PTH120
    told = [s[len(shared) :].lstrip("/") if s in local else s for s in sources]
    place = clips.column_names.index("source")
    return clips.set_column(place, "source", pa.array(told, pa.string()))


def described(row: dict[str, Any]) -> dict[str, Any]:
    """Return what an export says of a clip: nothing of how the data set holds it."""
    hidden = ("batch_id", "media_path", "audio_path", "features_path", "points_hash")
    return {name: value for name, value in row.items() if name not in hidden}


def clip_points(
    dataset: Dataset, rows: Iterable[dict[str, Any]]
) -> Iterator[tuple[dict[str, Any], ClipPoints]]:
    """Yield clips of a selection, in its order, each with its points."""
    connection = connect(dataset)
    batch, points = None, {}
    for row in rows:
        if row["batch_id"] != batch:
            batch = row["batch_id"]
            points = _batch_points(connection, batch)
        yield row, points[row["clip_id"]]


def _batch_points(connection: duckdb.DuckDBPyConnection, batch: str) -> dict[str, ClipPoints]:
    table = connection.sql(
        "SELECT clip_id, points, detected, landmarks, landmark_count FROM kps "
        "WHERE batch_id = $batch",
        params={"batch": batch},
    ).to_arrow_table()
    found = {}
    for number in range(table.num_rows):
        row = {name: read_value(table[name][number]) for name in table.column_names}
        detected = np.asarray(row["detected"], dtype=bool)
        found[row["clip_id"]] = ClipPoints(points_of(row), detected, landmarks_of(row))
    return found


def _files(dataset: Dataset) -> dict[str, tuple[int, str]]:
    skip = len(dataset.path(""))
    found = {}
    for folder in ("media", "features"):
        if dataset.exists(folder):
            for path, info in dataset.fs.find(dataset.path(folder), detail=True).items():
                stamp = info.get("ETag") or info.get("mtime") or info.get("LastModified")
                found[path[skip:]] = (int(info["size"]), str(stamp))
    return found


def file_names(row: dict[str, Any]) -> dict[str, str]:
    """Return the files of a clip in the data set: `mp4`, and `wav` and `features` where given."""
    columns = {"mp4": "media_path", "wav": "audio_path", "features": "features_path"}
    return {kind: row[column] for kind, column in columns.items() if row[column]}


def _require_files(dataset: Dataset, clips: pa.Table, files: dict[str, tuple[int, str]]) -> None:
    columns = ("media_path", "audio_path", "features_path")
    named = {n for column in columns for n in clips[column].to_pylist() if n}
    missing = sorted(named - files.keys())
    if missing:
        more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
        raise DatasetError(
            f"{dataset.root}: expected every file of its clips, found none at "
            f"{', '.join(missing[:SHOWN])}{more}. Run `vexpress curate` again to make them."
        )


def _licences(connection: duckdb.DuckDBPyConnection, clips: pa.Table) -> dict[str, Any]:
    """Licences and how many clips each covers; weights of the curations that made the clips."""
    pairs = zip(clips["source"].to_pylist(), clips["licence"].to_pylist(), strict=True)
    sources = Counter((source, licence or NOT_STATED) for source, licence in pairs)
    by_licence: Counter[str] = Counter()
    for (_, licence), count in sources.items():
        by_licence[licence] += count
    weights: dict[str, dict[str, str]] = {}
    batches = {"batches": clips["batch_id"].unique().to_pylist()}
    made = connection.execute(MAKERS, batches).fetchall() or connection.sql(CURATIONS).fetchall()
    for (text,) in made:
        for used in json.loads(text or "[]"):
            kept = {key: str(used.get(key, "")) for key in ("name", "sha256", "licence")}
            weights[kept["name"] + kept["sha256"]] = kept
    return {
        "licences": [
            {"licence": licence, "clips": count} for licence, count in sorted(by_licence.items())
        ],
        "sources": [
            {"source": source, "licence": licence, "clips": count}
            for (source, licence), count in sorted(sources.items())
        ],
        "weights": [weights[key] for key in sorted(weights)],
    }


MAKERS = """
SELECT DISTINCT weights FROM (
    SELECT DISTINCT committed_at FROM videos WHERE batch_id IN (SELECT unnest($batches))
) ASOF JOIN (SELECT started_at, weights FROM runs WHERE kind = 'curate')
ON committed_at >= started_at
"""
"""Of the run that had begun last when a batch was committed. Both times are ISO 8601 UTC."""
CURATIONS = "SELECT weights FROM runs WHERE kind = 'curate'"


def points_file(points: ClipPoints, features: bytes | None) -> bytes:
    """Return an .npz of `kps` (F, 3, 2), `points` (F, 5, 2), `detected` (F,), and where there
    are some `landmarks` (F, 106 or 68, 2) and `audio_embeds` (N, 1, E)."""
    arrays: dict[str, Any] = {
        "kps": points.points[:, :3],
        "points": points.points,
        "detected": points.detected,
    }
    if points.landmarks is not None:
        arrays["landmarks"] = points.landmarks
    if features:
        arrays["audio_embeds"] = safetensors.numpy.load(features)["global_embeds"]
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()
