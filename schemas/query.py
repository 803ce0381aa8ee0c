"""Ask a data set in SQL, through DuckDB.

The connection sees the data set and nothing else: no other file, no network, no extension
that is not built in, and it writes nothing.
"""

import glob

import duckdb

from schemas.dataset import Dataset
from schemas.errors import QueryError
from schemas.manifest import views_sql


def connect(dataset: Dataset) -> duckdb.DuckDBPyConnection:
    """Return a connection with the views of `dataset`.

    Raises DatasetError when there is no data set.
    """
    dataset.require()
    connection = duckdb.connect(":memory:")
    connection.execute("SET autoinstall_known_extensions = false")
    root = glob.escape(dataset.root) if dataset.is_local else dataset.root
    if not dataset.is_local:
        connection.register_filesystem(dataset.fs)
    quoted = root.replace("'", "''")
    connection.execute(views_sql().replace("'manifests/", f"'{quoted}/manifests/"))
    if dataset.is_local:
        allowed = [dataset.root, root]  # a pattern is checked by its text, a file by its name
        connection.execute("SET allowed_directories = $allowed", {"allowed": allowed})
        connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def run_query(dataset: Dataset, sql: str) -> duckdb.DuckDBPyRelation:
    """Return the answer to one statement.

    Raises QueryError with DuckDB's own words and the names of the views.
    """
    connection = connect(dataset)
    try:
        answer = connection.sql(sql)
    except duckdb.Error as error:
        views = "videos scenes tracks clips kps runs kept rejected funnel hours"
        raise QueryError(f"{error}\nViews: {views}. Columns: DESCRIBE clips") from error
    if answer is None:
        raise QueryError("expected a statement that answers with rows (SELECT …), found none")
    return answer
