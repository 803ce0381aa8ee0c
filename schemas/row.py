"""What every row type shares: validation, ids, and its table as an Arrow schema.

A row type is a frozen pydantic model. The docstring under a field is its documentation
and the comment of the column in Parquet.
"""

import base64
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, ClassVar, Self

import numpy as np
import pyarrow as pa
from pydantic import GetCoreSchemaHandler
from pydantic.fields import FieldInfo
from pydantic_core import core_schema

from vexpress.hashes import blake2b
from vexpress.schemas.model import Model, added, former_names, formerly  # noqa: F401 - row types and settings take them from here

SCALARS = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}


@dataclass(frozen=True)
class Array:
    """Annotation of an array field: any number of items of one shape and dtype.

    In JSON an array is `{"shape", "dtype", "base64"}`; in Parquet a list of fixed-size lists.
    """

    item_shape: tuple[int, ...] = ()
    dtype: str = "float32"

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self._load,
            serialization=core_schema.plain_serializer_function_ser_schema(
                self._dump, when_used="json"
            ),
        )

    def _load(self, value: Any) -> np.ndarray:
        if isinstance(value, dict):
            data = base64.b64decode(value["base64"])
            value = np.frombuffer(data, dtype=self.dtype).reshape(value["shape"])
        array = np.asarray(value, dtype=self.dtype)
        if array.shape[1:] != self.item_shape:
            raise ValueError(f"expected shape (N, *{self.item_shape}), found {array.shape}")
        return array

    def _dump(self, array: np.ndarray) -> dict[str, Any]:
        data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
        return {"shape": array.shape, "dtype": self.dtype, "base64": data}

    def arrow_type(self) -> pa.DataType:
        """Return the column type: list of fixed-size lists of the item's shape."""
        inner: pa.DataType = pa.from_numpy_dtype(np.dtype(self.dtype))
        for size in reversed(self.item_shape):
            inner = pa.list_(inner, size)
        return pa.list_(inner)

    def arrow_column(self, arrays: list[np.ndarray | None]) -> pa.Array:
        """Return the arrays, each (N, *item_shape), as one column; None becomes null."""
        present = [np.zeros((0, *self.item_shape), self.dtype) if a is None else a for a in arrays]
        offsets = np.concatenate([[0], np.cumsum([len(a) for a in present])]).astype(np.int32)
        flat = np.concatenate(present) if present else np.zeros((0, *self.item_shape), self.dtype)
        values = pa.array(flat.reshape(-1))
        for size in reversed(self.item_shape):
            values = pa.FixedSizeListArray.from_arrays(values, size)
        mask = pa.array([a is None for a in arrays], pa.bool_())
        return pa.ListArray.from_arrays(pa.array(offsets), values, mask=mask)


Boxes = Annotated[np.ndarray, Array((4,))]
"""float32 (N, 4): x1 y1 x2 y2."""
FivePoints = Annotated[np.ndarray, Array((5, 2))]
"""float32 (N, 5, 2): left eye, right eye, nose, left and right mouth corner, as x y."""
VKps = Annotated[np.ndarray, Array((3, 2))]
"""float32 (N, 3, 2): left eye, right eye, nose, as x y."""
Floats = Annotated[np.ndarray, Array()]
"""float32 (N,)."""
Doubles = Annotated[np.ndarray, Array(dtype="float64")]
"""float64 (N,)."""
Bools = Annotated[np.ndarray, Array(dtype="bool")]
"""bool (N,)."""


