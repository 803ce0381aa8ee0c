"""Read a table of requests: Parquet, CSV, JSON lines, or a query over the data set.

Everything that is wrong with the table itself is found before any work, and all of it is
said at once: columns, kinds of values, parameters. What a row names is looked at later.
"""

import csv
import io
import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from vexpress.inference.pipeline import FACTOR
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.errors import ConfigError
from vexpress.schemas.query import run_query
from vexpress.schemas.query_limits import QueryLimits
from vexpress.schemas.request import INPUTS, AskedVideo
from vexpress.schemas.settings import problems
from vexpress.schemas.width import MOST_COLUMNS, require_few_columns
from vexpress.tasks.generate.config import Parameters

SUFFIXES = (".parquet", ".csv", ".jsonl", ".ndjson", ".sql")
ALIASES = {"retarget": "strategy"}
COLUMNS = ("name", *INPUTS, *Parameters.model_fields)
QUERY = re.compile(r"\s*(select|with|from)\s", re.IGNORECASE)
MAX_ROWS = 100_000
MAX_BYTES = 256 << 20
MAX_TEXT = 4096
"""Longest value of a cell, characters."""
SHOWN = 40
"""Problems that are listed; more are counted."""

Cells = dict[str, Any]


def is_query(requests: str) -> bool:
    """Return whether the text is a query, not a path."""
    return bool(QUERY.match(requests))


def list_tables(requests: str) -> list[str]:
    """Return the tables that `requests` names: itself, or those of a folder, by name.

    Raises ConfigError where there is none.
    """
    if is_query(requests):
        return [requests]
    path = Path(requests).expanduser().absolute()
    if not path.is_dir():
        return [str(path)]
    found = sorted(str(p) for p in path.iterdir() if p.suffix.lower() in SUFFIXES)
    if not found:
        raise ConfigError(f"{path}: expected tables ({', '.join(SUFFIXES)}) in it, found none")
    return found


def read_requests(table: str, dataset: Dataset, defaults: Parameters) -> list[AskedVideo]:
    """Return the rows of one table. Raises ConfigError that lists every problem."""
    label = "query" if is_query(table) else table
    rows: list[AskedVideo] = []
    wrong: list[str] = []
    try:
        for number, cells in enumerate(_cells(table, dataset), 1):
            if number > MAX_ROWS:
                raise ConfigError(f"{label}: expected at most {MAX_ROWS:,} rows; split the table")
            found = list(_problems(cells, defaults))
            wrong += [f"row {number}, {problem}" for problem in found]
            if not found:
                rows.append(_asked(number, cells))
    except (OSError, ValueError, csv.Error, pa.ArrowException) as error:
        raise ConfigError(f"{label}: expected a table of requests: {error}") from error
    if wrong:
        more = f"\n  and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        listed = "\n  ".join(wrong[:SHOWN])
        raise ConfigError(f"{label}: nothing was started, for\n  {listed}{more}")
    if not rows:
        raise ConfigError(f"{label}: expected requests, found no row")
    return rows


def _cells(table: str, dataset: Dataset) -> Iterator[Cells]:
    """Yield each row's cells that are not empty, by column."""
    if is_query(table):
        return _from_query(table, dataset)
    path = Path(table)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ConfigError(f"{table}: expected one of {', '.join(SUFFIXES)}, or SELECT …")
    if not path.is_file():
        raise ConfigError(f"{table}: expected a table of requests, found no file there")
    if path.stat().st_size > MAX_BYTES:
        raise ConfigError(f"{table}: expected at most {MAX_BYTES >> 20} MB; split the table")
    if suffix == ".parquet":
        return _from_parquet(path)
    text = path.read_text("utf-8-sig")
    if suffix == ".sql":
        return _from_query(text, dataset)
    return _from_csv(text) if suffix == ".csv" else _from_json_lines(text)


def _from_query(sql: str, dataset: Dataset) -> Iterator[Cells]:
    dataset.require()
    answer = run_query(dataset, sql, QueryLimits(max_rows=MAX_ROWS))
    _check_columns(answer.columns)
    yield from map(_named, answer.dicts())


def _from_parquet(path: Path) -> Iterator[Cells]:
    require_few_columns(path)
    with pq.ParquetFile(path) as file:
        _check_columns(file.schema_arrow.names)
        sizes = [file.metadata.row_group(i).total_byte_size for i in range(file.num_row_groups)]
        if file.metadata.num_rows > MAX_ROWS or sum(sizes) > MAX_BYTES:
            raise ConfigError(
                f"{path}: expected at most {MAX_ROWS:,} rows and {MAX_BYTES >> 20} MB, found "
                f"{file.metadata.num_rows:,} rows, {sum(sizes) >> 20} MB; split the table"
            )
        for batch in file.iter_batches(1000):
            for row in batch.to_pylist():
                yield _named(row)


