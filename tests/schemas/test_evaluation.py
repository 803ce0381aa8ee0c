"""Evaluations in SQL: the newest number counts, checkpoints can be compared."""

from pathlib import Path

import pytest

from tests.helpers import rows
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.evaluation import Evaluation
from vexpress.schemas.generation import Generation
from vexpress.schemas.manifest import prepare_manifests, write_part
from vexpress.schemas.query import run_query


@pytest.fixture()
def dataset(tmp_path: Path) -> Dataset:
    made = Dataset(tmp_path / "set")
    made.create()
    prepare_manifests(made)
    return made


def write(dataset: Dataset, name: str, found: list[object]) -> None:
    write_part(dataset, f"manifests/evaluations/{name}.parquet", Evaluation, found)


def test_the_newest_number_counts_also_where_it_is_none(dataset: Dataset) -> None:
    write(dataset, "e1", [rows.evaluation("r1", 5.0), rows.evaluation("r2", 7.0)])
    later = {"evaluated_at": "2026-01-02", "version": 2}
    gone = rows.evaluation("r2", None, reason="no_face", **later)
    write(dataset, "e2", [rows.evaluation("r1", 3.0, **later), gone])
    found = run_query(dataset, "SELECT request_id, value, reason FROM evaluations ORDER BY 1")
    assert found.fetchall() == [("r1", 3.0, None), ("r2", None, "no_face")]


def test_the_summary_has_a_row_for_each_metric_weights_and_model(dataset: Dataset) -> None:
    numbers = [rows.evaluation(f"r{n}", float(n)) for n in range(1, 5)]
    numbers += [rows.evaluation("r5", None), rows.evaluation(None, 12.0, metric="fid")]
    numbers += [rows.evaluation("q1", 9.0, weights="run-b", weights_sha256="bbbb")]
    write(dataset, "e1", numbers)
    query = "SELECT metric, weights, measured, unmeasured, mean, median FROM evaluation_summary"
    assert run_query(dataset, query).fetchall() == [
        ("fid", "run-a", 1, 0, 12.0, 12.0),
        ("kps_px", "run-a", 4, 1, 2.5, 2.5),
        ("kps_px", "run-b", 1, 0, 9.0, 9.0),
    ]


def test_pairs_compare_two_checkpoints_on_what_both_were_asked_for(dataset: Dataset) -> None:
    made, numbers = [], []
    for n, (first, second) in enumerate([(1.0, 2.0), (3.0, 6.0), (5.0, 4.0)]):
        for weights, value in (("aaaa", first), ("bbbb", second)):
            name = f"{weights}{n}"
            asked = {"audio": f"/sound{n}.wav", "weights_sha256": weights, "asked_id": name}
            made.append(rows.generation(name, **asked))
            numbers.append(rows.evaluation(name, value, weights_sha256=weights, weights=weights))
    write_part(dataset, "manifests/generations/g.parquet", Generation, made)
    write(dataset, "e1", [*numbers, rows.evaluation("alone", 0.0)])
    query = "SELECT weights, other, pairs, mean_difference, better_share FROM evaluation_pairs"
    first, second = run_query(dataset, query).fetchall()
    assert first[:3] == ("aaaa", "bbbb", 3) and second[:3] == ("bbbb", "aaaa", 3)
    assert first[3:] == pytest.approx((-1.0, 2 / 3)), "less is better"
    assert second[3:] == pytest.approx((1.0, 1 / 3))


def test_a_data_set_from_before_there_were_evaluations_can_be_asked(dataset: Dataset) -> None:
    for name in dataset.names("manifests/evaluations/*"):
        Path(dataset.path(name)).unlink()
    Path(dataset.path("manifests/evaluations")).rmdir()
    Path(dataset.path("views.sql")).write_text("-- those of that version")
    assert run_query(dataset, "SELECT count(*) FROM generations").fetchall() == [(0,)]
