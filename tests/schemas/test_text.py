"""Names that would steer a terminal or run in a spreadsheet stay names."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import rows
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.errors import QueryError
from vexpress.schemas.manifest import commit_batch, prepare_manifests
from vexpress.schemas.query import run_query
from vexpress.schemas.text import for_spreadsheet, for_terminal

EVIL = "/v/\x1b]0;owned\x07\x1b[31m\x9b2J.mp4"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\tb\nc", "a\tb\nc"),
        ("\x9b2J\x7f", "\\x9b2J\\x7f"),
        ("é笑", "é笑"),
    ],
)
def test_what_a_terminal_obeys_is_written_out(text: str, shown: str) -> None:
    assert for_terminal(text) == shown


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@A1", "\t=1"])
def test_a_formula_is_quoted_and_a_number_is_not(text: str) -> None:
    assert for_spreadsheet(text) == f"'{text}"
    assert for_spreadsheet(-1.5) == -1.5
    assert for_spreadsheet("clip-1") == "clip-1"


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    made = Dataset(tmp_path / "set")
    made.create()
    prepare_manifests(made)
    batch = [
        row.model_copy(update={"source": EVIL}) if "source" in type(row).model_fields else row
        for row in rows.one_batch()
    ]
    commit_batch(made, "b1", batch)
    return made


@pytest.mark.parametrize("format", ["table", "csv"])
def test_the_name_of_a_file_reaches_no_terminal_as_it_is(dataset: Dataset, format: str) -> None:
    command = [sys.executable, "-m", "vexpress.flows.cli.app", "query", dataset.root]
    sql = "SELECT source, '=cmd()' AS formula FROM videos"
    done = subprocess.run([*command, sql, "--format", format], capture_output=True, check=True)
    assert b"owned" in done.stdout
    if format == "table":
        assert b"\x1b" not in done.stdout and b"\x07" not in done.stdout
    else:
        assert b"'=cmd()" in done.stdout


def test_an_error_does_not_carry_it_either(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "vexpress.flows.cli.app", "query", f"{tmp_path}/\x1b[31m"]
    done = subprocess.run([*command, "SELECT 1"], capture_output=True)
    assert done.returncode == 2
    assert b"\\x1b[31m" in done.stderr and b"\x1b[31m: expected" not in done.stderr


def test_a_query_does_not_read_the_folder_it_is_asked_from(
    dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".tmp").mkdir()
    (tmp_path / ".tmp/secret.csv").write_text("secret")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(QueryError, match=r"Permission|disabled"):
        run_query(dataset, "SELECT * FROM read_csv('.tmp/secret.csv')").fetchall()
