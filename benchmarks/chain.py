"""What scoring costs: the whole chain of curation against the chain without its scores.

    python -m benchmarks.chain VIDEO [VIDEO …] --weights DIR [--set STEP.KEY=VALUE …]

Three sides on the same files in the same process, the best of `--repeats`: `bare` finds faces,
hears speech, crops, takes the sound and its features; `whole` also measures, synchronises and
transcribes; `apart` is `whole` with a decode of its own for every scorer of a clip. Prints
seconds per step, and the ratio to `bare`, also of CPU seconds, which other work on the machine
changes less. Nothing is committed to manifests.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from vexpress.schemas.dataset import Dataset
from vexpress.schemas.manifest import prepare_manifests
from vexpress.tasks.curate.chain import resolve, stages
from vexpress.tasks.curate.config import CurateConfig, load_config
from vexpress.tasks.curate.probe import ProbeVideo
from vexpress.tasks.curate.scores.measure import MeasureClip
from vexpress.tasks.curate.speech.transcribe import TranscribeClip
from vexpress.tasks.curate.sync import SyncClip
from vexpress.tasks.engine.engine import Stage, open_engine
from vexpress.tasks.engine.shared_decode import Scorer
from vexpress.tasks.engine.step import Context, Step
from vexpress.tasks.engine.units import Candidate
from vexpress.tasks.media.source import describe_file, total_duration

SCORING = (MeasureClip, SyncClip, TranscribeClip)
"""Steps that `bare` goes without."""
SIDES = ("bare", "whole", "apart")


def chain(config: CurateConfig, side: str) -> list[Stage]:
    """The stages of one side."""
    made = [Stage(((ProbeVideo, config.probe),))]
    for stage in stages(config):
        steps: list[tuple[type[Step[Any]], Any]] = []
        for step, settings in stage.steps:
            if side == "apart" and step is MeasureClip:
                steps += [(alone(scorer), settings) for scorer in MeasureClip.SCORERS]
            elif side != "bare" or step not in SCORING:
                steps.append((step, settings))
        if steps:
            made.append(Stage(tuple(steps)))
    return made


def alone(scorer: type[Scorer[Any, Any]]) -> type[Step[Any]]:
    """`MeasureClip` with one scorer."""

    class Alone(MeasureClip):
        SCORERS = (scorer,)

    return Alone


def run(side: str, config: CurateConfig, videos: list[Path], given: Any) -> dict[str, Any]:
    """Seconds in all and per step, and frames of cropped clips, of one run of one side."""
    with tempfile.TemporaryDirectory() as folder:
        data = Dataset(Path(folder) / "set")
        data.create()
        prepare_manifests(data)
        engine = open_engine(config.engine, Context(data, given.weights))
        start, cpu = time.perf_counter(), time.process_time()
        units = engine.run(chain(config, side), [describe_file(v) for v in videos])
        clips = [unit.clip for unit in units if isinstance(unit, Candidate)]
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        steps = {name: round(t.seconds, 2) for name, t in engine.ledger.tallies().items()}
        engine.close()
    failed = [clip.detail for clip in clips if clip.is_error]
    assert not failed, failed
    frames = sum(clip.frames for clip in clips if clip.media_path)
    return {"seconds": seconds, "cpu": cpu, "steps": steps, "frames": frames}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--set", dest="settings", action="append", default=[])
    parser.add_argument("--repeats", type=int, default=2)
    given = parser.parse_args()
    videos = [video.resolve() for video in given.videos]
    config, notes = resolve(load_config("permissive", None, given.settings), given.weights)
    print("\n".join(notes))
    length = total_duration([describe_file(v) for v in videos])
    best: dict[str, dict[str, Any]] = {}
    for _ in range(given.repeats):
        for side in SIDES:
            found = run(side, config, videos, given)
            print(f"{side:6} {found['seconds']:7.1f} s, {found['cpu']:7.1f} s of CPU", flush=True)
            if side not in best or found["seconds"] < best[side]["seconds"]:
                best[side] = found
    print(f"{length:.0f} s of video, {best['whole']['frames']} frames of clips")
    for side, found in best.items():
        wall, cpu = (found[k] / best["bare"][k] for k in ("seconds", "cpu"))
        speed = length / found["seconds"]
        print(
            f"{side:6} {speed:6.2f} video seconds a second, "
            f"{wall:5.2f} times the time of bare, {cpu:5.2f} times its CPU seconds"
        )
        print(f"       seconds per step: {json.dumps(found['steps'])}")


if __name__ == "__main__":
    main()
