"""`vexpress export`, as a user gives it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.helpers.marked_dataset import write_marked_dataset
from vexpress.flows.cli.app import app
from vexpress.flows.cli.export import Form
from vexpress.tasks.export.formats import TRAINERS


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_marked_dataset(tmp_path_factory.mktemp("marked") / "set").root


def test_every_trainer_can_be_asked_for() -> None:
    assert {form.value for form in Form} - {
        *("webdataset", "hf", "list", "vexpress-json", "vexpress-weights")
    } == set(TRAINERS)


def test_it_says_what_is_of_no_use_and_how_to_go_on(dataset: str, tmp_path: Path) -> None:
    command = ["export", dataset, str(tmp_path / "out"), "--to", "talkverse"]
    done = CliRunner().invoke(app, [*command, "--text", "coalesce(caption, transcript)"])
    assert done.exit_code == 0, done.output
    folder, kept, poor, line = done.stdout.splitlines()
    assert folder == str(tmp_path / "out")
    assert kept == "1 of 4 clips; left out: 3 too short"
    assert poor == "for TalkVerse, of all 4: 3 shorter than 194 frames, 1 without speech"
    assert f"{folder}/metadata.csv" in line
    assert "clip0.mp4,text 0" in (tmp_path / "out/metadata.csv").read_text()


def test_a_list_names_spans_and_nothing_of_this_machine(dataset: str, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["export", dataset, str(tmp_path / "out"), "--to", "list"])
    assert done.exit_code == 0, done.output
    rows = [json.loads(line) for line in Path(done.stdout.strip()).read_text().splitlines()]
    assert [row["path"] for row in rows] == [f"{n}.mp4" for n in range(4)]
    assert rows[3]["caption"] == 'He says "no",\nand =1+1.' and rows[3]["source_mood"] == "calm"
    assert {"start_s", "end_frame", "crop_x2", "clip_id", "content_hash", "licence"} <= set(rows[0])
    hidden = {"source", "batch_id", "wave_id", "media_path", "text", "side"}
    assert not hidden & {name for row in rows for name in row}
    assert (tmp_path / "out/curate.yaml").exists() and (tmp_path / "out/licences.json").exists()
