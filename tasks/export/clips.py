"""What every export takes of a data set: kept clips, who is where, licences, files.

Rows are ordered by batch, so that the points of one batch at a time are in memory.
"""

import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import safetensors.numpy

from vexpress.schemas.arrow import read_value
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.errors import DatasetError
from vexpress.schemas.query import ask_where, connect
from vexpress.schemas.span import file_of
from vexpress.tasks.train.clips import identity_column, landmarks_of, points_of
from vexpress.training.clips import held_out

INTERNAL = ("status", "reason", "detail", "is_error")
"""Columns of `clips` that mean nothing outside the data set."""
SPLITS = ("train", "validation")
HELD_OUT = ("validation", "valid", "val", "dev", "test", "eval")
"""What lists call clips that are not trained on."""
USUAL_TEXT = "coalesce(caption, '')"
"""What describes a clip in words: the caption of a list."""
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
    disjoint: bool = True
    """Whether nobody is in two splits: a list may have said another division."""

    @property
    def splits(self) -> list[str]:
        """The splits that have clips."""
        there = set(self.clips["split"].to_pylist())
        return [split for split in SPLITS if split in there]

    def rows(self, split: str | None = None) -> Iterator[dict[str, Any]]:
        """Yield the clips, or those of one split, one by one."""
        for batch in self.clips.to_batches(max_chunksize=1024):
            yield from (r for r in batch.to_pylist() if split in (None, r["split"]))

    def of(self, rows: list[dict[str, Any]]) -> "Selection":
        """Return the selection of some of its clips, with their licences alone."""
        ids = pa.array([row["clip_id"] for row in rows])
        clips = self.clips.filter(pc.is_in(self.clips["clip_id"], ids))
        if clips.num_rows == self.clips.num_rows:
            return self
        weights = used_weights(connect(self.dataset), clips)
        return replace(self, clips=clips, licences=licences_of(clips, weights))

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


def select_clips(
    dataset: Dataset, where: str = "", validation_share: float = 0.1, text: str = USUAL_TEXT
) -> Selection:
    """Return the kept clips that satisfy the SQL condition `where`, split by who is seen.

    No person is in both splits; with one person only, everything is training. Where a list says
    the split of a clip, that counts. `text`: SQL expression over a clip's columns, for the column
    `text`. Sources are named from the folder on that all of them share. Raises QueryError for a
    wrong condition or text, DatasetError where no clip or not every file is there.
    """
    connection = connect(dataset)
    clips = _clips(dataset, connection, where, text)
    groups = clips["who"].to_pylist()
    splits = splits_of(groups, clips["listed_split"].to_pylist(), validation_share)
    pairs = set(zip(groups, splits, strict=True))
    clips = clips.append_column("split", pa.array(splits, pa.string()))
    names = pa.array(public_names(clips["source"].to_pylist()), pa.string())
    clips = clips.set_column(clips.column_names.index("source"), "source", names)
    files = _files(dataset)
    _require_files(dataset, clips, files)
    disjoint = len(pairs) == len(set(groups))
    licences = licences_of(clips, used_weights(connection, clips))
    return Selection(dataset, clips, files, licences, disjoint)


def splits_of(groups: list[str], listed: list[str | None], share: float) -> list[str]:
    """Return the split of each clip, of who is seen in it and of what a list says of its split."""
    held = held_out(groups, share, SEED) if len(set(groups)) > 1 else set()
    return [
        SPLITS[group in held] if said is None else SPLITS[said.lower() in HELD_OUT]
        for group, said in zip(groups, listed, strict=True)
    ]


def public_names(sources: list[str]) -> list[str]:
    """Return sources by their paths from the folder on that all of them share: what lies above
    it is this machine's business."""
    folders = {tuple(file_of(source).split("/")[:-1]) for source in sources}
    shared = len(list(takewhile(lambda parts: len(set(parts)) == 1, zip(*folders, strict=False))))
    return ["/".join(source.split("/")[shared:]) for source in sources]


def _clips(
    dataset: Dataset, connection: duckdb.DuckDBPyConnection, where: str, text: str
) -> pa.Table:
    """The chosen clips with `who` is seen, and what exports need to know of them."""
    clips = ask_where(
        connection,
        where,
        f"SELECT kept.* EXCLUDE ({', '.join(INTERNAL)}), v.licence, v.content_hash, "
        f"k.points_hash, coalesce(k.landmark_count, 0) > 0 AS has_landmarks, "
        "coalesce(e.face_numbers, 0) AS face_numbers, "
        f"CAST(({text}) AS VARCHAR) AS text, "
        f"{identity_column(connection)} AS who FROM kept "
        "SEMI JOIN chosen USING (clip_id) LEFT JOIN (SELECT video_id, batch_id, "
        "any_value(licence) AS licence, any_value(content_hash) AS content_hash "
        "FROM videos WHERE duplicate_of IS NULL "
        "GROUP BY video_id, batch_id) v USING (video_id, batch_id) "
        "LEFT JOIN (SELECT clip_id, batch_id, landmark_count, "
        "hash(points, detected, landmarks) AS points_hash FROM kps) k USING (clip_id, batch_id) "
        "LEFT JOIN (SELECT clip_id, batch_id, len(embedding) AS face_numbers "
        "FROM face_embeddings) e USING (clip_id, batch_id) "
        "ORDER BY batch_id, clip_id",
    )
    if not clips.num_rows:
        raise DatasetError(
            f"{dataset.root}: expected kept clips{f' with {where}' if where else ''}, found none. "
            f'Look with: vexpress query {dataset.root} "SELECT * FROM funnel"'
        )
    return clips


def described(row: dict[str, Any]) -> dict[str, Any]:
    """Return what an export says of a clip: nothing of how the data set holds it."""
    hidden = (
        *("batch_id", "wave_id", "media_path", "audio_path", "features_path", "points_hash"),
        *("content_hash", "text", "has_landmarks", "face_numbers", "side", "who"),
    )
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


def licences_of(clips: pa.Table, weights: list[dict[str, str]]) -> dict[str, Any]:
    """Return the licences of clips and how many each covers, with those of `weights`."""
    pairs = zip(clips["source"].to_pylist(), clips["licence"].to_pylist(), strict=True)
    sources = Counter((source, licence or NOT_STATED) for source, licence in pairs)
    by_licence: Counter[str] = Counter()
    for (_, licence), count in sources.items():
        by_licence[licence] += count
    return {
        "licences": [
            {"licence": licence, "clips": count} for licence, count in sorted(by_licence.items())
        ],
        "sources": [
            {"source": source, "licence": licence, "clips": count}
            for (source, licence), count in sorted(sources.items())
        ],
        "weights": weights,
    }


def used_weights(connection: duckdb.DuckDBPyConnection, clips: pa.Table) -> list[dict[str, str]]:
    """Return the weights of the curations that made the clips, once each."""
    weights: dict[str, dict[str, str]] = {}
    batches = {"batches": clips["batch_id"].unique().to_pylist()}
    made = connection.execute(MAKERS, batches).fetchall() or connection.sql(CURATIONS).fetchall()
    for (text,) in made:
        for used in json.loads(text or "[]"):
            kept = {key: str(used.get(key, "")) for key in ("name", "sha256", "licence")}
            weights[kept["name"] + kept["sha256"]] = kept
    return [weights[key] for key in sorted(weights)]


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
