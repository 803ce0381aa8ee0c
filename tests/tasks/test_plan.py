"""Clips are divided evenly, framed inside the picture, and named by what they are."""

from pathlib import Path

import numpy as np
import pytest

from schemas.dataset import Dataset
from tasks.crop import CropConfig
from tasks.follow import FollowConfig, FollowFaces
from tasks.plan import ClipConfig, PlanClips, PlanConfig, crop_square, divide
from tasks.step import Context
from tasks.units import Candidate, Followed, Watched
from tests.tasks.detections import Seen, watched

HD = (1280, 720)


def boxes(*corners: tuple[float, float, float, float]) -> np.ndarray:
    return np.array(corners, np.float32)


def plan(
    row: Watched, folder: Path, clips: ClipConfig = ClipConfig(), crop: CropConfig = CropConfig()
) -> list[Candidate]:
    """The candidates of a watched video."""
    context = Context(Dataset(folder))
    step = PlanClips(PlanConfig(clips=clips, crop=crop), context)
    followed = FollowFaces(FollowConfig(), context)(row)
    return [made for unit in followed if isinstance(unit, Followed) for made in step(unit)]


def test_the_square_is_the_union_times_the_margin() -> None:
    two = boxes((500, 200, 700, 400), (520, 210, 740, 390))
    left, top, right, bottom = crop_square(two, 1.5, HD)
    assert (right - left, bottom - top) == (360, 360)
    assert ((left + right) / 2, (top + bottom) / 2) == pytest.approx((620, 300), abs=1)


def test_the_square_moves_into_the_picture() -> None:
    left, top, right, bottom = crop_square(boxes((0, 20, 200, 220)), 1.6, HD)
    assert (left, top, right, bottom) == (0, 0, 320, 320)
    left, top, right, bottom = crop_square(boxes((1100, 500, 1280, 720)), 1.6, HD)
    assert (right, bottom) == HD and right - left == 352


def test_the_square_shrinks_to_the_picture() -> None:
    left, top, right, bottom = crop_square(boxes((400, 100, 1000, 650)), 1.6, HD)
    assert (top, bottom) == (0, 720) and right - left == 720


def test_only_a_face_larger_than_the_picture_is_padded() -> None:
    left, top, right, bottom = crop_square(boxes((300, -40, 1100, 760)), 1.6, HD)
    assert (right - left, bottom - top) == (800, 800)
    assert (top, bottom) == (-40, 760)
    assert left >= 0 and right <= 1280


@pytest.mark.parametrize("size", [(361, 641), (363, 641), (640, 363), (365, 365)])
def test_an_odd_picture_gives_an_even_square_inside_it(size: tuple[int, int]) -> None:
    left, top, right, bottom = crop_square(boxes((50, 50, 350, 350)), 1.6, size)
    assert {value % 2 for value in (left, top, right, bottom)} == {0}
    assert all(isinstance(value, int) for value in (left, top, right, bottom))
    assert left >= 0 and top >= 0 and right <= size[0] and bottom <= size[1]
    assert right - left == bottom - top == min(size) - 1


def test_a_long_stretch_is_divided_evenly() -> None:
    times = np.arange(25 * 25 + 1) / 25
    parts = divide(times, 10)
    assert [last - first for first, last in parts] == [209, 208, 208]
    assert parts[0][0] == 0 and parts[-1][1] == 625
    assert [a[1] for a in parts[:-1]] == [b[0] for b in parts[1:]]
    assert divide(np.arange(251) / 25, 10) == [(0, 250)]
    assert divide(np.arange(252) / 25, 10) == [(0, 126), (126, 251)]


def test_a_variable_frame_rate_is_divided_by_time() -> None:
    times = np.concatenate([np.arange(100) / 10, 10 + np.arange(501) / 50])
    ((first, middle), (again, last)) = divide(times, 10)
    assert (first, middle, again, last) == (0, 100, 100, 600)


def test_candidates_cover_the_video_and_say_why_not(tmp_path: Path) -> None:
    one: list[Seen] = [(200, 400, 300)]
    two: list[Seen] = [*one, (180, 900, 300)]
    candidates = plan(watched([one] * 50 + [two] * 25 + [[]] * 25), tmp_path)
    told = [
        (c.clip.start_frame, c.clip.end_frame, c.clip.status, c.clip.reason) for c in candidates
    ]
    assert told == [
        (0, 50, "kept", None),
        (50, 75, "rejected", "several_faces"),
        (75, 100, "rejected", "no_face"),
    ]
    assert [c.clip.detail for c in candidates[1:]] == [
        "expected one face in every frame, found 2 faces at once",
        "expected one face in every frame, found no face",
    ]
    assert [c.clip.faces for c in candidates] == [1, 2, 0]
    assert all(c.clip.crop_x1 is None for c in candidates[1:])


def test_a_candidate_knows_its_face_and_its_scores(tmp_path: Path) -> None:
    faces: list[list[Seen]] = [[(200, 400, 300)] for _ in range(50)]
    faces[20] = []
    row = watched(faces)
    (candidate,) = plan(row, tmp_path)
    clip = candidate.clip
    assert clip.face_side_px == pytest.approx(200)
    assert clip.gap_frames == 1
    assert clip.det_score_min == pytest.approx(float(row.detections.scores.min()))
    assert clip.det_score_mean == pytest.approx(float(row.detections.scores.mean()))
    assert (clip.start_s, clip.end_s, clip.frames, clip.fps) == (0, 2, 50, 25)
    assert candidate.points.shape == (50, 5, 2) and len(candidate.times) == 51
    assert (clip.crop_x2 or 0) - (clip.crop_x1 or 0) == 320


def test_each_part_of_a_long_stretch_has_its_own_frames(tmp_path: Path) -> None:
    faces: list[list[Seen]] = [[(200, 300 + 2 * frame, 300)] for frame in range(300)]
    first, second = plan(watched(faces), tmp_path)
    assert (first.clip.end_frame, second.clip.start_frame) == (150, 150)
    assert second.points[0, 2, 0] - first.points[0, 2, 0] == pytest.approx(300, abs=0.1)
    assert second.times[0] == pytest.approx(6.0)
    assert (first.clip.crop_x1, second.clip.crop_x1) != (None, None)
    assert first.clip.crop_x1 != second.clip.crop_x1


def test_equal_inputs_have_equal_ids_and_others_do_not(tmp_path: Path) -> None:
    one: list[Seen] = [(200, 400, 300)]
    first, again = plan(watched([one] * 50), tmp_path), plan(watched([one] * 50), tmp_path)
    assert [c.clip.clip_id for c in first] == [c.clip.clip_id for c in again]
    others = [
        plan(watched([one] * 50), tmp_path, crop=CropConfig(size=256)),
        plan(watched([one] * 50), tmp_path, crop=CropConfig(margin=1.4)),
        plan(watched([one] * 49), tmp_path),
        plan(watched([[(200, 410, 300)]] * 50), tmp_path),
    ]
    ids = {c.clip.clip_id for made in (first, *others) for c in made}
    assert len(ids) == 5
