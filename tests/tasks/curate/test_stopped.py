"""A curation that was stopped, and files that were deleted: the same command makes it whole."""

import os
from pathlib import Path

import pytest

from tests.talking_heads import Face, Shot, render
from tests.tasks.conftest import SMALL
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.query import run_query
from vexpress.tasks.curate.config import CurateConfig
from vexpress.tasks.curate.crop import CropConfig
from vexpress.tasks.curate.faces import FaceConfig
from vexpress.tasks.curate.filter import KeepRules
from vexpress.tasks.curate.scores.identity import IdentityConfig
from vexpress.tasks.curate_dataset import curate_dataset
from vexpress.tasks.export.clips import select_clips

CONFIG = CurateConfig(
    faces=FaceConfig(backend="dlib"),
    identity=IdentityConfig(backend="none"),
    crop=CropConfig(size=64),
    keep=KeepRules(require_sound=False, min_frames=5, min_face_side_px=60, min_speech_share=0),
)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    render([Shot(duration_s=1.2, faces=(Face(width_px=140),))], folder / "talk.mp4", SMALL)
    return folder


def finished_at(dataset: Dataset) -> list[str]:
    answer = run_query(dataset, "SELECT finished_at FROM runs ORDER BY started_at")
    return [row[0] for row in answer.fetchall()]


def test_what_was_stopped_or_deleted_is_made_by_the_same_command(
    videos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "set"
    dataset, report = Dataset(folder), folder / "report.html"

    def stop(*_: object) -> None:
        raise RuntimeError("stopped when the clips were written")

    with monkeypatch.context() as patch:
        patch.setattr("vexpress.tasks.curate_dataset.count_clips", stop)
        with pytest.raises(RuntimeError, match="stopped"):
            curate_dataset(str(videos), str(folder), CONFIG)
    assert finished_at(dataset) == [""]
    assert select_clips(dataset).licences["weights"], "known while the run is not finished"

    assert curate_dataset(str(videos), str(folder), CONFIG).videos == 0
    assert "not finished" in report.read_text()
    assert [bool(stamp) for stamp in finished_at(dataset)] == [False, True]

    os.utime(report, (0, 0))  # as one that was there before the clips
    assert curate_dataset(str(videos), str(folder), CONFIG).videos == 0
    assert report.stat().st_mtime > 0

    (clip,) = folder.glob("media/*.mp4")
    content = clip.read_bytes()
    clip.unlink()
    assert curate_dataset(str(videos), str(folder), CONFIG).videos == 1
    assert clip.read_bytes() == content
