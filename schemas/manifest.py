"""Write manifests: zstd Parquet, one part a table and batch, complete batches only.

The part of `videos` is written last. Rows of other tables count only when `videos` has a
row with the same video and batch, so that a reader never sees half a batch; and the newest
row of a source counts, so that a batch that runs again replaces what it wrote before.
"""

import contextlib
import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from vexpress.schemas.clip import Clip
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.duplicate import Duplicate
from vexpress.schemas.evaluation import Evaluation
from vexpress.schemas.face_embedding import FaceEmbedding
from vexpress.schemas.fingerprint import ClipFingerprint
from vexpress.schemas.generation import Generation
from vexpress.schemas.keypoints import ClipKps
from vexpress.schemas.metric import TrainingMetric
from vexpress.schemas.person import ClipPerson
from vexpress.schemas.row import Row
from vexpress.schemas.run import Run
from vexpress.schemas.scene import Scene
from vexpress.schemas.selection import Selection
from vexpress.schemas.speaking import Speaking
from vexpress.schemas.track import FaceTrack
from vexpress.schemas.video import Video
from vexpress.schemas.word import Word

BATCH_TABLES: tuple[type[Row], ...] = (
    Scene,
    FaceTrack,
    Clip,
    ClipKps,
    ClipFingerprint,
    FaceEmbedding,
    Word,
    Speaking,
    Video,
)
"""Tables that a batch writes, in the order of writing: the last one is the commit."""
ROWS_AT_ONCE = 256
COLUMNS = "0-columns.parquet"
"""The part of each table that has all columns and no rows."""
WHOLE_TABLES: tuple[type[Row], ...] = (Duplicate, ClipPerson)
"""Tables about the whole data set: each part holds all of it, and the newest counts."""
TABLES: tuple[type[Row], ...] = (
    *BATCH_TABLES,
    *WHOLE_TABLES,
    Selection,
    Run,
    TrainingMetric,
    Generation,
    Evaluation,
)


def prepare_manifests(dataset: Dataset) -> None:
    """Write an empty part a table, with all its columns, and `views.sql`: every view answers."""
    for row_type in TABLES:
        name = f"manifests/{row_type.TABLE}/{COLUMNS}"
        if not dataset.exists(name) or not _has_all_columns(dataset, name, row_type):
            _write_table(dataset, name, row_type.part_schema().empty_table())
    dataset.write("views.sql", views_sql(dataset).encode())


def _has_all_columns(dataset: Dataset, name: str, row_type: type[Row]) -> bool:
    """Whether a part, perhaps written by an earlier version, has the columns of today."""
    with dataset.fs.open(dataset.path(name)) as file:
        return set(row_type.part_schema().names) <= set(pq.read_schema(file).names)


def views_sql(dataset: Dataset) -> str:
    """Return the views, with paths relative to the data set."""
    views = files("vexpress.schemas").joinpath("views.sql").read_text()
    for row_type in TABLES:
        if is_in_former_folder(dataset, row_type):
            parts = f"'manifests/{row_type.TABLE}/*.parquet'"
            former = f"'manifests/{row_type.FORMER_TABLE}/*.parquet'"
            views = views.replace(f"read_parquet({parts}", f"read_parquet([{parts}, {former}]")
    return views


def is_in_former_folder(dataset: Dataset, row_type: type[Row]) -> bool:
    """Return whether parts of a table lie where version 0.1 wrote them."""
    former = row_type.FORMER_TABLE
    return bool(former) and dataset.exists(f"manifests/{former}")


def part_names(dataset: Dataset, row_type: type[Row]) -> list[str]:
    """Return the names of a table's parts, sorted, those of version 0.1 first."""
    folders = [name for name in (row_type.FORMER_TABLE, row_type.TABLE) if name]
    return [n for folder in folders for n in dataset.names(f"manifests/{folder}/*.parquet")]


