"""Track every face of a scene, and split the scene where the set of faces changes.

Takes a `DetectedVideo`, gives its `Scene`s, `FaceTrack`s and `Segment`s, which cover
every frame of the video. A frame counts as one-faced when exactly one significant face is
tracked through it: a face far smaller than the largest beside it (an inset portrait, a
poster) is none, nor is one seen in fewer than `min_track_frames` frames. Where several are
tracked, each has segments of its own. Where a list says which face is meant, others do not count.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from pydantic import Field

from vexpress.schemas.row import Model, content_id
from vexpress.schemas.scene import Scene
from vexpress.schemas.track import FaceTrack
from vexpress.schemas.video import Video
from vexpress.tasks.engine.step import Step
from vexpress.tasks.engine.units import DetectedVideo, Detections, Segment
from vexpress.tasks.media.frames import first_frame, picture_identity


class TrackConfig(Model):
    """What makes detections one face, and which faces count."""

    max_gap_frames: int = Field(2, ge=0)
    """Longest run of frames without a detection that is bridged, frames."""
    min_overlap: float = Field(0.3, gt=0, lt=1)
    """Least overlap of boxes (intersection over union) from one sighting to the next."""
    min_size_ratio: float = Field(0.5, ge=0, le=1)
    """A face with a smaller side than this share of the largest one's does not count."""
    min_track_frames: int = Field(3, ge=1)
    """Shortest track that counts, frames."""


@dataclass
class Sightings:
    """One face while it is tracked: rows of `Detections`."""

    rows: list[int] = field(default_factory=list)
    frames: list[int] = field(default_factory=list)


class TrackFaces(Step[DetectedVideo]):
    """Join detections into tracks, tracks into segments."""

    NAME: ClassVar[str] = "track"
    LEDGER_NAME: ClassVar[str] = "follow"
    TAKES: ClassVar[type] = DetectedVideo
    IN_LEDGER: ClassVar[bool] = False

    def __call__(self, row: DetectedVideo) -> Iterator[Model]:
        """Yield scenes, tracks and segments of one video."""
        first, span = first_frame(row.video), row.video.span
        is_clip = span is not None and span.span_crop is not None
        cuts = [] if is_clip else row.cuts.cuts
        edges = [first + edge for edge in (0, *cuts, len(row.cuts.times) - 1)]
        seen = of_listed_face(row.detections, row.video)
        for index, (start, end) in enumerate(itertools.pairwise(edges)):
            yield self._scene(row, index, start, end)
            tracks = [
                self._track(row, seen, index, (start, end), sightings)
                for sightings in link_detections(seen, start, end, self.config)
            ]
            yield from tracks
            followed = throughout(tracks, start, end) if is_clip else None
            if followed:
                yield segment(row, index, (start, end), 1, followed)
            else:
                yield from self._segments(row, index, start, end, tracks)

    def _scene(self, row: DetectedVideo, index: int, start: int, end: int) -> Scene:
        return Scene(
            video_id=row.video.video_id,
            scene_index=index,
            start_s=row.cuts.times[start - first_frame(row.video)],
            end_s=row.cuts.times[end - first_frame(row.video)],
            start_frame=start,
            end_frame=end,
        )

    def _track(
        self,
        row: DetectedVideo,
        seen: Detections,
        scene_index: int,
        scene: tuple[int, int],
        sightings: Sightings,
    ) -> FaceTrack:
        first, last = reach_edges(sightings, scene, seen.every)
        begins = first_frame(row.video)
        at = np.array(sightings.frames) - first
        detected = np.zeros(last - first + 1, dtype=bool)
        detected[at] = True
        scores = np.zeros(len(detected), dtype=np.float32)
        scores[at] = seen.scores[sightings.rows]
        boxes = interpolate(at, seen.boxes[sightings.rows], len(detected))
        return FaceTrack(
            track_id=content_id(picture_identity(row.video), scene_index, first, boxes[0].tolist()),
            video_id=row.video.video_id,
            scene_index=scene_index,
            start_frame=first,
            end_frame=last + 1,
            start_s=row.cuts.times[first - begins],
            end_s=row.cuts.times[last + 1 - begins],
            face_side_px=median_side(boxes),
            score_mean=float(scores[at].mean()),
            score_min=float(scores[at].min()),
            gap_frames=count_gaps(detected, first, seen.every),
            every=seen.every,
            backend=seen.backend,
            detected=detected,
            boxes=boxes,
            points=interpolate(at, seen.points[sightings.rows], len(detected)),
            scores=scores,
            landmarks=self._landmarks(seen, sightings, at, len(detected)),
            landmark_count=seen.landmark_count,
        )

    @staticmethod
    def _landmarks(
        seen: Detections, sightings: Sightings, at: np.ndarray, length: int
    ) -> np.ndarray | None:
        if not seen.landmark_count:
            return None
        each = seen.landmarks.reshape(-1, seen.landmark_count, 2)[sightings.rows]
        return interpolate(at, each, length).reshape(-1, 2)

    def _segments(
        self, row: DetectedVideo, index: int, start: int, end: int, tracks: list[FaceTrack]
    ) -> Iterator[Segment]:
        significant = which_count(tracks, start, end, self.config.min_size_ratio)
        for first, last, faces, number in runs_of_one_set(significant):
            track = tracks[number] if faces == 1 else None
            part = segment(row, index, (start + first, start + last), faces, track)
            if faces > 1:
                yield from each_face(part, significant[first:last], tracks)
            else:
                yield part


