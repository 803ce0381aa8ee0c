"""Keep or reject a candidate by its scores.

`RULES` is the one table of rules: the verdict here, the SQL of `vexpress funnel`, the thresholds
in the report's charts and the reasons in `docs/data-set.md` come from it. Thresholds are no part
of any step's key: changing one computes nothing again. Their sources are in
`tasks/curate/presets/*.yaml`.
"""

from collections.abc import Iterator, Sequence
from typing import ClassVar

from pydantic import Field

from vexpress.schemas.clip import Clip
from vexpress.schemas.row import Model
from vexpress.tasks.curate.rule import Rule
from vexpress.tasks.curate.scores.measure import ADDED_RULES, AddedThresholds
from vexpress.tasks.curate.speaking import SPEAKING_RULES, SpeakingThresholds
from vexpress.tasks.curate.speech.language import Language
from vexpress.tasks.engine.step import ClipStep
from vexpress.tasks.engine.units import Candidate


class PreFilterRules(Model):
    """What a candidate must be like to be cropped and measured.

    Whatever another preset might keep gets every score, so that presets can be compared
    without computing anything. A candidate is measured where these rules or `keep` let it pass.
    """

    require_sound: bool = True
    """Leave out candidates of sources without a sound track."""
    min_frames: int = Field(25, ge=1)
    """Least frames."""
    min_face_side_px: float = Field(60, ge=0)
    """Least side of the face, source pixels."""
    min_det_score: float = Field(0.5, ge=0, le=1)
    """Least detector score of any frame."""
    min_det_score_mean: float = Field(0.7, ge=0, le=1)
    """Least mean detector score."""
    max_gap_frames: int | None = Field(None, ge=0)
    """Most bridged frames; null: any number."""


class Thresholds(Model):
    """Thresholds that version 0.1 had."""

    require_sound: bool = True
    """Reject clips of sources without a sound track."""
    min_frames: int = Field(80, ge=1)
    """Least frames (V-Express draws 20 frames and a reference at least 30 away from them)."""
    min_face_side_px: float = Field(200, ge=0)
    """Least side of the face, source pixels (MuseTalk stage 2: 200)."""
    min_det_score: float = Field(0.5, ge=0, le=1)
    """Least detector score of any frame (LatentSync: 0.5)."""
    min_det_score_mean: float = Field(0.7, ge=0, le=1)
    """Least mean detector score: a drawn or painted face scores lower than a real one."""
    max_gap_frames: int | None = Field(None, ge=0)
    """Most bridged frames in a clip; null: any number, each gap as short as `track` allows."""
    min_face_share: float | None = Field(None, ge=0, le=1)
    """Least side of the face over the crop's side (hallo: 0.5); null: any."""
    max_yaw_p90_deg: float | None = Field(30, ge=0, le=90)
    """Most yaw in 90 % of the frames, degrees (hallo: heads turned by less than 30°); null: any."""
    max_yaw_deg: float | None = Field(None, ge=0, le=90)
    """Most yaw in any frame, degrees; null: any."""
    min_sharpness: float | None = Field(None, ge=0, le=1)
    """Least sharpness of the face; null: any."""
    min_image_quality: float | None = Field(40, ge=0)
    """Least score of the image-quality network (LatentSync: hyperIQA 40); null: any."""
    max_blockiness: float | None = Field(None, ge=0)
    """Most visible block edges of compression; null: any."""
    min_face_luma: float | None = Field(None, ge=0, le=1)
    """Least mean luma of the face; null: any."""
    max_light_share: float | None = Field(None, ge=0, le=1)
    """Most white pixels of the face; null: any."""
    max_repeat_share: float | None = Field(None, ge=0, le=1)
    """Most frames that repeat the one before; null: any number."""
    max_freeze_s: float | None = Field(1.0, ge=0)
    """Longest freeze, seconds; null: any."""
    max_camera_motion: float | None = Field(None, ge=0)
    """Fastest background, clip sides a second; null: any."""
    max_border_share: float | None = Field(0.05, ge=0, le=1)
    """Most of the clip that is border or lies outside the picture; null: any."""
    max_overlay_share: float | None = Field(None, ge=0, le=1)
    """Most of face and chest under titles and logos; null: any."""
    min_speech_share: float = Field(0.2, ge=0, le=1)
    """Least share of the clip that is speech."""
    languages: tuple[Language, ...] | None = Field(None, min_length=1)
    """Languages to keep, as Whisper codes them (`[en, de]`); null: any. A model that knows only
    English finds English everywhere."""
    max_sync_off_frames: float | None = Field(1.0, ge=0)
    """Most frames of 1/25 s that sound and lips may be apart after the repair; null: any."""
    require_sync: bool = False
    """Reject clips of which nobody can say whether sound and lips are in time."""


class KeepRules(AddedThresholds, SpeakingThresholds, Thresholds):
    """What a clip must be like to be kept; a score that is not known rejects nothing."""