class Row(Model):
    """One row of the table named `TABLE`; `SCHEMA_VERSION` goes into the file's metadata."""

    TABLE: ClassVar[str]
    FORMER_TABLE: ClassVar[str] = ""
    """Folder of the table's parts in data sets of version 0.1, where it had another name."""
    SCHEMA_VERSION: ClassVar[int] = 1

    @classmethod
    def columns(cls) -> dict[str, FieldInfo]:
        """Return the columns by name; a field that holds a model stands for that model's."""
        return {name: info for name, (_, info) in _columns_of(cls).items()}

    @classmethod
    def arrow_schema(cls, further: Sequence[str] = ()) -> pa.Schema:
        """Return the table's columns with their documentation as field metadata.

        `further`: names of columns of text that only some rows have.
        """
        known = _columns_of(cls).items()
        fields = [_arrow_field(name, info, held=bool(holder)) for name, (holder, info) in known]
        fields += [pa.field(name, pa.string()) for name in further]
        metadata = {"table": cls.TABLE, "schema_version": str(cls.SCHEMA_VERSION)}
        return pa.schema(fields, metadata=metadata)

    @classmethod
    def former_columns(cls) -> dict[str, str]:
        """Return the columns that had another name in version 0.1: new name to old one."""
        return former_names(cls)

    @classmethod
    def part_schema(cls) -> pa.Schema:
        """Return the columns that parts may have: today's and those of version 0.1."""
        schema = cls.arrow_schema()
        for new, old in cls.former_columns().items():
            schema = schema.append(pa.field(old, schema.field(new).type))
        return schema

    @classmethod
    def arrow_table(cls, rows: list[Self], further: Sequence[str] = ()) -> pa.Table:
        """Return `rows` as a table of `arrow_schema(further)`."""
        schema = cls.arrow_schema(further)
        columns = [cls._arrow_column(field, rows) for field in schema]
        return pa.Table.from_arrays(columns, schema=schema)

    @classmethod
    def _arrow_column(cls, field: pa.Field, rows: list[Self]) -> pa.Array:
        known = _columns_of(cls)
        if field.name not in known:
            return pa.array([row.further_columns().get(field.name) for row in rows], field.type)
        holder, info = known[field.name]
        holders = [getattr(row, holder) if holder else row for row in rows]
        values = [getattr(item, field.name, None) for item in holders]
        array = _array_of(info)
        return array.arrow_column(values) if array else pa.array(values, field.type)

    def further_columns(self) -> dict[str, str]:
        """Return the columns that only this row, or some, have."""
        return {}


def content_id(*parts: object) -> str:
    """Return 16 hex digits that depend on nothing but `parts`: same parts, same id."""
    text = "\x1f".join(map(str, parts))
    return blake2b(text.encode(), 8)


@cache
def _columns_of(kind: type[Model]) -> dict[str, tuple[str, FieldInfo]]:
    """The columns by name: the field that holds the model they are of, or none, and their own."""
    found: dict[str, tuple[str, FieldInfo]] = {}
    for name, info in kind.model_fields.items():
        held, _ = _without_none(info.annotation)
        if isinstance(held, type) and issubclass(held, Model):
            fields = held.model_fields.items()
            found |= {own: (name, field) for own, field in fields if not _is_dict(field)}
        else:
            found[name] = ("", info)
    return found


def _is_dict(info: FieldInfo) -> bool:
    return typing.get_origin(info.annotation) is dict


def _arrow_field(name: str, info: Any, *, held: bool) -> pa.Field:
    array = _array_of(info)
    kind, optional = _without_none(info.annotation)
    if array:
        arrow = array.arrow_type()
    elif typing.get_origin(kind) is list:
        arrow = pa.list_(SCALARS[typing.get_args(kind)[0]])
    elif typing.get_origin(kind) is typing.Literal:
        arrow = pa.string()
    else:
        arrow = SCALARS[kind]
    comment = {"comment": info.description or ""}
    return pa.field(name, arrow, nullable=optional or held, metadata=comment)


def _array_of(info: Any) -> Array | None:
    """The Array annotation of a field, also inside `X | None`."""
    for item in info.metadata:
        if isinstance(item, Array):
            return item
    for part in typing.get_args(info.annotation):
        for item in getattr(part, "__metadata__", ()):
            if isinstance(item, Array):
                return item
    return None


def _without_none(annotation: Any) -> tuple[Any, bool]:
    if typing.get_origin(annotation) in (types.UnionType, typing.Union):
        kinds = [a for a in typing.get_args(annotation) if a is not types.NoneType]
        return kinds[0], True
    return annotation, False
