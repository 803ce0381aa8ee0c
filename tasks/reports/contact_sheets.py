"""Contact sheets: kept and rejected clips at a glance.

Clips are chosen evenly over the data set, always the same ones, and never more than a few
dozen a group, so that the cost does not grow with the data set.
"""

import logging
import re
import textwrap
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import cv2
import duckdb
import numpy as np

from vexpress.schemas.dataset import Dataset
from vexpress.schemas.query import as_dicts
from vexpress.schemas.video import Video
from vexpress.tasks.engine.step import Rejection
from vexpress.tasks.reports.reasons import explain
from vexpress.tasks.reports.thumbnails import (
    CLIP_SIDE,
    SOURCE_BOX,
    FaceMark,
    clip_pictures,
    source_picture,
)

log = logging.getLogger(__name__)

KEPT_SHOWN = 24
REJECTED_SHOWN = 12
"""Clips shown of each reason."""
MAX_SHEETS = 20
"""Steps give fewer reasons than that; whatever a manifest says, the page stays small."""
COLUMNS = {True: 2, False: 3}
"""Exhibits side by side in a JPEG sheet, for three frames an exhibit and for one."""
CAPTION_PX = 20
SAID_LENGTH = 90
"""Characters of a transcript that are shown."""
QUALITY = 82

CHOOSE = """
CREATE OR REPLACE TEMP TABLE chosen AS
WITH numbered AS (
    SELECT *, (start_frame + end_frame) // 2 AS middle,
           row_number() OVER (alike ORDER BY source, start_frame, clip_id) AS n,
           count(*) OVER alike AS total,
           CASE status WHEN 'kept' THEN $kept ELSE $rejected END AS shown
    FROM clips WINDOW alike AS (PARTITION BY status, reason)
)
SELECT * FROM numbered WHERE n * shown // total > (n - 1) * shown // total
"""
"""Of each group, `shown` rows at equal distances, or all where there are fewer."""
VIDEOS = """
SELECT * FROM videos SEMI JOIN (FROM chosen WHERE media_path IS NULL) USING (video_id, batch_id)
WHERE duplicate_of IS NULL
"""
KPS = """
SELECT clip_id, [kps[1], kps[len(kps) // 2 + 1], kps[len(kps)]], len(kps) FROM kps
WHERE batch_id IN (SELECT batch_id FROM chosen) AND clip_id IN (SELECT clip_id FROM chosen)
"""
FACES = """
SELECT clip_id, tracks.boxes[middle - tracks.start_frame + 1],
       tracks.scores[middle - tracks.start_frame + 1],
       tracks.detected[middle - tracks.start_frame + 1]
FROM tracks JOIN chosen USING (video_id, batch_id, scene_index)
WHERE media_path IS NULL AND middle >= tracks.start_frame AND middle < tracks.end_frame
ORDER BY clip_id, tracks.track_id
"""


@dataclass(frozen=True)
class Exhibit:
    """One clip or candidate on a sheet."""

    clip_id: str
    source: str
    start_s: float
    end_s: float
    detail: str
    pictures: list[np.ndarray]
    """uint8 (height, width, 3) BGR: first, middle and last frame of a clip, or one of a source."""
    problem: str = ""
    """Why there are no pictures."""
    said: str = ""
    """The first words of the transcript."""

    @property
    def name(self) -> str:
        """File name of the source."""
        return PurePosixPath(self.source).name or self.source


@dataclass(frozen=True)
class Sheet:
    """The exhibits of one group."""

    title: str
    note: str
    total: int
    exhibits: list[Exhibit]
    file: str
    """Where its JPEG is, relative to the data set."""


def read_sheets(dataset: Dataset, connection: duckdb.DuckDBPyConnection) -> list[Sheet]:
    """Return the sheet of kept clips, then one a reason, the most candidates first."""
    connection.execute(CHOOSE, {"kept": KEPT_SHOWN, "rejected": REJECTED_SHOWN})
    kps = {i: (np.array(points, np.float32), n) for i, points, n in connection.sql(KPS).fetchall()}
    faces: dict[str, list[FaceMark]] = {}
    for clip_id, box, score, detected in connection.sql(FACES).fetchall():
        faces.setdefault(clip_id, []).append(face_mark(box, score, detected))
    videos = {video.video_id: video for video in map(_video, as_dicts(connection.sql(VIDEOS)))}
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    chosen = "SELECT * FROM chosen ORDER BY status, total DESC, reason, n"
    for row in as_dicts(connection.sql(chosen)):
        groups.setdefault((row["status"], row["reason"] or ""), []).append(row)
    sheets = []
    for (status, reason), rows in list(groups.items())[:MAX_SHEETS]:
        exhibits = [exhibit(dataset, row, kps, videos, faces) for row in rows]
        sheets.append(_sheet(status, reason, rows[0]["total"], exhibits))
    return sheets


def _video(row: dict[str, Any]) -> Video:
    """A row of `videos`, perhaps of an earlier version."""
    told = {name: row[name] for name in Video.model_fields if row.get(name) is not None}
    told["source"] = row.get("file") or row["source"]  # of a listed span, the whole file
    return Video.model_validate(told)


def _sheet(status: str, reason: str, total: int, exhibits: list[Exhibit]) -> Sheet:
    if status == "kept":
        note = "First, middle and last frame; left eye red, right eye green, nose blue."
        return Sheet("Kept", note, total, exhibits, "sheets/kept.jpg")
    # A reason comes from the manifests; only a plain word becomes a file name.
    word = reason if re.fullmatch(r"[a-z_]{1,40}", reason) else "other"
    return Sheet(reason, explain(reason), total, exhibits, f"sheets/rejected-{word}.jpg")


