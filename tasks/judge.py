"""Keep or reject a candidate by its scores.

Thresholds are no part of any step's key: changing one computes nothing again but what was
not computed before. Their sources are in `flows/presets/*.yaml` and under each field.
"""

from collections.abc import Callable, Iterator
from typing import ClassVar

from pydantic import Field

from schemas.clip import Clip
from schemas.row import Model
from tasks.step import ClipStep
from tasks.units import Candidate


class KeepRules(Model):
    """What a clip must be like to be kept."""

    min_frames: int = Field(80, ge=1)
    """Least frames (V-Express draws 20 frames and a reference at least 30 away from them)."""
    min_face_side_px: float = Field(200, ge=0)
    """Least side of the face, source pixels (MuseTalk stage 2: 200)."""
    min_det_score: float = Field(0.5, ge=0, le=1)
    """Least detector score of any frame (LatentSync: 0.5)."""
    min_det_score_mean: float = Field(0.7, ge=0, le=1)
    """Least mean detector score: a drawn or painted face scores lower than a real one."""
    max_gap_frames: int | None = Field(None, ge=0)
    """Most bridged frames in a clip; null: any number, each gap as short as `follow` allows."""
    min_speech_share: float = Field(0.2, ge=0, le=1)
    """Least share of the clip that is speech."""
    require_sound: bool = True
    """Reject clips of sources without a sound track."""


class JudgeClip(ClipStep):
    """Apply the rules to the scores known so far."""

    NAME: ClassVar[str] = "judge"
    IN_LEDGER: ClassVar[bool] = False

    def __call__(self, row: Candidate) -> Iterator[Candidate]:
        """Yield the candidate, rejected by the first rule that says no."""
        verdict = judge(row.clip, self.config, has_sound=bool(row.video.audio_streams))
        yield (
            row.update(status="rejected", reason=verdict[0], detail=verdict[1]) if verdict else row
        )


def judge(clip: Clip, rules: KeepRules, *, has_sound: bool) -> tuple[str, str] | None:
    """Return reason and sentence of the first rule that rejects `clip`, or None."""
    if rules.require_sound and not has_sound:
        return "no_sound", "expected a sound track, the source has none"
    for reason, value, wrong, expected in _rules(clip, rules):
        if value is not None and wrong(value):
            return reason, f"expected {expected}, found {value:.4g}"
    return None


def _rules(
    clip: Clip, rules: KeepRules
) -> list[tuple[str, float | None, Callable[[float], bool], str]]:
    most_gaps = rules.max_gap_frames
    return [
        ("too_short", clip.frames, lambda v: v < rules.min_frames, f"≥ {rules.min_frames} frames"),
        (
            "small_face",
            clip.face_side_px,
            lambda v: v < rules.min_face_side_px,
            f"a face of ≥ {rules.min_face_side_px:g} px",
        ),
        (
            "low_score",
            clip.det_score_min,
            lambda v: v < rules.min_det_score,
            f"a detector score ≥ {rules.min_det_score:g} in every frame",
        ),
        (
            "low_score",
            clip.det_score_mean,
            lambda v: v < rules.min_det_score_mean,
            f"a mean detector score ≥ {rules.min_det_score_mean:g}",
        ),
        (
            "gaps",
            clip.gap_frames,
            lambda v: most_gaps is not None and v > most_gaps,
            f"≤ {most_gaps} frames without a detection",
        ),
        (
            "little_speech",
            clip.speech_share,
            lambda v: v < rules.min_speech_share,
            f"a speech share ≥ {rules.min_speech_share:g}",
        ),
    ]
