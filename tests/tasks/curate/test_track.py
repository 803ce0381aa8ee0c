"""Faces are followed through gaps, apart from each other, and from cut to cut."""

from pathlib import Path

import numpy as np
import pytest

from tests.helpers.detections import Seen, detected_video
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.scene import Scene
from vexpress.schemas.track import FaceTrack
from vexpress.tasks.curate.track import TrackConfig, TrackFaces
from vexpress.tasks.engine.step import Context
from vexpress.tasks.engine.units import DetectedVideo, Segment

ONE: list[Seen] = [(200, 400, 300)]
OTHER: list[Seen] = [(180, 900, 300)]
INSET: list[Seen] = [(60, 100, 600)]


class Answer:
    """What `TrackFaces` yields, sorted by kind."""

    def __init__(self, row: DetectedVideo, folder: Path, **settings: float) -> None:
        step = TrackFaces(TrackConfig(**settings), Context(Dataset(folder)))  # type: ignore[arg-type]
        rows = list(step(row))
        self.scenes = [row for row in rows if isinstance(row, Scene)]
        self.tracks = [row for row in rows if isinstance(row, FaceTrack)]
        self.segments = [row for row in rows if isinstance(row, Segment)]

    @property
    def spans(self) -> list[tuple[int, int, int]]:
        """First frame, end frame and number of faces of every segment."""
        return [(s.start_frame, s.end_frame, s.faces) for s in self.segments]


def test_a_gap_of_two_frames_is_bridged_and_marked(tmp_path: Path) -> None:
    moving: list[list[Seen]] = [[(200, 400 + 3 * frame, 300)] for frame in range(30)]
    moving[10] = moving[11] = []
    answer = Answer(detected_video(moving), tmp_path)
    assert answer.spans == [(0, 30, 1)]
    (track,) = answer.tracks
    assert np.flatnonzero(~track.detected).tolist() == [10, 11]
    assert track.gap_frames == 2
    assert np.flatnonzero(track.scores == 0).tolist() == [10, 11]
    centres = track.boxes[:, [0, 2]].mean(axis=1)
    np.testing.assert_allclose(centres, 400 + 3 * np.arange(30), atol=1e-3)
    np.testing.assert_allclose(np.diff(track.points[:, 2, 0]), 3, atol=1e-3)


def test_a_gap_of_three_frames_splits(tmp_path: Path) -> None:
    faces = [ONE] * 10 + [[]] * 3 + [ONE] * 10
    answer = Answer(detected_video(faces), tmp_path)
    assert answer.spans == [(0, 10, 1), (10, 13, 0), (13, 23, 1)]
    assert [track.gap_frames for track in answer.tracks] == [0, 0]
    assert Answer(detected_video(faces), tmp_path, max_gap_frames=3).spans == [(0, 23, 1)]
    wide = faces[:11] + faces[13:]
    assert len(Answer(detected_video(wide), tmp_path, max_gap_frames=0).spans) == 3


def test_scores_are_those_of_detected_frames_alone(tmp_path: Path) -> None:
    row = detected_video([ONE, ONE, [], ONE, ONE])
    (track,) = Answer(row, tmp_path).tracks
    assert track.score_mean == pytest.approx(row.detections.scores.mean())
    assert track.score_min == pytest.approx(row.detections.scores.min())
    assert track.scores.tolist() == pytest.approx([0.6, 0.7, 0, 0.8, 0.9])
    assert track.face_side_px == pytest.approx(200)


def test_an_inset_portrait_does_not_make_two_faces(tmp_path: Path) -> None:
    answer = Answer(detected_video([ONE + INSET] * 20), tmp_path)
    assert answer.spans == [(0, 20, 1)]
    assert answer.segments[0].track is not None
    assert answer.segments[0].track.face_side_px == pytest.approx(200)
    assert len(answer.tracks) == 2, "it is followed nevertheless"
    both = Answer(detected_video([ONE + INSET] * 20), tmp_path, min_size_ratio=0.2)
    assert both.spans == [(0, 20, 2), (0, 20, 2)], "each has a segment of its own"
    assert [len(segment.others) for segment in both.segments] == [1, 1]


def test_a_small_face_alone_counts(tmp_path: Path) -> None:
    answer = Answer(detected_video([ONE + INSET] * 20 + [INSET] * 20), tmp_path)
    assert answer.spans == [(0, 20, 1), (20, 40, 1)]
    sides = [s.track.face_side_px for s in answer.segments if s.track]
    assert sides == pytest.approx([200, 60])