def commit_batch(
    dataset: Dataset, batch_id: str, rows: Iterable[Row], further: Sequence[str] = ()
) -> None:
    """Write the rows of one batch; they become visible together, with the part of `videos`.

    Rows are written as they come, `ROWS_AT_ONCE` at a time, so that memory stays flat. `further`:
    the columns that lists give videos and clips.
    """
    listed = (Clip, Video)
    with contextlib.ExitStack() as stack:
        parts = {
            t.TABLE: stack.enter_context(_Part(dataset, t, further if t in listed else ()))
            for t in BATCH_TABLES
        }
        for row in rows:
            if isinstance(row, Video):
                row = row.model_copy(update={"committed_at": datetime.now(UTC).isoformat()})
            parts[row.TABLE].add(row)
        for row_type in BATCH_TABLES:
            parts[row_type.TABLE].publish(f"manifests/{row_type.TABLE}/{batch_id}.parquet")


class _Part:
    """One Parquet file in the making; removed unless it is published."""

    def __init__(self, dataset: Dataset, row_type: type[Row], further: Sequence[str]) -> None:
        self._dataset = dataset
        self._row_type = row_type
        self._further = further
        self._waiting: list[Row] = []

    def __enter__(self) -> Self:
        with NamedTemporaryFile(dir=self._dataset.scratch, delete=False) as file:
            self._path = Path(file.name)
        schema = self._row_type.arrow_schema(self._further)
        self._writer = pq.ParquetWriter(self._path, schema, compression="zstd")
        return self

    def add(self, row: Row) -> None:
        self._waiting.append(row)
        if len(self._waiting) >= ROWS_AT_ONCE:
            self._flush()

    def publish(self, name: str) -> None:
        self._flush()
        self._writer.close()
        self._dataset.publish(self._path, name)

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_table(self._row_type.arrow_table(self._waiting, self._further))
            self._waiting = []

    def __exit__(self, *error: object) -> None:
        self._writer.close()
        self._path.unlink(missing_ok=True)


def write_part(dataset: Dataset, name: str, row_type: type[Row], rows: list[Any]) -> None:
    """Write `rows` of one type as one Parquet file."""
    _write_table(dataset, name, row_type.arrow_table(rows))


def _write_table(dataset: Dataset, name: str, table: pa.Table) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    dataset.write(name, sink.getvalue().to_pybytes())


def replace_table(
    dataset: Dataset, row_type: type[Row], made_from: str, make: Callable[[], list[Any]]
) -> bool:
    """Write what `make` returns as the newest part of a table about the whole data set.

    `made_from` stands for everything it is made from: where the newest part says the same,
    nothing is made. Returns whether something was written.
    """
    newest = newest_part(dataset, row_type)
    if newest and newest[1] == made_from:
        return False
    table = row_type.arrow_table(make())
    table = table.replace_schema_metadata({**table.schema.metadata, "made_from": made_from})
    stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
    _write_table(dataset, f"manifests/{row_type.TABLE}/{stamp}.parquet", table)
    return True


def newest_part(dataset: Dataset, row_type: type[Row]) -> tuple[str, str] | None:
    """Return name and `made_from` of the part that counts, or None."""
    names = dataset.names(f"manifests/{row_type.TABLE}/*.parquet")
    if not names:
        return None
    with dataset.fs.open(dataset.path(names[-1])) as file:
        metadata = pq.read_metadata(file).metadata or {}
    return names[-1], metadata.get(b"made_from", b"").decode()


def begin_run(dataset: Dataset, run: Run) -> None:
    """Write the row of a run that begins: what it uses is known before its first clip is."""
    write_part(dataset, f"manifests/runs/{run.run_id}.parquet", Run, [run])


def write_run(dataset: Dataset, run: Run) -> None:
    """Write the row of a finished run, over that of its beginning, and last its snapshot."""
    begin_run(dataset, run)
    parts = [
        {"file": name, "rows": pq.read_metadata(dataset.fs.open(dataset.path(name))).num_rows}
        for row_type in TABLES
        for name in part_names(dataset, row_type)
    ]
    snapshot = {"run_id": run.run_id, "committed_until": run.finished_at, "files": parts}
    dataset.write(run.snapshot, json.dumps(snapshot, indent=1).encode())
