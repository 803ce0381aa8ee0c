"""The weight-free estimate knows when it cannot know, and its parts keep their word."""

import os
import subprocess
import sys

import numpy as np
import pytest

from vexpress.sync.lip_sound import (
    BANDS,
    HOPS,
    PAD_S,
    RATE,
    SyncEstimate,
    at_25_fps,
    by_chance,
    estimate_offset,
    mel_bank,
    sound_features,
    windows,
)
from vexpress.sync.lips import face_box, lip_shape

FRAMES = 150


def noise(frames: int = FRAMES, seed: int = 0) -> np.ndarray:
    """Sound around `frames` frames at 25 fps."""
    samples = round((frames / 25 + 2 * PAD_S) * RATE)
    return 0.1 * np.random.default_rng(seed).standard_normal(samples)


def moving(frames: int = FRAMES, seed: int = 1) -> np.ndarray:
    """Lips that move at random, (frames, 6)."""
    return 0.3 + 0.05 * np.random.default_rng(seed).standard_normal((frames, 6))


@pytest.mark.parametrize(
    ("lips", "sound", "note"),
    [
        (moving(49), noise(49), "expected ≥ 2 s, found 2 s"),
        (np.full((FRAMES, 6), 0.3), noise(), "the lips do not move"),
        (moving(), np.zeros_like(noise()), "the sound is silent"),
    ],
)
def test_what_cannot_be_judged_says_why(lips: np.ndarray, sound: np.ndarray, note: str) -> None:
    assert estimate_offset(lips, sound) == SyncEstimate(None, None, note)


def test_sound_outside_the_clip_does_not_make_it_heard() -> None:
    sound = noise()
    sound[round(PAD_S * RATE) : -round(PAD_S * RATE)] = 0
    assert estimate_offset(moving(), sound).note == "the sound is silent"


def test_lips_and_sound_that_have_nothing_to_do_with_each_other_are_not_believed() -> None:
    confidences = [
        estimate_offset(moving(seed=seed), noise(seed=seed + 100)).confidence for seed in range(30)
    ]
    assert max(c for c in confidences if c is not None) < 4.5
    assert len(confidences) == 30


def test_windows_look_later_where_the_lag_is_positive() -> None:
    rows = np.arange(1000.0)[:, None]
    now, later = windows(rows, 10, 0), windows(rows, 10, 3)
    np.testing.assert_array_equal(later - now, 3 * HOPS)
    middle = now.shape[1] // 2
    assert now[0, middle] == round((PAD_S * 25 + 0.5) * HOPS)


def test_sound_features_follow_a_band() -> None:
    seconds = np.arange(4 * RATE) / RATE
    tone = np.sin(2 * np.pi * 300 * seconds) * (seconds > 2)
    features = sound_features(tone)
    assert features.shape == (4 * 100 + 1, BANDS)
    lowest = features[:, int(mel_bank()[:, round(300 / RATE * 512)].argmax())]
    assert lowest[:190].max() < 0 < lowest[210:].min()


def test_another_rate_is_brought_to_25_frames() -> None:
    ramp = np.tile(np.arange(60.0)[:, None], 6)
    slow = at_25_fps(ramp, 30)
    assert slow.shape == (50, 6)
    np.testing.assert_allclose(np.diff(slow[5:-5, 0]), 30 / 25)


def test_chance_is_what_shifted_signals_agree_by() -> None:
    random = np.random.default_rng(0)
    signals, seen = random.standard_normal((2, 400, 1))
    assert by_chance(signals, seen, np.ones(1)) == pytest.approx(1 / 20, rel=0.2)


def test_lip_shape_does_not_depend_on_size_or_place() -> None:
    landmarks = np.random.default_rng(0).uniform(0, 100, (8, 68, 2)).astype(np.float32)
    np.testing.assert_allclose(lip_shape(3 * landmarks + 7), lip_shape(landmarks), rtol=1e-4)


def test_the_box_lies_midway_between_eyes_and_mouth() -> None:
    points = np.array([[40, 40], [80, 40], [60, 60], [45, 80], [75, 80]], np.float32)
    centre, side = face_box(points)
    np.testing.assert_allclose(centre, [60, 60])
    assert side == pytest.approx(2.38 * 40)


CONFIDENCES = """
import numpy as np
from vexpress.sync.lip_sound import PAD_S, RATE, estimate_offset
draw = np.random.default_rng(0)
for frames in (100, 173, 250):
    lips = 0.05 * draw.random((frames, 6)).cumsum(axis=0)
    sound = 0.1 * draw.standard_normal(round((frames / 25 + 2 * PAD_S) * RATE))
    print(repr(estimate_offset(lips, sound)))
"""


def test_the_same_confidence_on_any_number_of_cores() -> None:
    """To the last bit: a BLAS sums in another order on more of them."""
    said = [
        subprocess.check_output(
            [sys.executable, "-c", CONFIDENCES], env={**os.environ, "OPENBLAS_NUM_THREADS": cores}
        )
        for cores in ("1", "2")
    ]
    assert said[0] == said[1] and said[0].count(b"SyncEstimate") == 3
