"""Whose voice is it? Shares of a clip's speech that its face, others, and nobody in sight speak.

Takes a `Candidate` with the series `speaker`, and `other_speakers` where other faces are seen;
gives it with `speaking_share` and its like, and `Speaking` rows. The agreement of lip shape and
sound, where it is sure, decides between faces that LR-ASD takes for speaking at once, and without
LR-ASD tells of whole clips who speaks. Nothing is rejected here.
"""

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from vexpress.schemas.row import Model, added
from vexpress.schemas.speaking import Speaking
from vexpress.sync.estimate import FPS
from vexpress.tasks.curate.other_faces import SCORES, SYNC
from vexpress.tasks.curate.rule import Rule
from vexpress.tasks.curate.scores import speaker
from vexpress.tasks.curate.scores.speaker import frames_at_25
from vexpress.tasks.curate.sync import SURE
from vexpress.tasks.curate.track import true_runs
from vexpress.tasks.engine.step import ClipStep
from vexpress.tasks.engine.units import Candidate

SPEAKING_RULES = (
    Rule(
        "unsure_speaker",
        "speaker_known",
        "require_speaker",
        "to know which of the faces speaks",
        means="Several faces are seen, and nobody can say which of them speaks.",
    ),
    Rule(
        "other_speaks",
        "other_speaking_share",
        "max_other_speaking_share",
        "another face to speak in ≤ {} of the speech",
        bound="most",
        means="Another face of the picture speaks meanwhile.",
    ),
    Rule(
        "voice_over",
        "unseen_speaking_share",
        "max_unseen_speaking_share",
        "nobody out of sight to speak in more than {} of the speech",
        bound="most",
        means="The voice is that of nobody in the picture.",
    ),
    Rule(
        "not_speaking",
        "speaking_share",
        "min_speaking_share",
        "the face to speak in ≥ {} of the speech",
        means="The face does not speak most of the speech.",
    ),
)
SMOOTHED = 5
"""Frames of 1/25 s over which scores are averaged."""
PAUSE = 10
"""A face that is silent for fewer frames of 1/25 s within speech goes on speaking."""
LEAST = 5
"""Shorter speech, in frames of 1/25 s, is none."""
BELIEVED = 6.0
"""Offset up to which lips are in time with a sound that is theirs, frames (LatentSync's 6)."""


class SpeakingThresholds(Model):
    """Whose voice a clip must have."""

    min_speaking_share: float | None = added(0.5, ge=0, le=1)
    """Least share of the speech that the clip's face speaks (ours: most of it); null: any."""
    max_other_speaking_share: float | None = added(0.1, ge=0, le=1)
    """Most of the speech during which another face of the picture speaks; null: any."""
    max_unseen_speaking_share: float | None = added(0.5, ge=0, le=1)
    """Most of the speech that nobody in the picture speaks; null: any."""
    require_speaker: bool = added(True)
    """Reject clips beside other faces of which nobody can say who speaks."""


class TellSpeaker(ClipStep):
    """Compare who moves the lips with what is heard."""

    NAME: ClassVar[str] = "speaking"
    IN_LEDGER: ClassVar[bool] = False

    @classmethod
    def versions(cls, config: Any) -> list[tuple[str, int]]:
        """None: it is computed anew in every run."""
        return []

    def __call__(self, row: Candidate) -> Iterator[Model]:
        """Yield the candidate and who speaks when."""
        if not row.video.audio_streams:
            yield row
        elif speaker.SERIES in row.series:
            yield from by_frames(row)
        else:
            yield by_lips(row)


