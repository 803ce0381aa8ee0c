"""Clips are divided in pauses, framed inside the picture, and named by what they are."""

from pathlib import Path

import numpy as np
import pytest

from tests.helpers.detections import Seen, detected_video
from vexpress.schemas.dataset import Dataset
from vexpress.tasks.curate.clips import (
    LEAST_PART,
    ClipConfig,
    CutClips,
    CutConfig,
    crop_square,
    divide,
)
from vexpress.tasks.curate.crop import CropConfig
from vexpress.tasks.curate.track import TrackConfig, TrackFaces
from vexpress.tasks.engine.step import Context
from vexpress.tasks.engine.units import Candidate, DetectedVideo, Segment, SpeechActivity

HD = (1280, 720)


def boxes(*corners: tuple[float, float, float, float]) -> np.ndarray:
    return np.array(corners, np.float32)


def plan(
    row: DetectedVideo,
    folder: Path,
    clips: ClipConfig = ClipConfig(),
    crop: CropConfig = CropConfig(),
) -> list[Candidate]:
    """The candidates of a video looked at."""
    context = Context(Dataset(folder))
    step = CutClips(CutConfig(clips=clips, crop=crop), context)
    followed = TrackFaces(TrackConfig(), context)(row)
    return [made for unit in followed if isinstance(unit, Segment) for made in step(unit)]


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


def test_without_sound_a_long_stretch_is_divided_evenly() -> None:
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


def heard(spans: list[tuple[float, float]], levels: np.ndarray | None = None) -> SpeechActivity:
    """Speech of a minute, and its level where that matters."""
    flat = np.full(round(60 / 0.032), -20) if levels is None else levels
    starts, ends = zip(*spans, strict=True) if spans else ((), ())
    return SpeechActivity(starts=np.array(starts), ends=np.array(ends), levels=flat, window_s=0.032)


def test_a_long_stretch_is_divided_in_the_middle_of_pauses() -> None:
    times = np.arange(25 * 25 + 1) / 25
    spans = [(0.5, 5.0), (5.3, 8.0), (8.5, 13.2), (13.5, 17.0), (17.4, 24.0)]
    assert [times[last] for _, last in divide(times, 10, heard(spans))] == [8.24, 17.2, 25.0]


def test_in_a_long_pause_the_latest_moment_well_away_from_speech_is_taken() -> None:
    times = np.arange(15 * 25 + 1) / 25
    ((_, cut), _) = divide(times, 10, heard([(0, 5), (8.5, 15)]))
    assert times[cut] == pytest.approx(8.2), "0.3 s before the speech"
    ((_, cut), _) = divide(times[: 12 * 25 + 1], 10, heard([(0, 5), (9.5, 15)]))
    assert times[cut] == pytest.approx(8.0), "at least 0.4 of 10 s is left"


def test_unbroken_speech_is_divided_where_it_is_quietest() -> None:
    times = np.arange(15 * 25 + 1) / 25
    levels = np.full(round(60 / 0.032), -20)
    levels[round(6.9 / 0.032) : round(7.1 / 0.032)] = -45
    levels[round(8.0 / 0.032)] = -60  # a closed consonant of 32 ms
    ((_, cut), _) = divide(times, 10, heard([(0, 15)], levels))
    assert times[cut] == pytest.approx(7.0, abs=0.05)


@pytest.mark.parametrize("seed", range(30))
def test_no_part_is_too_long_or_too_short_whatever_is_heard(seed: int) -> None:
    random = np.random.default_rng(seed)
    fps = random.choice([10, 25, 30, 60])
    times = 3.3 + np.arange(int(random.uniform(5, 50) * fps) + 1) / fps
    bounds = np.sort(random.uniform(0, 60, 2 * random.integers(0, 30)))
    speech = heard([(a, b) for a, b in bounds.reshape(-1, 2)], random.integers(-60, -10, 1875))
    max_s = random.uniform(2, 12)
    parts = divide(times, max_s, speech)
    assert parts == divide(times, max_s, speech)
    assert parts[0][0] == 0 and parts[-1][1] == len(times) - 1
    assert [a[1] for a in parts[:-1]] == [b[0] for b in parts[1:]]
    lengths = np.array([times[last] - times[first] for first, last in parts])
    assert lengths.max() <= max_s + 1e-5
    if len(parts) > 1:
        assert lengths.min() >= LEAST_PART * max_s - 1e-5


def test_frames_that_stay_long_are_never_cut_and_parts_go_on() -> None:
    times = np.array([0, 1, 2, 8, 9, 10, 30, 31, 32.0])
    parts = divide(times, 5, heard([(0, 32)]))
    assert parts[0][0] == 0 and parts[-1][1] == 8
    assert all(last > first for first, last in parts)
    long = [(first, last) for first, last in parts if times[last] - times[first] > 5]
    assert all(last == first + 1 for first, last in long), "only a single frame is longer"


def test_clips_are_cut_in_the_pauses_of_what_is_heard(tmp_path: Path) -> None:
    faces: list[list[Seen]] = [[(200, 400, 300)] for _ in range(300)]
    spoken = heard([(0.2, 4.5), (5.0, 11.8)])
    told = plan(detected_video(faces).model_copy(update={"speech": spoken}), tmp_path)
    assert [c.clip.end_s for c in told] == pytest.approx([4.76, 12.0])
    assert {c.clip.clip_id for c in told}.isdisjoint(
        {c.clip.clip_id for c in plan(detected_video(faces), tmp_path)}
    )


