"""Ask a data set in SQL, through DuckDB.

The connection sees the data set and nothing else: no other file, no network, no extension
that is not built in, and it writes nothing.
"""

import glob
import os
import re
import tempfile
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import psutil
import pyarrow as pa

from vexpress.schemas.dataset import Dataset
from vexpress.schemas.errors import DatasetError, QueryError
from vexpress.schemas.manifest import TABLES, WHOLE_TABLES, views_sql
from vexpress.schemas.query_limits import LIMITS, QueryLimits, require_readable, require_short
from vexpress.schemas.row import Row
from vexpress.schemas.views import VIEWS
from vexpress.schemas.width import require_few_columns

SQL_TYPES = {
    pa.string(): "VARCHAR",
    pa.bool_(): "BOOLEAN",
    pa.int16(): "SMALLINT",
    pa.int32(): "INTEGER",
    pa.int64(): "BIGINT",
    pa.float32(): "FLOAT",
    pa.float64(): "DOUBLE",
}
READING = ("SELECT", "EXPLAIN", "MULTI")
"""Kinds of statements that may read only; PIVOT without a list of values is MULTI."""
FIRST_WORDS = re.compile(
    r"(EXPLAIN (ANALYZE )?(FORMAT \w+ )?)?"
    r"(SELECT|WITH|FROM|VALUES|TABLE|PIVOT|UNPIVOT|DESCRIBE|DESC|SUMMARIZE|SHOW) "
)
WRITING = re.compile(r"\b(COPY|INSERT|UPDATE|DELETE) ")
"""What writes though the statement is a SELECT: `WITH x AS (COPY … TO …) SELECT …`."""
WORD = re.compile(r"\w+")
CATALOGUE = re.compile(r"\bshow\b|information_schema|duckdb_|pg_|sqlite_|pragma_")
"""Asks which views there are, of a question in small letters."""
ROWS_AT_ONCE = 100


@dataclass(frozen=True)
class Answer:
    """The answer to one question."""

    columns: list[str]
    rows: list[tuple[Any, ...]]

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return the rows, as DuckDB's own answers do."""
        return self.rows

    def dicts(self) -> list[dict[str, Any]]:
        """Return the rows by the names of columns."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


def connect(
    dataset: Dataset, limits: QueryLimits | None = None, sql: str | None = None
) -> duckdb.DuckDBPyConnection:
    """Return a connection with the views of `dataset`; with `limits` where others ask in SQL.

    With `sql` only the views that this question needs: each opens the files of its tables.

    Raises DatasetError when there is no data set.
    """
    dataset.require()
    require_own_parts(dataset)
    connection = duckdb.connect(":memory:")
    connection.execute("SET autoinstall_known_extensions = false")
    # Else DuckDB would write to `.tmp` where the command was given, and let SQL read what is there.
    spill = Path(tempfile.gettempdir()) / f"vexpress-query-{uuid.uuid4().hex}"
    connection.execute("SET temp_directory = $spill", {"spill": str(spill)})
    connection.execute("SET parquet_metadata_cache = true")  # views over views read it again
    for name, value in (limits.settings() if limits else {}).items():
        connection.execute(f"SET {name} = '{value}'")
    root = glob.escape(dataset.root) if dataset.is_local else dataset.root
    if not dataset.is_local:
        connection.register_filesystem(dataset.fs)
    quoted = root.replace("'", "''")
    views = _views_over(connection, dataset)
    for view in views if sql is None else needed_views(views, sql):
        connection.execute(view.replace("'manifests/", f"'{quoted}/manifests/"))
    allowed = [dataset.root, root]  # a pattern is checked by its text, a file by its name
    connection.execute("SET allowed_directories = $allowed", {"allowed": allowed})
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def needed_views(views: list[str], sql: str) -> list[str]:
    """Return those of the statements that make views which `sql` may ask for, in their order; all
    where it names none, or asks which there are."""
    words = set(WORD.findall(sql.lower()))
    needed = []
    for view in reversed(views):  # a view asks for earlier ones alone
        name, *asked = WORD.findall(view.lower().partition(" view ")[2])
        if name in words:
            needed.append(view)
            words.update(asked)
    return views if not needed or CATALOGUE.search(sql.lower()) else needed[::-1]


def _views_over(connection: duckdb.DuckDBPyConnection, dataset: Dataset) -> list[str]:
    """Return the views; in a data set of an earlier version, tables and columns that came later
    are empty."""
    text = views_sql(dataset)
    views = [view.query for view in duckdb.extract_statements(text)]
    if dataset.exists("views.sql") and dataset.read("views.sql") == text.encode():
        return views
    for row_type in TABLES:
        parts = _existing_parts(dataset, row_type)
        nothing = f"no_{row_type.TABLE}"
        connection.execute(_empty_table(nothing, row_type))
        views = [_with_columns(view, row_type, parts, nothing) for view in views]
    return views


def _empty_table(name: str, row_type: type[Row]) -> str:
    """Return the SQL that makes a table without rows; to register an Arrow table, DuckDB would
    import pandas."""
    columns = [f'"{field.name}" {sql_type(field.type)}' for field in row_type.part_schema()]
    return f"CREATE TEMP TABLE {name} ({', '.join(columns)})"


def sql_type(kind: pa.DataType) -> str:
    """Return the type of a column as DuckDB reads it from Parquet: lists without their sizes."""
    is_list = pa.types.is_list(kind) or pa.types.is_fixed_size_list(kind)
    return f"{sql_type(kind.value_type)}[]" if is_list else SQL_TYPES[kind]


def _existing_parts(dataset: Dataset, row_type: type[Row]) -> str:
    """Return a table's patterns of files as SQL, of the folders that are there."""
    folders = [name for name in (row_type.TABLE, row_type.FORMER_TABLE) if name]
    there = [name for name in folders if dataset.exists(f"manifests/{name}")]
    return ", ".join(f"'manifests/{name}/*.parquet'" for name in there)


