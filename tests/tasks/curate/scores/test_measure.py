"""A finished clip is decoded once for all scorers, and each scorer's answer is its own."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from tests.helpers.steps import candidates
from tests.tasks.conftest import Rendered
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.keypoints import ClipKps
from vexpress.schemas.row import Model
from vexpress.schemas.scene import Scene
from vexpress.tasks.curate.crop import CropClip, CropConfig
from vexpress.tasks.curate.scores.measure import MeasureClip, ScoreConfig
from vexpress.tasks.curate.scores.quality import QualityScorer
from vexpress.tasks.curate.scores.scorer import ClipScorer
from vexpress.tasks.engine.ledger import Ledger
from vexpress.tasks.engine.step import Context, Rejection
from vexpress.tasks.engine.units import Candidate, Update, decode, encode


class CountConfig(Model):
    """What the scorers of these tests are told."""

    fail: str = ""
    """`see` or `answer`: where it goes wrong; `reject`: a rejection."""


class Count(ClipScorer):
    """Notes what it is shown, and gives a column, a row and a series."""

    NAME: ClassVar[str] = "count"
    looks: ClassVar[list["CountLook"]] = []

    def begin(self, row: Candidate, points: ClipKps) -> "CountLook":
        self.looks.append(CountLook(row, points, self.config.fail))
        return self.looks[-1]


class CountLook:
    def __init__(self, row: Candidate, points: ClipKps, fail: str) -> None:
        self.row, self.points, self.fail = row, points, fail
        self.means: list[float] = []
        self.shapes: set[tuple[int, ...]] = set()

    def see(self, number: int, image_bgr: np.ndarray) -> None:
        assert number == len(self.means)
        self.means.append(float(image_bgr.mean()))
        self.shapes.add((*image_bgr.shape, str(image_bgr.dtype)))
        if self.fail == "see" and number == 3:
            raise ZeroDivisionError("by nothing")

    def answer(self) -> Iterable[Model]:
        if self.fail == "reject":
            raise Rejection("ugly", "expected beauty, found none")
        scene = Scene(video_id="v", scene_index=7, start_s=0, end_s=1, start_frame=0, end_frame=25)
        series = {"means": np.array(self.means)}
        return [Update(changes={"features_note": f"{len(self.means)}"}, series=series), scene]


class Config(ScoreConfig):
    """With the scorer of these tests."""

    count: CountConfig = CountConfig()
    """Its settings."""


@pytest.fixture
def cropped(four_shots: Rendered, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Candidate:
    """The first clip of the rendered video, written into the data set at tmp_path."""
    monkeypatch.setattr(MeasureClip, "SCORERS", (QualityScorer, Count))
    Count.looks.clear()
    row = candidates(four_shots.detected_video, tmp_path, CropConfig(size=128))[0]
    (answer,) = CropClip(CropConfig(size=128), Context(Dataset(tmp_path)))(row)
    return answer


def measured(row: Candidate, folder: Path, ledger: Ledger, **settings: Any) -> list[Any]:
    config = Config(**settings)
    return MeasureClip(config, Context(Dataset(folder))).run(row, ledger)


@pytest.fixture
def ledger(tmp_path: Path):
    opened = Ledger(tmp_path / "ledger.sqlite")
    yield opened
    opened.close()


def test_every_watcher_sees_every_frame_of_one_decode(
    cropped: Candidate, tmp_path: Path, ledger: Ledger
) -> None:
    row, scene = measured(cropped, tmp_path, ledger)
    (look,) = Count.looks
    assert len(look.means) == row.clip.frames == len(look.points.kps)
    assert look.shapes == {(128, 128, 3, "uint8")}
    assert row.clip.features_note == str(row.clip.frames)
    assert row.clip.sharpness > 0
    assert scene.scene_index == 7
    assert row.series["means"] == pytest.approx(look.means)
    assert decode(encode(row)).series["means"] == pytest.approx(look.means), "it travels"


def test_what_is_known_is_not_looked_at_again(
    cropped: Candidate, tmp_path: Path, ledger: Ledger
) -> None:
    first, _ = measured(cropped, tmp_path, ledger)
    again, scene = measured(cropped, tmp_path, ledger)
    assert again.clip == first.clip and scene.scene_index == 7
    np.testing.assert_array_equal(again.series["means"], first.series["means"])
    assert len(Count.looks) == 1
    measured(cropped, tmp_path, ledger, quality={"every": 1})
    assert len(Count.looks) == 1, "another setting of quality is none of its business"
    tallies = ledger.tallies()
    assert (tallies["quality"].run, tallies["quality"].reused) == (2, 1)
    assert (tallies["count"].run, tallies["count"].reused) == (1, 2)
    assert tallies["measure"].run == 0 and tallies["measure"].seconds > 0, "the decoding"
    measured(cropped.model_copy(update={"points": cropped.points + 1}), tmp_path, ledger)
    assert len(Count.looks) == 2, "other points, other scores"


def test_a_watcher_that_fails_rejects_the_clip_and_keeps_the_others_scores(
    cropped: Candidate, tmp_path: Path, ledger: Ledger
) -> None:
    for fail in ("see", "reject"):
        (row,) = measured(cropped, tmp_path, ledger, count=CountConfig(fail=fail))
        assert row.clip.status == "rejected"
        assert row.clip.sharpness > 0
    assert (row.clip.reason, row.clip.is_error) == ("ugly", False)
    assert ledger.tallies()["quality"].run == 1
    ledger.forget_failures()
    (row,) = measured(cropped, tmp_path, ledger, count=CountConfig(fail="see"))
    assert (row.clip.reason, row.clip.is_error) == ("failed", True)
    assert row.clip.detail == "step count: ZeroDivisionError: by nothing"
    tallies = ledger.tallies()
    assert (tallies["count"].run, tallies["quality"].run) == (3, 1), "only what failed runs again"


def test_a_clip_that_is_not_what_was_written_is_said(
    cropped: Candidate, tmp_path: Path, ledger: Ledger
) -> None:
    longer = cropped.update(frames=cropped.clip.frames + 1)
    # One frame more is asked for than the file holds, as after a copy that lost its end.
    (row,) = measured(longer, tmp_path, ledger)
    assert (row.clip.reason, row.clip.is_error) == ("damaged", True)
    (tmp_path / str(cropped.clip.media_path)).write_bytes(b"no clip")
    (row,) = measured(cropped.update(clip_id="other"), tmp_path, ledger)
    assert (row.clip.reason, row.clip.is_error) == ("failed", True)
