"""The median filter against scipy's."""

import numpy as np
import pytest
from scipy.ndimage import median_filter

from vexpress.inference.median_filter import filter_video


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("frames", [1, 2, 5])
def test_the_numbers_are_scipys(frames: int, dtype: type) -> None:
    video = (np.random.default_rng(frames).random((frames, 20, 31, 3)) * 255).astype(dtype)
    expected = median_filter(video, size=(3, 3, 3, 1), mode="mirror")
    assert np.array_equal(filter_video(video), expected)
