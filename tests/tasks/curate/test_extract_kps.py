"""V-Kps of a whole driving video, in V-Express's own file formats."""

import wave
from pathlib import Path

import numpy as np
import pytest

from tests.talking_heads import Face, Shot, Speech, VideoFormat, render
from vexpress.faces.kps_file import read_kps, read_times
from vexpress.tasks.curate.extract_kps import extract_kps, extract_sound, save_kps, save_sound
from vexpress.tasks.curate.faces import FaceConfig
from vexpress.tasks.engine.step import Rejection

DLIB = FaceConfig(backend="dlib")
FORM = VideoFormat(width=480, height=360)
SPEECH = (Speech(text="One, two."),)
INSET = Face(width_px=85, x=0.12, y=0.75, framed=True)


def test_points_are_those_of_the_main_face_at_512_by_512(tmp_path: Path) -> None:
    shot = Shot(duration_s=0.8, faces=(Face(width_px=150, x=0.6), INSET), speech=SPEECH)
    truth = render([shot], tmp_path / "v.mp4", FORM)
    found = extract_kps(tmp_path / "v.mp4", DLIB)
    points, bridged = found.points, found.bridged
    assert (points.shape, bridged) == ((20, 3, 2), 0)
    told = np.array([frame.faces[0].points[:3] for frame in truth.frames])
    square = np.array([512 / 480, 512 / 360])
    assert np.linalg.norm(points - told * square, axis=2).mean() < 0.03 * 150 * square.max()


def test_frames_without_a_face_are_interpolated_and_counted(tmp_path: Path) -> None:
    shots = [Shot(duration_s=0.4, faces=(Face(width_px=150),)), Shot(duration_s=0.2)]
    render(shots, tmp_path / "v.mp4", FORM)
    found = extract_kps(tmp_path / "v.mp4", DLIB)
    points, bridged = found.points, found.bridged
    assert (points.shape, bridged) == ((15, 3, 2), 5)
    np.testing.assert_array_equal(points[10:], np.repeat(points[9:10], 5, axis=0))


def test_the_files_are_as_v_express_reads_them(tmp_path: Path) -> None:
    shot = Shot(duration_s=0.4, faces=(Face(width_px=150),), speech=SPEECH)
    render([shot], tmp_path / "v.mp4", FORM)
    found = extract_kps(tmp_path / "v.mp4", DLIB)
    points = found.points
    save_kps(points, tmp_path / "kps.pth", found.times_s, found.fps)
    save_sound(extract_sound(tmp_path / "v.mp4"), tmp_path / "aud.wav")
    saved = read_kps(tmp_path / "kps.pth")
    assert saved.shape == (10, 3, 2)
    np.testing.assert_array_equal(saved, points)
    np.testing.assert_allclose(read_times(tmp_path / "kps.pth", 10), np.arange(10) / 25)
    with wave.open(str(tmp_path / "aud.wav"), "rb") as file:
        assert (file.getframerate(), file.getnchannels()) == (16000, 1)
        assert file.getnframes() == pytest.approx(0.4 * 16000, abs=1)
    assert not list(tmp_path.glob(".*")), "no unfinished file"


def test_a_video_without_a_face_or_sound_is_refused_with_the_reason(tmp_path: Path) -> None:
    render([Shot(duration_s=0.2)], tmp_path / "v.mp4", FORM.model_copy(update={"sound": False}))
    with pytest.raises(Rejection, match="no_face: expected a face, none was found in 5 frames"):
        extract_kps(tmp_path / "v.mp4", DLIB)
    with pytest.raises(Rejection, match="no_sound: expected a sound track, the video has none"):
        extract_sound(tmp_path / "v.mp4")
