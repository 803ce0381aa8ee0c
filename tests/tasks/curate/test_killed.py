"""A run that is killed at any moment, and run again, gives what an unbroken run gives."""

import hashlib
import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.talking_heads import Face, Shot, Speech, VideoFormat, render
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.manifest import prepare_manifests
from vexpress.schemas.query import run_query
from vexpress.tasks.curate.across.duplicates import find_duplicates
from vexpress.tasks.curate.across.persons import find_persons
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

KILLS = 6
TABLES = ("videos", "scenes", "tracks", "clips", "kps", "prints", "faces", "duplicates", "persons")


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("videos")
    size = VideoFormat(width=480, height=360)
    say = (Speech(start_s=0.1, text="Every run that stops goes on where it was."),)
    for name in ("a", "b", "c"):
        shots = [
            Shot(duration_s=2.0, faces=(Face(width_px=150),), speech=say),
            Shot(duration_s=1.0),
            Shot(duration_s=1.6, faces=(Face(width_px=150, identity="narrow"),), speech=say),
        ]
        render(shots if name != "b" else shots[::-1], folder / f"{name}.mp4", size)
    (folder / "broken.mp4").write_bytes(b"no video at all")
    return folder


def curate(videos: Path, dataset: Path) -> None:
    """The work of the command, two videos a batch, without its report."""
    settings = ["faces.backend=dlib", "keep.min_face_side_px=40", "engine.batch_videos=2"]
    config, _ = resolve(load_config("permissive", None, settings), None)
    data = Dataset(dataset)
    data.create()
    prepare_manifests(data)
    engine = open_engine(config.engine, Context(data))
    mark = fingerprint(config, used_weights(config))
    for batch in plan_batches(list_sources(str(videos)), engine, config, mark):
        curate_batch(batch, data, engine, config, mark, lambda row: None)
    engine.close()
    find_persons(data, config.persons)
    find_duplicates(data, config.duplicates)


def in_child(videos: Path, dataset: Path) -> int:
    """Start `curate` in a fork of this process, which has imported everything; return its id."""
    child = os.fork()
    if child == 0:
        try:
            curate(videos, dataset)
        except BaseException as error:  # the parent must see it, not pytest's copy
            print(repr(error), flush=True)
            os._exit(1)
        os._exit(0)
    return child


def contents(dataset: Path) -> dict[str, list[str] | str]:
    """Everything that counts: rows of every table, and the bytes of media files."""
    data = Dataset(dataset)
    rows: dict[str, list[str] | str] = {}
    for table in TABLES:
        some = f"COLUMNS(lambda c: c NOT IN ('batch_id', 'committed_at')) FROM {table}"
        rows[table] = sorted(map(str, run_query(data, f"SELECT {some}").fetchall()))
    for path in (dataset / "media").iterdir():
        rows[path.name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return rows


def kill_once(videos: Path, dataset: Path, after_s: float) -> bool:
    """Start a run and kill it after `after_s`; return whether it was still running."""
    child = in_child(videos, dataset)
    deadline = time.monotonic() + after_s
    while time.monotonic() < deadline:
        if os.waitpid(child, os.WNOHANG)[0] == child:
            return False
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return True


def test_killed_at_random_moments_and_run_again_equals_an_unbroken_run(
    videos: Path, tmp_path: Path
) -> None:
    start = time.monotonic()
    assert os.waitpid(in_child(videos, tmp_path / "unbroken"), 0)[1] == 0
    whole_s = time.monotonic() - start
    expected = contents(tmp_path / "unbroken")
    empty = [name for name, content in expected.items() if not content]
    assert not empty, "nothing was made: the comparison would be empty"

    chance = random.Random(20)
    kills = runs = 0
    while kills < KILLS:
        runs += 1
        broken = tmp_path / f"broken-{runs}"
        while kill_once(videos, broken, chance.uniform(0.05, 0.5) * whole_s):
            kills += 1
        assert contents(broken) == expected, f"after {kills} kills"
        assert not list((broken / ".tmp").iterdir())
