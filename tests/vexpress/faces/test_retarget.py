"""Retargeting: lengths, gaps, and the strategy that keeps the face in the frame."""

import numpy as np
import pytest

from vexpress.errors import PointsError
from vexpress.faces.retarget import fill_gaps, fit_length, retarget
from vexpress.faces.similarity import keep_inside, similarity_retarget, smooth
from vexpress.faces.strategy import Strategy

REFERENCE = np.array([[200.0, 220.0], [300.0, 220.0], [250.0, 290.0]])
SIZE = (512, 512)


def driving(frames: int = 80, scale: float = 1.0, shift: float = 0.0) -> np.ndarray:
    """A face that nods and sways."""
    t = np.arange(frames) / 10
    way = np.stack([20 * np.sin(t), 10 * np.cos(2 * t)], axis=1)[:, None]
    return (REFERENCE + way) * scale + shift


@pytest.mark.parametrize("strategy", Strategy)
@pytest.mark.parametrize("given", [1, 2, 37, 200])
def test_any_length_becomes_the_length_asked_for(strategy: Strategy, given: int) -> None:
    points = retarget(strategy, REFERENCE, driving(given), 60, SIZE)
    assert points.shape == (60, 3, 2) and points.dtype == np.float32
    assert np.isfinite(points).all()


def test_longer_sequences_are_cut_and_shorter_ones_stretched() -> None:
    points = driving(50)
    assert np.array_equal(fit_length(points, 20), points[:20])
    stretched = fit_length(points, 100)
    assert np.abs(np.diff(stretched, axis=0)).max() < np.abs(np.diff(points, axis=0)).max()


def test_gaps_are_interpolated_and_ends_repeated() -> None:
    points = driving(10)
    broken = points.copy()
    broken[[0, 4, 9]] = np.nan
    mended = fill_gaps(broken)
    np.testing.assert_allclose(mended[4], (points[3] + points[5]) / 2)
    np.testing.assert_array_equal(mended[[0, 9]], points[[1, 8]])


def test_a_sequence_without_any_face_is_refused() -> None:
    with pytest.raises(PointsError, match="found none in 4 frames"):
        fill_gaps(np.full((4, 3, 2), np.nan))


def test_similarity_undoes_another_size_and_place() -> None:
    """The same motion, filmed smaller and elsewhere, gives the same points."""
    same = similarity_retarget(REFERENCE, driving(), SIZE)
    other = similarity_retarget(REFERENCE, driving(scale=0.4, shift=70), SIZE)
    np.testing.assert_allclose(other, same, atol=1e-6)


def test_similarity_keeps_a_face_in_the_frame_that_naive_lets_out() -> None:
    walking = driving() + np.linspace(0, 600, 80)[:, None, None] * np.array([1, 0])
    naive = retarget(Strategy.NAIVE_RETARGET, REFERENCE, walking, 80, SIZE)
    kept = retarget(Strategy.SIMILARITY_RETARGET, REFERENCE, walking, 80, SIZE)
    assert naive.max() > SIZE[0]
    assert kept.min() >= 0 and kept.max() <= SIZE[0] - 1


def test_small_motion_is_left_as_it_is() -> None:
    points = driving()
    np.testing.assert_allclose(keep_inside(points, REFERENCE, SIZE), points, atol=1e-9)


def test_smoothing_has_no_lag() -> None:
    points = driving(200)
    noisy = points + np.random.default_rng(0).normal(0, 1, points.shape)
    found = smooth(noisy)[:, 2, 0] - points[:, 2, 0].mean()
    wanted = points[:, 2, 0] - points[:, 2, 0].mean()
    shifts = range(-5, 6)
    match = [np.dot(found[10:-10], np.roll(wanted, shift)[10:-10]) for shift in shifts]
    assert shifts[int(np.argmax(match))] == 0
    assert np.abs(smooth(noisy) - points).mean() < np.abs(noisy - points).mean()


def test_points_that_fall_together_are_refused() -> None:
    dot = np.full((5, 3, 2), 100.0)
    for strategy in (Strategy.NAIVE_RETARGET, Strategy.SIMILARITY_RETARGET):
        with pytest.raises(PointsError, match="fall together"):
            retarget(strategy, REFERENCE, dot, 5, SIZE)
