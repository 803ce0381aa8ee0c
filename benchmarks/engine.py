"""What the engines cost a unit, and what committing and asking cost as a data set grows.

    python -m benchmarks.engine

5,000 trivial units through a chain of three stages with ledger, both engines; committing a
batch to a data set of 10 and of 1,000 batches; the funnel over 1,000,000 clips.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from typing import ClassVar

from vexpress.schemas.clip import Clip
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.manifest import commit_batch, prepare_manifests
from vexpress.schemas.query import run_query
from vexpress.schemas.row import content_id
from vexpress.schemas.scene import Scene
from vexpress.schemas.video import Video
from vexpress.tasks.engine.engine import EngineConfig, Stage, open_engine
from vexpress.tasks.engine.step import Context, Step
from vexpress.tasks.engine.units import Source


class Trivial(Step[Source]):
    """Gives its row back; the ledger keeps it."""

    TAKES: ClassVar[type] = Source

    def identity(self, row: Source) -> str:
        return row.uri

    def __call__(self, row: Source) -> Iterator[Source]:
        yield row


class First(Trivial):
    NAME: ClassVar[str] = "first"


class Second(Trivial):
    NAME: ClassVar[str] = "second"


class Third(Trivial):
    NAME: ClassVar[str] = "third"


def engine_overhead(kind: str, units: int) -> float:
    """Return seconds a unit for `units` trivial units through three stages."""
    with tempfile.TemporaryDirectory() as folder:
        data = Dataset(folder)
        config = EngineConfig.model_validate({"kind": kind, "max_workers": 1})
        engine = open_engine(config, Context(data))
        stages = [Stage(((step, None),)) for step in (First, Second, Third)]
        rows = [Source(uri=f"/{n}.mp4") for n in range(units)]
        list(engine.run(stages, rows[:2]))
        start = time.perf_counter()
        done = sum(1 for _ in engine.run(stages, rows))
        elapsed = time.perf_counter() - start
        engine.close()
    assert done == units
    return elapsed / units


def batch_rows(batch: int, videos: int, clips: int) -> Iterator[Video | Scene | Clip]:
    """Yield the rows of one synthetic batch."""
    for v in range(videos):
        video_id = content_id(batch, v)
        for c in range(clips):
            kept = (v + c) % 3 > 0
            yield Clip(
                clip_id=content_id(batch, v, c),
                video_id=video_id,
                batch_id=str(batch),
                source=f"/videos/{batch}/{v}.mp4",
                status="kept" if kept else "rejected",
                reason=None if kept else ("no_face", "too_short")[c % 2],
                scene_index=c,
                start_frame=200 * c,
                end_frame=200 * c + 200,
                start_s=8.0 * c,
                end_s=8.0 * c + 8,
                faces=1,
                fps=25,
                frames=200,
            )
        yield Video(
            video_id=video_id,
            batch_id=str(batch),
            source=f"/videos/{batch}/{v}.mp4",
            status="ok",
            duration_s=8.0 * clips,
        )


def commit_cost(batches: int) -> None:
    """Print the median time of a commit around the 10th and the last of `batches` batches."""
    with tempfile.TemporaryDirectory() as folder:
        data = Dataset(folder)
        data.create()
        prepare_manifests(data)
        times = []
        for batch in range(batches):
            rows = list(batch_rows(batch, 10, 10))
            start = time.perf_counter()
            commit_batch(data, f"{batch:016}", rows)
            times.append(time.perf_counter() - start)
    early, late = statistics.median(times[5:15]), statistics.median(times[-10:])
    print(f"commit at 10 batches {early * 1e3:.1f} ms, at {batches} {late * 1e3:.1f} ms")
    print(f"ratio {late / early:.2f}")


def funnel_cost(clips: int) -> None:
    """Print how long the funnel takes over `clips` synthetic clips in 20 batches."""
    with tempfile.TemporaryDirectory() as folder:
        data = Dataset(folder)
        data.create()
        prepare_manifests(data)
        for batch in range(20):
            commit_batch(data, f"{batch:016}", batch_rows(batch, clips // 20 // 20, 20))
        times = []
        for _ in range(5):
            start = time.perf_counter()
            rows = run_query(data, "SELECT * FROM funnel").fetchall()
            times.append(time.perf_counter() - start)
        found = sum(row[4] for row in rows if row[1] == "clip" and row[2] in ("kept", "rejected"))
    print(f"funnel over {found} clips: {min(times):.2f} s (best of 5, connection included)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--units", type=int, default=5000)
    given = parser.parse_args()
    local = engine_overhead("local", given.units)
    ray = engine_overhead("ray", given.units)
    print(f"a unit through three stages: local {local * 1e3:.2f} ms, ray {ray * 1e3:.2f} ms")
    commit_cost(1000)
    funnel_cost(1_000_000)


if __name__ == "__main__":
    main()
