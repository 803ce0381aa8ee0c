"""Evaluation end to end, on real videos passed off as results: the numbers know which is which."""

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from tests.helpers import rows
from tests.helpers.generated import Asked, write_generations
from tests.vexpress.metrics.test_frechet import MeanColour, MeanOverTime
from vexpress.flows.cli.app import app
from vexpress.metrics.table import VIDEO_METRICS
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.manifest import commit_batch
from vexpress.schemas.query import run_query
from vexpress.tasks.evaluate.plan import read_generations
from vexpress.tasks.evaluate.side_by_side import strip

pytestmark = pytest.mark.assets
FEW = ["--set=measure.identity_frames=4", "--set=measure.faces.backend=dlib"]
EVIL = "<script>alert(1)</script>"
ASKED = [
    Asked("own", clip_id="c0", title=EVIL),
    Asked("shifted", shift_px=(12, 9)),
    Asked("other", of="AOC"),
    Asked("blurred", blur=2),
    Asked("own-b", weights="run-b", blur=1),
    Asked("own-c1", weights="run-c"),
    Asked("own-c2", weights="run-c"),
]


def evaluate(dataset: Dataset, *words: str) -> str:
    done = CliRunner().invoke(app, ["evaluate", dataset.root, *FEW, *words])
    assert done.exit_code == 0, done.output
    return done.output


def values(dataset: Dataset, metric: str) -> dict[str, float]:
    query = f"SELECT request_id, value FROM evaluations WHERE metric = '{metric}'"
    return dict(run_query(dataset, query).fetchall())


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made-up feature networks, called as the published ones are."""
    folder = tmp_path_factory.mktemp("networks")
    torch.jit.script(MeanColour()).save(str(folder / "inception-2015-12-05.pt"))
    torch.jit.script(MeanOverTime()).save(str(folder / "i3d_torchscript.pt"))
    return folder


@pytest.fixture(scope="module")
def evaluated(assets: Path, networks: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Five videos of two checkpoints, evaluated; the real one is a kept clip of the data set."""
    root = tmp_path_factory.mktemp("evaluated") / "set"
    dataset = write_generations(root, assets / "vexpress_samples", ASKED, frames=32)
    own = Path(dataset.path("generated/own.mp4")).read_bytes()
    clips = [rows.clip(f"c{n}", media_path=f"media/c{n}.mp4") for n in range(2)]
    for clip in clips:
        dataset.write(clip.media_path, own)
    commit_batch(dataset, "w1", [*clips, rows.video()])
    evaluate(dataset, f"--weights={networks}")
    return dataset


def test_each_number_knows_which_video_is_worse(evaluated: Dataset) -> None:
    px = values(evaluated, "kps_px")
    assert px["own"] < 4 and px["shifted"] == pytest.approx(15, abs=px["own"])
    assert px["other"] > 3 * px["own"] and px["blurred"] < 4
    like = values(evaluated, "face_similarity")
    assert min(like["own"], like["shifted"], like["blurred"]) > like["other"] + 0.05
    sharp = values(evaluated, "sharpness")
    assert 0.8 < sharp["own"] < 1.2 and sharp["blurred"] < sharp["own-b"] < 0.5
    flicker = values(evaluated, "flicker")
    assert flicker["blurred"] < flicker["own"] == flicker["shifted"]
    assert set(values(evaluated, "face_found").values()) == {1.0}


def test_sets_are_near_the_real_ones_as_far_as_they_are_the_real_ones(evaluated: Dataset) -> None:
    query = "SELECT weights, value, reason, count FROM evaluations WHERE metric = '{}' ORDER BY 1"
    (a, b, c) = run_query(evaluated, query.format("fid")).fetchall()
    assert c[1] == pytest.approx(0, abs=1e-6) and a[1] > 1
    assert b == ("run-b", None, "too_few", 0)
    assert a[3] == 4 * 4, "every tenth of 32 frames of four videos"
    (_, _, c) = run_query(evaluated, query.format("fvd")).fetchall()
    assert c[1] == pytest.approx(0, abs=1e-3) and c[3] == 2 * 2, "two segments of 16 frames"


def test_checkpoints_are_compared_in_sql_and_on_the_page(evaluated: Dataset) -> None:
    query = """SELECT round(better_share, 2), pairs FROM evaluation_pairs
               WHERE metric = 'sharpness' AND weights = 'run-c' AND other = 'run-b'"""
    assert run_query(evaluated, query).fetchall() == [(1.0, 2)]
    page = evaluated.read("evaluation.html").decode()
    assert "Checkpoints against each other" in page
    assert "Likeness to the reference" in page


def test_the_page_shows_videos_that_are_there_and_runs_nothing(evaluated: Dataset) -> None:
    page = evaluated.read("evaluation.html").decode()
    assert "<script" not in page and "&lt;script&gt;" in page
    videos = evaluated.names("evaluations/*.mp4")
    assert len(videos) == len(ASKED)
    assert all(f'src="{name}"' in page for name in videos)
    with av.open(evaluated.path(next(n for n in videos if "/own-" in n and "b-" not in n))) as made:
        assert made.streams.audio
        pictures = [f.to_ndarray(format="rgb24") for f in made.decode(video=0)]
    assert len(pictures) == 32


def test_a_driven_video_stands_beside_its_truth(evaluated: Dataset) -> None:
    (row,) = read_generations(evaluated, ["own"])
    with_truth = strip(evaluated, row, "media/c0.mp4")[1]
    result, truth = (with_truth[24:, n * 256 : (n + 1) * 256].astype(int) for n in (2, 3))
    assert with_truth.shape == (280, 1024, 3)
    assert np.abs(result - truth).mean() < 1, "the clip is the result here"
    assert strip(evaluated, row, None)[1].shape == (280, 768, 3)


