"""What a list of spans costs to plan, CPU seconds and memory: `python benchmarks/lists.py`.

Makes an empty file a video and a list of spans of them; lists the sources, then asks the ledger of
a new data set which of them are to be done.
"""

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

from vexpress.schemas.dataset import Dataset
from vexpress.tasks.curate.chain import plan_batches
from vexpress.tasks.curate.config import CurateConfig
from vexpress.tasks.engine.engine import open_engine
from vexpress.tasks.engine.step import Context
from vexpress.tasks.media.source import list_sources


def main() -> None:
    """Plan a list and print CPU seconds and megabytes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spans", type=int, default=100_000)
    parser.add_argument("--videos", type=int, default=1_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), asked.spans, asked.videos)


def measure(folder: Path, spans: int, videos: int) -> None:
    """Write the list, plan it, print."""
    for number in range(videos):
        (folder / f"video{number}.mp4").touch()
    with (folder / "list.jsonl").open("w") as file:
        for number in range(spans):
            start = number // videos * 10.0
            row = {"path": f"video{number % videos}.mp4", "start_s": start, "end_s": start + 8}
            words = {"person": f"p{number % 97}", "caption": f"caption {number}", "mood": "calm"}
            file.write(json.dumps(row | words) + "\n")
    before = memory_mb()
    begin = time.process_time()
    found = list_sources(str(folder / "list.jsonl"))
    listed = time.process_time()
    engine = open_engine(CurateConfig().engine, Context(made(folder / "set")))
    batches = plan_batches(found, engine, CurateConfig(), "mark")
    engine.close()
    planned = time.process_time()
    print(f"{len(found)} spans of {videos} videos, {len(batches)} batches")
    print(f"listed in {listed - begin:.1f} s of CPU, planned in {planned - listed:.1f} s")
    print(f"memory {before:.0f} MB before, {memory_mb():.0f} MB at most")


def made(path: Path) -> Dataset:
    """A new data set."""
    dataset = Dataset(path)
    dataset.create()
    return dataset


def memory_mb() -> float:
    """The most memory of this process so far, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