def segment(
    row: DetectedVideo, index: int, frames: tuple[int, int], faces: int, track: FaceTrack | None
) -> Segment:
    """Return the segment of a scene from one frame to another, exclusive."""
    start, end = frames
    begins = first_frame(row.video)
    return Segment(
        video=row.video,
        scene_index=index,
        start_frame=start,
        end_frame=end,
        faces=faces,
        times=row.cuts.times[start - begins : end - begins + 1],
        track=track,
        speech=row.speech,
    )


def of_listed_face(seen: Detections, video: Video) -> Detections:
    """Return the detections that may be the listed face; all where no face is listed.

    One may be it whose middle lies in the listed box, or in which the middle of that lies.
    """
    span = video.span
    box = (span.span_crop or span.span_box) if span else None
    if box is None:
        return seen
    listed = np.array(box, np.float32)
    if span and not span.span_crop and listed.max() <= 1:
        listed *= np.array([video.width or 1, video.height or 1] * 2, np.float32)
    mine = _holds(listed[None], seen.boxes) | _holds(seen.boxes, listed[None])
    each = seen.landmarks.reshape(len(mine), -1, 2) if seen.landmark_count else seen.landmarks
    return seen.model_copy(
        update={
            **{name: getattr(seen, name)[mine] for name in ("frames", "boxes", "points", "scores")},
            "landmarks": each[mine].reshape(-1, 2) if seen.landmark_count else each,
        }
    )


def _holds(outer: np.ndarray, inner: np.ndarray) -> np.ndarray:
    """Whether the middle of each inner box lies in the outer one; (N, 4) against (1, 4), or the
    other way round: bool (N,)."""
    middle = (inner[:, :2] + inner[:, 2:]) / 2
    return ((middle >= outer[:, :2]) & (middle <= outer[:, 2:])).all(axis=1)


def throughout(tracks: list[FaceTrack], start: int, end: int) -> FaceTrack | None:
    """Return the largest face that is followed from `start` to `end`, or None."""
    whole = [t for t in tracks if t.start_frame <= start and t.end_frame >= end]
    return max(whole, key=lambda track: track.face_side_px, default=None)


def link_detections(seen: Detections, start: int, end: int, config: TrackConfig) -> list[Sightings]:
    """Return the faces of frames `start` to `end` (exclusive), those that count as tracks."""
    reach = config.max_gap_frames + seen.every
    begin, stop = np.searchsorted(seen.frames, [start, end])
    live: list[Sightings] = []
    done: list[Sightings] = []
    for frame, group in itertools.groupby(range(begin, stop), key=lambda i: int(seen.frames[i])):
        done += [s for s in live if frame - s.frames[-1] > reach]
        live = [s for s in live if frame - s.frames[-1] <= reach]
        assign(live, list(group), frame, seen.boxes, config.min_overlap)
    tracks = [s for s in (*done, *live) if len(s.frames) * seen.every >= config.min_track_frames]
    return sorted(tracks, key=lambda s: (s.frames[0], s.rows[0]))


def reach_edges(sightings: Sightings, scene: tuple[int, int], every: int) -> tuple[int, int]:
    """Return first and last frame of a track: to the scene's edge where no frame was examined
    between the edge and the face."""
    first, last = sightings.frames[0], sightings.frames[-1]
    start, end = scene
    return start if first - every < start else first, end - 1 if last + every >= end else last


