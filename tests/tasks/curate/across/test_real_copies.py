"""Twenty copies of five real clips, curated beside them and others, are all found, and nothing
else is; persons are told apart."""

from pathlib import Path

import pytest

from tests.helpers.video_copies import COPIES, read_film, write_film
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.manifest import prepare_manifests
from vexpress.schemas.query import connect, run_query
from vexpress.tasks.curate.across.duplicates import DuplicateConfig, find_duplicates
from vexpress.tasks.curate.across.persons import PersonConfig, find_persons
from vexpress.tasks.curate.chain import (
    curate_batch,
    fingerprint,
    plan_batches,
    resolve,
    used_weights,
)
from vexpress.tasks.curate.config import load_config
from vexpress.tasks.engine.engine import open_engine
from vexpress.tasks.engine.step import Context
from vexpress.tasks.media.source import list_sources
from vexpress.tasks.train.clips import identity_column

pytestmark = [pytest.mark.assets, pytest.mark.slow]
BASES = {
    "sample3": "vexpress_samples/3/gt.mp4",
    "sample7": "vexpress_samples/7/gt.mp4",
    "joker": "vexpress_samples/talk_jocker/gt.mp4",
    "tys": "vexpress_samples/tys/gt.mp4",
    "demo2": "videos/demo2_video.mp4",
}
OTHERS = {
    "aoc": "vexpress_samples/AOC/gt.mp4",
    "demo1": "videos/demo1_video.mp4",
    "hamilton": "videos/short_hamilton_clip.mp4",
}
"""Talks of which there are no copies."""
SETTINGS = [
    *(
        "speech.backend=none",
        "faces.model=scrfd_500m",
        "crop.size=256",
        "identity.backend=dlib",
        "identity.frames=2",
    ),
    *("keep.min_face_side_px=40", "pre_filter.min_face_side_px=40"),
]


@pytest.fixture(scope="module")
def dataset(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Four seconds of eight talks, and four of the eight kinds of copies of five of them."""
    folder = tmp_path_factory.mktemp("copies")
    (folder / "videos").mkdir()
    for number, (name, path) in enumerate(BASES.items()):
        film = read_film(assets / path, 4.0, 400)
        write_film(film, folder / f"videos/{name} original.mp4")
        for kind in list(COPIES)[number % 2 :: 2]:
            write_film(COPIES[kind](film), folder / f"videos/{name} {kind}.mp4")
    for name, path in OTHERS.items():
        write_film(read_film(assets / path, 4.0, 400), folder / f"videos/{name} original.mp4")
    config, _ = resolve(load_config("permissive", None, SETTINGS), assets / "models")
    made = Dataset(folder / "set")
    made.create()
    prepare_manifests(made)
    engine = open_engine(config.engine, Context(made, assets / "models"))
    mark = fingerprint(config, used_weights(config))
    for batch in plan_batches(list_sources(str(folder / "videos")), engine, config, mark):
        curate_batch(batch, made, engine, config, mark, lambda row: None)
    engine.close()
    find_duplicates(made, DuplicateConfig())
    find_persons(made, PersonConfig())
    return made


def test_copies_of_real_clips_are_found_and_nothing_else(dataset: Dataset) -> None:
    measured = run_query(
        dataset,
        "SELECT parse_filename(source) FROM filtered SEMI JOIN fingerprints USING (clip_id)",
    )
    names = [name for (name,) in measured.fetchall()]
    assert len(set(names)) == 28, "every video gave a clip"
    pairs = run_query(
        dataset,
        "SELECT parse_filename(a.source), parse_filename(b.source), mirrored FROM duplicates d "
        "JOIN filtered a USING (clip_id) JOIN filtered b ON b.clip_id = d.duplicate_of",
    ).fetchall()
    assert not [pair for pair in pairs if pair[0].split()[0] != pair[1].split()[0]]
    linked = {name for a, b, _ in pairs for name in (a, b)}
    copies = {name for name in names if "original" not in name}
    assert len(copies) == 20 and len(copies & linked) >= 19, copies - linked
    for a, b, mirrored in pairs:
        assert mirrored == (("mirrored" in a) != ("mirrored" in b)), (a, b)
    kept = run_query(dataset, "SELECT count(*), count(DISTINCT person_id) FROM kept").fetchall()[0]
    assert kept[0] <= 9 and kept[1] == 8, "one clip of each talk is left"


def test_persons_are_the_talkers_whatever_was_done_to_the_video(dataset: Dataset) -> None:
    told = run_query(
        dataset, "SELECT parse_filename(source), person_id FROM clips WHERE media_path IS NOT NULL"
    )
    people: dict[str, set[str]] = {}
    for name, person in told.fetchall():
        people.setdefault(name.split()[0], set()).add(person)
    everyone = [person for ids in people.values() for person in ids]
    assert len(everyone) == len(set(everyone)), "nobody is in two talks"
    assert len(people) == 8 and all(len(ids) == 1 for ids in people.values()), people
    assert identity_column(connect(dataset)) == "coalesce(person_id, video_id)"
