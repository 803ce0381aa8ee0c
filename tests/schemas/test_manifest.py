"""Batches become visible whole and the newest one counts; views add up."""

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from tests.helpers import rows
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.generation import Generation
from vexpress.schemas.manifest import TABLES, commit_batch, prepare_manifests, write_part, write_run
from vexpress.schemas.query import run_query
from vexpress.schemas.row import Row
from vexpress.schemas.run import Run

TABLE_NAMES = [row_type.TABLE for row_type in TABLES]


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """An empty data set."""
    made = Dataset(tmp_path / "set")
    made.create()
    prepare_manifests(made)
    return made


def counts(dataset: Dataset) -> dict[str, int]:
    """Rows that a reader sees, by table."""
    tables = ("videos", "scenes", "tracks", "clips", "kps")
    return {t: run_query(dataset, f"SELECT count(*) FROM {t}").fetchall()[0][0] for t in tables}


def test_an_empty_data_set_answers_with_no_rows(dataset: Dataset) -> None:
    for view in (*TABLE_NAMES, "kept", "rejected"):
        assert run_query(dataset, f"SELECT * FROM {view}").fetchall() == []
    assert run_query(dataset, "SELECT * FROM hours").fetchall() == [(0, 0, 0, 0)]


def test_a_committed_wave_is_seen_whole(dataset: Dataset) -> None:
    commit_batch(dataset, "w1", rows.one_batch())
    assert counts(dataset) == dict.fromkeys(("videos", "scenes", "tracks", "clips", "kps"), 1)
    (points,) = run_query(dataset, "SELECT kps FROM kps").fetchall()[0]
    np.testing.assert_array_equal(np.array(points, np.float32), rows.kps().kps)
    (when,) = run_query(dataset, "SELECT committed_at FROM videos").fetchall()[0]
    assert when.startswith("20") and when.endswith("+00:00")


def test_half_a_wave_is_invisible(dataset: Dataset) -> None:
    commit_batch(dataset, "w1", rows.one_batch())
    (Path(dataset.root) / "manifests/videos/w1.parquet").unlink()
    assert set(counts(dataset).values()) == {0}


def test_a_wave_that_fails_leaves_nothing_behind(dataset: Dataset) -> None:
    def broken() -> object:
        yield from rows.one_batch()
        raise RuntimeError("stopped")

    before = sorted(Path(dataset.root).rglob("*"))
    with pytest.raises(RuntimeError, match="stopped"):
        commit_batch(dataset, "w1", broken())  # type: ignore[arg-type]
    assert sorted(Path(dataset.root).rglob("*")) == before


def test_more_rows_than_are_written_at_once_are_all_there(dataset: Dataset) -> None:
    clips = [rows.clip(f"c{number}") for number in range(1000)]
    commit_batch(dataset, "w1", [*clips, rows.video()])
    assert counts(dataset)["clips"] == 1000


def test_the_newest_wave_of_a_source_counts(dataset: Dataset) -> None:
    commit_batch(dataset, "w2", [rows.clip("old", "w2"), rows.video(batch_id="w2")])
    commit_batch(dataset, "w1", [rows.clip("new", "w1"), rows.video(batch_id="w1")])
    assert run_query(dataset, "SELECT clip_id FROM clips").fetchall() == [("new",)]
    assert counts(dataset)["videos"] == 1
    commit_batch(dataset, "w3", [rows.video("v9", "w3", status="rejected", reason="empty")])
    assert counts(dataset) == {"videos": 1, "scenes": 0, "tracks": 0, "clips": 0, "kps": 0}


def test_clips_of_a_copy_are_not_counted_twice(dataset: Dataset) -> None:
    copy = rows.video(source="/videos/copy.mp4", duplicate_of=rows.SOURCE)
    commit_batch(dataset, "w1", [*rows.one_batch(), copy])
    assert counts(dataset) == {"videos": 2, "scenes": 1, "tracks": 1, "clips": 1, "kps": 1}


def several_videos() -> list[Row]:
    """Three sources of 10, 6 and 5 s: used (4 kept, 6 rejected), rejected, copied."""
    return [
        rows.scene(),
        rows.clip("c1", start_s=0.0, end_s=4.0),
        rows.clip("c2", start_s=4.0, end_s=7.0, status="rejected", reason="no_face", faces=0),
        rows.clip("c3", start_s=7.0, end_s=9.0, status="rejected", reason="no_face", faces=0),
        rows.clip("c4", start_s=9.0, end_s=10.0, status="rejected", reason="too_short"),
        rows.video(),
        rows.video(source="/b.mp4", video_id="v2", status="rejected", reason="cut", duration_s=6.0),
        rows.video(source="/c.mp4", duplicate_of=rows.SOURCE, duration_s=5.0),
        rows.video(
            source="/d.mp4", video_id="v4", status="rejected", reason="empty", duration_s=None
        ),
    ]