def _with_columns(view: str, row_type: type[Row], parts: str, nothing: str) -> str:
    """Return `view` over the `parts` that are there, with the columns of the table `nothing`."""
    is_whole = row_type in WHOLE_TABLES
    columns = f"SELECT *, '' AS filename FROM {nothing}" if is_whole else f"FROM {nothing}"
    named = ", filename = true" if is_whole else ""
    source = f"FROM read_parquet([{parts}], union_by_name = true{named}) UNION ALL BY NAME "
    pattern = rf"read_parquet\(\[?'manifests/{row_type.TABLE}/[^)]*\)"
    view = re.sub(pattern, f"({source if parts else ''}{columns})", view)
    if parts:
        return view
    return view.replace(f"glob('manifests/{row_type.TABLE}/*.parquet')", "(SELECT '' AS file)")


def require_own_parts(dataset: Dataset) -> None:
    """Raise DatasetError where a part of a table is a link, which DuckDB would follow, or has very
    many columns, which it would not get done with."""
    if not dataset.is_local:
        return
    for folder in os.scandir(dataset.path("manifests")) if dataset.exists("manifests") else ():
        entries = [folder, *(os.scandir(folder) if folder.is_dir(follow_symlinks=False) else ())]
        for entry in entries:
            if entry.is_symlink():
                name = os.path.relpath(entry.path, dataset.root)
                raise DatasetError(f"{dataset.root}: expected {name} to be no link, found one")
            if entry.name.endswith(".parquet"):
                _require_narrow(Path(entry.path))


def _require_narrow(part: Path) -> None:
    try:
        require_few_columns(part)
    except FileNotFoundError:  # a run that writes has just replaced it
        return
    except (OSError, ValueError) as error:
        raise DatasetError(f"{part}: expected a part of a table: {error}") from error


def run_query(dataset: Dataset, sql: str, limits: QueryLimits = LIMITS) -> Answer:
    """Return the answer to one statement.

    Raises QueryError for one that is wrong, does more than read, or wants more than `limits`.
    """
    with query_errors():
        _require_reading(sql)
        try:
            return _answer(connect(dataset, limits, sql), sql, limits)
        except duckdb.CatalogException:  # a wrong name: DuckDB says which of all names are like it
            return _answer(connect(dataset, limits), sql, limits)


def fetch_rows(dataset: Dataset, sql: str, **values: Any) -> list[tuple[Any, ...]]:
    """Return the rows that answer one of our own questions, with the values of its `$names`."""
    return connect(dataset, sql=sql).execute(sql, values or None).fetchall()


def _answer(connection: duckdb.DuckDBPyConnection, sql: str, limits: QueryLimits) -> Answer:
    with held(connection, limits):
        connection.execute(sql)
        columns = _columns(connection)
        return Answer(columns, list(_rows(connection, limits)))


