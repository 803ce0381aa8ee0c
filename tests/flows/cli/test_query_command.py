"""`vexpress query` prints rows so that they can be read."""

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.helpers import rows
from vexpress.flows.cli.app import app
from vexpress.schemas.clip import Clip
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.manifest import commit_batch, prepare_manifests


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A data set with one clip."""
    made = Dataset(tmp_path_factory.mktemp("query") / "set")
    made.create()
    prepare_manifests(made)
    commit_batch(made, "w1", rows.one_batch())
    return made.root


def ask(dataset: str, sql: str, *options: str) -> str:
    answer = CliRunner().invoke(app, ["query", dataset, sql, *options])
    assert answer.exit_code == 0, answer.output
    return answer.stdout


def test_a_row_too_wide_for_a_table_is_printed_one_value_a_line(dataset: str) -> None:
    lines = ask(dataset, "SELECT * FROM kept UNION ALL SELECT * FROM kept").splitlines()
    assert [line for line in lines if not line.startswith(" ")] == ["row 1", "row 2"]
    named = [line.split()[0] for line in lines if line.startswith(" ")]
    assert set(Clip.columns()) <= set(named)
    told = [line.split(maxsplit=1) for line in lines]
    assert ["source", rows.SOURCE] in told and ["end_s", "4"] in told and ["reason"] in told


def test_what_has_room_is_a_table_and_long_texts_wrap(dataset: str) -> None:
    table = ask(dataset, f"SELECT clip_id, '{'x' * 300}' AS long FROM kept")
    assert table.startswith("┏") and "clip_id" in table and table.count("x") == 300


def test_no_rows_are_no_lines(dataset: str) -> None:
    assert ask(dataset, "SELECT * FROM kept WHERE false") == "no rows\n"
    assert "clip_id" in ask(dataset, "SELECT clip_id FROM kept WHERE false")


def test_programs_get_json_and_csv(dataset: str, tmp_path: Path) -> None:
    sql = "SELECT clip_id, source, reason FROM kept"
    (row,) = json.loads(ask(dataset, sql, "--format", "json"))
    assert row == {"clip_id": "c1", "source": rows.SOURCE, "reason": None}
    head, values = csv.reader(ask(dataset, sql, "--format", "csv").splitlines())
    assert head == ["clip_id", "source", "reason"] and values == ["c1", rows.SOURCE, ""]


def test_the_limits_of_a_question_are_options(dataset: str) -> None:
    told = CliRunner().invoke(app, ["query", dataset, "FROM range(11)", "--max-rows", "10"])
    assert told.exit_code == 2
    assert "expected an answer of at most 10 rows" in told.output and "--max-rows" in told.output
