"""Rows keep their numbers through JSON and Parquet, and every column says what it is."""

import importlib
import pkgutil
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from tests.helpers import rows
from vexpress import schemas
from vexpress.schemas.manifest import TABLES
from vexpress.schemas.row import Row, content_id
from vexpress.schemas.track import FaceTrack

COLUMNS = [
    (row_type, name, field) for row_type in TABLES for name, field in row_type.columns().items()
]
UNITS = {
    r"_s$": "second",
    r"_px$": "pixel",
    r"_db$": r"\bdB\b",
    r"_bytes$": "bytes",
    r"^crop_|width$|height$": "pixel",
    r"^fps$": "frames per second",
    r"_rate$": "Hz",
    r"^rotation$": "degrees",
    r"score|_share$": r"0\.\.1",
    r"_at$": "ISO 8601 UTC",
    r"_seconds$": "[Ss]econds",
    r"^boxes$": "x1 y1 x2 y2, source pixels",
    r"^points$|^kps$": "source pixels|crop pixels|the same with",
}
"""What the documentation of a column says, by the column's name."""


def test_every_row_type_is_a_table_of_the_manifests() -> None:
    for module in pkgutil.iter_modules(schemas.__path__, "vexpress.schemas."):
        importlib.import_module(module.name)
    ours = {row for row in Row.__subclasses__() if row.__module__.startswith("vexpress.schemas.")}
    assert ours == set(TABLES)
    assert len({row_type.TABLE for row_type in TABLES}) == len(TABLES)


@pytest.mark.parametrize(("row_type", "name", "field"), COLUMNS)
def test_every_column_is_documented(row_type: type[Row], name: str, field: FieldInfo) -> None:
    text = field.description or ""
    assert text.endswith((".", "…")), f"{row_type.TABLE}.{name} is undocumented"
    for pattern, unit in UNITS.items():
        if re.search(pattern, name):
            assert re.search(unit, text), f"{row_type.TABLE}.{name} does not name its unit: {text}"


@pytest.mark.parametrize("row_type", TABLES)
def test_parquet_carries_the_documentation(row_type: type[Row]) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(row_type.arrow_table([]), sink)
    schema = pq.read_schema(pa.BufferReader(sink.getvalue()))
    told = {field.name: field.metadata[b"comment"].decode() for field in schema}
    assert told == {name: field.description for name, field in row_type.columns().items()}
    assert schema.metadata[b"table"].decode() == row_type.TABLE
    assert int(schema.metadata[b"schema_version"]) == row_type.SCHEMA_VERSION


@pytest.mark.parametrize(("frames", "landmark_count"), [(3, 0), (3, 68), (0, 0)])
def test_arrays_survive_json(frames: int, landmark_count: int) -> None:
    before = rows.track(frames, landmark_count)
    after = FaceTrack.model_validate_json(before.model_dump_json())
    for name in ("detected", "boxes", "points", "scores"):
        one, other = getattr(before, name), getattr(after, name)
        assert one.dtype == other.dtype and one.shape == other.shape
        np.testing.assert_array_equal(one, other)
    if landmark_count:
        np.testing.assert_array_equal(before.landmarks, after.landmarks)
    else:
        assert after.landmarks is None


def test_arrays_survive_parquet_beside_null_and_empty_ones() -> None:
    several = [rows.track(3, 68), rows.track(2), rows.track(0), rows.track(4, 106)]
    sink = pa.BufferOutputStream()
    pq.write_table(FaceTrack.arrow_table(several), sink)
    back = pq.read_table(pa.BufferReader(sink.getvalue())).to_pylist()
    for before, after in zip(several, back, strict=True):
        for name in ("detected", "boxes", "points", "scores"):
            shape = getattr(before, name).shape
            read = np.array(after[name], getattr(before, name).dtype).reshape(shape)
            np.testing.assert_array_equal(getattr(before, name), read)
    assert [row["landmarks"] is None for row in back] == [False, True, True, False]
    np.testing.assert_array_equal(np.array(back[3]["landmarks"], np.float32), several[3].landmarks)


def test_an_array_of_another_shape_is_refused() -> None:
    data = rows.track().model_dump()
    with pytest.raises(ValidationError, match=r"expected shape \(N, \*\(5, 2\)\)"):
        FaceTrack.model_validate(data | {"points": np.zeros((3, 4, 2))})


def test_an_unknown_column_is_refused() -> None:
    with pytest.raises(ValidationError, match="extra_forbidden"):
        FaceTrack.model_validate(rows.track().model_dump() | {"colour": "red"})


def test_ids_depend_on_every_part_and_on_nothing_else() -> None:
    assert content_id("a", 1, "b") == content_id("a", 1, "b")
    assert len({content_id("a", "bc"), content_id("ab", "c"), content_id("abc"), "x"}) == 4
    assert content_id("a", 1) == "8181c16b4ad83cc1"
    assert len(content_id()) == 16
