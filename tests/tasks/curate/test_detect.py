"""Cuts and faces of rendered videos are where the truth says."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.steps import DETECT, detect, probed
from tests.talking_heads import Face, FrameTruth, Shot, VideoFormat, render
from tests.tasks.conftest import SMALL, Rendered
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.video import Video
from vexpress.tasks.curate.detect import DetectConfig, DetectVideo
from vexpress.tasks.curate.faces import FaceConfig
from vexpress.tasks.curate.scenes import SceneConfig, merge_cuts
from vexpress.tasks.engine.ledger import Ledger
from vexpress.tasks.engine.shared_decode import TimedScoring
from vexpress.tasks.engine.step import Context
from vexpress.tasks.engine.units import DetectedVideo

SELDOM = DETECT.model_copy(update={"faces": FaceConfig(backend="dlib", every=25)})
"""For tests of cuts."""


def rows_of(detected_video: DetectedVideo, frame: int) -> np.ndarray:
    """Rows of the detections of a frame, the leftmost face first."""
    rows = np.flatnonzero(detected_video.detections.frames == frame)
    return rows[np.argsort(detected_video.detections.boxes[rows, 0])]


def face_widths(frame: FrameTruth) -> np.ndarray:
    return np.array([face.box[2] - face.box[0] for face in frame.faces])


def test_cuts_are_where_the_truth_says(four_shots: Rendered) -> None:
    told = [cut.frame for cut in four_shots.truth.cuts]
    assert len(told) == 3
    assert four_shots.detected_video.cuts.cuts == pytest.approx(told, abs=1)


def test_frames_are_shown_when_the_truth_says(four_shots: Rendered) -> None:
    told = [frame.time_s for frame in four_shots.truth.frames]
    times = four_shots.detected_video.cuts.times
    assert times[:-1] == pytest.approx(told, abs=1e-4)
    assert times[-1] == pytest.approx(four_shots.truth.duration_s, abs=1e-3)


def test_every_frame_shows_the_faces_told(four_shots: Rendered) -> None:
    found = [
        len(rows_of(four_shots.detected_video, n)) for n in range(len(four_shots.truth.frames))
    ]
    assert found == [len(frame.faces) for frame in four_shots.truth.frames]


def test_points_are_within_three_hundredths_of_the_face(four_shots: Rendered) -> None:
    """The mean over the video; dlib moves a single point by more when lips and lids move."""
    errors = []
    for number, frame in enumerate(four_shots.truth.frames):
        found = four_shots.detected_video.detections.points[
            rows_of(four_shots.detected_video, number)
        ]
        told = np.array([face.points for face in frame.faces]).reshape(-1, 5, 2)
        distance = np.linalg.norm(found - told, axis=2)
        errors.append((distance / face_widths(frame)[:, None]).reshape(-1, 5))
    each = np.concatenate(errors)
    assert each[:, :3].mean() < 0.03, "eyes and nose: the V-Kps"
    assert each.mean() < 0.04
    assert each.max() < 0.1


def test_points_of_a_larger_picture_are_told_in_its_own_pixels(tmp_path: Path) -> None:
    large = VideoFormat(width=1440, height=1080)
    truth = render([Shot(duration_s=0.4, faces=(Face(width_px=420),))], tmp_path / "v.mp4", large)
    detected_video = detect(probed(tmp_path / "v.mp4"), tmp_path)
    assert isinstance(detected_video, DetectedVideo)
    told = np.array([frame.faces[0].points for frame in truth.frames])
    assert np.linalg.norm(detected_video.detections.points - told, axis=2).mean() < 0.03 * 420


@pytest.mark.assets
def test_scrfd_finds_the_faces_and_points_told(
    four_shots: Rendered, assets: Path, tmp_path: Path
) -> None:
    model = assets / "models/insightface/models/scrfd_2.5g"
    faces = FaceConfig(backend="insightface", model=str(model), every=4)
    config = DETECT.model_copy(update={"faces": faces})
    detected_video = detect(four_shots.video, tmp_path, config)
    assert isinstance(detected_video, DetectedVideo)
    assert detected_video.detections.backend == "insightface/scrfd_2.5g"
    frames = dict(list(enumerate(four_shots.truth.frames))[::4])
    found = [len(rows_of(detected_video, number)) for number in frames]
    assert found == [len(frame.faces) for frame in frames.values()]
    errors = [
        np.linalg.norm(
            detected_video.detections.points[row, :3] - np.array(face.points[:3]), axis=1
        )
        / (face.box[2] - face.box[0])
        for number, frame in frames.items()
        for row, face in zip(rows_of(detected_video, number), frame.faces, strict=True)
    ]
    assert np.mean(errors) < 0.03


class Counted(DetectVideo):
    """Counts the videos that it decodes, and for which scorers."""

    asked: list[list[str]]

    def show(self, row: Video, scorings: Sequence[TimedScoring]) -> None:
        self.asked.append([scoring.name for scoring in scorings])
        super().show(row, scorings)


def test_other_scenes_detect_no_face_again_and_the_other_way_round(tmp_path: Path) -> None:
    shots = [Shot(duration_s=0.4, faces=(Face(width_px=140),)), Shot(duration_s=0.4)]
    render(shots, tmp_path / "v.mp4", SMALL)
    video = probed(tmp_path / "v.mp4")
    ledger = Ledger(tmp_path / "ledger.sqlite")
    asked: list[list[str]] = []

    def run(**changes: object) -> DetectedVideo:
        step = Counted(DETECT.model_copy(update=changes), Context(Dataset(tmp_path)))
        step.asked = asked
        answer = step.run(video, ledger)[-1]
        assert isinstance(answer, DetectedVideo)
        return answer

    first = run()
    assert asked == [["scenes", "faces"]], "one decode for both"
    again = run()
    assert len(asked) == 1, "nothing is decoded again"
    np.testing.assert_array_equal(first.detections.points, again.detections.points)
    run(scenes=SceneConfig(detector="content"))
    assert asked[1:] == [["scenes"]]
    run(faces=FaceConfig(backend="dlib", every=5))
    assert asked[2:] == [["faces"]]
    tallies = ledger.tallies()
    assert (tallies["faces"].run, tallies["scenes"].run) == (2, 2)
    assert (tallies["faces"].reused, tallies["scenes"].reused) == (2, 2)
    ledger.close()


def test_where_the_model_lies_is_no_setting(tmp_path: Path) -> None:
    video = Video(video_id="v", source="/v.mp4", status="ok", content_hash="h")

    def keys_of(config: DetectConfig) -> dict[str, str]:
        step = DetectVideo(config, Context(Dataset(tmp_path)))
        return {scorer.NAME: scorer.key(video) for scorer in step.scorers}

    keys = []
    for name in ("here", "there"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "det.onnx").write_bytes(b"the same weights")
        faces = FaceConfig(backend="insightface", model=str(folder))
        config = DetectConfig(scenes=SceneConfig(), faces=faces)
        keys.append(keys_of(config))
    (tmp_path / "there/det.onnx").write_bytes(b"other weights")
    other = keys_of(config)
    assert keys[0] == keys[1]
    assert other["faces"] != keys[0]["faces"] and other["scenes"] == keys[0]["scenes"]


def test_a_fade_through_black_is_one_cut(tmp_path: Path) -> None:
    shots = [
        Shot(duration_s=1.6, fade_out_s=0.6, background="office"),
        Shot(duration_s=1.6, fade_in_s=0.6, background="coffee"),
    ]
    truth = render(shots, tmp_path / "v.mp4", SMALL)
    (told,) = truth.cuts
    detected_video = detect(probed(tmp_path / "v.mp4"), tmp_path, SELDOM)
    assert isinstance(detected_video, DetectedVideo)
    dark = [n for n, frame in enumerate(truth.frames) if frame.brightness < 0.5]
    assert detected_video.cuts.cuts and all(
        dark[0] <= cut <= dark[-1] for cut in detected_video.cuts.cuts
    )
    assert told.frame in range(dark[0], dark[-1])


def test_cuts_too_close_to_another_or_an_end_are_one() -> None:
    assert merge_cuts([3, 50, 52, 60, 97], frames=100, shortest=5) == [50, 60]
    assert merge_cuts([], frames=100, shortest=5) == []
    assert merge_cuts({20, 10}, frames=30, shortest=10) == [10, 20]


def test_a_video_that_loses_frames_is_cut_there_or_rejected(
    four_shots: Rendered, tmp_path: Path
) -> None:
    content = bytearray(four_shots.path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + len(content) // 8] = bytes(len(content) // 8)
    (tmp_path / "holed.mp4").write_bytes(content)
    answer = detect(probed(tmp_path / "holed.mp4"), tmp_path, SELDOM)
    assert isinstance(answer, Video)
    assert (answer.status, answer.reason, answer.is_error) == ("rejected", "damaged", True)
    assert "frames are damaged, from " in str(answer.detail)
