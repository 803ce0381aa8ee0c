"""Training on Ray: how many workers take part, and how weights lie, change nothing."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import psutil
import pytest
import torch

from tests.helpers.small_training import small_settings
from vexpress.schemas.errors import ConfigError
from vexpress.tasks.train.stage import train_stage, uses_ray
from vexpress.training.metrics_log import read_metrics
from vexpress.training.model import TrainingModel
from vexpress.training.settings import EngineSettings
from vexpress.training.stage_job import StageJob
from vexpress.training.start_weights import saved_networks

TOLERANCE = 1e-4
"""Relative; sums over samples are taken in another order. Measured: below 2e-6."""
STEPS = {"steps": 6, "learning_rate": 1e-3, "unconditional": 0.4}


@pytest.fixture(scope="module")
def ray_here() -> Iterator[None]:
    """One Ray for all tests of this file, on this machine."""
    # Else whatever runs beside the tests goes first.
    ray = pytest.importorskip("ray")
    root = str(Path(__file__).parents[3])
    ray.init(
        address="local",
        num_cpus=2,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
        runtime_env={"env_vars": {"PYTHONPATH": root, "OMP_NUM_THREADS": "1"}},
    )
    yield
    ray.shutdown()


def job_of(material: Path, run: Path, batch: int, **engine: Any) -> StageJob:
    run.mkdir()
    shutil.copy(material / "clips.safetensors", run)
    settings = small_settings(
        material,
        stage_3={**STEPS, "batch": batch, "ema_decay": 0.9},
        engine={"save_every": 3, "validate_every": 3, **engine},
    )
    return StageJob(run=run, number=3, settings=settings)


def losses(job: StageJob) -> list[float]:
    return [n["loss"] for n in read_metrics(job.folder / "metrics.jsonl") if n["kind"] == "train"]


def weights(job: StageJob, name: str = "weights") -> dict[str, torch.Tensor]:
    return TrainingModel(saved_networks(job.folder / name / "v-express")).state_dict()


def check_same(found: StageJob, expected: StageJob) -> None:
    """Same losses. Weights: AdamW's first steps are about the sign of the gradient, so one
    that is zero but for rounding moves at random; all others move the same, 6e-3 in all."""
    assert losses(found) == pytest.approx(losses(expected), rel=TOLERANCE)
    for name in ("weights", "weights_mean"):
        others = weights(expected, name)
        off = [(t - others[key]).abs().flatten() for key, t in weights(found, name).items()]
        assert torch.cat(off).mean() < 5e-5, name


@pytest.mark.slow
def test_two_workers_one_of_them_lost_are_one_worker_with_twice_the_batch(
    material: Path, tmp_path: Path, ray_here: None
) -> None:
    alone = job_of(material, tmp_path / "alone", batch=2)
    two = {"batch": 1, "kind": "ray", "workers": 2}
    ddp = job_of(material, tmp_path / "ddp", **two, save_every=2, max_failures=1)
    sharded = job_of(material, tmp_path / "sharded", **two, sharding="fsdp")
    killer = Thread(target=kill_worker, args=(ddp,), daemon=True)
    killer.start()
    for job in (alone, ddp, sharded):
        assert train_stage(job)["steps"] == STEPS["steps"]
    killer.join()
    check_same(ddp, alone)
    check_same(sharded, alone)


def test_an_error_of_a_worker_arrives_as_it_was_and_is_not_tried_again(
    material: Path, tmp_path: Path, ray_here: None
) -> None:
    from vexpress.training.stage_run import TrainingDiverged

    job = job_of(material, tmp_path / "far", batch=1, kind="ray", max_failures=2)
    stage = job.settings.stage_3.derive(learning_rate=1e30)
    with pytest.raises(TrainingDiverged, match="expected a finite loss"):
        train_stage(job.derive(settings=job.settings.derive(stage_3=stage)))
    begun = [n for n in read_metrics(job.folder / "metrics.jsonl") if n["step"] == 0]
    assert len(begun) == 1, "each try measures once before the first step"


def kill_worker(job: StageJob) -> None:
    """Kill a process that trains, once it has begun."""
    while not list(job.folder.glob("checkpoints/step-*")):
        time.sleep(0.02)
    family = psutil.Process().children(recursive=True)
    next(p for p in family if "TrainWorker" in " ".join(p.cmdline())).kill()


def test_more_than_the_cluster_has_is_refused_at_once(
    material: Path, tmp_path: Path, ray_here: None
) -> None:
    job = job_of(material, tmp_path / "many", batch=1, kind="ray", workers=99)
    with pytest.raises(ConfigError, match="expected 99 CPUs in the Ray cluster, found 2"):
        train_stage(job)


def test_ray_is_used_for_several_workers_or_where_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert not uses_ray(EngineSettings())
    assert uses_ray(EngineSettings(workers=2)) and uses_ray(EngineSettings(kind="ray"))
    with pytest.raises(ConfigError, match="expected one worker"):
        uses_ray(EngineSettings(kind="local", workers=2))
