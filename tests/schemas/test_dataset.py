"""A data set is one folder or prefix, where files appear whole or not at all."""

import pickle
import threading
from pathlib import Path

import pytest
import s3fs

from tests.helpers import rows
from vexpress.schemas.dataset import MARKER, Dataset
from vexpress.schemas.errors import DatasetError, QueryError
from vexpress.schemas.manifest import commit_batch, prepare_manifests
from vexpress.schemas.query import run_query


def test_a_folder_with_other_files_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(DatasetError, match=r"found other files\. Name a new folder"):
        Dataset(tmp_path).create()
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_is_no_place_for_a_data_set(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    with pytest.raises(DatasetError, match="expected a data set or an empty folder"):
        Dataset(tmp_path / "file").create()


def test_what_an_interrupted_start_left_is_no_other_file(tmp_path: Path) -> None:
    (tmp_path / ".tmp").mkdir()
    (tmp_path / "ledger.sqlite").touch()
    Dataset(tmp_path).create()
    assert (tmp_path / MARKER).is_file()
    Dataset(tmp_path).create()


def test_a_reader_sees_the_old_file_or_the_new_one_never_a_part(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path)
    dataset.create()
    contents = [bytes([number]) * 3_000_000 for number in range(2)]
    dataset.write("big", contents[0])
    seen, stop = [], threading.Event()

    def look() -> None:
        while not stop.is_set():
            seen.append(dataset.read("big"))

    reader = threading.Thread(target=look)
    reader.start()
    for number in range(20):
        dataset.write("big", contents[number % 2])
    stop.set()
    reader.join()
    assert seen and all(data in contents for data in seen)
    assert list(dataset.scratch.iterdir()) == []
    assert (tmp_path / "big").stat().st_mode & 0o777 == 0o644


def test_a_published_file_moves_to_its_name(tmp_path: Path) -> None:
    dataset = Dataset(tmp_path)
    finished = dataset.scratch / "finished"
    finished.write_bytes(b"done")
    dataset.publish(finished, "media/a.mp4")
    assert dataset.read("media/a.mp4") == b"done"
    assert not finished.exists()
    assert dataset.names("media/*") == ["media/a.mp4"]
    assert dataset.uri("media/a.mp4") == str(tmp_path / "media/a.mp4")


def test_a_data_set_travels_to_another_process(tmp_path: Path) -> None:
    copy = pickle.loads(pickle.dumps(Dataset(tmp_path / "set")))
    copy.create()
    assert Dataset(tmp_path / "set").exists(MARKER)


def test_a_bucket_holds_a_whole_data_set(bucket: str, tmp_path: Path) -> None:
    files = s3fs.S3FileSystem()
    files.pipe("bucket/secret.txt", b"secret")
    dataset = Dataset(f"{bucket}/some/set")
    with pytest.raises(DatasetError, match="found none"):
        dataset.require()
    dataset.create()
    prepare_manifests(dataset)
    commit_batch(dataset, "w1", rows.one_batch())
    finished = dataset.scratch / "clip.mp4"
    finished.write_bytes(b"picture")
    dataset.publish(finished, "media/c1.mp4")

    assert run_query(dataset, "SELECT clip_id, frames FROM kept").fetchall() == [("c1", 100)]
    assert run_query(dataset, "SELECT count(*) FROM kps").fetchall() == [(1,)]
    assert dataset.names("manifests/clips/*") == [
        "manifests/clips/0-columns.parquet",
        "manifests/clips/w1.parquet",
    ]
    assert files.cat("bucket/some/set/media/c1.mp4") == b"picture"
    assert dataset.fetch("media/c1.mp4").read_bytes() == b"picture"
    assert dataset.modified("media") == dataset.modified("media/c1.mp4") > 1e9
    assert dataset.modified("media/c2.mp4") == 0
    assert dataset.uri("media/c1.mp4") == "s3://bucket/some/set/media/c1.mp4"
    assert dataset.ledger_path.is_relative_to(tmp_path / "cache")
    for elsewhere in ("/etc/passwd", "s3://bucket/secret.txt"):
        with pytest.raises(QueryError, match="Permission Error"):
            run_query(dataset, f"SELECT * FROM read_text('{elsewhere}')")
    with pytest.raises(QueryError, match="expected one statement that reads"):
        run_query(dataset, "COPY clips TO 's3://bucket/some/set/stolen.csv'")


def test_a_wave_without_its_videos_is_invisible_in_a_bucket_too(bucket: str) -> None:
    dataset = Dataset(f"{bucket}/set")
    dataset.create()
    prepare_manifests(dataset)
    commit_batch(dataset, "w1", rows.one_batch())
    s3fs.S3FileSystem().rm("bucket/set/manifests/videos/w1.parquet")
    s3fs.S3FileSystem.clear_instance_cache()
    seen = run_query(Dataset(f"{bucket}/set"), "SELECT count(*) FROM clips").fetchall()
    assert seen == [(0,)]
