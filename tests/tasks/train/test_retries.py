"""A stage is tried again where that may help, and not where a person has to do something."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.helpers.small_training import small_settings
from vexpress.errors import VExpressError
from vexpress.tasks.engine.monitor import Monitor
from vexpress.tasks.train_model import RETRY, run_stage
from vexpress.training.metrics_log import read_metrics
from vexpress.training.stage_job import StageJob

STEPS = {"steps": 2, "learning_rate": 1e-3}


def job_of(material: Path, run: Path) -> StageJob:
    run.mkdir()
    shutil.copy(material / "clips.safetensors", run)
    return StageJob(run=run, number=3, settings=small_settings(material, stage_3=STEPS))


def train_and_mend(job: StageJob, mend: Path) -> list[bool]:
    """Train; after each failure take away what is in the way; return whether it was tried again."""
    asked: list[bool] = []

    def ask(error: BaseException) -> bool:
        asked.append(RETRY.may_help(error))
        mend.unlink()
        return asked[-1]

    retry = replace(RETRY, delay_s=0, may_help=ask)
    monitor = Monitor()
    monitor.run("train-stage", run_stage, job, monitor, retry=retry)
    return asked


@pytest.mark.parametrize("name", ["stage_3", "stage_3/checkpoints"])
def test_a_stage_that_a_file_system_failed_is_trained_by_the_next_try(
    material: Path, tmp_path: Path, name: str
) -> None:
    job = job_of(material, tmp_path / "run")
    in_the_way = job.run / name
    in_the_way.parent.mkdir(exist_ok=True)
    in_the_way.write_text("a file where the folder has to be")
    assert train_and_mend(job, in_the_way) == [True]
    steps = [n["step"] for n in read_metrics(job.folder / "metrics.jsonl") if n["kind"] == "train"]
    assert steps == [1, 2] and (job.folder / "done.json").is_file()


def test_an_error_that_says_what_to_do_is_not_tried_again(material: Path, tmp_path: Path) -> None:
    job = job_of(material, tmp_path / "run")
    clips = job.run / "clips.safetensors"
    clips.write_bytes(b"no clips")
    with pytest.raises(VExpressError, match="clips"):
        train_and_mend(job, clips)
    assert not (job.folder / "done.json").exists()
