"""Ask a data set in SQL, through DuckDB.

The connection sees the data set and nothing else: no other file, no network, no extension
that is not built in, and it writes nothing.
"""

import glob
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import duckdb
import pyarrow as pa

from vexpress.schemas.dataset import Dataset
from vexpress.schemas.errors import QueryError
from vexpress.schemas.manifest import TABLES, WHOLE_TABLES, views_sql
from vexpress.schemas.row import Row


def connect(dataset: Dataset) -> duckdb.DuckDBPyConnection:
    """Return a connection with the views of `dataset`.

    Raises DatasetError when there is no data set.
    """
    dataset.require()
    connection = duckdb.connect(":memory:")
    connection.execute("SET autoinstall_known_extensions = false")
    connection.execute("SET parquet_metadata_cache = true")  # views over views read it again
    root = glob.escape(dataset.root) if dataset.is_local else dataset.root
    if not dataset.is_local:
        connection.register_filesystem(dataset.fs)
    quoted = root.replace("'", "''")
    for view in _views_over(connection, dataset):
        connection.execute(view.replace("'manifests/", f"'{quoted}/manifests/"))
    allowed = [dataset.root, root]  # a pattern is checked by its text, a file by its name
    connection.execute("SET allowed_directories = $allowed", {"allowed": allowed})
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


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
        connection.register(nothing, row_type.empty_part())
        views = [_with_columns(view, row_type, parts, nothing) for view in views]
    return views


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


def run_query(dataset: Dataset, sql: str) -> duckdb.DuckDBPyRelation:
    """Return the answer to one statement, whose rows are read `with query_errors()`.

    Raises QueryError.
    """
    connection = connect(dataset)
    with query_errors():
        return _one_select(connection, sql)


def as_dicts(answer: duckdb.DuckDBPyRelation) -> list[dict[str, Any]]:
    """Return the rows of an answer, a value of each column by its name.

    By way of Arrow whole numbers that were summed would come back as decimals.
    """
    return [dict(zip(answer.columns, row, strict=True)) for row in answer.fetchall()]


@contextmanager
def query_errors() -> Iterator[None]:
    """Raise DuckDB's errors as QueryError, in its own words with the names of the views.

    Some come when rows are read, as of a cast that a value does not allow.
    """
    try:
        yield
    except duckdb.Error as error:
        views = "videos scenes tracks clips kps words persons duplicates runs kept rejected"
        views += " funnel hours selections selected"
        views += " generations evaluations evaluation_summary evaluation_pairs"
        raise QueryError(f"{error}\nViews: {views}. Columns: DESCRIBE clips") from error


def ask_where(connection: duckdb.DuckDBPyConnection, where: str, sql: str) -> pa.Table:
    """Return the answer to `sql`, in which `chosen` has the ids of the kept clips that satisfy
    the condition `where`.

    Raises QueryError for a wrong condition, and for one that is more than a condition.
    """
    chosen = f"SELECT clip_id FROM kept WHERE ({where or 'true'})"
    try:
        return _one_select(connection, f"WITH chosen AS ({chosen}) {sql}").to_arrow_table()
    except (duckdb.Error, QueryError) as error:
        raise QueryError(f"where {where!r}: {error}\nColumns: DESCRIBE clips") from error


def _one_select(connection: duckdb.DuckDBPyConnection, sql: str) -> duckdb.DuckDBPyRelation:
    """The answer to one statement that reads; COPY and EXPORT would write where the data set
    may be read."""
    statements = [statement.type for statement in duckdb.extract_statements(sql)]
    if statements != [duckdb.StatementType.SELECT]:
        found = ", ".join(kind.name for kind in statements) or "nothing"
        raise QueryError(f"expected one statement that reads (SELECT …), found: {found}")
    return connection.sql(sql)
