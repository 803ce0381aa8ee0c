"""Turn segments into candidates for clips: span, crop square, id.

Takes a `Segment`, gives `Candidate`s that cover it. A segment without a face becomes one rejected
candidate (`no_face`). One that is listed with its square is a clip as it stands. Where other faces
are seen beside this one, the square shrinks until it holds this face alone; where it cannot, the
candidate is rejected (`several_faces`). A long segment is divided in pauses of the speech, in
unbroken speech at its quietest moments, without sound evenly; it begins and ends where it did.
Nothing is decoded.
"""

import itertools
import math
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from vexpress.schemas.clip import Clip
from vexpress.schemas.row import Model, added, content_id
from vexpress.schemas.span import Listed
from vexpress.schemas.track import FaceTrack
from vexpress.schemas.video import Video
from vexpress.tasks.curate.crop import VERSION as CROP_VERSION
from vexpress.tasks.curate.crop import CropConfig
from vexpress.tasks.curate.scores.head_pose import motion_scores, pose_scores
from vexpress.tasks.curate.track import count_gaps, median_side
from vexpress.tasks.engine.step import Step
from vexpress.tasks.engine.units import Candidate, Segment, SpeechActivity
from vexpress.tasks.media.frames import clip_identity, picture_note, picture_of, sound_note

MARGINS = 9
"""Margins that are tried, from the usual to the least."""
LEAST_PART = 0.4
"""Shortest part of a divided segment, as a share of the longest clip."""
DEEP_S = 0.3
"""A cut this far from all speech is as good as any farther away, seconds."""
QUIET_S = 0.2
"""Over how much sound around a cut its level is taken, seconds: longer than the closure of a
consonant, which is no end of a word."""
CALM_DB = 6.0
"""How much louder than the quietest moment a cut may be, dB. What the voice detector takes for a
pause may be an unvoiced consonant; with noise, a pause varies in level."""
SLACK_S = 1e-6


class ClipConfig(Model):
    """How long a clip may be."""

    max_s: float = Field(10.0, gt=0)
    """Longest clip, seconds; longer segments are divided, in pauses if they can (LatentSync:
    5-10 s)."""

    min_margin: float = added(1.2, ge=1, le=4)
    """Side of the crop over the union of the face's boxes that is still enough where a wider one
    would show another face (ours: forehead to chin fill five sixths of the clip)."""
    max_other_face: float = added(0.05, ge=0, le=1)
    """Most of another face's box that may lie in the crop, share of its area (ours: an ear)."""


class CutConfig(Model):
    """Length and recipe. The recipe goes into the clip's id, as its span and square do."""

    clips: ClipConfig
    crop: CropConfig