def by_frames(row: Candidate) -> Iterator[Model]:
    """Yield the candidate with its shares, and the spans, from scores of every 1/25 s."""
    heard = in_frames(row.spoken, frames_at_25(row))
    own = speaks(row.series[speaker.SERIES], heard)
    scores = np.split(row.series[SCORES], len(row.other_tracks)) if row.other_tracks else []
    own, others = settle(row, own, [speaks(scored, heard) for scored in scores])
    anybody = np.any([own, *others], axis=0)
    spoken = int(heard.sum())
    changes: dict[str, float | bool | str] = {"speaking_backend": "lr_asd"}
    if row.other_tracks:
        changes["speaker_known"] = True
    if spoken:
        elsewhere = np.any(others, axis=0) if others else np.zeros_like(heard)
        changes["speaking_share"] = float(own.sum() / spoken)
        changes["other_speaking_share"] = float(elsewhere.sum() / spoken)
        changes["unseen_speaking_share"] = float((heard & ~anybody).sum() / spoken)
    yield row.update(**changes)
    yield from spans(row, "clip", row.clip.track_id, own)
    for track_id, flags in zip(row.other_tracks, others, strict=True):
        yield from spans(row, "other", track_id, flags)
    yield from spans(row, "unseen", None, heard & ~anybody)


def settle(
    row: Candidate, own: np.ndarray, others: list[np.ndarray]
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Return in which frames each face speaks, bool (T,): of those that speak at once only the one
    whose lips are in time with the sound, where that is sure of one side alone."""
    mine, theirs = _is_sure(row), _are_sure(row)
    if SYNC not in row.series or mine == theirs.any():
        return own, others
    if mine:
        return own, [flags & ~own for flags in others]
    spoken = np.any([f for f, sure in zip(others, theirs, strict=True) if sure], axis=0)
    return own & ~spoken, others


def by_lips(row: Candidate) -> Candidate:
    """Return the candidate with what lip shape and sound tell of it as a whole, where sure."""
    sure, other = _is_sure(row), bool(_are_sure(row).any())
    if not row.other_tracks and not sure:
        return row
    changes: dict[str, float | bool | str] = {"speaking_backend": "lips"}
    if row.other_tracks:
        changes["speaker_known"] = sure != other
    if sure != other:
        changes |= {"speaking_share": float(sure), "other_speaking_share": float(other)}
    return row.update(**changes)


def _is_sure(row: Candidate) -> bool:
    """Return whether the clip's lips are in time with the sound."""
    return bool(row.clip.sync_known) and abs(row.clip.sync_offset_frames or 0) <= BELIEVED


def _are_sure(row: Candidate) -> np.ndarray:
    """Return of each other face whether its lips are in time with the sound, bool (K,)."""
    offsets, confidences = row.series.get(SYNC, np.zeros(0, np.float32)).reshape(-1, 2).T
    return np.asarray((np.abs(offsets) <= BELIEVED) & (confidences >= SURE["lips"]))


def in_frames(spans_s: np.ndarray, count: int) -> np.ndarray:
    """Return which frames of 1/25 s lie in spans (N, 2) of seconds, bool (count,)."""
    middles = (np.arange(count) + 0.5) / FPS
    starts, ends = spans_s.T
    return np.asarray(((middles[:, None] >= starts) & (middles[:, None] < ends)).any(axis=1))


def speaks(scores: np.ndarray, heard: np.ndarray) -> np.ndarray:
    """Return in which frames a face speaks, bool (T,): its score says so and speech is heard.

    Short silences within are bridged, short bursts are none.
    """
    smooth = np.convolve(np.pad(scores, SMOOTHED // 2, mode="edge"), np.ones(SMOOTHED), "valid")
    flags = (smooth / SMOOTHED > 0) & heard
    for first, last in true_runs(~flags & heard):
        if last - first < PAUSE and first and last < len(flags):
            flags[first:last] = flags[first - 1] and flags[last]
    for first, last in true_runs(flags):
        if last - first < LEAST:
            flags[first:last] = False
    return np.asarray(flags)


def spans(row: Candidate, who: str, track_id: str | None, flags: np.ndarray) -> Iterator[Speaking]:
    """Yield a row for each run of frames of 1/25 s."""
    for first, last in true_runs(flags):
        yield Speaking(
            clip_id=row.clip.clip_id,
            video_id=row.clip.video_id,
            speaker=who,
            track_id=track_id,
            start_s=first / FPS,
            end_s=last / FPS,
        )
