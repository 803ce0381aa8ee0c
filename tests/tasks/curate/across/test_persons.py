"""Who is who: groups depend on the clips alone, ids stay, and splits follow persons."""

from pathlib import Path

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist

from tests.helpers import rows
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.face_embedding import FaceEmbedding
from vexpress.schemas.manifest import commit_batch, prepare_manifests
from vexpress.schemas.query import run_query
from vexpress.schemas.row import content_id
from vexpress.tasks.curate.across import clustering as linking
from vexpress.tasks.curate.across.clustering import group_vectors
from vexpress.tasks.curate.across.persons import PersonConfig, find_persons, name_groups


def faces(people: int, each: int, seed: int = 0, spread: float = 0.25) -> np.ndarray:
    """Vectors (people * each, 128): of one person about `spread` apart, of two about 1.4."""
    random = np.random.default_rng(seed)
    centres = random.normal(0, 1, (people, 128))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    noise = random.normal(0, spread / np.sqrt(2 * 128), (people, each, 128))
    return (centres[:, None] + noise).reshape(-1, 128).astype(np.float32)


def write(folder: Path, vectors: dict[str, np.ndarray], backend: str = "dlib/resnet-v1") -> Dataset:
    """Add clips with these vectors to a data set."""
    dataset = Dataset(folder)
    dataset.create()
    prepare_manifests(dataset)
    for name, vector in vectors.items():
        ids = {"clip_id": name, "video_id": f"v{name}", "batch_id": name}
        face = FaceEmbedding(**ids, backend=backend, frames=[0], spread=0.1, embedding=vector)
        clip = rows.clip(name, name, video_id=f"v{name}")
        commit_batch(dataset, name, [clip, face, rows.video(f"v{name}", name, source=f"/{name}")])
    return dataset


def told(dataset: Dataset) -> dict[str, str]:
    return dict(run_query(dataset, "SELECT clip_id, person_id FROM clips ORDER BY 1").fetchall())


def grouped(people: dict[str, str]) -> set[frozenset[str]]:
    return {frozenset(c for c in people if people[c] == p) for p in people.values()}


def test_vectors_of_one_person_are_one_group_in_any_order() -> None:
    vectors = faces(20, 8)
    order = np.random.default_rng(2).permutation(len(vectors))
    groups = group_vectors(vectors, 0.5)
    shuffled = group_vectors(vectors[order], 0.5)
    truth = np.arange(160) // 8
    for found, expected in ((groups, truth), (shuffled, truth[order])):
        same = found[:, None] == found
        np.testing.assert_array_equal(same, expected[:, None] == expected)


def test_a_chain_of_likenesses_does_not_make_one_person() -> None:
    steps = np.zeros((12, 128), np.float32)
    steps[:, 0] = np.arange(12) * 0.45
    groups = group_vectors(steps, 0.5)
    assert groups.max() >= 3, "each is like the next, the first is not like the last"


@pytest.mark.parametrize("largest", [2048, 0])
def test_groups_are_those_of_a_table_of_all_distances(
    largest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linking, "LARGEST", largest)
    monkeypatch.setattr(linking, "CELLS", 97)
    vectors = 0.57 * faces(30, 12, spread=0.9)
    vectors = np.concatenate([vectors, vectors[:40], np.tile(vectors[:1], (50, 1))])
    found = group_vectors(vectors, 0.5)
    expected = fcluster(linkage(pdist(vectors, "sqeuclidean"), "average"), 0.5**2, "distance")
    np.testing.assert_array_equal(found[:, None] == found, expected[:, None] == expected)
    assert 30 < found.max() + 1 < 250, "people fall apart: not every join is obvious"


def test_ids_stay_when_people_and_clips_are_added(tmp_path: Path) -> None:
    vectors = faces(4, 3)
    names = [f"c{n:02}" for n in (5, 6, 7, 1, 2, 11, 3, 8, 9, 0, 4, 10)]
    named = dict(zip(names, vectors, strict=True))
    dataset = write(
        tmp_path / "set", {n: named[n] for n in names if n not in ("c01", "c00", "c04")}
    )
    assert find_persons(dataset, PersonConfig())
    before = told(dataset)
    assert len(set(before.values())) == 4
    write(tmp_path / "set", {n: named[n] for n in ("c01", "c00", "c04")})
    assert find_persons(dataset, PersonConfig())
    after = told(dataset)
    assert {n: after[n] for n in before} == before
    assert grouped(after) == {frozenset(names[i : i + 3]) for i in range(0, 12, 3)}
    assert not find_persons(dataset, PersonConfig()), "nothing has changed"
    whole = write(tmp_path / "other", named)
    find_persons(whole, PersonConfig())
    assert grouped(told(whole)) == grouped(after), "the same people, whatever came first"


def test_vectors_of_different_models_are_never_compared(tmp_path: Path) -> None:
    vector = faces(1, 1)[0]
    dataset = write(tmp_path / "set", {"a": vector})
    write(tmp_path / "set", {"b": vector}, backend="arcface/buffalo_l/w600k_r50")
    find_persons(dataset, PersonConfig())
    people = told(dataset)
    assert people["a"] and people["b"] and people["a"] != people["b"]


def test_without_persons_the_column_is_empty(tmp_path: Path) -> None:
    dataset = write(tmp_path / "set", {"a": faces(1, 1)[0]})
    assert told(dataset) == {"a": None}
    find_persons(dataset, PersonConfig(find=False))
    assert told(dataset) == {"a": None}


def test_each_model_has_its_own_limit_and_distances_are_from_the_middle(tmp_path: Path) -> None:
    near, far = np.eye(2, 128, dtype=np.float32) * 0.8 / np.sqrt(2)
    dataset = write(tmp_path / "set", {"a": near, "b": far})
    write(tmp_path / "set", {"c": near, "d": far}, backend="arcface/buffalo_l/w600k_r50")
    find_persons(dataset, PersonConfig())
    people = told(dataset)
    assert people["a"] != people["b"] and people["c"] == people["d"], "0.8 apart"
    apart = run_query(dataset, "SELECT distance FROM persons ORDER BY clip_id").fetchall()
    assert [d for (d,) in apart] == pytest.approx([0, 0, 0.4, 0.4], abs=1e-6)


def test_no_id_is_given_twice() -> None:
    first = content_id("person", "a")
    ids = name_groups(["a", "b"], [1, 0], {"b": first})
    assert ids[0] == first and ids[1] != first


def test_two_alike_are_one_person_and_two_unlike_are_two() -> None:
    near, far = np.eye(2, 128, dtype=np.float32)
    assert group_vectors(np.stack([near, near]), 0.5).tolist() == [0, 0]
    assert len(set(group_vectors(np.stack([near, far]), 0.5).tolist())) == 2
