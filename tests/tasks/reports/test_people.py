"""The report shows a face of each person, and duplicates beside what is kept."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.helpers.training_dataset import write_dataset
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.duplicate import Duplicate
from vexpress.schemas.manifest import replace_table
from vexpress.schemas.person import ClipPerson
from vexpress.schemas.query import run_query
from vexpress.tasks.curate_dataset import count_clips
from vexpress.tasks.reports.dataset_page import PAGE, write_report
from vexpress.tasks.reports.people import same_moment

PERSONS = {"clip0": "anna", "clip1": "anna", "clip2": "bo", "clip3": "bo"}


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Four kept clips of two persons; the last is a copy of the first."""
    made = write_dataset(tmp_path / "set", 4)
    people = [
        ClipPerson(clip_id=clip, person_id=person, distance=n / 10, backend="test")
        for n, (clip, person) in enumerate(PERSONS.items())
    ]
    copy = Duplicate(
        clip_id="clip3",
        duplicate_of="clip0",
        sound=0.9,
        picture=0.8,
        look=1,
        mirrored=True,
        speed=1.02,
        shift_s=0.4,
        overlap_s=1.0,
        note="the same as clip0, <b>mirrored</b>",
    )
    replace_table(made, ClipPerson, "test", lambda: people)
    replace_table(made, Duplicate, "test", lambda: [copy])
    return made


def picture(dataset: Dataset, name: str) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(dataset.read(name), np.uint8), cv2.IMREAD_COLOR)


def test_people_and_duplicates_are_shown(dataset: Dataset) -> None:
    sheets = write_report(dataset).sheets
    assert sheets[-2:] == ["sheets/people.jpg", "sheets/duplicates.jpg"]
    page = dataset.read(PAGE).decode()
    people = page.partition('id="people"')[2].partition("<h2")[0]
    assert people.count("<figure") == 2 and people.count("data:image/jpeg") == 2
    assert people.index("<code>anna") < people.index("<code>bo"), "two clips before one"
    assert "2 clips, 3.2" in people and "1 clip, 1.6" in people
    pairs = page.partition('id="duplicates"')[2].partition("<h2")[0]
    assert pairs.count("data:image/jpeg") == 2
    assert "the same as clip0, &lt;b&gt;mirrored&lt;/b&gt;" in pairs
    assert picture(dataset, "sheets/duplicates.jpg").std() > 20


def test_what_is_gone_is_said(dataset: Dataset) -> None:
    for path in Path(dataset.root).glob("media/*.mp4"):
        path.unlink()
    write_report(dataset)
    page = dataset.read(PAGE).decode()
    assert "No picture" in page.partition('id="people"')[2].partition("<h2")[0]


def test_both_pictures_are_of_the_same_moment() -> None:
    row = {"shift_s": 1.0, "overlap_s": 4.0, "speed": 0.98}
    kept, copy = same_moment(row)
    assert kept == 3.0 and copy == pytest.approx(2 / 0.98)
    assert same_moment({"shift_s": -1.0, "overlap_s": 4.0, "speed": 1.0}) == (2.0, 3.0)


def test_a_copy_is_counted_as_rejected(dataset: Dataset) -> None:
    batches = [
        row[0] for row in run_query(dataset, "SELECT DISTINCT batch_id FROM clips").fetchall()
    ]
    assert count_clips(dataset, batches) == {"kept": 3, "rejected": 2}, "one by a rule, one copy"
    assert count_clips(dataset, []) == {"kept": 0, "rejected": 0}
