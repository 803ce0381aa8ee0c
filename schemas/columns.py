"""What the tables of a data set hold, as their row types say it: for `docs/data-set.md` and
`vexpress columns`."""

import inspect
import sys
from dataclasses import dataclass

from vexpress.schemas.axis import unit_of
from vexpress.schemas.query import sql_type
from vexpress.schemas.row import Row


@dataclass(frozen=True)
class Column:
    """One column of a table."""

    name: str
    type: str
    """As DuckDB names it."""
    unit: str
    description: str


@dataclass(frozen=True)
class Table:
    """One table of the data set."""

    name: str
    about: str
    """What it is, one row per what."""
    columns: list[Column]


def describe(row_type: type[Row]) -> Table:
    """Return what the row type says of itself."""
    module = inspect.getdoc(sys.modules[row_type.__module__]) or ""
    schema = row_type.arrow_schema()
    columns = [
        Column(
            name,
            sql_type(schema.field(name).type),
            unit_of(name, field),
            " ".join((field.description or "").split()),
        )
        for name, field in row_type.columns().items()
    ]
    about = f"{module.splitlines()[0]} {inspect.getdoc(row_type)}"
    return Table(row_type.TABLE, " ".join(about.split()), columns)
