"""One request to one video, what was done is not done again, and who dies on a request."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from tests.helpers import rows
from tests.helpers.doomed_generator import Doomed
from tests.helpers.small_requests import SIZE, SMALL, write_portrait, write_sound, write_table
from tests.talking_heads import Face, Shot, Speech, render
from vexpress.media.video import read_frames
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.errors import ConfigError
from vexpress.schemas.generation import Generation
from vexpress.schemas.manifest import commit_batch, prepare_manifests, write_part
from vexpress.tasks.generate.config import GenerateConfig, ModelChoice, Workers
from vexpress.tasks.generate.done import leave_out_done, not_written
from vexpress.tasks.generate.generator import GenerateJob, Generator, forget_notes, found_made
from vexpress.tasks.generate.pool import LocalPool, RayPool, fit_workers
from vexpress.tasks.generate.request_clips import reference_picture
from vexpress.tasks.generate.requests import RequestPlan, plan_requests
from vexpress.tasks.generate.weights import used_weights

CONFIG = GenerateConfig(model=ModelChoice(preset="tiny", face_model="./none"))


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A portrait, a sound, and a clip with speech."""
    folder = tmp_path_factory.mktemp("inputs")
    write_portrait(folder / "a.png")
    write_sound(folder / "s.wav", 0.5)
    shot = Shot(
        duration_s=0.8, faces=(Face(width_px=150),), speech=(Speech(text="One.", start_s=0.1),)
    )
    render([shot], folder / "clip.mp4", SIZE)
    return folder


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    """The tiny model, loaded once; each test points it to its own data set."""
    return Generator(job(Dataset(tmp_path_factory.mktemp("set"))))


def job(dataset: Dataset, **workers: Any) -> GenerateJob:
    config = CONFIG.model_copy(update={"workers": Workers(**workers)})
    return GenerateJob(
        run_id="run",
        root=dataset.root,
        config=config,
        weights=used_weights(CONFIG.model, None),
        folder=None,
        device="cpu",
    )


@pytest.fixture
def dataset(tmp_path: Path, generator: Generator) -> Dataset:
    """An empty data set, which the generator writes to."""
    made = Dataset(tmp_path / "set", "generations")
    made.create()
    prepare_manifests(made)
    generator.dataset = made
    generator.job = generator.job.model_copy(update={"root": made.root})
    return made


def plan(dataset: Dataset, inputs: Path, *asked: dict[str, Any]) -> RequestPlan:
    """Small requests; by default of the portrait and the sound."""
    common = {"reference": "a.png", "audio": "s.wav", **SMALL}
    table = write_table(inputs / "requests.csv", [{**common, **row} for row in asked])
    weights = used_weights(CONFIG.model, None)
    return plan_requests(str(table), dataset, CONFIG, weights, "run")


def digest(dataset: Dataset, row: Generation) -> str:
    return hashlib.sha256(dataset.read(str(row.out_path))).hexdigest()


def test_a_video_is_made_written_down_and_not_made_again(
    generator: Generator, dataset: Dataset, inputs: Path
) -> None:
    first = plan(dataset, inputs, {"name": "a"}, {"seed": 7})
    made = [generator.make(planned) for planned in first.videos]
    assert [row.status for row in made] == ["made", "made"]
    row = made[0]
    assert (row.name, row.frames, row.fps, row.attempt) == ("a", 5, 10, 1)
    assert row.asked_kps is not None and row.asked_kps.shape == (5, 3, 2)
    assert row.weights == "tiny" and "random weights" in row.licence
    assert digest(dataset, made[0]) != digest(dataset, made[1])
    with av.open(dataset.uri(str(row.out_path))) as video:
        assert video.streams.video[0].frames == 5 and video.streams.audio

    found = found_made(dataset)  # what a run finds that follows a killed one
    assert sorted(r.request_id for r in found) == sorted(r.request_id for r in made)
    write_part(dataset, "manifests/generations/p.parquet", Generation, found)
    assert not_written(found, dataset) == []
    forget_notes(dataset, found)
    assert dataset.names("generations/*.json") == [] and not list(dataset.scratch.iterdir())

    again = plan(dataset, inputs, {"name": "a"}, {"seed": 7}, {"seed": 8})
    leave_out_done(again, dataset, again=False)
    assert (again.done, [p.parameters.seed for p in again.videos]) == (2, [8])
    Path(dataset.uri(str(row.out_path))).unlink()
    once_more = plan(dataset, inputs, {"name": "a"})
    leave_out_done(once_more, dataset, again=False)
    (planned,) = once_more.videos
    before = row.model_copy(update={"out_path": made[1].out_path})
    assert planned.request_id == before.request_id, "a video that is gone is made again"


def test_a_portrait_known_from_before_gives_the_same_bytes(
    generator: Generator, dataset: Dataset, inputs: Path
) -> None:
    (planned,) = plan(dataset, inputs, {}).videos
    generator._portraits.clear()
    fresh = digest(dataset, generator.make(planned))
    assert planned.portrait_key in generator._portraits
    assert digest(dataset, generator.make(planned)) == fresh


