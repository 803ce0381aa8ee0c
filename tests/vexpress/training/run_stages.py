"""Train stages of a run in a process of its own: RUN SETTINGS_JSON STAGE..."""

import sys
from pathlib import Path

import torch

from vexpress.training.job import StageJob
from vexpress.training.settings import TrainSettings
from vexpress.training.stage_run import StageRun


def main() -> None:
    """Train the stages asked for, in order, each from where it was stopped."""
    torch.set_num_threads(1)
    run, settings = Path(sys.argv[1]), TrainSettings.model_validate_json(sys.argv[2])
    for number in map(int, sys.argv[3:]):
        job = StageJob(run=run, number=number, settings=settings)
        if not (job.folder / "done.json").is_file():
            StageRun(job, torch.device("cpu")).run()


if __name__ == "__main__":
    main()
