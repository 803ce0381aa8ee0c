"""Angles of heads that were turned by known angles, and of real ones that were mirrored."""

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from tests.helpers.real_clips import SIDE, read_clips
from vexpress.tasks.curate.scores.head_pose import HEAD, head_angles, motion_scores, pose_scores

OTHER_HEAD = HEAD * [0.93, 1.04, 1.1]
"""A narrower, longer head with a larger nose."""


def seen(yaw: float, pitch: float, roll: float, head: np.ndarray = HEAD) -> np.ndarray:
    """Points of a head in a picture, by a rotation of another library; degrees as ours."""
    turn = Rotation.from_euler("ZYX", [roll, -yaw, pitch], degrees=True)
    return (turn.apply(head)[:, :2] * 60 + 200)[None]


@pytest.mark.parametrize("yaw", [-60, -20, 0, 35])
@pytest.mark.parametrize("pitch", [-25, 0, 15])
@pytest.mark.parametrize("roll", [-30, 0, 10])
def test_angles_are_those_the_head_was_turned_by(yaw: float, pitch: float, roll: float) -> None:
    assert head_angles(seen(yaw, pitch, roll))[0] == pytest.approx([yaw, pitch, roll], abs=1e-6)
    other = head_angles(seen(yaw, pitch, roll, OTHER_HEAD))[0]
    assert other == pytest.approx([yaw, pitch, roll], abs=6), "another head's shape is not known"


def test_signs_are_as_told() -> None:
    right = seen(0, 0, 0)
    right[0, 2] += [12, 0]
    down = seen(0, 0, 0)
    down[0, 2] += [0, 12]
    assert head_angles(right)[0, 0] > 5 and head_angles(down)[0, 1] > 5
    clockwise = seen(0, 0, 0)
    clockwise[0, [1, 4]] += [0, 12]
    assert head_angles(clockwise)[0, 2] > 3


@pytest.mark.assets
def test_real_heads_mirrored_and_turned_have_the_angles_that_follow(assets: Path) -> None:
    for clip in read_clips(assets, 1):
        yaw, pitch, roll = head_angles(clip.points[None])[0]
        assert abs(yaw) < 30 and abs(pitch) < 25 and abs(roll) < 25, "they look at the camera"
        mirrored = (clip.points * [-1, 1] + [SIDE, 0])[[1, 0, 2, 4, 3]]
        assert head_angles(mirrored[None])[0] == pytest.approx([-yaw, pitch, -roll], abs=1e-6)
        turn = Rotation.from_euler("z", 25, degrees=True).as_matrix()[:2, :2]
        turned = head_angles((clip.points @ turn.T)[None])[0]
        assert turned == pytest.approx([yaw, pitch, roll + 25], abs=1e-6)


def test_nine_of_ten_frames_count_and_the_worst_is_told_apart() -> None:
    frames = np.concatenate([seen(-12, 3, 0)] * 19 + [seen(50, 3, 0)])
    scores = pose_scores(frames)
    assert scores["yaw_deg"] == pytest.approx(-12) and scores["yaw_p90_deg"] == pytest.approx(12)
    assert scores["yaw_max_deg"] == pytest.approx(50)


def test_speed_and_trembling_are_in_face_sides() -> None:
    times = np.arange(50) / 25
    still = np.repeat(seen(0, 0, 0), 50, axis=0)
    moving = still + np.arange(50)[:, None, None] * 2.0
    scores = motion_scores(moving, times, side=100)
    assert scores["head_motion"] == pytest.approx(2 * np.sqrt(2) * 25 / 100)
    assert scores["points_jitter"] == pytest.approx(0, abs=1e-9)
    shaken = still + np.random.default_rng(0).normal(0, 1, still.shape)
    assert motion_scores(shaken, times, side=100)["points_jitter"] > 0.02
    assert motion_scores(still[:2], times[:2], side=100) == {}