def test_what_has_numbers_is_not_measured_again(
    evaluated: Dataset, networks: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = evaluated.names("manifests/evaluations/*.parquet")
    said = evaluate(evaluated, f"--weights={networks}")
    assert "0 videos measured (7 had their numbers before)" in said
    assert evaluated.names("manifests/evaluations/*.parquet") == parts
    query = "SELECT run_id, counts, weights FROM runs WHERE kind = 'evaluate'"
    ((run_id, counts, weights),) = run_query(evaluated, query).fetchall()
    assert {"sync lip landmarks", "fid", "fvd"} <= {used["name"] for used in json.loads(weights)}
    assert json.loads(counts)["videos_measured"] == 7
    numbers = f"SELECT count(DISTINCT request_id) FROM evaluations WHERE run_id = '{run_id}'"
    assert run_query(evaluated, numbers).fetchall() == [(7,)]
    newer = [replace(m, version=m.version + (m.name == "flicker")) for m in VIDEO_METRICS]
    monkeypatch.setattr("vexpress.tasks.evaluate.measure.VIDEO_METRICS", tuple(newer))
    said = evaluate(evaluated, f"--weights={networks}", "--limit=1")
    assert "1 video measured (0 had" in said
    query = "SELECT count(*) FROM evaluations WHERE request_id IS NOT NULL"
    assert run_query(evaluated, query).fetchall() == [(7 * len(VIDEO_METRICS),)]


def test_one_checkpoint_alone_by_name_or_digest(evaluated: Dataset, networks: Path) -> None:
    for checkpoint, count in (("run-c", 2), ("run-brun", 1), ("nothing", 0)):
        said = evaluate(evaluated, f"--weights={networks}", f"--checkpoint={checkpoint}")
        assert f"0 videos measured ({count} had" in said


def test_what_cannot_be_measured_has_a_reason_and_what_broke_is_tried_again(
    assets: Path, tmp_path: Path
) -> None:
    asked = [Asked("gone"), Asked("broken"), Asked("good", reference="none.jpg")]
    dataset = write_generations(tmp_path / "set", assets / "vexpress_samples", asked, frames=8)
    Path(dataset.path("generated/gone.mp4")).unlink()
    whole = Path(dataset.path("generated/broken.mp4")).read_bytes()
    Path(dataset.path("generated/broken.mp4")).write_bytes(b"not a video")
    assert "3 videos measured (0 had their numbers before, 1 failed)" in evaluate(dataset)
    query = "SELECT request_id, reason, count(*) FROM evaluations WHERE value IS NULL GROUP BY ALL"
    found = {(request, reason): n for request, reason, n in run_query(dataset, query).fetchall()}
    assert found == {
        ("gone", "no_video"): len(VIDEO_METRICS),
        ("broken", "failed"): len(VIDEO_METRICS),
        ("good", "no_reference"): 3,
        ("good", "no_model"): 2,
        ("good", "cannot_tell"): 2,
        (None, "no_model"): 2,
    }
    Path(dataset.path("generated/broken.mp4")).write_bytes(whole)
    assert "1 video measured (2 had their numbers before)" in evaluate(dataset)
    assert values(dataset, "kps_px")["broken"] < 4
    done = CliRunner().invoke(app, ["evaluate", dataset.root, "--set=measure.identify=dlib"])
    assert (
        done.exit_code == 2
        and "Did you mean `measure.identity`? Known here: faces, identity" in done.output
    )


def test_a_run_that_is_killed_goes_on_where_it_was(assets: Path, tmp_path: Path) -> None:
    asked = [Asked(f"v{number}") for number in range(3)]
    dataset = write_generations(tmp_path / "set", assets / "vexpress_samples", asked, frames=8)
    command = [sys.executable, "-m", "vexpress.flows.cli.app", "evaluate", dataset.root, *FEW]
    command += ["--set=shard_videos=1", "--set=shown=0"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command, **quiet)
    deadline = time.monotonic() + 120
    while len(dataset.names("manifests/evaluations/*.parquet")) < 2 and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.kill()
    process.wait()
    killed_after = len(dataset.names("manifests/evaluations/*-0*.parquet"))
    said = evaluate(dataset, "--set=shard_videos=1", "--set=shown=0")
    assert f"({killed_after} had their numbers before" in said
    query = "SELECT request_id, metric FROM read_parquet('manifests/evaluations/*.parquet')"
    query = query.replace("'manifests", f"'{dataset.root}/manifests")
    written = run_query(dataset, f"{query} WHERE request_id IS NOT NULL").fetchall()
    assert len(written) == len(set(written)) == 3 * len(VIDEO_METRICS)


@pytest.mark.slow
def test_ray_measures_the_same(assets: Path, tmp_path: Path) -> None:
    found = []
    for engine in ("local", "ray"):
        asked = [Asked("own"), Asked("other", of="AOC")]
        folder, samples = tmp_path / engine, assets / "vexpress_samples"
        dataset = write_generations(folder, samples, asked, frames=8)
        assert "2 videos measured (0 had" in evaluate(dataset, f"--engine={engine}")
        query = "SELECT request_id, metric, value FROM evaluations ORDER BY ALL"
        found.append(run_query(dataset, query).fetchall())
    assert found[0] == found[1]
