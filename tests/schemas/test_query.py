"""Queries see the data set and nothing else, and write nothing."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from tests.helpers import rows
from vexpress.flows.cli.app import app
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.errors import DatasetError, QueryError
from vexpress.schemas.manifest import TABLES, commit_batch, prepare_manifests
from vexpress.schemas.query import ask_where, connect, run_query
from vexpress.schemas.query_limits import QueryLimits
from vexpress.schemas.views import VIEWS

WHOLE = ("persons", "duplicates")
FORMER_NAMES = {"judged", "prints", "faces", "picks", "picked"}
ODD_NAMES = [
    "plain",
    "with space",
    "it's [odd] {1}",
    'a "double" quote',
    "star * and ? mark",
    "percent %s $HOME; DROP",
    "笑い é",
]


def make(root: Path) -> Dataset:
    """A data set with one clip."""
    dataset = Dataset(root)
    dataset.create()
    prepare_manifests(dataset)
    commit_batch(dataset, "w1", rows.one_batch())
    return dataset


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A data set beside a secret and a folder whose name begins like its own."""
    folder = tmp_path_factory.mktemp("query")
    (folder / "secret.txt").write_text("secret")
    (folder / "set2").mkdir()
    (folder / "set2/secret.txt").write_text("secret")
    return make(folder / "set")


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_folder_may_have_any_name(name: str, tmp_path: Path) -> None:
    answer = run_query(make(tmp_path / name), "SELECT clip_id, source FROM kept")
    assert answer.fetchall() == [("c1", rows.SOURCE)]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM glob('/etc/*')",
        "SELECT * FROM read_text('{root}/../secret.txt')",
        "SELECT * FROM read_text('{root}2/secret.txt')",
        "SELECT * FROM read_blob('http://127.0.0.1:9/x')",
    ],
)
def test_other_files_are_out_of_reach(sql: str, dataset: Dataset) -> None:
    with pytest.raises(QueryError, match=r"Permission Error|disabled"):
        run_query(dataset, sql.format(root=dataset.root)).fetchall()


@pytest.mark.parametrize(
    "sql",
    [
        "COPY (SELECT 1) TO '/tmp/vexpress_stolen.csv'",
        "COPY clips TO '{root}/stolen.csv'",
        "EXPLAIN ANALYZE COPY clips TO '{root}/stolen.csv'",
        "EXPLAIN (FORMAT json) COPY clips TO '{root}/stolen.csv'",
        "WITH x AS (COPY clips TO '{root}/stolen.csv') SELECT * FROM x",
        "WITH x AS (/* */\u00a0cOpY\u00a0clips TO '{root}/stolen.csv') SELECT 1 -- $$",
        "EXPLAIN ANALYZE WITH x AS (COPY clips TO '{root}/stolen.csv') SELECT * FROM x",
        "COPY (PIVOT clips ON status USING count(*)) TO '{root}/stolen.csv'",
        "CREATE TABLE stolen AS PIVOT clips ON status USING count(*)",
        "EXPLAIN ANALYZE CREATE TABLE stolen AS SELECT 1",
        "EXPLAIN SET threads = 1",
        "PRAGMA database_list",
        "CALL duckdb_views()",
        "PREPARE x AS SELECT 1",
        "SELECT 1; COPY clips TO '{root}/stolen.csv'",
        "EXPORT DATABASE '{root}/stolen'",
        "ATTACH '{root}/stolen.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "CREATE TABLE stolen AS SELECT 1",
        "SET enable_external_access = true",
        "DROP VIEW clips",
        "",
    ],
)
def test_nothing_but_one_reading_statement_is_run(sql: str, dataset: Dataset) -> None:
    before = sorted(Path(dataset.root).rglob("*"))
    with pytest.raises(QueryError, match="expected one statement that reads"):
        run_query(dataset, sql.format(root=dataset.root))
    assert sorted(Path(dataset.root).rglob("*")) == before
    assert not Path("/tmp/vexpress_stolen.csv").exists()


@pytest.mark.parametrize(
    "sql",
    [
        "FROM clips",
        "DESCRIBE clips",
        "SHOW TABLES",
        "SUMMARIZE clips",
        "-- comment\nEXPLAIN SELECT * FROM clips",
        "EXPLAIN ANALYZE SELECT count(*) FROM clips",
        "EXPLAIN (FORMAT json) FROM clips",
        "PIVOT clips ON status USING count(*) GROUP BY source",
        "SELECT * FROM (PIVOT clips ON status USING count(*))",
        "SELECT 'COPY it', 1 AS \"copy\" -- copy",
        "(VALUES (1))",
        "WITH a AS (FROM kps) SELECT * FROM a",
        "SELECT 1;",
    ],
)
def test_what_reads_is_answered(sql: str, dataset: Dataset) -> None:
    assert run_query(dataset, sql).fetchall()


ENDLESS = "SELECT count(*) FROM range(10_000_000_000) a, range(10) b"


