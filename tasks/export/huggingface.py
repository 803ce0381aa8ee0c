"""Write a data set as a folder that Hugging Face's `datasets` loads, and its hub shows.

README.md  licences.json
train/metadata.parquet       one row a clip; `file_name` is its video
train/media/ID.mp4  .wav  .npz
validation/…                 other people than in train
"""

from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from vexpress.schemas.dataset import Dataset
from vexpress.tasks.export.card import data_card
from vexpress.tasks.export.clips import (
    LICENCES,
    Selection,
    clip_points,
    described,
    file_names,
    points_file,
    select_clips,
)
from vexpress.tasks.export.folder import ExportFolder, digest_of

KIND = "hf"
README = "README.md"


def export_huggingface(
    dataset: Dataset, folder: Path, where: str = "", *, validation_share: float = 0.1
) -> Path:
    """Write the kept clips that satisfy `where`, with a card that says what they are.

    Goes on where it was stopped. Returns the folder; raises as `select_clips` and
    `ExportFolder` do.
    """
    target = ExportFolder(folder, KIND)
    selection = select_clips(dataset, where, validation_share)
    tables = {f"{split}/metadata.parquet": metadata(selection, split) for split in selection.splits}
    card = data_card(selection, tables)
    files = {name: digest_of(name, *selection.contents(r)) for r, name in _media(selection)}
    made_of_all = digest_of(list(files.items()), [described(row) for row in selection.rows()], card)
    pending = set(target.plan({**files, **dict.fromkeys((*tables, README, LICENCES), made_of_all)}))
    wanted = (row for row in selection.rows() if pending.intersection(clip_files(row).values()))
    for row, points in clip_points(dataset, wanted):
        names, here = file_names(row), clip_files(row)
        for kind in ("mp4", "wav"):
            if here.get(kind) in pending:
                target.write(here[kind], partial(dataset.fs.get_file, dataset.path(names[kind])))
        if here["npz"] in pending:
            features = dataset.read(names["features"]) if "features" in names else None
            data = points_file(points, features)
            target.write(here["npz"], partial(_put, data))
    for name, table in tables.items():
        target.write(name, partial(pq.write_table, table))
    target.write_json(LICENCES, selection.licences)
    target.write(README, lambda path: path.write_text(card))
    return target.path


def clip_files(row: dict[str, Any]) -> dict[str, str]:
    """Return the files of a clip in the export by their suffix."""
    suffixes = [kind for kind in ("mp4", "wav") if kind in file_names(row)]
    return {s: f"{row['split']}/media/{row['clip_id']}.{s}" for s in (*suffixes, "npz")}


def metadata(selection: Selection, split: str) -> pa.Table:
    """Return the rows of one split; paths are relative to the split's folder."""
    made = []
    for row in selection.rows(split):
        here = {kind: name.removeprefix(f"{split}/") for kind, name in clip_files(row).items()}
        own = {"file_name": here["mp4"], "sound_path": here.get("wav"), "points_path": here["npz"]}
        made.append({**own, **described(row)})
    fields = {f.name: f for f in selection.clips.schema}
    columns = [name for name in made[0] if name in fields]
    paths = [pa.field(n, pa.string()) for n in ("file_name", "sound_path", "points_path")]
    return pa.Table.from_pylist(made, schema=pa.schema([*paths, *(fields[c] for c in columns)]))


def _media(selection: Selection) -> Any:
    return ((row, name) for row in selection.rows() for name in clip_files(row).values())


def _put(data: bytes, path: Path) -> None:
    path.write_bytes(data)
