"""`vexpress columns` says what can be asked for."""

import pytest
from click.testing import Result
from typer.testing import CliRunner

from vexpress.flows.cli.app import app
from vexpress.schemas.manifest import TABLES


def columns(*words: str) -> Result:
    return CliRunner().invoke(app, ["columns", *words])


@pytest.mark.parametrize("name", ["clips", "kept", "filtered", "judged"])
def test_a_table_has_types_units_and_meanings(name: str) -> None:
    said = columns(name).stdout
    (line,) = [line for line in said.splitlines() if "│ yaw_p90_deg " in line]
    assert "DOUBLE" in line and "degrees" in line and "that 90 % of the source frames" in line
    assert said.count("┏") == 1


def test_every_table_is_shown_and_a_word_finds_its_columns() -> None:
    assert columns().stdout.count("┏") == len(TABLES)
    found = columns("--find", "Sharpness").stdout
    assert "│ sharpness " in found and "yaw" not in found
    assert columns("--find", "unicorn").stdout.startswith("no column has the word unicorn")


@pytest.mark.parametrize(
    ("name", "words"),
    [("funnel", 'query DATASET "DESCRIBE funnel"'), ("clip", "expected one of scenes, tracks")],
)
def test_what_is_no_table_is_said(name: str, words: str) -> None:
    done = columns(name)
    assert done.exit_code == 2 and words in done.stderr
