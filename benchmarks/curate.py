"""How fast is curation, against the straightforward script, in the same run.

    python -m benchmarks.curate VIDEO [VIDEO …] --weights DIR --model scrfd_2.5g

The baseline does what V-Express's data preparation does: read with OpenCV, detect on every
frame, crop, and detect again on the crop. Ours runs the whole chain (cuts, tracks, crops
with sound, manifests) with the local engine, on the same files with the same detector.
"""

import argparse
import contextlib
import io
import json
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from vexpress.schemas.dataset import Dataset
from vexpress.schemas.manifest import prepare_manifests
from vexpress.schemas.query import run_query
from vexpress.tasks.curate.chain import (
    curate_batch,
    fingerprint,
    plan_batches,
    resolve,
    used_weights,
)
from vexpress.tasks.curate.config import load_config
from vexpress.tasks.engine.engine import open_engine
from vexpress.tasks.engine.step import Context
from vexpress.tasks.media.source import describe_file, total_duration

DET_SIZE = (512, 512)
CROP = 512


def baseline(videos: list[Path], weights: Path, model: str, out: Path) -> int:
    """The straightforward script; returns the number of frames with points."""
    from insightface.app import FaceAnalysis

    with contextlib.redirect_stdout(io.StringIO()):
        app = FaceAnalysis(
            name=model, root=str(weights / "insightface"), allowed_modules=["detection"]
        )
        app.prepare(ctx_id=-1, det_size=DET_SIZE)
    return sum(_prepare(app, video, out / f"{video.stem}.mp4") for video in videos)


def _prepare(app: object, video: Path, target: Path) -> int:
    boxes = [_largest(app, frame) for frame in _read(video)]
    found = np.array([box for box in boxes if box is not None])
    if not len(found):
        return 0
    (x1, y1), (x2, y2) = found[:, :2].min(0), found[:, 2:].max(0)
    half = 0.8 * max(x2 - x1, y2 - y1)
    cx, cy = (x1 + x2) / 2, (y1 + y2) / 2
    writer = cv2.VideoWriter(str(target), cv2.VideoWriter_fourcc(*"mp4v"), 25, (CROP, CROP))
    kps = []
    for frame in _read(video):
        left, top = int(max(cx - half, 0)), int(max(cy - half, 0))
        crop = frame[top : int(cy + half), left : int(cx + half)]
        crop = cv2.resize(crop, (CROP, CROP))
        writer.write(crop)
        kps += [face.kps[:3] for face in app.get(crop)[:1]]  # type: ignore[attr-defined]
    writer.release()
    return len(kps)


def _largest(app: object, frame: np.ndarray) -> np.ndarray | None:
    faces = app.get(frame)  # type: ignore[attr-defined]
    return max((f.bbox for f in faces), key=lambda b: (b[2] - b[0]) * (b[3] - b[1]), default=None)


def _read(video: Path):
    capture = cv2.VideoCapture(str(video))
    while True:
        there, frame = capture.read()
        if not there:
            return
        yield frame


def ours(videos: list[Path], weights: Path, model: str, out: Path) -> tuple[int, dict[str, float]]:
    """The whole chain; returns the number of frames with points, and seconds per step."""
    settings = [f"faces.model={model}", "keep.min_face_side_px=60"]
    config, _ = resolve(load_config("permissive", None, settings), weights)
    data = Dataset(out / "dataset")
    data.create()
    prepare_manifests(data)
    engine = open_engine(config.engine, Context(data, weights))
    mark = fingerprint(config, used_weights(config))
    for batch in plan_batches([describe_file(v) for v in videos], engine, config, mark):
        curate_batch(batch, data, engine, config, mark, lambda row: None)
    seconds = {name: round(t.seconds, 2) for name, t in engine.ledger.tallies().items()}
    engine.close()
    frames = run_query(data, "SELECT coalesce(sum(frames), 0) FROM kept").fetchall()[0][0]
    return int(frames), seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--model", default="scrfd_2.5g")
    parser.add_argument("--repeats", type=int, default=2)
    given = parser.parse_args()
    videos = [video.resolve() for video in given.videos]
    length = total_duration([describe_file(v) for v in videos])
    times: dict[str, list[float]] = {"baseline": [], "ours": []}
    steps: dict[str, float] = {}
    for _ in range(given.repeats):
        for name in times:
            with tempfile.TemporaryDirectory() as folder:
                start = time.perf_counter()
                if name == "baseline":
                    frames = baseline(videos, given.weights, given.model, Path(folder))
                else:
                    frames, steps = ours(videos, given.weights, given.model, Path(folder))
                times[name].append(time.perf_counter() - start)
                print(f"{name:9} {times[name][-1]:7.1f} s, {frames} frames with points")
    best = {name: min(values) for name, values in times.items()}
    for name, seconds in best.items():
        print(f"{name:9} {length / seconds:6.2f} video seconds a second ({length:.0f} s of video)")
    print(f"ratio     {best['baseline'] / best['ours']:6.2f} times as fast as the baseline")
    print(f"seconds per step of ours: {json.dumps(steps)}")


if __name__ == "__main__":
    main()
