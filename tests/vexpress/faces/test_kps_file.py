"""A sequence of points says its rate, and is resampled to that of the video to make."""

import json
from pathlib import Path

import numpy as np
import pytest

from vexpress.errors import PointsError
from vexpress.faces.kps_file import rate_file, read_times, resample_points, write_rate


def nodding(times: np.ndarray) -> np.ndarray:
    """Points (F, 3, 2) that move by 60 px."""
    return 200 + 60 * np.sin(np.pi * times)[:, None, None] * np.ones((1, 3, 2))


@pytest.mark.parametrize("fps", [60.0, 50.0, 12.5])
def test_points_of_another_rate_move_as_fast_as_before(fps: float) -> None:
    times = np.arange(round(4 * fps)) / fps
    made = resample_points(nodding(times), times, 25)
    assert len(made) == 100, "4 s at 25 fps"
    np.testing.assert_allclose(made[:-2], nodding(np.arange(98) / 25), atol=1.5)


def test_uneven_frames_keep_their_times(tmp_path: Path) -> None:
    times = np.array([0, 0.04, 0.08, 0.2, 0.24, 0.5, 0.54])
    write_rate(tmp_path / "kps.pth", times + 7, 13.0)
    read = read_times(tmp_path / "kps.pth", 7)
    assert read is not None
    np.testing.assert_allclose(read, times, atol=1e-6)
    made = resample_points(nodding(times), read, 25)
    np.testing.assert_allclose(made[[0, 1, 2, 5, 6]], nodding(np.array([0, 1, 2, 5, 6]) / 25))


def test_even_frames_need_no_times_and_nothing_beside_is_nothing(tmp_path: Path) -> None:
    path = tmp_path / "kps.pth"
    assert read_times(path, 5) is None
    write_rate(path, np.arange(5) / 30, 30.0)
    assert json.loads(rate_file(path).read_text()) == {"fps": 30.0, "frames": 5}


@pytest.mark.parametrize(
    "content",
    [
        "{}",
        "[1]",
        "not JSON",
        '{"fps": 0, "frames": 5}',
        '{"fps": NaN, "frames": 5}',
        '{"fps": 25, "frames": 6}',
        '{"fps": 25, "frames": 5, "times_s": [0, 1, 2]}',
        '{"fps": 25, "frames": 5, "times_s": [0, 1, 1, 2, 3]}',
    ],
)
def test_what_is_no_rate_of_these_points_is_refused(content: str, tmp_path: Path) -> None:
    rate_file(tmp_path / "kps.pth").write_text(content)
    with pytest.raises(PointsError, match=r"kps\.pth\.json: expected"):
        read_times(tmp_path / "kps.pth", 5)
