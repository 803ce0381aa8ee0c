"""The row of a training run in the data set's table `runs`: with what it trained, and what came.

One row a finished command that trained something. Its id is also that of a snapshot, as
after curation; the snapshot whose clips were trained on is in the row's configuration.
"""

import json
import secrets
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vexpress.schemas.dataset import Dataset
from vexpress.schemas.manifest import write_run
from vexpress.schemas.query import run_query
from vexpress.schemas.run import Run
from vexpress.schemas.versions import versions_of
from vexpress.tasks.engine.weights import Weights, read_weights
from vexpress.tasks.train.stage import uses_ray
from vexpress.training.clips import ClipIndex
from vexpress.training.job import CLIPS, StageJob
from vexpress.training.metrics_log import read_metrics
from vexpress.training.settings import TrainSettings
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
    run_id = f"{started:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
    stages = {n: _of_this_command(run, n, settings, started) for n in trained}
    row = Run(
        run_id=run_id,
        kind="train",
        source=str(run.resolve()),
        started_at=started.isoformat(),
        finished_at=datetime.now(UTC).isoformat(),
        engine="ray" if uses_ray(settings.engine) else "local",
        config=(run / "run.json").read_text(),
        versions=versions_of(LIBRARIES),
        weights=json.dumps([asdict(weights) for weights in _weights(run, settings, trained)]),
        notes=[f"stages {', '.join(map(str, trained))}"],
        videos=0,
        videos_done_before=0,
        clips_kept=len(ClipIndex(run / CLIPS)),
        clips_rejected=0,
        units_run=sum(len(lines) for lines in stages.values()),
        units_reused=sum(settings.stage(n).steps - len(lines) for n, lines in stages.items()),
        step_seconds=json.dumps(
            {f"stage_{n}": round(sum(x["seconds"] for x in s), 3) for n, s in stages.items()}
        ),
        snapshot=f"snapshots/{run_id}.json",
    )
    write_run(Dataset(source), row)
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