RULES = (
    Rule(
        "no_sound",
        "has_sound",
        "require_sound",
        "a sound track",
        means="The source has no sound track, and lips cannot be learnt without one.",
    ),
    Rule(
        "too_short",
        "frames",
        "min_frames",
        "≥ {} frames",
        means="The segment has too few frames to train on.",
    ),
    Rule(
        "small_face",
        "face_side_px",
        "min_face_side_px",
        "a face of ≥ {} px",
        means="The face has too few pixels in the source to fill a clip sharply.",
    ),
    Rule(
        "low_score",
        "det_score_min",
        "min_det_score",
        "a detector score ≥ {} in every frame",
        means="The detector doubts that this is a real, well visible face.",
    ),
    Rule("low_score", "det_score_mean", "min_det_score_mean", "a mean detector score ≥ {}"),
    Rule(
        "gaps",
        "gap_frames",
        "max_gap_frames",
        "≤ {} frames without a detection",
        bound="most",
        means="The face was lost in too many frames and had to be interpolated.",
    ),
    Rule(
        "small_in_crop",
        "face_share",
        "min_face_share",
        "a face of ≥ {} of the crop",
        means="The head moves so far that its face fills too little of the clip.",
    ),
    Rule(
        "turned_away",
        "yaw_p90_deg",
        "max_yaw_p90_deg",
        "yaw ≤ {}° in 90 % of frames",
        bound="most",
        means="The head is turned too far to the side, or for too long.",
    ),
    Rule("turned_away", "yaw_max_deg", "max_yaw_deg", "yaw ≤ {}° in every frame", bound="most"),
    Rule("blurred", "sharpness", "min_sharpness", "a sharpness ≥ {}", means="The face is blurred."),
    Rule(
        "poor_picture",
        "image_quality",
        "min_image_quality",
        "an image quality ≥ {}",
        means="The image-quality network finds the picture poor.",
    ),
    Rule(
        "blocky",
        "blockiness",
        "max_blockiness",
        "block edges ≤ {}",
        bound="most",
        means="The source was compressed so much that its blocks show.",
    ),
    Rule(
        "dark", "face_luma", "min_face_luma", "a face of luma ≥ {}", means="The face is too dark."
    ),
    Rule(
        "overexposed",
        "light_share",
        "max_light_share",
        "≤ {} of the face white",
        bound="most",
        means="Too much of the face is white.",
    ),
    Rule(
        "frozen",
        "repeat_share",
        "max_repeat_share",
        "≤ {} of frames repeated",
        bound="most",
        means="The picture freezes, or too many frames repeat the one before.",
    ),
    Rule("frozen", "freeze_s", "max_freeze_s", "no freeze longer than {} s", bound="most"),
    Rule(
        "shaking",
        "camera_motion",
        "max_camera_motion",
        "≤ {} sides a second",
        bound="most",
        means="The camera moves.",
    ),
    Rule(
        "border",
        "border_share",
        "max_border_share",
        "≤ {} of the clip border",
        bound="most",
        means="Too much of the clip is a burnt-in border, or lies outside the picture.",
    ),
    Rule(
        "overlay",
        "overlay_share",
        "max_overlay_share",
        "≤ {} of face and chest covered",
        bound="most",
        means="A title or logo covers face or chest.",
    ),
    Rule(
        "little_speech",
        "speech_share",
        "min_speech_share",
        "a speech share ≥ {}",
        means="Too little of the segment is speech.",
    ),
    Rule(
        "language",
        "language",
        "languages",
        "{} to be spoken",
        bound="among",
        means="Another language is spoken than was asked for.",
    ),
    Rule(
        "out_of_sync",
        "sync_off_by_frames",
        "max_sync_off_frames",
        "sound and lips ≤ {} frames apart",
        bound="most",
        means="Sound and lips are further apart than is repaired.",
    ),
    Rule(
        "unsure_sync",
        "sync_known",
        "require_sync",
        "a sure offset of sound and lips",
        means="Nobody can say whether sound and lips are in time.",
    ),
    *SPEAKING_RULES,
    *ADDED_RULES,
)
"""In the order in which they are asked: the first that says no gives the reason."""
BEFORE_CROP = tuple(rule for rule in RULES if rule.setting in PreFilterRules.model_fields)
"""Rules whose scores are known before anything is cropped."""


class PreFilterConfig(Model):
    """Both sets of rules: a candidate is measured where either lets it pass."""

    pre_filter: PreFilterRules
    keep: KeepRules


class PreFilterClip(ClipStep):
    """Before cropping: reject what no rule of interest could keep."""

    NAME: ClassVar[str] = "pre_filter"
    LEDGER_NAME: ClassVar[str] = "floor"
    IN_LEDGER: ClassVar[bool] = False

    def __call__(self, row: Candidate) -> Iterator[Candidate]:
        """Yield the candidate, rejected by the run's own rule where no rules let it pass."""
        loose = loosest(self.config.pre_filter, self.config.keep)
        below = first_broken(row.clip, loose, BEFORE_CROP)
        yield rejected(row, below and first_broken(row.clip, self.config.keep, BEFORE_CROP))


class FilterClip(ClipStep):
    """At the end: apply the rules to all scores."""

    NAME: ClassVar[str] = "filter"
    LEDGER_NAME: ClassVar[str] = "judge"
    IN_LEDGER: ClassVar[bool] = False

    def __call__(self, row: Candidate) -> Iterator[Candidate]:
        """Yield the candidate, rejected by the first rule that says no."""
        yield rejected(row, first_broken(row.clip, self.config))


def rejected(row: Candidate, verdict: tuple[str, str] | None) -> Candidate:
    """Return `row` as the verdict, reason and sentence, says."""
    if verdict is None:
        return row
    return row.update(status="rejected", reason=verdict[0], detail=verdict[1])


def first_broken(
    clip: Clip, settings: KeepRules | PreFilterRules, rules: Sequence[Rule] = RULES
) -> tuple[str, str] | None:
    """Return reason and sentence of the first rule that rejects `clip`, or None."""
    for rule in rules:
        value, threshold = getattr(clip, rule.column), getattr(settings, rule.setting)
        if rule.breaks(value, threshold):
            return rule.reason, rule.sentence(value, threshold)
    return None


def loosest(before: PreFilterRules, keep: KeepRules) -> PreFilterRules:
    """Return the looser threshold of both, setting by setting of `before`."""
    both = {r.setting: (getattr(before, r.setting), getattr(keep, r.setting)) for r in BEFORE_CROP}
    return PreFilterRules(**{r.setting: r.loosest(*both[r.setting]) for r in BEFORE_CROP})
