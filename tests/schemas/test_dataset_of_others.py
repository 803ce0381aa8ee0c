"""A data set that somebody sends: nothing in it makes us read what lies outside of it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.helpers import rows
from vexpress.schemas.dataset import MARKER, Dataset
from vexpress.schemas.errors import DatasetError
from vexpress.schemas.manifest import commit_batch, prepare_manifests
from vexpress.schemas.query import run_query


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    made = Dataset(tmp_path / "set")
    made.create()
    prepare_manifests(made)
    commit_batch(made, "b1", rows.one_batch())
    (tmp_path / "secret").write_text("secret")
    return made


@pytest.mark.parametrize(
    "name", ["../secret", "media/../../secret", "/etc/passwd", "media/..\\..\\secret", "a\0b"]
)
def test_a_name_that_leads_out_is_refused_by_name(dataset: Dataset, name: str) -> None:
    uses: list[Callable[[str], object]] = [dataset.read, dataset.exists, dataset.fetch, dataset.uri]
    for use in uses:
        with pytest.raises(DatasetError, match="expected a path inside the data set"):
            use(name)
    with pytest.raises(DatasetError):
        dataset.write(name, b"")


def test_a_link_is_refused_wherever_it_stands(dataset: Dataset, tmp_path: Path) -> None:
    root = Path(dataset.root)
    (root / "features").mkdir()
    (root / "features/x.safetensors").symlink_to(tmp_path / "secret")
    (root / "media").symlink_to(tmp_path)
    for name in ("features/x.safetensors", "media/secret"):
        with pytest.raises(DatasetError, match="found a link"):
            dataset.read(name)
        with pytest.raises(DatasetError, match="found a link"), dataset.local_copy(name):
            pass


@pytest.mark.parametrize("name", ["manifests/clips/more.parquet", "manifests/more"])
def test_a_linked_part_of_a_table_is_not_queried(
    dataset: Dataset, tmp_path: Path, name: str
) -> None:
    other = Path(dataset.root) / "manifests/clips/b1.parquet"
    (tmp_path / "other.parquet").write_bytes(other.read_bytes())
    (Path(dataset.root) / name).symlink_to(tmp_path / "other.parquet")
    with pytest.raises(DatasetError, match=f"{name} to be no link"):
        run_query(dataset, "SELECT * FROM clips")


def test_a_data_set_below_a_linked_folder_is_one(dataset: Dataset, tmp_path: Path) -> None:
    (tmp_path / "disk").symlink_to(dataset.root)
    linked = Dataset(tmp_path / "disk")
    assert run_query(linked, "SELECT count(*) FROM clips").fetchall()[0][0] > 0
    assert linked.read(MARKER) == dataset.read(MARKER)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"layout_version": 999}', "layout 1 or older, found 999"),
        ('{"layout_version": "1"}', "found '1'"),
        ("[]", "is damaged"),
        ("{", "is damaged"),
        (" " * 5000 + '{"layout_version": 1}', "is damaged"),
    ],
)
def test_the_layout_is_read_before_anything_else(dataset: Dataset, text: str, said: str) -> None:
    (Path(dataset.root) / MARKER).write_text(text)
    for use in (dataset.require, dataset.create):
        with pytest.raises(DatasetError, match=said):
            use()
