"""Windows: whole, padded, published."""

from itertools import pairwise

import pytest

from vexpress.errors import SettingsError
from vexpress.inference.windows import frames_for, padded_frames, plan_windows, published_frames_for


@pytest.mark.parametrize("frames", [1, 23, 24, 25, 44, 45, 930])
def test_windows_cover_every_frame_and_overlap_by_four(frames: int) -> None:
    windows = plan_windows(padded_frames(frames, 24, 4), 24, 4)
    assert {index for window in windows for index in window} >= set(range(frames))
    assert all(a.stop - b.start == 4 for a, b in pairwise(windows))


def test_the_published_rule_cuts_to_whole_windows() -> None:
    assert published_frames_for(1.5, 30) == 44
    assert published_frames_for(31, 30) == 924


def test_frames_cover_the_sound_to_less_than_a_frame() -> None:
    assert frames_for(1.5, 30) == 45
    assert frames_for(1.501, 30) == 46
    assert frames_for(0.001, 25) == 1


def test_an_overlap_as_long_as_the_window_is_refused() -> None:
    with pytest.raises(SettingsError, match="overlap shorter"):
        plan_windows(40, 4, 4)