class CutClips(Step[Segment]):
    """Divide a segment and choose each part's square."""

    NAME: ClassVar[str] = "clips"
    LEDGER_NAME: ClassVar[str] = "plan"
    VERSION: ClassVar[int] = 2
    TAKES: ClassVar[type] = Segment
    IN_LEDGER: ClassVar[bool] = False

    def __call__(self, row: Segment) -> Iterator[Candidate]:
        """Yield the candidates of one segment, in order."""
        if row.track is None:
            yield self._rejected(row)
            return
        max_s = self.config.clips.max_s
        if listed_square(row):
            yield self._candidate(row, row.track, 0, len(row.times) - 1)
            return
        for first, last in divide(row.times, max_s, row.speech):
            candidate = self._candidate(row, row.track, first, last)
            shown_s = float(row.times[last] - row.times[first])
            yield candidate if shown_s <= max_s + SLACK_S else still(candidate, shown_s, max_s)

    def _candidate(self, row: Segment, track: FaceTrack, first: int, last: int) -> Candidate:
        start = row.start_frame + first - track.start_frame
        span = slice(start, start + last - first)
        begin, end = row.start_frame + first, row.start_frame + last
        others = [within(other, other.boxes, begin, end) for other in row.others]
        square, share = self._square(row, track.boxes[span], others)
        detected = track.detected[span]
        scores = track.scores[span][detected]
        clip = self._clip(row, first, last, square).model_copy(
            update={
                "track_id": track.track_id,
                **dict(zip(("crop_x1", "crop_y1", "crop_x2", "crop_y2"), square, strict=True)),
                "face_side_px": median_side(track.boxes[span]),
                "face_share": longer_side(track.boxes[span]) / (square[2] - square[0]),
                **pose_scores(track.points[span]),
                **motion_scores(
                    track.points[span], row.times[first:last], median_side(track.boxes[span])
                ),
                "det_score_mean": float(scores.mean()) if len(scores) else 0.0,
                "det_score_min": float(scores.min()) if len(scores) else 0.0,
                "gap_frames": count_gaps(detected, row.start_frame + first, track.every),
                "next_face_away": next_face(track.boxes[span], others),
                **self._verdict(share),
            }
        )
        return Candidate(
            video=row.video,
            clip=clip,
            times=row.times[first : last + 1],
            points=track.points[span],
            detected=detected,
            landmarks=self._landmarks(track, span),
            landmark_count=track.landmark_count,
            spoken=spoken_within(row.speech, clip.start_s, clip.end_s),
            others=np.concatenate(
                [track.points[:0], *(within(o, o.points, begin, end) for o in row.others)]
            ),
            other_tracks=[other.track_id for other in row.others],
        )

    def _square(
        self, row: Segment, boxes: np.ndarray, others: list[np.ndarray]
    ) -> tuple[tuple[Any, ...], float]:
        """Return the widest square that shows no other face, else the least, and how much of
        another face it shows; the listed square as it is."""
        if listed := listed_square(row):
            return listed, 0.0
        size = (row.video.width or 1, row.video.height or 1)
        widest, least = self.config.crop.margin, self.config.clips.min_margin
        for margin in np.linspace(widest, min(least, widest), MARGINS if others else 1):
            square = crop_square(boxes, float(margin), size)
            share = other_face_share(square, others)
            if share <= self.config.clips.max_other_face:
                break
        return square, share

    def _verdict(self, share: float) -> dict[str, str]:
        if share <= self.config.clips.max_other_face:
            return {}
        most, margin = self.config.clips.max_other_face, self.config.clips.min_margin
        detail = (
            f"expected a square of {margin:g} times the face with at most {most:.0%} of another "
            f"face, found {share:.0%}"
        )
        return {"status": "rejected", "reason": "several_faces", "detail": detail}

    @staticmethod
    def _landmarks(track: FaceTrack, span: slice) -> np.ndarray | None:
        if track.landmarks is None:
            return None
        return track.landmarks.reshape(-1, track.landmark_count, 2)[span].reshape(-1, 2)

    def _rejected(self, row: Segment) -> Candidate:
        frames = row.end_frame - row.start_frame
        clip = self._clip(row, 0, frames, (row.faces,)).model_copy(
            update={
                "status": "rejected",
                "reason": "no_face",
                "detail": "expected one face in every frame, found no face",
            }
        )
        nothing = np.zeros((0, 5, 2), np.float32)
        return Candidate(
            video=row.video, clip=clip, times=row.times, points=nothing, detected=nothing[:, 0, 0]
        )

    def _clip(self, row: Segment, first: int, last: int, square: tuple[int, ...]) -> Clip:
        crop = self.config.crop
        recipe: tuple[object, ...] = (CROP_VERSION, crop.model_dump_json())
        if row.others and row.track:  # two near faces may have the same square
            recipe = (*recipe, row.track.track_id)
        span = (row.start_frame + first, row.start_frame + last)
        start_s, end_s = float(row.times[first]), float(row.times[last])
        return Clip(
            clip_id=content_id(clip_identity(row.video), *span, *square, *recipe),
            video_id=row.video.video_id,
            source=row.video.source,
            status="kept",
            scene_index=row.scene_index,
            start_frame=span[0],
            end_frame=span[1],
            start_s=start_s,
            end_s=end_s,
            faces=row.faces,
            has_sound=bool(row.video.audio_streams),
            sound_note=sound_note(row.video),
            picture_note=picture_note(row.video),
            from_hdr=bool(picture_of(row.video).hdr),
            from_interlaced=bool(row.video.interlaced),
            fps=crop.fps,
            frames=max(1, math.floor((end_s - start_s) * crop.fps + 1e-3)),
            listed=listed_of(row.video),
        )


def listed_square(segment: Segment) -> tuple[int, ...] | None:
    """Return the square of a segment that is a whole clip as it was listed, else None."""
    span = segment.video.span
    if span is None or span.span_crop is None:
        return None
    listed = (span.span_start_frame, span.span_end_frame)
    return tuple(span.span_crop) if listed == (segment.start_frame, segment.end_frame) else None