def test_candidates_cover_the_video_and_say_why_not(tmp_path: Path) -> None:
    one: list[Seen] = [(200, 400, 300)]
    near: list[Seen] = [*one, (180, 560, 300)]
    candidates = plan(detected_video([one] * 50 + [near] * 25 + [[]] * 25), tmp_path)
    told = [
        (c.clip.start_frame, c.clip.end_frame, c.clip.status, c.clip.reason) for c in candidates
    ]
    assert told == [
        (0, 50, "kept", None),
        (50, 75, "rejected", "several_faces"),
        (50, 75, "rejected", "several_faces"),
        (75, 100, "rejected", "no_face"),
    ]
    assert candidates[1].clip.detail == (
        "expected a square of 1.2 times the face with at most 5% of another face, found 28%"
    )
    assert candidates[3].clip.detail == "expected one face in every frame, found no face"
    assert [c.clip.faces for c in candidates] == [1, 2, 2, 0]
    assert candidates[3].clip.crop_x1 is None


def test_each_of_two_faces_has_a_square_of_its_own(tmp_path: Path) -> None:
    both: list[Seen] = [(200, 400, 300), (180, 900, 300)]
    left, right = plan(detected_video([both] * 50), tmp_path)
    assert {c.clip.status for c in (left, right)} == {"kept"}
    assert left.clip.track_id != right.clip.track_id and left.clip.clip_id != right.clip.clip_id
    assert ((left.clip.crop_x2 or 0) - (left.clip.crop_x1 or 0)) == 320, "as wide as ever"
    assert left.clip.next_face_away == pytest.approx(310 / 200)
    assert left.other_tracks == [right.clip.track_id]
    np.testing.assert_array_equal(left.others, right.points)


def test_a_square_shrinks_until_it_shows_no_other_face(tmp_path: Path) -> None:
    both: list[Seen] = [(200, 400, 300), (180, 640, 300)]
    left, right = plan(detected_video([both] * 50), tmp_path)
    assert left.clip.status == right.clip.status == "kept"
    assert 240 <= (left.clip.crop_x2 or 0) - (left.clip.crop_x1 or 0) < 320
    assert (left.clip.crop_x2 or 0) <= 550 + 0.05 * 180


def test_a_face_that_comes_and_goes_is_told_frame_by_frame(tmp_path: Path) -> None:
    one: list[Seen] = [(200, 400, 300)]
    both: list[Seen] = [*one, (180, 900, 300)]
    video = detected_video([one] * 20 + [both] * 40 + [one] * 20)
    told = plan(video, tmp_path)
    assert [(c.clip.start_frame, c.clip.end_frame, c.clip.faces) for c in told] == [
        (0, 20, 1),
        (20, 60, 2),
        (20, 60, 2),
        (60, 80, 1),
    ]
    assert [len(c.other_tracks) for c in told] == [0, 1, 1, 0]
    assert told[0].clip.next_face_away is None


def test_a_clip_knows_what_is_spoken_in_it(tmp_path: Path) -> None:
    faces: list[list[Seen]] = [[(200, 400, 300)] for _ in range(300)]
    video = detected_video(faces).model_copy(update={"speech": heard([(0.2, 4.5), (5.0, 11.8)])})
    first, second = plan(video, tmp_path)
    np.testing.assert_allclose(first.spoken, [(0.2, 4.5)])
    np.testing.assert_allclose(second.spoken, [(0.24, 7.04)])


def test_frames_that_are_not_looked_at_are_no_gaps(tmp_path: Path) -> None:
    face: list[Seen] = [(200, 400, 300)]
    looked = [[] if frame % 2 else face for frame in range(60)]
    (whole,) = plan(detected_video(looked, every=2), tmp_path)
    assert whole.clip.gap_frames == 0 and not whole.detected.all()
    looked[30] = []
    (gap,) = plan(detected_video(looked, every=2), tmp_path)
    assert gap.clip.gap_frames == 1
    thirds = plan(
        detected_video([[] if frame % 3 else face for frame in range(600)], every=3), tmp_path
    )
    assert [c.clip.start_frame for c in thirds] == [0, 200, 400]
    assert [c.clip.gap_frames for c in thirds] == [0, 0, 0]


def test_a_candidate_knows_its_face_and_its_scores(tmp_path: Path) -> None:
    faces: list[list[Seen]] = [[(200, 400, 300)] for _ in range(50)]
    faces[20] = []
    row = detected_video(faces)
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
    first, second = plan(detected_video(faces), tmp_path)
    assert (first.clip.end_frame, second.clip.start_frame) == (150, 150)
    assert second.points[0, 2, 0] - first.points[0, 2, 0] == pytest.approx(300, abs=0.1)
    assert second.times[0] == pytest.approx(6.0)
    assert (first.clip.crop_x1, second.clip.crop_x1) != (None, None)
    assert first.clip.crop_x1 != second.clip.crop_x1


def test_equal_inputs_have_equal_ids_and_others_do_not(tmp_path: Path) -> None:
    one: list[Seen] = [(200, 400, 300)]
    first, again = (
        plan(detected_video([one] * 50), tmp_path),
        plan(detected_video([one] * 50), tmp_path),
    )
    assert [c.clip.clip_id for c in first] == [c.clip.clip_id for c in again]
    others = [
        plan(detected_video([one] * 50), tmp_path, crop=CropConfig(size=256)),
        plan(detected_video([one] * 50), tmp_path, crop=CropConfig(margin=1.4)),
        plan(detected_video([one] * 49), tmp_path),
        plan(detected_video([[(200, 410, 300)]] * 50), tmp_path),
    ]
    ids = {c.clip.clip_id for made in (first, *others) for c in made}
    assert len(ids) == 5
