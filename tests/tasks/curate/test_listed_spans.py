"""Spans of a list are curated as if the rest of their files were not there.

The list is that of a data set made by version 0.1 (tests/kept_data_set), whose clip ids it gives:
the videos lie elsewhere now.
"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vexpress.schemas.dataset import Dataset
from vexpress.schemas.query import run_query
from vexpress.tasks.curate.config import CurateConfig, load_config
from vexpress.tasks.curate.spans import find_frames
from vexpress.tasks.curate_dataset import CurateReport, curate_dataset, retry_failures
from vexpress.tasks.export.clips import select_clips
from vexpress.tasks.export.span_list import export_span_list

KEPT = Path(__file__).parents[2] / "kept_data_set"
CLIPS = {"282c00158ebb4802", "66bef5c14e6be6b5"}
SETTINGS = [
    *("faces.backend=dlib", "identity.backend=dlib", "crop.size=256", "speech.backend=none"),
    *("keep.min_frames=20", "keep.min_face_side_px=60"),
]
ODD_ROWS: list[dict[str, Any]] = [
    {"path": "talk.mp4", "start_s": 4.44, "end_s": 4.96, "caption": "a rocket", "mood": "none"},
    {"path": "talk.mp4", "start_s": 7.8, "end_s": 30},
    {"path": "talk.mp4", "start_s": 4.6, "end_s": 4.9},
    {"path": "gone.mp4", "start_s": 0, "end_s": 1},
    {"path": "z_copy.mp4", "start_s": 4.44, "end_s": 4.96},
    {"path": "broken.mp4", "start_frame": 0, "end_frame": 25},
]
"""Of no face, outside, overlapping, of no file, of a copy, of no video."""


@pytest.fixture(scope="module")
def config() -> CurateConfig:
    return load_config("default", settings=SETTINGS)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The videos, elsewhere than where the list was made, and the list."""
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "videos/deep").mkdir(parents=True)
    shutil.copy(KEPT / "talk.mp4", folder / "videos/deep/talk.mp4")
    shutil.copy(KEPT / "talk.mp4", folder / "videos/z_copy.mp4")
    shutil.copy(KEPT / "broken.mp4", folder / "videos/broken.mp4")
    shutil.copytree(KEPT / "dataset", folder / "old")
    listed = export_span_list(Dataset(folder / "old"), folder / "list").read_text()
    assert {json.loads(line)["clip_id"] for line in listed.splitlines()} == CLIPS
    assert load_config(file=folder / "list/curate.yaml").crop.size == 256, "the recipe of the ids"
    odd = "".join(json.dumps(row) + "\n" for row in ODD_ROWS)
    (folder / "all.jsonl").write_text(listed + odd)
    return folder


@pytest.fixture(scope="module")
def report(root: Path, config: CurateConfig) -> Iterator[CurateReport]:
    yield curate_dataset(
        str(root / "all.jsonl"), str(root / "set"), config, root=str(root / "videos")
    )


def rows(root: Path, sql: str) -> list[dict[str, Any]]:
    return run_query(Dataset(root / "set"), sql).dicts()


def test_the_same_videos_give_the_same_clips(report: CurateReport, root: Path) -> None:
    made = rows(root, "SELECT clip_id, listed_clip_id, status FROM clips WHERE caption IS NULL")
    assert {row["clip_id"] for row in made} == CLIPS
    assert all(row["clip_id"] == row["listed_clip_id"] for row in made)
    old = Dataset(root / "old")
    for clip in CLIPS:
        same = ["start_frame", "end_frame", "start_s", "end_s", "crop_x1", "crop_x2", "frames"]
        (before,) = run_query(old, f"SELECT * FROM clips WHERE clip_id = '{clip}'").dicts()
        (after,) = rows(root, f"SELECT * FROM clips WHERE clip_id = '{clip}'")
        assert {n: before[n] for n in same} == {n: after[n] for n in same}
        assert after["media_path"] == before["media_path"]


def test_each_row_is_a_source_with_its_reason(report: CurateReport, root: Path) -> None:
    videos = rows(root, "SELECT * FROM videos ORDER BY listed_row")
    assert len(videos) == len(CLIPS) + len(ODD_ROWS)
    assert [row["reason"] for row in videos] == [
        *(None, None, None),
        *("outside", "overlap", "not_a_file", None, "unreadable"),
    ]
    assert videos[3]["detail"] == ("expected a span within the 7.80 s of the video, found t=7.8,30")
    assert videos[4]["detail"] == "it overlaps that of row 3"
    copy, own = videos[6], videos[2]
    assert (copy["duplicate_of"], copy["video_id"]) == (own["source"], own["video_id"])
    assert own["source"] == f"{root}/videos/deep/talk.mp4#t=4.44,4.96"
    assert own["file"] == f"{root}/videos/deep/talk.mp4"
    assert own["span_start_frame"] == 111 and own["span_end_frame"] == 124
    assert len({row["video_id"] for row in videos}) == len(videos) - 1