def face_mark(box: list[float], score: float, detected: bool) -> FaceMark:
    """Return a face with its score and side written on it."""
    corners = np.array(box, dtype=np.float32)
    side = float(np.sqrt(max(0.0, float(np.prod(corners[2:] - corners[:2])))))
    said = f"{score:.2f}" if detected else "bridged"
    return FaceMark(corners, f"{said}  {side:.0f} px", bool(detected))


def exhibit(
    dataset: Dataset,
    row: dict[str, Any],
    kps: dict[str, tuple[np.ndarray, int]],
    videos: dict[str, Video],
    faces: dict[str, list[FaceMark]],
) -> Exhibit:
    """Return the exhibit of one row of `chosen`; where nothing can be seen it says why."""
    pictures: list[np.ndarray] = []
    problem = ""
    try:
        if row["media_path"]:
            pictures = _of_clip(dataset, row, kps.get(row["clip_id"]))
        else:
            video = videos.get(row["video_id"])
            pictures = [_of_source(row, video, faces.get(row["clip_id"], []))]
    except Rejection as rejection:
        problem = f"No picture: {rejection.detail}"
    except Exception as error:
        # A report is made of whatever is left: sources and storage fail in ways of their own.
        log.info("no picture of %s", row["clip_id"], exc_info=error)
        problem = f"No picture: {type(error).__name__}: {error}"[:200]
    return Exhibit(
        clip_id=row["clip_id"],
        source=row["source"],
        start_s=row["start_s"],
        end_s=row["end_s"],
        detail=row["detail"] or "",
        pictures=pictures,
        problem=problem,
        said=textwrap.shorten(row.get("transcript") or "", SAID_LENGTH, placeholder=" …"),
    )


def _of_clip(
    dataset: Dataset, row: dict[str, Any], kps: tuple[np.ndarray, int] | None
) -> list[np.ndarray]:
    path = PurePosixPath(row["media_path"])
    if path.is_absolute() or ".." in path.parts:
        raise Rejection("unreadable", "its media_path leads out of the data set")
    frames = kps[1] if kps else row["frames"]
    numbers = [0, frames // 2, frames - 1]
    return clip_pictures(dataset.uri(str(path)), row["fps"], numbers, kps[0] if kps else None)


def _of_source(row: dict[str, Any], video: Video | None, faces: list[FaceMark]) -> np.ndarray:
    if video is None:
        raise Rejection("unreadable", "the size of its picture is not known")
    # Frame times are not in the manifests: within a segment they are taken to be even.
    share = (row["middle"] - row["start_frame"] + 0.5) / (row["end_frame"] - row["start_frame"])
    time_s = row["start_s"] + share * (row["end_s"] - row["start_s"])
    corners = [row[name] for name in ("crop_x1", "crop_y1", "crop_x2", "crop_y2")]
    return source_picture(video, time_s, faces, None if None in corners else corners)


def encode_jpeg(picture: np.ndarray) -> bytes:
    """Return uint8 (height, width, 3) BGR as JPEG."""
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].tobytes()


def shrink_jpeg(jpeg: bytes, width: int) -> bytes:
    """Return a JPEG that is at most `width` pixels wide."""
    picture: Any = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    scale = min(1.0, width / picture.shape[1])
    return encode_jpeg(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))


def draw_sheet(sheet: Sheet) -> np.ndarray:
    """Return the exhibits with captions on one picture, uint8 (height, width, 3) BGR."""
    wide = any(len(e.pictures) > 1 for e in sheet.exhibits)
    size = (3 * CLIP_SIDE, CLIP_SIDE) if wide else SOURCE_BOX
    tiles = [_tile(e, size) for e in sheet.exhibits]
    columns = COLUMNS[wide]
    blank = np.full_like(tiles[0], 255)
    tiles += [blank] * (-len(tiles) % columns)
    rows = [np.hstack(tiles[i : i + columns]) for i in range(0, len(tiles), columns)]
    return np.vstack(rows)


def _tile(exhibit: Exhibit, size: tuple[int, int]) -> np.ndarray:
    tile = np.full((size[1] + CAPTION_PX + 6, size[0] + 6, 3), 255, np.uint8)
    left = 0
    for picture in exhibit.pictures:
        fitting = fit(picture, size)
        height, width = fitting.shape[:2]
        tile[:height, left : left + width] = fitting
        left += width
    if not exhibit.pictures:
        tile[: size[1], : size[0]] = 225
        _write(tile, "no picture", (8, size[1] // 2))
    _write(tile, caption(exhibit), (2, size[1] + 14))
    return tile


def fit(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return the picture, scaled down where it is larger than `size` (width, height)."""
    height, width = picture.shape[:2]
    scale = min(1.0, size[0] / width, size[1] / height)
    small = max(1, round(width * scale)), max(1, round(height * scale))
    return picture if scale == 1 else cv2.resize(picture, small, interpolation=cv2.INTER_AREA)


def caption(exhibit: Exhibit) -> str:
    """Return one line in ASCII, all that OpenCV can write."""
    name = exhibit.name.encode("ascii", "replace").decode()
    short = name if len(name) <= 22 else f"{name[:19]}..."
    return f"{exhibit.clip_id[:8]} {exhibit.start_s:.1f}-{exhibit.end_s:.1f} s {short}"


def _write(tile: np.ndarray, text: str, place: tuple[int, int]) -> None:
    cv2.putText(tile, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.4, (40, 40, 40), 1, cv2.LINE_AA)