def listed_of(video: Video) -> Listed | None:
    """Return what a list says of a span's clips; None for a whole file."""
    if video.span is None:
        return None
    return Listed(**{name: getattr(video.span, name) for name in Listed.model_fields})


def still(candidate: Candidate, shown_s: float, max_s: float) -> Candidate:
    """Return the candidate of one picture that is shown for too long, rejected."""
    detail = f"expected clips of at most {max_s:g} s, found one picture shown for {shown_s:.1f} s"
    return candidate.update(status="rejected", reason="frozen", detail=detail)


def divide(
    times: np.ndarray, max_s: float, speech: SpeechActivity | None = None
) -> list[tuple[int, int]]:
    """Return first and end frame of parts no longer than `max_s`, of frame times (F + 1,).

    Equal parts without sound. Otherwise each part ends where it is calm, there as deep in a pause
    as may be, the last of equally deep moments, and is at least `LEAST_PART` of `max_s` long.
    A frame that is shown for longer than `max_s` is a part of its own.
    """
    parts: list[tuple[int, int]] = []
    for first, last in around_still_frames(times, max_s):
        own = times[first : last + 1]
        if last == first + 1:
            parts.append((first, last))
            continue
        edges = even_edges(own, max_s) if speech is None else pause_edges(own, max_s, speech)
        parts += itertools.pairwise([first, *(first + edge for edge in edges), last])
    return parts


def around_still_frames(times: np.ndarray, max_s: float) -> list[tuple[int, int]]:
    """Return first and end frame of the ranges between frames that are shown for longer than
    `max_s`, and of each of those, in order."""
    still_frames = np.flatnonzero(np.diff(times) > max_s + SLACK_S).tolist()
    edges = {0, len(times) - 1, *still_frames, *(frame + 1 for frame in still_frames)}
    return list(itertools.pairwise(sorted(edges)))


def even_edges(times: np.ndarray, max_s: float) -> list[int]:
    """Return the frames that divide frame times (F + 1,), none of them shown for longer than
    `max_s`, into equal parts; where frames are too long for that, into parts as long as may be."""
    length = float(times[-1] - times[0])
    least = max(1, math.ceil(length / max_s - SLACK_S))
    for parts in (least, least + 1):
        edges: list[int] = np.searchsorted(
            times, times[0] + np.arange(1, parts) * length / parts
        ).tolist()
        longest = np.diff(times[[0, *edges, len(times) - 1]])
        if longest.min() > 0 and longest.max() <= max_s + SLACK_S:
            return edges
    return longest_edges(times, max_s)


def longest_edges(times: np.ndarray, max_s: float) -> list[int]:
    """Return the frames that divide frame times (F + 1,) into parts as long as may be."""
    edges: list[int] = []
    first = 0
    while times[-1] - times[first] > max_s + SLACK_S:
        first = int(np.searchsorted(times, times[first] + max_s + SLACK_S, side="right")) - 1
        edges.append(first)
    return edges


def pause_edges(times: np.ndarray, max_s: float, speech: SpeechActivity) -> list[int]:
    """Return the frames that divide frame times (F + 1,) where nobody speaks, or quietly."""
    heard = times - speech.from_s
    depths = np.minimum(away_from_speech(heard, speech), DEEP_S)
    levels = levels_around(heard, speech)
    edges: list[int] = []
    first, end = 0, float(times[-1])
    while end - times[first] > max_s + SLACK_S:
        least = LEAST_PART * max_s
        earliest = times[first] + least - SLACK_S
        latest = min(times[first] + max_s, end - least) + SLACK_S
        low, high = np.searchsorted(times, [earliest, latest]).tolist()
        if low >= high:  # a frame that stays long lies across all of it
            low = max(first + 1, int(np.searchsorted(times, times[first] + max_s + SLACK_S)) - 1)
            high = low + 1
        first = low + best_cut(depths[low:high], levels[low:high])
        edges.append(first)
    return edges


def best_cut(depths: np.ndarray, levels: np.ndarray) -> int:
    """Return which of the moments (N,) is deepest in a pause, of those within `CALM_DB` of the
    quietest; where nobody pauses the quietest; the last of equals."""
    deep = np.where(levels <= levels.min() + CALM_DB, depths, 0)
    worth = deep if deep.max() > 0 else -levels
    return int(np.flatnonzero(worth == worth.max())[-1])