def _from_csv(text: str) -> Iterator[Cells]:
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    _check_columns(reader.fieldnames or ())
    for number, row in enumerate(reader, 1):
        if None in row or None in row.values():
            raise ConfigError(f"row {number}: expected as many cells as the header has columns")
        yield _named(row)


def _from_json_lines(text: str) -> Iterator[Cells]:
    for number, line in enumerate(filter(str.strip, text.split("\n")), 1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            why = str(error) if isinstance(error, ValueError) else "nested too deeply"
            raise ConfigError(f"row {number}: expected one JSON object a line: {why}") from error
        if not isinstance(row, dict):
            raise ConfigError(f"row {number}: expected a JSON object, found {type(row).__name__}")
        if len(row) > MOST_COLUMNS:
            _check_columns(row)
        yield _named(row)


def _check_columns(names: Any) -> None:
    """Raise ConfigError for columns that are not known, or given twice."""
    named = [ALIASES.get(name, name) for name in names]
    unknown = [name for name in named if name not in COLUMNS]
    twice = sorted(name for name, count in Counter(named).items() if count > 1)
    if unknown or twice:
        wrong = [f"{_short(n)}: no such column" for n in unknown[:SHOWN]]
        wrong += [f"{n}: given twice" for n in twice[:SHOWN] if n in COLUMNS]
        if len(named) > SHOWN:
            wrong.append(f"expected at most {len(COLUMNS)} columns, found {len(named):,}")
        raise ConfigError(f"columns of the requests: {'; '.join(wrong)}. Known: {KNOWN}")


KNOWN = ", ".join(("retarget", *(c for c in COLUMNS if c != "strategy")))


def _named(row: dict[Any, Any]) -> Cells:
    """Give columns their own names and leave empty cells out."""
    return {
        ALIASES.get(name, name): float(value) if isinstance(value, Decimal) else value
        for name, value in row.items()
        if not _is_empty(value)
    }


def _is_empty(value: Any) -> bool:
    blank = isinstance(value, str) and not value.strip()
    return value is None or blank or (isinstance(value, float) and math.isnan(value))


def _problems(cells: Cells, defaults: Parameters) -> Iterator[str]:
    """Yield what is wrong with a row as it is written: column, expected, found."""
    for column, value in cells.items():
        if column not in COLUMNS:
            yield f"{_short(column)}: no such column. Known: {KNOWN}"
        elif not isinstance(value, str | int | float | bool):
            yield f"{column}: expected text or a number, found {type(value).__name__}"
        elif isinstance(value, str) and len(value) > MAX_TEXT:
            yield f"{column}: expected at most {MAX_TEXT} characters, found {len(value)}"
        elif column in INPUTS and not isinstance(value, str):
            yield f"{column}: expected text, found {_short(value)}"
    if "clip_id" not in cells:
        for column in ("reference", "audio"):
            if column not in cells:
                yield f"{column}: expected a path, or a clip_id, found neither"
    driving = [column for column in ("kps", "video", "clip_id") if column in cells]
    if len(driving) > 1:
        yield f"{driving[1]}: expected one of kps, video, clip_id, found {' and '.join(driving)}"
    yield from _wrong_parameters(_parameters(cells), defaults, bool(driving))


def _wrong_parameters(given: Cells, defaults: Parameters, driven: bool) -> Iterator[str]:
    try:
        merged = merge(defaults, given)
    except ValidationError as error:
        yield from problems(error, Parameters, given)
        return
    for name in ("width", "height"):
        if getattr(merged, name) % FACTOR:
            yield f"{name}: expected a multiple of {FACTOR}, found {getattr(merged, name)}"
    if merged.strategy not in (None, "fix_face") and not driven:
        yield f"retarget: {merged.strategy} needs kps, video or clip_id, found none of them"


def merge(defaults: Parameters, given: Cells) -> Parameters:
    """Return the parameters of a row; raises ValidationError."""
    return Parameters.model_validate({**defaults.model_dump(), **given})


def _parameters(cells: Cells) -> Cells:
    return {c: v for c, v in cells.items() if c in Parameters.model_fields}


def _asked(number: int, cells: Cells) -> AskedVideo:
    inputs = {column: cells[column].strip() for column in INPUTS if column in cells}
    name = str(cells["name"]) if "name" in cells else None
    return AskedVideo(row_number=number, name=name, **inputs, parameters=_parameters(cells))


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