def test_the_hours_of_the_funnel_add_up_to_those_of_the_sources(dataset: Dataset) -> None:
    commit_batch(dataset, "w1", several_videos())
    answer = run_query(dataset, "SELECT stage, status, reason, units, hours * 3600 FROM funnel")
    funnel = {tuple(row[:3]): row[3:] for row in answer.fetchall()}
    assert funnel == {
        ("source", "found", None): (4, pytest.approx(21)),
        ("source", "rejected", "cut"): (1, pytest.approx(6)),
        ("source", "rejected", "empty"): (1, 0),
        ("source", "duplicate", None): (1, pytest.approx(5)),
        ("scene", "found", None): (1, pytest.approx(10)),
        ("track", "found", None): (0, 0),
        ("clip", "candidates", None): (4, pytest.approx(10)),
        ("clip", "rejected", "no_face"): (2, pytest.approx(5)),
        ("clip", "rejected", "too_short"): (1, pytest.approx(1)),
        ("clip", "kept", None): (1, pytest.approx(4)),
    }
    ends: Counter[str] = Counter()
    for (stage, status, _), (_, seconds) in funnel.items():
        if (stage, status) != ("source", "found") and status in ("rejected", "duplicate", "kept"):
            ends["all"] += seconds
    assert ends["all"] == pytest.approx(funnel["source", "found", None][1])
    (hours,) = run_query(dataset, "SELECT * FROM hours").fetchall()
    assert [value * 3600 for value in hours] == pytest.approx([21, 10, 4, 6])


def test_the_steps_of_the_funnel_come_in_order(dataset: Dataset) -> None:
    commit_batch(dataset, "w1", several_videos())
    steps = [row[0] for row in run_query(dataset, "SELECT step FROM funnel").fetchall()]
    assert steps == sorted(steps) and {1, 2, 3, 4, 5, 6, 7} == set(steps)


def test_the_views_work_for_anyone_with_duckdb(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit_batch(dataset, "w1", several_videos())
    monkeypatch.chdir(dataset.root)
    connection = duckdb.connect()
    connection.execute(Path("views.sql").read_text())
    assert connection.sql("SELECT clip_id FROM kept").fetchall() == [("c1",)]
    assert len(connection.sql("SELECT * FROM rejected").fetchall()) == 3


def test_a_run_names_the_files_and_rows_it_saw(dataset: Dataset) -> None:
    commit_batch(dataset, "w1", several_videos())
    started = datetime.now(UTC)
    how: dict[str, Any] = {"engine": "local", "config": "{}", "libraries": []}
    run = Run.begun("r1", "curate", "videos/", started, **how, weights=[], notes=[])
    write_run(dataset, run.finished({}, {}))
    snapshot = json.loads(dataset.read("snapshots/r1.json"))
    rows_of = {part["file"]: part["rows"] for part in snapshot["files"]}
    assert rows_of["manifests/clips/w1.parquet"] == 4
    assert rows_of["manifests/videos/w1.parquet"] == 4
    assert rows_of["manifests/runs/r1.parquet"] == 1
    assert all(dataset.exists(name) for name in rows_of)
    assert run_query(dataset, "SELECT run_id FROM runs").fetchall() == [("r1",)]


def test_the_newest_row_of_a_request_counts_and_what_is_made_replaces_what_was_rejected(
    dataset: Dataset,
) -> None:
    missing = {"status": "rejected", "reason": "no_file", "out_path": None}
    parts = {
        "run1": [
            rows.generation("r1", "2026-01-01", status="failed"),
            rows.generation("name2", "2026-01-01", asked_id="a2", **missing),
            rows.generation("name3", "2026-01-01", asked_id="a3", **missing),
        ],
        "run2": [
            rows.generation("r1", "2026-01-02"),
            rows.generation("r2", "2026-01-02", asked_id="a2"),
            rows.generation("r4", "2026-01-02", asked_id="a2"),
        ],
    }
    for name, part in parts.items():
        write_part(dataset, f"manifests/generations/{name}.parquet", Generation, part)
    found = run_query(dataset, "SELECT request_id, status FROM generations ORDER BY ALL").fetchall()
    assert found == [("name3", "rejected"), ("r1", "made"), ("r2", "made"), ("r4", "made")]
