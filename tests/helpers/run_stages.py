"""Train all stages of a run, killed in the middle of each: RUN SETTINGS_JSON.

A process of its own, for a fork of one that has computed gradients cannot compute any. It
imports once and forks: each fork trains what is left, and is killed as a stranger would.
"""

import os
import signal
import sys
import time
from pathlib import Path

import torch

from vexpress.training.settings import STAGE_NAMES, TrainSettings
from vexpress.training.stage_job import StageJob
from vexpress.training.stage_run import StageRun

LINES = 4
"""Of a stage's metrics log, after which it is killed."""


def train(run: Path, settings: TrainSettings) -> None:
    """Train all stages, in order, each from where it was stopped."""
    torch.set_num_threads(1)
    for number in range(1, len(settings.stages) + 1):
        job = StageJob(run=run, number=number, settings=settings)
        if not (job.folder / "done.json").is_file():
            StageRun(job, torch.device("cpu")).run()


def in_child(run: Path, settings: TrainSettings) -> int:
    """Start `train` in a fork; return its id."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            train(run, settings)
            code = 0
        finally:
            os._exit(code)
    return child


def kill_in_stage(child: int, stage: Path) -> None:
    """Kill -9 as soon as the stage's metrics log has enough lines."""
    metrics = stage / "metrics.jsonl"
    while not metrics.is_file() or metrics.read_text().count("\n") < LINES:
        if os.waitpid(child, os.WNOHANG)[0]:
            sys.exit(f"the run ended before {metrics} had {LINES} lines")
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    if (stage / "done.json").exists():
        sys.exit(f"{stage} was finished before it was killed")


def main() -> None:
    """Kill in every stage, then run to the end."""
    run, settings = Path(sys.argv[1]), TrainSettings.model_validate_json(sys.argv[2])
    for name in STAGE_NAMES:
        kill_in_stage(in_child(run, settings), run / name)
    _, status = os.waitpid(in_child(run, settings), 0)
    sys.exit(os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
