"""Write a data set as WebDataset shards: tar files that a training cluster reads in a stream.

    train-000000.tar  validation-000000.tar  …  licences.json
    in each, a clip after the other: ID.mp4  ID.wav  ID.json (its columns)  ID.npz (its points)

The same clips give the same shards, byte for byte.
"""

import io
import json
import tarfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from vexpress.schemas.dataset import Dataset
from vexpress.tasks.export.clips import (
    LICENCES,
    SPLITS,
    ClipPoints,
    Selection,
    clip_points,
    described,
    file_names,
    points_file,
    select_clips,
)
from vexpress.tasks.export.folder import ExportFolder, digest_of

KIND = "webdataset"
OVERHEAD = 4096
"""About what a clip takes beside its files: heads and padding of the tar, its JSON, bytes."""
POINT_BYTES = 915
"""The most that each frame's points take, with 106 landmarks, bytes."""


def export_webdataset(
    dataset: Dataset,
    folder: Path,
    where: str = "",
    *,
    validation_share: float = 0.1,
    shard_mb: int = 1000,
) -> Path:
    """Write the kept clips that satisfy `where` into shards of about `shard_mb` megabytes.

    Goes on where it was stopped. Returns the folder; raises as `select_clips` and
    `ExportFolder` do.
    """
    target = ExportFolder(folder, KIND)
    selection = select_clips(dataset, where, validation_share)
    shards = dict(plan_shards(selection, shard_mb * 1_000_000))
    digests = {n: digest_of([selection.stamp(row) for row in rows]) for n, rows in shards.items()}
    pending = target.plan({**digests, LICENCES: digest_of(selection.licences)})
    for name in shards:
        if name in pending:
            clips = clip_points(dataset, shards[name])
            target.write(name, partial(write_shard, dataset, clips))
    target.write_json(LICENCES, selection.licences)
    return target.path


def plan_shards(
    selection: Selection, most_bytes: int
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield names of shards and their clips; a shard is full before it would be larger."""
    for split in SPLITS:
        shard: list[dict[str, Any]] = []
        number = size = 0
        for row in selection.rows(split):
            takes = OVERHEAD + POINT_BYTES * row["frames"]
            takes += sum(selection.files[name][0] for name in file_names(row).values())
            if shard and size + takes > most_bytes:
                yield f"{split}-{number:06}.tar", shard
                shard, size, number = [], 0, number + 1
            shard.append(row)
            size += takes
        if shard:
            yield f"{split}-{number:06}.tar", shard


def write_shard(
    dataset: Dataset, clips: Iterator[tuple[dict[str, Any], ClipPoints]], path: Path
) -> None:
    """Write one tar."""
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as tar:
        for row, points in clips:
            names, key = file_names(row), row["clip_id"]
            for kind in ("mp4", "wav"):
                if kind in names:
                    _add(tar, f"{key}.{kind}", dataset.read(names[kind]))
            columns = json.dumps(described(row), ensure_ascii=False)
            _add(tar, f"{key}.json", columns.encode("utf-8", "surrogateescape"))
            features = dataset.read(names["features"]) if "features" in names else None
            _add(tar, f"{key}.npz", points_file(points, features))


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))
