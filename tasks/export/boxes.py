"""Boxes and scores of the face in every frame of a clip, from the tracks of its batch."""

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import duckdb
import numpy as np

from vexpress.schemas.arrow import read_value
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.query import connect


class Boxes:
    """Boxes and scores of the detector, from the tracks of one batch at a time."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        self._batch = ""
        self._tracks: dict[str, tuple[int, np.ndarray, np.ndarray]] = {}

    @cached_property
    def _connection(self) -> duckdb.DuckDBPyConnection:
        return connect(self._dataset)

    def of(self, row: dict[str, Any], size: int) -> tuple[np.ndarray, np.ndarray] | None:
        """Boxes (F, 4) in pixels of the clip of `size`, and scores (F,); None without a track.

        Frame times are not in the manifests: within a clip they are taken to be even.
        """
        if row["batch_id"] != self._batch:
            self._batch = row["batch_id"]
            self._tracks = dict(self._read())
        if row["track_id"] not in self._tracks:
            return None
        first, boxes, scores = self._tracks[row["track_id"]]
        count = row["end_frame"] - row["start_frame"]
        shown = (np.arange(row["frames"]) + 0.5) / row["frames"] * count
        frames = np.clip(shown.astype(int) + row["start_frame"] - first, 0, len(boxes) - 1)
        corner = np.array([row["crop_x1"], row["crop_y1"]] * 2, np.float32)
        scale = size / (row["crop_x2"] - row["crop_x1"])
        return (boxes[frames] - corner) * scale, scores[frames]

    def _read(self) -> Iterator[tuple[str, tuple[int, np.ndarray, np.ndarray]]]:
        table = self._connection.sql(
            "SELECT track_id, start_frame, boxes, scores FROM tracks WHERE batch_id = $batch",
            params={"batch": self._batch},
        ).to_arrow_table()
        for number in range(table.num_rows):
            row = {name: read_value(table[name][number]) for name in table.column_names}
            boxes = np.asarray(row["boxes"], np.float32).reshape(-1, 4)
            yield row["track_id"], (row["start_frame"], boxes, np.asarray(row["scores"]))
