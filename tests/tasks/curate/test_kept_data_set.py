"""A data set made by version 0.1 opens, answers, continues and computes nothing again.

See tests/kept_data_set/README.md.
"""

import json
import shutil
from pathlib import Path

import pytest
import s3fs

from vexpress.schemas.dataset import Dataset
from vexpress.schemas.query import run_query
from vexpress.tasks.curate.chain import fingerprint, stamp
from vexpress.tasks.curate.config import CurateConfig, load_config
from vexpress.tasks.curate.selections import make_selection, read_selections, within_selection
from vexpress.tasks.curate_dataset import curate_dataset
from vexpress.tasks.engine.ledger import Ledger
from vexpress.tasks.engine.weights import Weights
from vexpress.tasks.media.source import list_sources
from vexpress.tasks.train.clips import gather_clips

KEPT = Path(__file__).parents[2] / "kept_data_set"
SOURCE = "s3://bucket/videos"
LICENCE = "CC0-1.0"
SETTINGS = ["faces.backend=dlib", "crop.size=256", "keep.min_frames=50"]
CLIPS = ["282c00158ebb4802", "66bef5c14e6be6b5"]
SAME = {
    "judged": "filtered",
    "prints": "fingerprints",
    "faces": "face_embeddings",
    "picks": "selections",
    "picked": "selected",
}
"""Views of version 0.1 by the names of today."""


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """A copy of the data set as version 0.1 left it."""
    shutil.copytree(KEPT / "dataset", tmp_path / "dataset")
    return Dataset(tmp_path / "dataset")


@pytest.fixture
def sources(bucket: str) -> str:
    """The bucket that it was made from."""
    for name in ("talk.mp4", "broken.mp4"):
        s3fs.S3FileSystem().put_file(str(KEPT / name), f"bucket/videos/{name}")
    return SOURCE


def settings(*more: str) -> CurateConfig:
    return load_config("permissive", None, [*SETTINGS, *more])


def ask(dataset: Dataset, sql: str) -> list[tuple[object, ...]]:
    return run_query(dataset, sql).fetchall()


def last_run(dataset: Dataset) -> tuple[object, ...]:
    """Units run now and found in the ledger by the newest run."""
    (row,) = ask(
        dataset, "SELECT units_run, units_reused FROM runs ORDER BY started_at DESC LIMIT 1"
    )
    return row


@pytest.mark.parametrize("old", SAME)
def test_views_answer_under_both_names(dataset: Dataset, old: str) -> None:
    found = ask(dataset, f"SELECT * FROM {old}")
    assert found and repr(found) == repr(ask(dataset, f"SELECT * FROM {SAME[old]}"))


def test_columns_answer_under_both_names(dataset: Dataset) -> None:
    ids = ask(dataset, "SELECT wave_id, batch_id, clip_id FROM kept ORDER BY clip_id")
    assert [row[2] for row in ids] == CLIPS
    assert all(old == new != "" for old, new, _ in ids)
    ((old, new),) = ask(dataset, "SELECT picked_at, selected_at FROM selections")
    assert old == new


def test_it_is_read_without_being_written_to(dataset: Dataset) -> None:
    def stamps() -> dict[str, int]:
        files = [path for path in Path(dataset.root).rglob("*") if path.is_file()]
        return {str(path): path.stat().st_mtime_ns for path in files}

    before = stamps()
    assert ask(dataset, "SELECT count(*) FROM kept") == [(2,)]
    assert [selection.name for selection in read_selections(dataset)] == ["frontal"]
    assert ask(dataset, "SELECT status FROM generations") == [("made",)]
    assert stamps() == before


def test_the_stamps_of_its_sources_are_those_of_today(dataset: Dataset, sources: str) -> None:
    """So the same command has nothing to do (a folder of wav2vec2 is part of a stamp)."""
    ((text, weights),) = ask(dataset, "SELECT config, weights FROM runs WHERE kind = 'curate'")
    used = [Weights(**entry) for entry in json.loads(str(weights))]
    mark = fingerprint(CurateConfig.model_validate_json(str(text)), used)
    listed = [s.model_copy(update={"licence": LICENCE}) for s in list_sources(sources)]
    ledger = Ledger(dataset.ledger_path)
    assert [ledger.is_done(s.uri, stamp(s, mark)) for s in listed] == [True, True]
    ledger.close()


def test_the_same_settings_compute_nothing(dataset: Dataset, sources: str) -> None:
    media = {path.name: path.read_bytes() for path in Path(dataset.root).glob("media/*")}
    curate_dataset(sources, dataset.root, settings(), str(KEPT / "weights"), LICENCE)
    assert last_run(dataset) == (0, 21)
    assert {path.name: path.read_bytes() for path in Path(dataset.root).glob("media/*")} == media
    views = (Path(dataset.root) / "views.sql").read_text()
    assert "manifests/prints/" in views and "manifests/fingerprints/" in views
    again = curate_dataset(sources, dataset.root, settings(), str(KEPT / "weights"), LICENCE)
    assert (again.videos, again.videos_done_before) == (0, 2)


def test_another_threshold_computes_nothing_and_keeps_the_ids(
    dataset: Dataset, sources: str
) -> None:
    changed = settings("keep.min_frames=100")
    report = curate_dataset(sources, dataset.root, changed, str(KEPT / "weights"), LICENCE)
    assert report.videos == 2
    assert last_run(dataset) == (0, 21)
    rows = ask(dataset, "SELECT clip_id, status, reason FROM clips WHERE faces = 1 ORDER BY 1")
    assert rows == [(CLIPS[0], "kept", None), (CLIPS[1], "rejected", "too_short")]
    assert ask(dataset, "SELECT count(*) FROM fingerprints") == [(2,)]
    assert ask(dataset, "SELECT count(DISTINCT wave_id) FROM clips") == [(1,)]


def test_settings_of_version_0_1_are_the_same_settings(dataset: Dataset) -> None:
    ((text,),) = ask(dataset, "SELECT config FROM runs WHERE kind = 'curate'")
    assert '"listen"' in str(text) and '"floor"' in str(text)
    config = CurateConfig.model_validate_json(str(text))
    assert config.pre_filter == settings().pre_filter and config.vad == settings().vad


def test_a_selection_is_kept_beside_new_ones(dataset: Dataset) -> None:
    assert "frontal" in within_selection(dataset, "frontal")
    make_selection(dataset, "long", "SELECT clip_id FROM kept WHERE frames > 100")
    assert [(s.name, s.clips) for s in read_selections(dataset)] == [("frontal", 2), ("long", 1)]
    make_selection(dataset, "frontal", "SELECT clip_id FROM kept LIMIT 1", replace=True)
    assert [(s.name, s.clips) for s in read_selections(dataset)] == [("frontal", 1), ("long", 1)]


def test_its_clips_can_be_trained_on(dataset: Dataset) -> None:
    clips = gather_clips(dataset, within_selection(dataset, "frontal"))
    assert sorted(Path(clip.files.video).stem for clip in clips) == CLIPS
