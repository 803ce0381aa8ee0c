"""V-Kps of a clip lie on the eyes and the nose that the clip shows."""

from pathlib import Path

import av
import numpy as np
import pytest

from tests.helpers import rows
from tests.helpers.steps import SMALL_CROP, candidates
from tests.tasks.conftest import Rendered
from vexpress.faces.points import DlibDetector
from vexpress.schemas.keypoints import ClipKps
from vexpress.tasks.curate.crop import CropClip
from vexpress.tasks.curate.keypoints import ExtractKps, to_crop
from vexpress.tasks.engine.step import Context
from vexpress.tasks.engine.units import Candidate

SIZE = SMALL_CROP.size


@pytest.fixture
def first(four_shots: Rendered, tmp_path: Path) -> Candidate:
    """The candidate of the first shot."""
    return candidates(four_shots.detected_video, tmp_path)[0]


def points_of(candidate: Candidate, context: Context) -> ClipKps:
    """What the step yields beside the candidate."""
    same, found = ExtractKps(SMALL_CROP, context)(candidate)
    assert same is candidate and isinstance(found, ClipKps)
    return found


def test_there_is_a_row_a_frame_and_they_agree_with_the_truth(
    first: Candidate, four_shots: Rendered, context: Context
) -> None:
    found = points_of(first, context)
    frames = four_shots.truth.frames[: first.clip.end_frame]
    assert found.kps.shape == (first.clip.frames, 3, 2) == (len(frames), 3, 2)
    assert found.kps.dtype == np.float32
    np.testing.assert_array_equal(found.kps, found.points[:, :3])
    told = to_crop(np.array([f.faces[0].points[:3] for f in frames]), first.clip, SIZE)
    widths = np.array([f.faces[0].box[2] - f.faces[0].box[0] for f in frames])
    scale = SIZE / ((first.clip.crop_x2 or 0) - (first.clip.crop_x1 or 0))
    errors = np.linalg.norm(found.kps - told, axis=2) / (widths * scale)[:, None]
    assert errors.mean() < 0.03
    assert found.detected.all()


def test_a_detector_finds_the_points_in_the_clip_itself(first: Candidate, context: Context) -> None:
    made = next(CropClip(SMALL_CROP, context)(first))
    found = points_of(first, context)
    detector = DlibDetector()
    distances = []
    with av.open(str(context.dataset.fetch(str(made.clip.media_path)))) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number % 6 == 0:
                (face,) = detector.detect(frame.to_ndarray(format="bgr24"))
                distances.append(np.linalg.norm(face.points - found.points[number], axis=1))
    assert np.mean(distances) < 0.015 * SIZE
    assert found.landmark_count == 68 and found.landmarks is not None
    assert found.landmarks.shape == (68 * first.clip.frames, 2)


def test_left_is_left_in_the_picture(first: Candidate, context: Context) -> None:
    left, right, nose = points_of(first, context).kps.mean(axis=0)
    assert left[0] < nose[0] < right[0]
    assert nose[1] > max(left[1], right[1])
    assert (points_of(first, context).kps > 0).all() and (
        points_of(first, context).kps < SIZE
    ).all()


def test_points_follow_the_frames_that_the_clip_shows(first: Candidate, context: Context) -> None:
    half = first.update(fps=12.5, frames=first.clip.frames // 2)
    every_second, all_of_them = points_of(half, context).kps, points_of(first, context).kps
    assert len(every_second) == first.clip.frames // 2
    np.testing.assert_array_equal(every_second, all_of_them[1::2])


def test_the_corners_of_the_square_are_those_of_the_clip() -> None:
    clip = rows.clip(crop_x1=100, crop_y1=-20, crop_x2=300, crop_y2=180)
    corners = np.array([[100, -20], [300, 180], [200, 80]], np.float32)
    expected = [[0, 0], [512, 512], [256, 256]]
    assert to_crop(corners, clip, 512).tolist() == expected
