"""What curation makes of real videos, against their known truth."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from vexpress.faces.kps_file import read_kps
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.query import run_query

pytestmark = pytest.mark.assets
VEXPRESS = Path(sys.executable).with_name("vexpress")
MODEL = "faces.model=scrfd_2.5g"
SAMPLES = ("AOC", "talk_jocker", "tys", "3", "7")


def vexpress(*arguments: str | Path) -> None:
    done = subprocess.run([VEXPRESS, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def multishot(assets: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The film of eleven segments, curated with the permissive preset."""
    folder = tmp_path_factory.mktemp("multishot") / "out"
    weights = ("--weights", assets / "models", "--set", MODEL)
    vexpress("curate", assets / "videos/multishot.mp4", folder, "--preset", "permissive", *weights)
    return Dataset(folder)


@pytest.fixture(scope="module")
def truth(assets: Path) -> dict:
    return json.loads((assets / "videos/multishot.json").read_text())


def test_every_join_is_the_start_of_a_scene(multishot: Dataset, truth: dict) -> None:
    starts = [row[0] for row in run_query(multishot, "SELECT start_s FROM scenes").fetchall()]
    for join in truth["hard_cuts_at_joins"]:
        assert min(abs(start - join) for start in starts) <= 2 / truth["fps"], join


def test_kept_clips_lie_in_segments_with_a_face_and_show_it_alone(
    multishot: Dataset, truth: dict
) -> None:
    kept = run_query(multishot, "SELECT start_s, end_s, faces FROM kept").fetchall()
    seconds = dict.fromkeys(range(len(truth["segments"])), 0.0)
    for start, end, faces in kept:
        inside = [
            number
            for number, s in enumerate(truth["segments"])
            if s["start"] - 0.01 <= start and end <= s["end"] + 0.01
        ]
        assert inside, f"a clip from {start} to {end} s crosses a join"
        assert truth["segments"][inside[0]]["faces"] in (faces, None), (start, end)
        seconds[inside[0]] += end - start
    one_face = [n for n, s in enumerate(truth["segments"]) if s["faces"] == 1]
    whole = sum(truth["segments"][n]["end"] - truth["segments"][n]["start"] for n in one_face)
    assert sum(seconds[n] for n in one_face) >= 0.8 * whole


def test_every_second_is_kept_or_rejected_with_a_reason(multishot: Dataset, truth: dict) -> None:
    spans = run_query(multishot, "SELECT start_s, end_s FROM clips ORDER BY start_s").fetchall()
    reached = 0.0
    for start, end in spans:  # those of several faces at once overlap
        assert start <= reached + 0.01, f"nothing is said of {reached} to {start} s"
        reached = max(reached, end)
    assert reached == pytest.approx(truth["duration"], abs=0.01)
    unexplained = "SELECT count(*) FROM rejected WHERE detail IS NULL"
    assert run_query(multishot, unexplained).fetchall() == [(0,)]


def test_v_kps_are_those_that_v_express_published(assets: Path, tmp_path: Path) -> None:
    distances = []
    for sample in SAMPLES:
        folder, kps = assets / "vexpress_samples" / sample, tmp_path / f"{sample}.pth"
        arguments = ("--kps", kps, "--weights", assets / "models", "--set", MODEL)
        vexpress("extract-kps", folder / "gt.mp4", *arguments)
        ours, published = read_kps(kps), read_kps(folder / "kps.pth")
        assert ours.shape == published.shape
        distances.append(np.linalg.norm(ours - published, axis=2).mean(axis=1))
    assert np.concatenate(distances).mean() <= 3.2
