"""Queries see the data set and nothing else, and write nothing."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.helpers import rows
from vexpress.flows.cli.app import app
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.errors import DatasetError, QueryError
from vexpress.schemas.manifest import commit_batch, prepare_manifests
from vexpress.schemas.query import run_query

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
        "WITH a AS (FROM kps) SELECT * FROM a",
        "SELECT 1;",
    ],
)
def test_what_reads_is_answered(sql: str, dataset: Dataset) -> None:
    assert run_query(dataset, sql).fetchall()


def test_a_mistake_is_told_with_the_names_of_the_views(dataset: Dataset) -> None:
    with pytest.raises(QueryError, match=r"(?s)klips.*Views: videos scenes .* DESCRIBE clips"):
        run_query(dataset, "SELECT * FROM klips")


def test_a_mistake_that_only_the_rows_show_is_told_as_well(dataset: Dataset) -> None:
    told = CliRunner().invoke(app, ["query", dataset.root, "SELECT source::INT FROM videos"])
    assert told.exit_code == 2
    assert "vexpress: Conversion Error: Could not convert string" in told.output
    assert "Views: videos scenes" in told.output


def test_a_folder_that_is_no_data_set_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"found none\. Make one with: vexpress curate"):
        run_query(Dataset(tmp_path), "SELECT 1")