@pytest.mark.parametrize(
    ("sql", "limits", "said"),
    [
        (ENDLESS, {"timeout_s": 0.3}, "within 0.3 seconds, stopped there"),
        (
            "SELECT length(string_agg(repeat('x', 1_000_000), '')) FROM range(4000)",
            {"memory_gb": 0.2},
            "at most 0.2 GB of memory, stopped there",
        ),
        ("SELECT repeat('x', 200_000) FROM range(9000)", {"memory_gb": 0.2}, "0.2 GB"),
        ("FROM range(11)", {"max_rows": 10}, "at most 10 rows, found more"),
        (f"SELECT {'1,' * 1_000_000}1", {}, "131,072 characters, found 2,000,008"),
        (f"SELECT {'1,' * 10_000}1", {}, "at most 10,000 columns, found 10,001"),
    ],
)
def test_a_question_without_end_is_stopped(
    sql: str, limits: dict[str, float], said: str, dataset: Dataset
) -> None:
    began = time.monotonic()
    with pytest.raises(QueryError, match=said):
        run_query(dataset, sql, QueryLimits.model_validate(limits))
    assert time.monotonic() - began < 60


def test_a_condition_without_end_is_stopped(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vexpress.schemas.query.LIMITS", QueryLimits(timeout_s=0.3))
    with pytest.raises(QueryError, match=r"within 0\.3 seconds"):
        ask_where(connect(dataset), f"frames < ({ENDLESS})", "FROM chosen")


def test_a_part_of_very_many_columns_is_refused_by_name(tmp_path: Path) -> None:
    """DuckDB takes a minute to look at 100,000 columns, and hours at a million."""
    made = make(tmp_path / "set")
    wide = pa.table({f"c{i}": pa.array([], pa.int8()) for i in range(3000)})
    pq.write_table(wide, f"{made.root}/manifests/clips/wide.parquet")
    with pytest.raises(DatasetError, match=r"clips/wide\.parquet.*at most 1,000.*found 3,000"):
        run_query(made, "SELECT 1")


VIEW_NAMES = "SELECT view_name FROM duckdb_views() WHERE NOT internal"


@pytest.mark.parametrize(
    ("sql", "views"),
    [
        ("FROM words", {"videos", "current_batches", "words"}),
        (
            'SELECT 1 FROM "KEPT" x',
            {"videos", "current_batches", "filtered", "clips", "kept", *WHOLE},
        ),
        ("FROM words, training", {"videos", "current_batches", "words", "training"}),
    ],
)
def test_a_question_opens_the_tables_that_it_needs(
    sql: str, views: set[str], dataset: Dataset
) -> None:
    found = connect(dataset, sql=sql).execute(VIEW_NAMES).fetchall()
    assert {name for (name,) in found} == views


@pytest.mark.parametrize("sql", ["SHOW TABLES", "SELECT 1", "FROM duckdb_views(), kept"])
def test_a_question_about_tables_has_them_all(sql: str, dataset: Dataset) -> None:
    assert len(connect(dataset, sql=sql).execute(VIEW_NAMES).fetchall()) == len(VIEWS)


def test_a_mistake_is_told_with_the_names_of_the_views(dataset: Dataset) -> None:
    with pytest.raises(QueryError, match=r'(?s)Did you mean "clips".*DESCRIBE clips') as told:
        run_query(dataset, "SELECT * FROM klips JOIN words USING (clip_id)")
    listed = str(told.value).partition("Views: ")[2].partition(".")[0].split()
    there = run_query(dataset, VIEW_NAMES).fetchall()
    assert set(listed) == {name for (name,) in there} - FORMER_NAMES


def test_a_mistake_that_only_the_rows_show_is_told_as_well(dataset: Dataset) -> None:
    told = CliRunner().invoke(app, ["query", dataset.root, "SELECT source::INT FROM videos"])
    assert told.exit_code == 2
    assert "vexpress: Conversion Error: Could not convert string" in told.output
    assert "Views: videos current_batches scenes" in told.output


def test_a_folder_that_is_no_data_set_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"found none\. Make one with: vexpress curate"):
        run_query(Dataset(tmp_path), "SELECT 1")


def test_a_data_set_without_later_tables_is_asked_without_pandas(tmp_path: Path) -> None:
    """Importing pandas takes longer than everything else that a query does."""
    made = make(tmp_path / "old")
    shutil.rmtree(Path(made.root) / "manifests/words")
    (Path(made.root) / "views.sql").unlink()
    code = (
        "import sys; from vexpress.schemas.dataset import Dataset; "
        "from vexpress.schemas.query import run_query; "
        "print(run_query(Dataset(sys.argv[1]), 'DESCRIBE words').fetchall()[0][:2], "
        "run_query(Dataset(sys.argv[1]), 'FROM words').fetchall(), 'pandas' in sys.modules)"
    )
    said = subprocess.run(
        [sys.executable, "-c", code, made.root], capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == "('clip_id', 'VARCHAR') [] False"


def test_columns_of_missing_tables_have_the_types_of_parquet(
    dataset: Dataset, tmp_path: Path
) -> None:
    old = make(tmp_path / "old")
    (Path(old.root) / "views.sql").unlink()
    for row_type in TABLES:
        shutil.rmtree(Path(old.root) / "manifests" / row_type.TABLE, ignore_errors=True)
    for row_type in TABLES:
        asked = f"SELECT column_name, column_type FROM (DESCRIBE {row_type.TABLE}) ORDER BY ALL"
        missing = run_query(old, asked).fetchall()
        assert missing == run_query(dataset, asked).fetchall(), row_type.TABLE