def test_an_input_that_changes_on_the_way_is_no_video(
    generator: Generator, dataset: Dataset, inputs: Path, tmp_path: Path
) -> None:
    write_sound(inputs / "other.wav", 0.5)
    (planned,) = plan(dataset, inputs, {"audio": "other.wav"}).videos
    write_sound(inputs / "other.wav", 0.5, pitch_hz=300)
    row = generator.make(planned)
    assert (row.status, row.reason) == ("failed", "changed") and "audio" in str(row.detail)
    assert dataset.names("generations/*") == [] and not list(dataset.scratch.iterdir())


def test_what_is_wrong_inside_an_input_is_the_requests_reason(
    generator: Generator, dataset: Dataset, inputs: Path
) -> None:
    write_sound(inputs / "silent.wav", 0.5, pitch_hz=0)
    (planned,) = plan(dataset, inputs, {"audio": "silent.wav"}).videos
    row = generator.make(planned)
    assert (row.status, row.reason) == ("rejected", "bad_sound") and "silent" in str(row.detail)


def test_a_clip_of_the_data_set_drives_speaks_and_lends_its_picture(
    generator: Generator, dataset: Dataset, inputs: Path
) -> None:
    dataset.write("media/c1.mp4", (inputs / "clip.mp4").read_bytes())
    dataset.write("media/c1.wav", write_sound(inputs / "c1.wav", 0.8).read_bytes())
    clip = rows.clip(media_path="media/c1.mp4", audio_path="media/c1.wav", frames=20)
    points = rows.kps(20)
    commit_batch(dataset, "w1", [clip, points, rows.video()])
    table = inputs / "clips.sql"
    table.write_text("SELECT clip_id, 64 AS width, 64 AS height, 1 AS steps FROM kept")
    weights = used_weights(CONFIG.model, None)
    (planned,) = plan_requests(str(table), dataset, CONFIG, weights, "run").videos
    row = generator.make(planned)
    assert row.status == "made", row.detail
    assert (row.clip_id, row.strategy, row.frames) == ("c1", "no_retarget", 20)
    assert row.reference == dataset.uri("media/c1.mp4")
    assert row.audio == dataset.uri("media/c1.wav")
    assert row.asked_kps is not None
    np.testing.assert_allclose(row.asked_kps, points.kps * (64 / SIZE.width), atol=1e-3)
    shown = [image for _, image in read_frames(inputs / "clip.mp4", SIZE.width, SIZE.height)]
    with reference_picture(dataset, row) as path:
        lent = np.asarray(Image.open(path)).astype(int)
    assert np.abs(lent - shown[len(shown) // 2][..., ::-1]).mean() < 2
    missing = plan(dataset, inputs, {"clip_id": "nowhere"})
    assert [r.reason for r in missing.rejected] == ["no_clip"]


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """Ray on this machine, with one GPU that it only believes in."""
    import ray

    ray.init(address="local", num_cpus=2, num_gpus=1, include_dashboard=False, log_to_driver=False)
    yield
    ray.shutdown()


def test_a_request_that_kills_its_workers_is_given_up_and_the_others_are_made(
    cluster: None, dataset: Dataset, inputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vexpress.tasks.generate.pool.Generator", Doomed)
    asked = [{"seed": n, "name": "poison" if n == 3 else f"n{n}"} for n in range(12)]
    found = plan(dataset, inputs, *asked)
    pool = RayPool(job(dataset, kind="ray", count=2, attempts=2, gpus_per_worker=0.25))
    try:
        answers = {row.name: row for row in pool.results([found.videos[:8], found.videos[8:]])}
    finally:
        pool.close()
    assert len(answers) == 12
    poison = answers.pop("poison")
    assert (poison.status, poison.reason, poison.attempt) == ("failed", "crashed", 2)
    assert "its worker died 2 times" in str(poison.detail)
    assert {row.status for row in answers.values()} == {"made"}
    write_part(dataset, "manifests/generations/p.parquet", Generation, [poison])
    once_more = plan(dataset, inputs, *asked[3:4])
    leave_out_done(once_more, dataset, again=False)
    assert (once_more.done, once_more.videos) == (1, []), "it kills nobody in the next run"
    trying = plan(dataset, inputs, *asked[3:4])
    leave_out_done(trying, dataset, again=True)
    assert len(trying.videos) == 1


def test_gpus_that_the_cluster_lacks_are_refused_at_once(cluster: None) -> None:
    assert fit_workers(Workers(kind="ray", count=4, gpus_per_worker=0.25)) == 0.45
    for count, share in ((5, 0.25), (2, 1), (1, 2), (2, 0.6)):
        with pytest.raises(ConfigError, match=f"workers.count={count}.*expected room"):
            fit_workers(Workers(kind="ray", count=count, gpus_per_worker=share))


def test_folders_of_models_are_absolute_and_names_stay_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("taesd", "faces"):
        Path(name).mkdir()
    chosen = ModelChoice(preview_vae="taesd", face_model="faces").absolute()
    assert (chosen.preview_vae, chosen.face_model) == (f"{tmp_path}/taesd", f"{tmp_path}/faces")
    assert ModelChoice().absolute() == ModelChoice(), "buffalo_l is no folder"


def test_a_gpu_that_this_machine_lacks_is_refused_at_once(dataset: Dataset) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(ConfigError, match="expected a CUDA device here"):
        LocalPool(job(dataset, gpus_per_worker=0.5))