def away_from_speech(times: np.ndarray, speech: SpeechActivity) -> np.ndarray:
    """Return for each time (N,) the seconds to the nearest speech; 0 within it."""
    after = np.searchsorted(speech.starts, times, side="right")
    since = times - np.append(-np.inf, speech.ends)[after]
    until = np.append(speech.starts, np.inf)[after] - times
    return np.maximum(np.minimum(since, until), 0)


def levels_around(times: np.ndarray, speech: SpeechActivity) -> np.ndarray:
    """Return the level of `QUIET_S` of sound around each time (N,), dB; silence beyond the end."""
    power = np.concatenate([[0], np.cumsum(10 ** (speech.levels.astype(np.float64) / 10))])
    ends = np.arange(len(power)) * speech.window_s
    before, after = times - QUIET_S / 2, times + QUIET_S / 2
    energy = np.interp(after, ends, power) - np.interp(before, ends, power)
    return 10 * np.log10(energy * speech.window_s / QUIET_S + 1e-12)


def crop_square(boxes: np.ndarray, margin: float, size: tuple[int, int]) -> tuple[Any, ...]:
    """Return x1 y1 x2 y2, even integers: the union of boxes (F, 4) times `margin`, squared.

    The square is moved to lie inside the picture of `size` (width, height). Where it is
    larger than the picture it shrinks to fit, though never below the union itself; what then
    still lies outside is padded.
    """
    x1, y1 = boxes[:, :2].min(axis=0)
    x2, y2 = boxes[:, 2:].max(axis=0)
    union = max(x2 - x1, y2 - y1)
    largest = min(size) // 2 * 2
    side = even(max(union, min(union * margin, largest)))
    left = place((x1 + x2) / 2, side, size[0])
    top = place((y1 + y2) / 2, side, size[1])
    return left, top, left + side, top + side


def within(track: FaceTrack, values: np.ndarray, begin: int, end: int) -> np.ndarray:
    """Return `values` (F, …) of a track for the frames `begin` to `end` of the source, float32;
    NaN where the face is not seen."""
    found = np.full((end - begin, *values.shape[1:]), np.nan, np.float32)
    first, last = max(begin, track.start_frame), min(end, track.end_frame)
    if first < last:
        found[first - begin : last - begin] = values[
            first - track.start_frame : last - track.start_frame
        ]
    return found


def other_face_share(square: tuple[Any, ...], others: list[np.ndarray]) -> float:
    """Return the most of another face's box, of boxes (F, 4) with NaN, that lies in `square`."""
    shares = [np.zeros(1)]
    for boxes in others:
        low = np.maximum(boxes[:, :2], square[:2])
        high = np.minimum(boxes[:, 2:], square[2:])
        common = np.clip(high - low, 0, None).prod(axis=1)
        shares.append(common / np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(axis=1), 1e-6))
    return float(np.nanmax(np.concatenate(shares)))


def next_face(boxes: np.ndarray, others: list[np.ndarray]) -> float | None:
    """Return the least gap between boxes (F, 4) and those of other faces, with NaN, in sides of
    the face; None where there is no other."""
    gaps = [
        np.maximum(other[:, :2] - boxes[:, 2:], boxes[:, :2] - other[:, 2:]).max(axis=1)
        for other in others
    ]
    if not gaps or np.isnan(gaps).all():
        return None
    return max(float(np.nanmin(gaps)), 0.0) / median_side(boxes)


def spoken_within(speech: SpeechActivity | None, start_s: float, end_s: float) -> np.ndarray:
    """Return float64 (N, 2): start and end of the speech in a span, seconds from its start."""
    if speech is None:
        return np.zeros((0, 2))
    spans = np.stack([speech.starts, speech.ends], axis=1).clip(start_s, end_s) - start_s
    return np.asarray(spans[spans[:, 1] > spans[:, 0]])


def place(centre: float, side: int, length: int) -> int:
    """Return the even start of a range of `side` around `centre`, inside 0 … `length`."""
    start = centre - side / 2
    if side <= length:
        return 2 * int(min(max(start, 0), length - side) / 2)
    return even((length - side) / 2)


def longer_side(boxes: np.ndarray) -> float:
    """Return the median over boxes (N, 4) of the longer side, pixels."""
    return float(np.median((boxes[:, 2:] - boxes[:, :2]).max(axis=1)))


def even(value: float) -> int:
    """Return the even integer nearest to `value`."""
    return 2 * round(value / 2)