def test_two_faces_are_two_tracks_with_a_segment_each(tmp_path: Path) -> None:
    swapped = [OTHER + ONE if frame % 2 else ONE + OTHER for frame in range(20)]
    answer = Answer(detected_video(swapped), tmp_path)
    assert answer.spans == [(0, 20, 2), (0, 20, 2)]
    for segment, other in (answer.segments, answer.segments[::-1]):
        assert other.track and [t.track_id for t in segment.others] == [other.track.track_id]
    assert sorted(track.face_side_px for track in answer.tracks) == pytest.approx([180, 200])


def test_a_scene_is_split_where_a_second_face_comes_and_goes(tmp_path: Path) -> None:
    faces = [ONE] * 30 + [ONE + OTHER] * 10 + [ONE] * 30 + [[]] * 5
    answer = Answer(detected_video(faces), tmp_path)
    assert answer.spans == [(0, 30, 1), (30, 40, 2), (30, 40, 2), (40, 70, 1), (70, 75, 0)]
    main = {s.track.track_id for s in answer.segments if s.track and not s.others}
    assert len(main) == 1, "the same face before and after"


def test_another_face_in_the_same_scene_is_another_stretch(tmp_path: Path) -> None:
    answer = Answer(detected_video([ONE] * 20 + [OTHER] * 20), tmp_path)
    assert answer.spans == [(0, 20, 1), (20, 40, 1)]
    assert len({s.track.track_id for s in answer.segments if s.track}) == 2


def test_a_face_is_not_followed_across_a_cut(tmp_path: Path) -> None:
    answer = Answer(detected_video([ONE] * 40, cuts=[15]), tmp_path)
    assert answer.spans == [(0, 15, 1), (15, 40, 1)]
    assert [(s.scene_index, s.start_frame, s.end_frame) for s in answer.scenes] == [
        (0, 0, 15),
        (1, 15, 40),
    ]
    assert [(t.start_frame, t.end_frame, t.scene_index) for t in answer.tracks] == [
        (0, 15, 0),
        (15, 40, 1),
    ]
    assert answer.scenes[1].start_s == pytest.approx(0.6)
    assert answer.scenes[1].end_s == pytest.approx(1.6)


def test_what_flashes_up_for_two_frames_is_no_face(tmp_path: Path) -> None:
    answer = Answer(detected_video([ONE] * 10 + [ONE + OTHER] * 2 + [ONE] * 10), tmp_path)
    assert answer.spans == [(0, 22, 1)]
    assert len(answer.tracks) == 1
    three = detected_video([ONE] * 10 + [ONE + OTHER] * 3 + [ONE] * 10)
    assert Answer(three, tmp_path).spans[1] == (10, 13, 2)


def test_stretches_cover_every_frame_of_a_video_without_faces(tmp_path: Path) -> None:
    answer = Answer(detected_video([[]] * 12, cuts=[5]), tmp_path)
    assert answer.spans == [(0, 5, 0), (5, 12, 0)]
    assert answer.tracks == []


def test_frames_between_examined_ones_are_interpolated(tmp_path: Path) -> None:
    faces: list[list[Seen]] = [
        [(200, 400 + 2 * frame, 300)] if frame % 3 == 0 else [] for frame in range(31)
    ]
    answer = Answer(detected_video(faces, every=3), tmp_path)
    assert answer.spans == [(0, 31, 1)]
    (track,) = answer.tracks
    centres = track.boxes[:, [0, 2]].mean(axis=1)
    np.testing.assert_allclose(centres, 400 + 2 * np.arange(31), atol=1e-3)


def test_a_face_reaches_to_the_edges_that_were_not_examined(tmp_path: Path) -> None:
    faces = [ONE if frame % 3 == 0 else [] for frame in range(33)]
    answer = Answer(detected_video(faces, every=3, cuts=[14]), tmp_path)
    assert answer.spans == [(0, 14, 1), (14, 33, 1)]
    assert [track.gap_frames for track in answer.tracks] == [0, 0], "none was looked at in vain"
    faces[0] = faces[30] = []
    assert Answer(detected_video(faces, every=3), tmp_path).spans == [
        (0, 3, 0),
        (3, 28, 1),
        (28, 33, 0),
    ]
