"""`generations.html` in the data set: what was asked for, what came of it, at a glance.

Made from the manifest and the videos alone. Never more than a few dozen videos are opened,
the newest, so that the page costs the same however many there are.
"""

import logging
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from vexpress.schemas.dataset import Dataset
from vexpress.schemas.query import as_dicts, connect
from vexpress.tasks.media.frames import check_size, open_media, to_upright_bgr, video_streams
from vexpress.tasks.reports.contact_sheets import fit
from vexpress.tasks.reports.funnel import span
from vexpress.tasks.reports.page import render
from vexpress.tasks.reports.thumbnails import frame_at

log = logging.getLogger(__name__)

PAGE = "generations.html"
SHOWN = 36
"""Videos shown."""
REASONS_SHOWN = 60
"""Requests without a video that are listed."""
SIDE = 144
"""Longer side of a picture, pixels."""
MADE = """
SELECT request_id, name, reference, audio, driving_kps, driving_video, clip_id, strategy,
       out_path, width, height, fps, frames, seconds, weights, licence, notes, finished_at,
       row_number, requests
FROM generations WHERE status = 'made' ORDER BY finished_at DESC, request_id LIMIT $most
"""
NOT_MADE = """
SELECT row_number, requests, name, status, reason, detail, reference, audio
FROM generations WHERE status <> 'made' ORDER BY finished_at DESC, row_number LIMIT $most
"""
TOTALS = """
SELECT count(*) FILTER (status = 'made'), count(*) FILTER (status = 'rejected'),
       count(*) FILTER (status = 'failed'),
       coalesce(sum(frames / fps) FILTER (status = 'made'), 0),
       coalesce(sum(seconds) FILTER (status = 'made'), 0)
FROM generations
"""
WEIGHTS = """
SELECT weights, weights_sha256, licence, count(*) AS videos, sum(seconds) AS seconds
FROM generations WHERE status = 'made' GROUP BY ALL ORDER BY max(finished_at) DESC LIMIT 20
"""


@dataclass(frozen=True)
class Shown:
    """One video on the page."""

    row: dict[str, Any]
    pictures: list[np.ndarray]
    """uint8 (height, width, 3) BGR: first, middle and last frame."""
    problem: str = ""


def write_page(dataset: Dataset) -> str:
    """Write the page of a data set; return its name."""
    connection = connect(dataset)
    made, rejected, failed, video_s, work_s = connection.execute(TOTALS).fetchall()[0]
    text = render(
        "generations",
        side=SIDE,
        root=dataset.root,
        headline=headline(made, rejected + failed, video_s),
        made=made,
        rejected=rejected,
        failed=failed,
        video_s=video_s,
        work_s=work_s,
        videos=[show(dataset, row) for row in as_dicts(connection.execute(MADE, {"most": SHOWN}))],
        missing=as_dicts(connection.execute(NOT_MADE, {"most": REASONS_SHOWN})),
        weights=as_dicts(connection.execute(WEIGHTS)),
    )
    dataset.write(PAGE, text.encode("utf-8", "replace"))
    return PAGE


def headline(made: int, missing: int, video_s: float) -> str:
    """Return the one sentence that says it all."""
    said = f"{made:,} video{'s' * (made != 1)}, {span(video_s)} of speech"
    lost = f"; {missing:,} request{'s' * (missing != 1)} without one" if missing else ""
    return f"{said if made else 'No video was made yet'}{lost}."


def show(dataset: Dataset, row: dict[str, Any], count: int = 3) -> Shown:
    """Return a video's row with `count` pictures of it; where there are none it says why."""
    path = PurePosixPath(row["out_path"])
    try:
        if path.is_absolute() or ".." in path.parts:
            raise ValueError("its path leads out of the data set")
        numbers = np.linspace(0, row["frames"] - 1, count).round()
        return Shown(row, pictures_of(dataset.uri(str(path)), (numbers + 0.5) / row["fps"]))
    except Exception as error:
        # A page is made of whatever is left of the videos.
        log.info("no picture of %s", row["request_id"], exc_info=error)
        return Shown(row, [], f"no picture: {error}"[:200])


def pictures_of(uri: str, times: np.ndarray) -> list[np.ndarray]:
    """Return the frames on screen at `times`, small, uint8 (height, width, 3) BGR."""
    with open_media(uri) as container:
        stream = video_streams(container)[0]
        check_size(stream.width, stream.height)
        size = (stream.width, stream.height)
        frames = [frame_at(container, stream, float(at)) for at in times]
        return [fit(to_upright_bgr(frame, size, 0), (SIDE, SIDE)) for frame in frames]
