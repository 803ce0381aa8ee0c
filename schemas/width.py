"""Tables with very many columns are refused before they are read.

Readers take a time that grows with the square of the columns: DuckDB (2.0) a minute for 100,000.
"""

from pathlib import Path

import pyarrow.parquet as pq

MOST_COLUMNS = 1000
LEAST_FOOTER = 256 << 10
"""Bytes of a Parquet file's footer that is not looked at: it has room for some 2,000 columns."""
MOST_FOOTER = 8 << 20
"""The same of one that is not even read."""


def require_few_columns(path: Path) -> None:
    """Raise ValueError for a local Parquet file with too many columns."""
    if path.stat().st_size < LEAST_FOOTER:
        return
    size = _footer_bytes(path)
    if size > MOST_FOOTER:
        found = f"{size >> 20} MB that describe columns"
    elif size > LEAST_FOOTER and (columns := pq.read_metadata(path).num_columns) > MOST_COLUMNS:
        found = f"{columns:,}"
    else:
        return
    raise ValueError(f"{path}: expected at most {MOST_COLUMNS:,} columns, found {found}")


def _footer_bytes(path: Path) -> int:
    """The length that a Parquet file ends with, before its last four letters; other files are
    told by who reads them."""
    with path.open("rb") as file:
        file.seek(-8, 2)
        length, letters = file.read(4), file.read(4)
    return int.from_bytes(length, "little") if letters == b"PAR1" else 0
