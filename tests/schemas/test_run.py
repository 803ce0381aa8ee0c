"""The table `runs`: counts by name, whatever kind of run, and what version 0.1 wrote."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from vexpress.schemas.dataset import Dataset
from vexpress.schemas.manifest import prepare_manifests, write_run
from vexpress.schemas.query import run_query
from vexpress.schemas.run import Run

OLD = "videos, videos_done_before, clips_kept, clips_rejected, units_run, units_reused"
COUNTS: dict[str, dict[str, int]] = {
    "curate": dict(zip(OLD.split(", "), (5, 1, 3, 2, 40, 4), strict=True)),
    "train": {"clips": 3, "steps": 9, "steps_done_before": 2},
    "generate": {
        "videos_made": 4,
        "requests_done_before": 3,
        "requests_rejected": 2,
        "requests_failed": 1,
    },
    "evaluate": {"videos_measured": 4, "videos_done_before": 2},
}


def begun(kind: str, **known: Any) -> Run:
    started = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    values: dict[str, Any] = {"engine": "local", "config": "{}", "libraries": ["duckdb"]}
    values |= {"weights": [], "notes": []}
    return Run.begun(f"{kind}-1", kind, "source", started, **values | known)


def ask(dataset: Dataset, columns: str, kind: str) -> tuple[Any, ...]:
    return run_query(dataset, f"SELECT {columns} FROM runs WHERE kind = '{kind}'").fetchall()[0]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """A finished run of each kind."""
    dataset = Dataset(tmp_path_factory.mktemp("runs") / "set")
    dataset.create()
    prepare_manifests(dataset)
    for kind, counts in COUNTS.items():
        write_run(dataset, begun(kind).finished(counts, {"step": 1.23456}))
    return dataset


@pytest.mark.parametrize("kind", COUNTS)
def test_a_run_of_any_kind_has_its_counts_by_name(dataset: Dataset, kind: str) -> None:
    counts, seconds, snapshot = ask(dataset, "counts, step_seconds, snapshot", kind)
    assert json.loads(counts) == COUNTS[kind] and json.loads(seconds) == {"step": 1.235}
    assert dataset.exists(snapshot)


def test_columns_of_sources_and_clips_are_of_curation_alone(dataset: Dataset) -> None:
    columns = set(OLD.split(", "))
    for kind in COUNTS:
        row = begun(kind).finished(COUNTS[kind], {})
        filled = {name for name in columns if getattr(row, name) is not None}
        assert filled == (columns if kind == "curate" else set()), kind


@pytest.mark.parametrize(
    ("kind", "answer"),
    [
        ("curate", (5, 1, 3, 2, 40, 4)),
        ("train", (0, 0, 3, 0, 9, 2)),
        ("generate", (7, 3, 4, 3, 5, 3)),
        ("evaluate", (None,) * 6),
    ],
)
def test_what_version_0_1_counted_in_other_columns_is_still_answered(
    dataset: Dataset, kind: str, answer: tuple[int | None, ...]
) -> None:
    assert ask(dataset, OLD, kind) == answer


def test_a_curation_that_was_killed_has_counted_nothing(tmp_path: Path) -> None:
    row = begun("curate", counts={"videos": 7})
    assert (row.videos, row.clips_kept, row.finished_at) == (7, 0, "")


@pytest.mark.parametrize("prepared", [False, True])
def test_rows_of_version_0_1_have_counts_by_name(tmp_path: Path, prepared: bool) -> None:
    """Also beside rows of today, and before anything was written."""
    kept = Path(__file__).parents[1] / "kept_data_set/dataset"
    dataset = Dataset(shutil.copytree(kept, tmp_path / "set"))
    if prepared:
        prepare_manifests(dataset)
        write_run(dataset, begun("train").finished(COUNTS["train"], {}))
        assert json.loads(ask(dataset, "counts", "train")[0]) == COUNTS["train"]
    columns = ask(dataset, OLD, "curate")
    counts = json.loads(ask(dataset, "counts", "curate")[0])
    assert counts == dict(zip(OLD.split(", "), columns, strict=True))
    assert counts["videos"] == 2 and counts["clips_kept"] == 2
    assert json.loads(ask(dataset, "counts", "generate")[0]) == {
        "videos_made": 1,
        "requests_done_before": 0,
        "requests_rejected": 0,
        "requests_failed": 0,
    }
    assert ask(dataset, OLD, "generate") == (1, 0, 1, 0, 1, 0)
