"""Every rule rejects what it should, for its own reason, and nothing else."""

import pytest

from tests.helpers import rows
from vexpress.schemas.errors import ConfigError
from vexpress.tasks.curate.config import load_config
from vexpress.tasks.curate.filter import (
    BEFORE_CROP,
    KeepRules,
    PreFilterRules,
    Rule,
    first_broken,
    loosest,
)
from vexpress.tasks.curate.filter import RULES as RULES_TABLE

RULES = KeepRules()
GOOD = rows.clip(
    has_sound=True,
    frames=100,
    face_side_px=220.0,
    det_score_min=0.6,
    det_score_mean=0.8,
    gap_frames=2,
    speech_share=0.7,
    language="de",
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
        ({"language": "fr"}, "language", "expected en or de to be spoken, found fr"),
    ],
)
def test_a_rule_rejects_with_its_reason(
    changes: dict[str, float], reason: str, sentence: str
) -> None:
    rules = RULES.model_copy(update={"max_gap_frames": 5, "languages": ("en", "de")})
    assert first_broken(GOOD, rules) is None
    verdict = first_broken(GOOD.model_copy(update=changes), rules)
    assert verdict == (reason, sentence)


@pytest.mark.parametrize(
    "changes", [{"frames": 80}, {"face_side_px": 200.0}, {"det_score_min": 0.5}]
)
def test_the_threshold_itself_is_good_enough(changes: dict[str, float]) -> None:
    assert first_broken(GOOD.model_copy(update=changes), RULES) is None


def test_a_source_without_sound_is_rejected_unless_allowed() -> None:
    mute = GOOD.model_copy(update={"has_sound": False})
    assert first_broken(mute, RULES) == ("no_sound", "expected a sound track, found none")
    silent_may_stay = RULES.model_copy(update={"require_sound": False})
    assert first_broken(mute, silent_may_stay) is None


def test_a_score_that_is_not_known_yet_rejects_nothing() -> None:
    assert first_broken(rows.clip(), RULES.model_copy(update={"languages": ("en",)})) is None


def test_any_number_of_bridged_frames_may_stay_by_default() -> None:
    assert first_broken(GOOD.model_copy(update={"gap_frames": 50}), RULES) is None


def test_the_first_rule_that_says_no_is_told() -> None:
    poor = GOOD.model_copy(update={"frames": 3, "face_side_px": 20.0, "speech_share": 0.0})
    verdict = first_broken(poor, RULES)
    assert verdict is not None and verdict[0] == "too_short"


@pytest.mark.parametrize("rule", BEFORE_CROP, ids=lambda rule: rule.setting)
def test_what_permissive_keeps_is_above_the_floor(rule: Rule) -> None:
    before = getattr(PreFilterRules(), rule.setting)
    assert rule.loosest(before, getattr(load_config("permissive").keep, rule.setting)) == before


def test_a_candidate_is_measured_where_either_set_of_rules_lets_it_pass() -> None:
    own = KeepRules(min_frames=10, min_face_side_px=500, max_gap_frames=3)
    both = loosest(PreFilterRules(), own)
    assert (both.min_frames, both.min_face_side_px, both.max_gap_frames) == (10, 60, None)


def test_languages_are_set_by_their_codes_even_where_yaml_reads_one_as_false() -> None:
    config = load_config(settings=["keep.languages=[en, no]", "speech.language=no"])
    assert config.keep.languages == ("en", "no")
    assert config.speech.language == "no"


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("keep.languages=[en, german]", r"keep.languages.1: .*; german is `de`, found 'german'"),
        ("keep.languages=[en-US]", "english is `en`, found 'en-US'"),
        ("keep.languages=[xx]", "expected a language as Whisper codes it, such as `en` or `zh`, f"),
        ("keep.languages=[]", "keep.languages: Tuple should have at least 1 item"),
        ("speech.language=german", "speech.language: .*; german is `de`"),
    ],
)
def test_a_language_that_whisper_does_not_know_is_refused(setting: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_config(settings=[setting])


def test_the_looser_of_two_lists_has_what_either_has() -> None:
    (rule,) = [rule for rule in RULES_TABLE if rule.setting == "languages"]
    assert rule.loosest(("en", "de"), ("de", "fr")) == ("en", "de", "fr")
    assert rule.loosest(("en",), None) is None


def test_every_rule_has_a_column_and_a_setting() -> None:
    for rule in RULES_TABLE:
        assert rule.column in type(GOOD).model_fields
        assert rule.setting in KeepRules.model_fields
    assert {rule.setting for rule in RULES_TABLE} == set(KeepRules.model_fields)
