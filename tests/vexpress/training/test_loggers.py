"""Numbers of a stage in TensorBoard: all of them, once, also after a run was stopped."""

import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from tests.helpers.small_training import small_settings
from vexpress.errors import SettingsError
from vexpress.training.loggers import TensorBoardLogger, require_loggers
from vexpress.training.metrics_log import read_metrics
from vexpress.training.stage_job import StageJob
from vexpress.training.stage_run import StageRun

needs_tensorboard = pytest.mark.skipif(
    find_spec("tensorboard") is None, reason="the package tensorboard is not installed"
)


def points(folder: Path, tag: str) -> list[tuple[int, float]]:
    """Step and value as TensorBoard shows them."""
    from tensorboard.backend.event_processing.event_accumulator import (  # type: ignore[import-not-found]
        EventAccumulator,
    )

    found = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload().Scalars(tag)
    return [(event.step, event.value) for event in found]


@needs_tensorboard
def test_steps_after_the_last_checkpoint_are_shown_once(tmp_path: Path) -> None:
    for last, steps in ((0, range(6)), (3, range(4, 8))):
        logger = TensorBoardLogger(tmp_path, last)
        for step in steps:
            logger.log(step, {"train/loss": 100.0 * last + step})
    assert points(tmp_path, "train/loss") == [
        *((step, step) for step in (0, 1, 2, 3)),
        *((step, 300 + step) for step in (4, 5, 6, 7)),
    ]


@needs_tensorboard
def test_a_stage_that_starts_over_is_shown_once(tmp_path: Path) -> None:
    for _ in range(2):
        TensorBoardLogger(tmp_path, 0).log(0, {"validation/held_out_loss": 1.0})
    assert points(tmp_path, "validation/held_out_loss") == [(0, 1.0)]


@needs_tensorboard
def test_every_number_of_a_stage_is_in_tensorboard_once(material: Path, tmp_path: Path) -> None:
    """The stage is stopped after step 6, of which the checkpoint is lost, and resumed."""
    shutil.copy(material / "clips.safetensors", tmp_path)
    settings = small_settings(material, engine={"loggers": ["tensorboard"]})
    job = StageJob(run=tmp_path, number=1, settings=settings)
    for _ in range(2):
        StageRun(job, torch.device("cpu")).run()
        shutil.rmtree(job.folder / "checkpoints/step-00000006")
        (job.folder / "done.json").unlink()
    metrics = read_metrics(job.folder / "metrics.jsonl")
    for kind, name in (("train", "loss"), ("validation", "held_out_loss")):
        expected = [(line["step"], line[name]) for line in metrics if line["kind"] == kind]
        found = points(job.folder / "tensorboard", f"{kind}/{name}")
        assert [step for step, _ in found] == [step for step, _ in expected]
        assert [v for _, v in found] == pytest.approx([v for _, v in expected], rel=1e-6)


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_a_logger_without_its_package_is_refused(name: str) -> None:
    if find_spec(name):
        pytest.skip(f"the package {name} is installed")
    with pytest.raises(SettingsError, match=f"expected the package {name}, found none"):
        require_loggers([name])
    require_loggers([])