def assign(
    live: list[Sightings], rows: list[int], frame: int, boxes: np.ndarray, min_overlap: float
) -> None:
    """Add each detection of a frame to the face it overlaps best, or begin a new one."""
    from scipy.optimize import linear_sum_assignment

    overlaps = overlap(boxes[[s.rows[-1] for s in live]], boxes[rows])
    left = set(rows)
    for which, row in zip(*linear_sum_assignment(-overlaps), strict=True):
        if overlaps[which, row] >= min_overlap:
            live[which].rows.append(rows[row])
            live[which].frames.append(frame)
            left.discard(rows[row])
    live += [Sightings([row], [frame]) for row in sorted(left)]


def overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return intersection over union of boxes (N, 4) and (M, 4) as (N, M)."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    common = np.clip(high - low, 0, None).prod(axis=2)
    return common / np.maximum(area(a)[:, None] + area(b)[None] - common, 1e-9)


def area(boxes: np.ndarray) -> np.ndarray:
    """Return the areas of boxes (N, 4), square pixels."""
    return np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=1)


def count_gaps(detected: np.ndarray, first: int, every: int) -> int:
    """Return in how many frames a face was looked for in vain, of bool (F,) from frame `first`."""
    looked = (first + np.arange(len(detected))) % every == 0
    return int((looked & ~detected).sum())


def median_side(boxes: np.ndarray) -> float:
    """Return the median over boxes (N, 4) of the square root of the area, pixels."""
    return float(np.median(np.sqrt(area(boxes))))


def interpolate(at: np.ndarray, values: np.ndarray, length: int) -> np.ndarray:
    """Return `values` (N, …), known at positions `at` (N,), for all positions 0 … length-1."""
    flat = values.reshape(len(values), -1)
    columns = [np.interp(np.arange(length), at, column) for column in flat.T]
    return np.stack(columns, axis=1).reshape(length, *values.shape[1:]).astype(np.float32)


def which_count(tracks: list[FaceTrack], start: int, end: int, min_ratio: float) -> np.ndarray:
    """Return per frame and track whether the face is there and large enough, bool (F, T)."""
    frames = np.arange(start, end)[:, None]
    first = np.array([t.start_frame for t in tracks])
    last = np.array([t.end_frame for t in tracks])
    sides = np.array([t.face_side_px for t in tracks])
    there = (frames >= first) & (frames < last)
    if not tracks:
        return there.reshape(end - start, 0)
    largest = np.where(there, sides, 0).max(axis=1, keepdims=True)
    return there & (sides >= min_ratio * largest)


def each_face(
    segment: Segment, significant: np.ndarray, tracks: list[FaceTrack]
) -> Iterator[Segment]:
    """Yield the parts of a segment with several faces in which each counts, bool (F, T), with all
    others that are seen there."""
    for number, track in enumerate(tracks):
        for first, last in true_runs(significant[:, number]):
            start, end = segment.start_frame + first, segment.start_frame + last
            seen = [t for t in tracks if t.start_frame < end and t.end_frame > start]
            yield segment.model_copy(
                update={
                    "start_frame": start,
                    "end_frame": end,
                    "faces": int(significant[first:last].sum(axis=1).max()),
                    "times": segment.times[first : last + 1],
                    "track": track,
                    "others": [other for other in seen if other is not track],
                }
            )


def true_runs(flags: np.ndarray) -> list[tuple[int, int]]:
    """Return first and end of each run of true, of bool (F,)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return [(int(first), int(last)) for first, last in edges.reshape(-1, 2)]


def runs_of_one_set(significant: np.ndarray) -> Iterator[tuple[int, int, int, int]]:
    """Yield first frame, end frame, number of faces and (of one face) which, of bool (F, T).

    A run ends where the count changes between none, one and several, or the one face changes.
    """
    counts = significant.sum(axis=1)
    single = significant.argmax(axis=1) if significant.shape[1] else np.zeros(len(counts), int)
    state = np.where(counts == 1, single, np.where(counts == 0, -1, -2))
    edges = [0, *(np.flatnonzero(np.diff(state)) + 1), len(state)]
    for first, last in itertools.pairwise(edges):
        if last > first:
            faces = int(counts[first:last].max())
            yield int(first), int(last), faces, int(state[first])
