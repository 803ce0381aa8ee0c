"""Every rule rejects what it should, for its own reason, and nothing else."""

import pytest

from tasks.judge import KeepRules, judge
from tests.schemas import rows

RULES = KeepRules()
GOOD = rows.clip(
    frames=100,
    face_side_px=220.0,
    det_score_min=0.6,
    det_score_mean=0.8,
    gap_frames=2,
    speech_share=0.7,
)


@pytest.mark.parametrize(
    ("changes", "reason", "sentence"),
    [
        ({"frames": 79}, "too_short", "expected ≥ 80 frames, found 79"),
        ({"face_side_px": 199.9}, "small_face", "expected a face of ≥ 200 px, found 199.9"),
        (
            {"det_score_min": 0.49},
            "low_score",
            "expected a detector score ≥ 0.5 in every frame, found 0.49",
        ),
        (
            {"det_score_mean": 0.69},
            "low_score",
            "expected a mean detector score ≥ 0.7, found 0.69",
        ),
        ({"gap_frames": 6}, "gaps", "expected ≤ 5 frames without a detection, found 6"),
        ({"speech_share": 0.1}, "little_speech", "expected a speech share ≥ 0.2, found 0.1"),
        ({"speech_share": 0.0}, "little_speech", "expected a speech share ≥ 0.2, found 0"),
    ],
)
def test_a_rule_rejects_with_its_reason(
    changes: dict[str, float], reason: str, sentence: str
) -> None:
    rules = RULES.model_copy(update={"max_gap_frames": 5})
    assert judge(GOOD, rules, has_sound=True) is None
    verdict = judge(GOOD.model_copy(update=changes), rules, has_sound=True)
    assert verdict == (reason, sentence)


@pytest.mark.parametrize(
    "changes", [{"frames": 80}, {"face_side_px": 200.0}, {"det_score_min": 0.5}]
)
def test_the_threshold_itself_is_good_enough(changes: dict[str, float]) -> None:
    assert judge(GOOD.model_copy(update=changes), RULES, has_sound=True) is None


def test_a_source_without_sound_is_rejected_unless_allowed() -> None:
    verdict = judge(GOOD, RULES, has_sound=False)
    assert verdict == ("no_sound", "expected a sound track, the source has none")
    silent_may_stay = RULES.model_copy(update={"require_sound": False})
    assert judge(GOOD, silent_may_stay, has_sound=False) is None


def test_a_score_that_is_not_known_yet_rejects_nothing() -> None:
    assert judge(rows.clip(), RULES, has_sound=True) is None


def test_any_number_of_bridged_frames_may_stay_by_default() -> None:
    assert judge(GOOD.model_copy(update={"gap_frames": 50}), RULES, has_sound=True) is None


def test_the_first_rule_that_says_no_is_told() -> None:
    poor = GOOD.model_copy(update={"frames": 3, "face_side_px": 20.0, "speech_share": 0.0})
    verdict = judge(poor, RULES, has_sound=True)
    assert verdict is not None and verdict[0] == "too_short"
