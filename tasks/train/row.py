"""The row of a training run in the data set's table `runs`: with what it trained, and what came.

One row a finished command that trained something. Its id is also that of a snapshot, as
after curation; the snapshot whose clips were trained on is in the row's configuration.
"""

from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from vexpress.schemas.dataset import Dataset
from vexpress.schemas.manifest import write_run
from vexpress.schemas.query import run_query
from vexpress.schemas.run import Run, new_run_id
from vexpress.tasks.engine.weights import Weights, read_weights
from vexpress.tasks.train.stage import uses_ray
from vexpress.training.clips import ClipIndex
from vexpress.training.metrics_log import read_metrics
from vexpress.training.settings import TrainSettings
from vexpress.training.stage_job import CLIPS, StageJob
from vexpress.weights.catalogue import network_files, networks_in

LIBRARIES = ("vexpress", "prefect", "ray", "torch", "diffusers", "transformers")
NEWEST = """
SELECT snapshot FROM runs WHERE kind = 'curate' AND snapshot <> '' ORDER BY finished_at DESC LIMIT 1
"""


def newest_snapshot(source: str) -> str | None:
    """The snapshot of the last curation, by its path in the data set; None before any, or for
    a list. Training changes no clips, so its own snapshots do not count."""
    if source.endswith(".json"):
        return None
    found = run_query(Dataset(source), NEWEST).fetchall()
    return str(found[0][0]) if found else None


def record_run(
    run: Path, source: str, settings: TrainSettings, started: datetime, trained: list[int]
) -> str | None:
    """Write the row and its snapshot; returns its id, or None for a list, which has no table.

    `trained`: stages that were trained by this command, in order.
    """
    if source.endswith(".json"):
        return None
    run_id = new_run_id(started)
    stages = {n: _of_this_command(run, n, settings, started) for n in trained}
    begun = Run.begun(
        run_id,
        "train",
        str(run.resolve()),
        started,
        engine="ray" if uses_ray(settings.engine) else "local",
        config=(run / "run.json").read_text(),
        libraries=LIBRARIES,
        weights=[asdict(weights) for weights in _weights(run, settings, trained)],
        notes=[f"stages {', '.join(map(str, trained))}"],
    )
    counts = {
        "clips": len(ClipIndex(run / CLIPS)),
        "steps": sum(len(lines) for lines in stages.values()),
        "steps_done_before": sum(
            settings.stage(n).steps - len(lines) for n, lines in stages.items()
        ),
    }
    seconds = {f"stage_{n}": sum(line["seconds"] for line in s) for n, s in stages.items()}
    write_run(Dataset(source), begun.finished(counts, seconds))
    return run_id


def _of_this_command(
    run: Path, number: int, settings: TrainSettings, started: datetime
) -> list[dict[str, Any]]:
    """Optimiser steps that were made since `started`; earlier ones were found done."""
    folder = StageJob(run=run, number=number, settings=settings).folder
    lines = read_metrics(folder / "metrics.jsonl")
    return [x for x in lines if x["kind"] == "train" and x["at"] >= started.timestamp()]


def _weights(run: Path, settings: TrainSettings, trained: list[int]) -> list[Weights]:
    """What was started from, and what the last stage left."""
    folders = {"start": settings.start} if settings.start else {}
    folders |= {f"stage_{number}": run / f"stage_{number}/weights" for number in trained[-1:]}
    found = []
    for name, folder in folders.items():
        files = network_files(networks_in(folder) or folder)
        licence = "as the weights it started from" if name != "start" else "not known"
        paths = sorted(files.values())
        found.append(read_weights(name, paths, licence))
    return found