@contextmanager
def held(connection: duckdb.DuckDBPyConnection, limits: QueryLimits) -> Iterator[None]:
    """Stop what `connection` does when its time is over.

    Raises QueryError where it takes more time or memory than `limits`.
    """
    late = threading.Event()

    def stop() -> None:
        late.set()
        connection.interrupt()

    timer = threading.Timer(limits.timeout_s, stop)
    timer.daemon = True
    timer.start()
    try:
        yield
    except (MemoryError, duckdb.OutOfMemoryException) as error:
        raise limits.too_much_memory() from error
    except (duckdb.Error, RuntimeError) as error:  # DuckDB, asked to stop, raises either
        if not late.is_set():
            raise
        raise limits.too_slow() from error
    finally:
        timer.cancel()
        timer.join()  # else the connection may end in its thread, while Python ends


def _rows(connection: duckdb.DuckDBPyConnection, limits: QueryLimits) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of the answer; raises QueryError where there are too many."""
    process = psutil.Process()
    most = process.memory_info().rss + limits.memory_gb * 1e9
    count = 0
    while rows := connection.fetchmany(ROWS_AT_ONCE):
        count += len(rows)
        if count > limits.max_rows:
            raise limits.too_many_rows()
        if process.memory_info().rss > most:
            raise limits.too_much_memory()
        yield from rows


def _columns(connection: duckdb.DuckDBPyConnection) -> list[str]:
    columns = [column[0] for column in connection.description or []]
    require_readable(columns)
    return columns


def as_dicts(answer: Any) -> list[dict[str, Any]]:
    """Return the rows of an answer, a relation's or a connection's, by the names of columns."""
    columns = [column[0] for column in answer.description or []]
    return Answer(columns, answer.fetchall()).dicts()


@contextmanager
def query_errors() -> Iterator[None]:
    """Raise DuckDB's errors as QueryError, in its own words with the names of the views.

    Some come when rows are read, as of a cast that a value does not allow.
    """
    try:
        yield
    except duckdb.Error as error:
        views = " ".join(view.name for view in VIEWS if not view.formerly)
        raise QueryError(f"{error}\nViews: {views}. Columns: DESCRIBE clips") from error


def ask_where(connection: duckdb.DuckDBPyConnection, where: str, sql: str) -> pa.Table:
    """Return the answer to `sql`, in which `chosen` has the ids of the kept clips that satisfy
    the condition `where`.

    Raises QueryError for a wrong condition, and for one that is more than a condition.
    """
    chosen = f"SELECT clip_id FROM kept WHERE ({where or 'true'})"
    asked = f"WITH chosen AS ({chosen}) {sql}"
    try:
        with held(connection, LIMITS):
            _require_reading(asked)
            return connection.sql(asked).to_arrow_table()
    except (duckdb.Error, QueryError) as error:
        raise QueryError(f"condition {where!r}: {error}\nColumns: DESCRIBE clips") from error


def _require_reading(sql: str) -> None:
    """Raise QueryError for all but one statement that reads; COPY would write where the data set
    may be read."""
    require_short(sql)
    kinds = [statement.type.name for statement in duckdb.extract_statements(sql)]
    found = ", ".join(kinds) or "nothing"
    if len(kinds) == 1 and kinds[0] in READING:
        words = _words(sql)
        writing = WRITING.search(words)
        if FIRST_WORDS.match(words) and not writing:
            return
        found = writing[1] if writing else words.split()[0]
    raise QueryError(f"expected one statement that reads (SELECT …), found: {found}")


def _words(sql: str) -> str:
    """Return the words of a statement in capitals, without comments, strings, quoted names."""
    text = sql.encode()
    starts = [(start, kind.name) for start, kind in duckdb.tokenize(sql)]
    ends = [start for start, _ in starts[1:]] + [len(text)]
    tokens = [(text[s:end].decode(), kind) for (s, kind), end in zip(starts, ends, strict=True)]
    skipped = ("string_const", "comment")
    unquoted = [word for word, kind in tokens if kind not in skipped and word[0] != '"']
    # Spaces of other alphabets separate words for the parser, not for the tokenizer.
    return " ".join(re.findall(r"\w+", " ".join(unquoted))).upper() + " "