def test_only_spans_are_seen(report: CurateReport, root: Path) -> None:
    scenes = rows(root, "SELECT start_frame, end_frame, start_s FROM scenes ORDER BY start_frame")
    assert [(s["start_frame"], s["end_frame"]) for s in scenes] == [
        (0, 110),
        (111, 124),
        (130, 195),
    ]
    assert [s["start_s"] for s in scenes] == pytest.approx([0, 4.44, 5.2])
    (odd,) = rows(root, "SELECT * FROM clips WHERE listed_clip_id IS NULL")
    assert (odd["start_frame"], odd["end_frame"], odd["reason"]) == (111, 124, "no_face")
    assert (odd["caption"], odd["source_mood"], odd["listed_row"]) == ("a rocket", "none", 3)


def test_a_finished_list_is_done_and_a_longer_one_goes_on(
    report: CurateReport, root: Path, config: CurateConfig
) -> None:
    again = curate_dataset(
        str(root / "all.jsonl"), str(root / "set"), config, root=str(root / "videos")
    )
    assert again.videos == 0
    (root / "more.jsonl").write_text('{"path": "talk.mp4", "start_s": 4.96, "end_s": 5.2}\n')
    more = curate_dataset(
        str(root / "more.jsonl"), str(root / "set"), config, root=str(root / "videos")
    )
    assert (more.videos, more.clips_rejected) == (1, 1)
    kept = rows(root, "SELECT count(*) AS n FROM clips WHERE listed_clip_id IS NOT NULL")
    assert kept == [{"n": len(CLIPS)}], "other spans of the file are still there"


def test_what_failed_is_tried_again_as_a_span(
    report: CurateReport, root: Path, config: CurateConfig
) -> None:
    shutil.copy(KEPT / "talk.mp4", root / "videos/broken.mp4")
    retry_failures(str(root / "set"))
    (row,) = rows(root, "SELECT * FROM videos WHERE file LIKE '%/broken.mp4'")
    assert row["status"] == "ok" and row["source"].endswith("broken.mp4#frames=0,25")
    assert (row["span_start_s"], row["span_end_s"]) == (0, 1)


def test_whole_files_and_their_spans_do_not_mix(
    report: CurateReport, root: Path, config: CurateConfig
) -> None:
    whole = root / "videos/deep/talk.mp4"
    curate_dataset(str(whole), str(root / "set"), config)
    (row,) = rows(root, "SELECT * FROM videos WHERE file IS NULL")
    assert (row["status"], row["reason"]) == ("rejected", "mixed")
    assert "found spans of it" in row["detail"]
    before = rows(root, "SELECT clip_id FROM clips ORDER BY ALL")
    assert len({row["clip_id"] for row in before}) == len(before)


def test_exports_know_what_the_list_said(report: CurateReport, root: Path) -> None:
    selection = select_clips(Dataset(root / "set"), "listed_clip_id IS NOT NULL")
    found = list(selection.rows())
    assert {row["clip_id"] for row in found} <= CLIPS
    assert all(row["source"].startswith("talk.mp4#t=") for row in found)


def test_frames_are_those_that_begin_within_the_span() -> None:
    import numpy as np

    from vexpress.schemas.span import Span
    from vexpress.tasks.engine.step import Rejection

    times = np.arange(100) / 25

    def found(start: float, end: float) -> tuple[int, int, float, float]:
        span = Span(file="", span_start_s=start, span_end_s=end)
        where = find_frames(span, times, 4.0)
        return where.start_frame, where.end_frame, where.start_s, where.end_s

    assert found(1, 2) == (25, 50, 1, 2)
    assert found(0.999, 2.001) == (25, 50, 1, 2), "decimals that were rounded lose no frame"
    assert found(0.03, 2) == (1, 50, 0.04, 2)
    assert found(3, 4.9) == (75, 100, 3, 4), "lists round to whole seconds"
    for start, end in ((3, 6), (4.5, 4.9), (1.01, 1.02)):
        with pytest.raises(Rejection, match="outside"):
            found(start, end)
    with pytest.raises(Rejection, match="outside"):
        find_frames(Span(file="", span_start_frame=90, span_end_frame=101), times, 4.0)
