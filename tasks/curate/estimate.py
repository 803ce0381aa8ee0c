"""What a run would do, without doing it."""

import time
from pathlib import Path

from vexpress.schemas.dataset import Dataset
from vexpress.schemas.text import counted
from vexpress.tasks.curate.chain import fingerprint, plan_batches, resolve, used_weights
from vexpress.tasks.curate.config import CurateConfig
from vexpress.tasks.curate.faces import open_detector
from vexpress.tasks.curate.probe import probe_file
from vexpress.tasks.engine.engine import open_engine
from vexpress.tasks.engine.step import Context, Rejection
from vexpress.tasks.engine.units import Source
from vexpress.tasks.media.frames import Frames, fit_within, open_video, to_upright_bgr
from vexpress.tasks.media.source import left_out_note, list_with_left_out, total_duration

SAMPLE_FRAMES = 40
REST_SHARE = 0.45
"""What cutting, encoding and sound add to detection, as measured by benchmarks/curate.py."""


def describe_plan(
    source: str,
    dataset: str,
    config: CurateConfig,
    weights: Path | None,
    limit: int | None,
    root: str | None = None,
) -> str:
    """Return what `curate` would run, how many hours, and how long it would take."""
    config, notes = resolve(config, weights)
    found, left_out = list_with_left_out(source, root)
    listed = found[:limit]
    pending = _pending(listed, Dataset(dataset), config, weights)
    seconds = total_duration(pending)
    lines = [
        *notes,
        *([left_out_note(left_out)] if left_out else []),
        f"{counted(len(listed), 'source')}, {len(listed) - len(pending)} done before, "
        f"{len(pending)} to run",
        f"{seconds / 3600:.2f} hours of video, by their headers",
        _estimate(pending, seconds, config),
    ]
    return "\n".join(lines)


def _pending(
    listed: list[Source], data: Dataset, config: CurateConfig, weights: Path | None
) -> list[Source]:
    if not data.exists("dataset.json"):
        return listed
    local = config.engine.model_copy(update={"kind": "local"})
    engine = open_engine(local, Context(data, weights))
    try:
        batches = plan_batches(listed, engine, config, fingerprint(config, used_weights(config)))
    finally:
        engine.close()
    return [item for batch in batches for item in batch.sources]


def _estimate(pending: list[Source], seconds: float, config: CurateConfig) -> str:
    for item in pending:
        try:
            speed, frames = _measure(item.file, config)
        except Rejection:
            continue
        need = seconds / speed * (1 + REST_SHARE)
        name = Path(item.file).name
        return (
            f"about {need / 60:.1f} minutes here, from {frames} frames of {name!r} ({speed:.1f}x)"
        )
    return "no estimate: none of the sources can be read" if pending else "nothing to do"


def _measure(uri: str, config: CurateConfig) -> tuple[float, int]:
    """Return video seconds decoded per second, and from how many frames."""
    video = probe_file(uri)
    size = fit_within(video.width or 1, video.height or 1, config.faces.detect_px)
    detector = open_detector(config.faces, gpu=config.engine.gpus_per_worker > 0)
    count = 0
    with open_video(video) as container:
        start = time.perf_counter()
        for number, frame in Frames(container, video):
            image = to_upright_bgr(frame, size, video.rotation or 0, bool(video.mirrored))
            if number % config.faces.every == 0:
                detector.detect(image)
            count = number + 1
            if count >= SAMPLE_FRAMES:
                break
    elapsed = time.perf_counter() - start
    return count / (video.fps or 25) / elapsed, count
