"""What the truth says of a rendered video is what is in the file."""

import os
import subprocess
import sys
from collections.abc import Iterator
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from faster_whisper.vad import VadOptions, get_speech_timestamps
from numpy.typing import NDArray

from tests.helpers.broken_videos import Expectation, make_broken_videos
from tests.talking_heads import Face, FrameTruth, Shot, Speech, Truth, VideoFormat, render
from tests.talking_heads.voice import SILENT, speak
from vexpress.faces.points import DlibDetector, InsightFaceDetector
from vexpress.faces.points import Face as FoundFace

SMALL = VideoFormat(width=480, height=360)
TALKER = Face(width_px=140)
SENTENCE = Speech(text="The market moves into the long hall behind the station.", start_s=0.5)
PAIR = (
    Face(identity="mirrored", width_px=110, x=0.25),
    Face(identity="narrow", width_px=110, x=0.75),
)
SHOTS = [
    Shot(duration_s=4.6, faces=(TALKER,), speech=(SENTENCE,)),
    Shot(duration_s=0.8, background="rocket", pan_px=20),
    Shot(duration_s=1.2, background="wall", faces=PAIR),
]
"""One talking face, no face, two silent faces."""


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Truth]:
    path = tmp_path_factory.mktemp("talking_heads") / "three_shots.mp4"
    return path, render(SHOTS, path, SMALL)


def decode(path: Path) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    """Time and upright square-pixel BGR picture of every frame."""
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            picture = frame.to_ndarray(format="bgr24")
            aspect = container.streams.video[0].sample_aspect_ratio or 1
            if aspect != 1:
                picture = cv2.resize(picture, None, fx=float(aspect), fy=1)
            yield frame.time, np.rot90(picture, frame.rotation // 90)


def heard(path: Path, rate: int = 16_000) -> tuple[float, NDArray[np.float32]]:
    """When the sound starts, and its mono samples."""
    resampler = av.AudioResampler("flt", "mono", rate)
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
        pieces = [part.to_ndarray()[0] for f in [*frames, None] for part in resampler.resample(f)]
    return frames[0].time, np.concatenate(pieces)


def test_every_frame_is_stored_at_the_time_told(video: tuple[Path, Truth]) -> None:
    path, truth = video
    times = [time for time, _ in decode(path)]
    assert times == pytest.approx([frame.time_s for frame in truth.frames], abs=1e-4)
    assert len(times) == round(truth.duration_s * 25) == truth.segments[-1].end_frame
    assert Truth.read(path.with_suffix(".json")) == truth


def test_the_picture_changes_most_at_the_cuts_told(video: tuple[Path, Truth]) -> None:
    path, truth = video
    pictures = [picture.astype(np.int16) for _, picture in decode(path)]
    change = [np.abs(b - a).mean() for a, b in pairwise(pictures)]
    largest = sorted(int(i) + 1 for i in np.argsort(change)[-2:])
    assert largest == [cut.frame for cut in truth.cuts] == [115, 135]
    assert {cut.kind for cut in truth.cuts} == {"hard"}


@pytest.fixture(scope="module")
def dlib_faces(video: tuple[Path, Truth]) -> list[list[FoundFace]]:
    detector = DlibDetector()
    return [detector.detect(picture) for _, picture in decode(video[0])]


def check_found(found: list[FoundFace], frame: FrameTruth) -> None:
    """As many faces as told, and every point within 6 % of the face's width."""
    assert len(found) == len(frame.faces), frame.time_s
    found = sorted(found, key=lambda face: face.box[0])
    for face, told in zip(found, frame.faces, strict=True):
        error_px = np.linalg.norm(face.points - np.array(told.points), axis=1)
        assert error_px.max() < 0.06 * (told.box[2] - told.box[0]), frame.time_s


def test_dlib_finds_the_faces_told_in_every_frame(
    video: tuple[Path, Truth], dlib_faces: list[list[FoundFace]]
) -> None:
    for frame, found in zip(video[1].frames, dlib_faces, strict=True):
        check_found(found, frame)


@pytest.mark.assets
def test_scrfd_finds_the_faces_told(video: tuple[Path, Truth], assets: Path) -> None:
    path, truth = video
    detector = InsightFaceDetector(assets / "models/insightface/models/scrfd_2.5g")
    for frame, (_, picture) in islice(zip(truth.frames, decode(path), strict=True), 0, None, 5):
        check_found(detector.detect(picture), frame)


def test_the_mouth_opens_as_far_as_told_and_with_the_voice(
    video: tuple[Path, Truth], dlib_faces: list[list[FoundFace]]
) -> None:
    truth = video[1]
    last = truth.segments[0].end_frame
    told = [frame.faces[0].lip_opening_px for frame in truth.frames[:last]]
    landmarks = [face.landmarks for (face,) in dlib_faces[:last]]
    measured = [np.linalg.norm(at[62] - at[66]) for at in landmarks if at is not None]
    assert np.corrcoef(told, measured)[0, 1] > 0.9
    loudness = [frame.loudness for frame in truth.frames[:last]]
    assert np.corrcoef(told, loudness)[0, 1] > 0.9
    silent_faces = [face for frame in truth.frames[last:] for face in frame.faces]
    assert len({face.lip_opening_px for face in silent_faces if face.index == 0}) == 1


def test_a_voice_detector_hears_speech_where_told_and_silence_elsewhere(
    video: tuple[Path, Truth],
) -> None:
    path, truth = video
    start_s, samples = heard(path)
    assert start_s == 0
    assert len(samples) / 16_000 == pytest.approx(truth.duration_s, abs=0.04)
    options = VadOptions(min_silence_duration_ms=500, speech_pad_ms=0)
    (found,) = get_speech_timestamps(samples, options)
    (told,) = truth.speech
    assert found["start"] / 16_000 == pytest.approx(told.start_s, abs=0.15)
    assert found["end"] / 16_000 == pytest.approx(told.end_s, abs=0.3)
    assert np.abs(samples[round((told.end_s + 0.1) * 16_000) :]).max() < 1e-3


def test_words_are_told_when_they_are_heard(video: tuple[Path, Truth]) -> None:
    (told,) = video[1].speech
    assert [word.word for word in told.words] == told.text.rstrip(".").split()
    assert (told.words[0].start_s, told.words[-1].end_s) == (told.start_s, told.end_s)
    spoken = speak("It was cold. Nobody spoke. Then a bell rang.", "en-us+f4")
    loud = np.flatnonzero(np.abs(spoken.samples) > SILENT)
    silences = [(a + 1, b) for a, b in pairwise(loud.tolist()) if b - a > 0.06 * spoken.rate]
    starts = {word: round(start * spoken.rate) for word, start, _ in spoken.words}
    ends = {word: round(end * spoken.rate) for word, _, end in spoken.words}
    pairs = (("cold", "Nobody"), ("spoke", "Then"))
    assert silences == [(ends[before], starts[after]) for before, after in pairs]


RENDER_AGAIN = """
from pathlib import Path
from tests.talking_heads import Face, Shot, Speech, VideoFormat, render
speech = (Speech(text="Again."), Speech(text="A man.", start_s=0.6, voice="en-us+m3"))
shot = Shot(duration_s=1.2, faces=(Face(width_px=140),), speech=speech)
render([shot], Path("video.mp4"), VideoFormat(width=480, height=360))
"""


def test_the_same_arguments_give_the_same_bytes_in_every_process(tmp_path: Path) -> None:
    contents = []
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        command = [sys.executable, "-c", RENDER_AGAIN]
        subprocess.run(command, cwd=folder, env=environment, check=True)
        contents.append([(folder / file).read_bytes() for file in ("video.mp4", "video.json")])
    assert contents[0] == contents[1]


@pytest.mark.parametrize(
    "change",
    [
        {"rotation": 90},
        {"rotation": 180},
        {"rotation": 270, "pixel_aspect": Fraction(4, 3)},
        {"pixel_aspect": Fraction(3, 4)},
        {"pixel_format": "yuv422p10le", "faststart": True},
    ],
    ids=str,
)
def test_the_upright_picture_is_the_same_however_it_is_stored(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    shot = Shot(duration_s=0.2, faces=(Face(width_px=140, x=0.3),))
    plain = render([shot], tmp_path / "plain.mp4", SMALL)
    told = render([shot], tmp_path / "stored.mp4", SMALL.model_copy(update=change))
    assert told.frames == plain.frames
    for (_, a), (_, b) in zip(
        decode(tmp_path / "plain.mp4"), decode(tmp_path / "stored.mp4"), strict=True
    ):
        assert a.shape == b.shape == (360, 480, 3)
        assert np.abs(a.astype(np.int16) - b).mean() < 3


@pytest.mark.parametrize(("fps", "drop_every"), [(30, None), (60, None), (25, 3)])
def test_frame_rates_constant_and_variable_are_stored_as_told(
    tmp_path: Path, fps: int, drop_every: int | None
) -> None:
    form = SMALL.model_copy(update={"fps": Fraction(fps), "drop_every": drop_every})
    truth = render([Shot(duration_s=1, background="coffee", pan_px=40)], tmp_path / "v.mp4", form)
    times = [time for time, _ in decode(tmp_path / "v.mp4")]
    expected = [i / fps for i in range(fps) if not drop_every or i % drop_every != drop_every - 1]
    assert times == pytest.approx(expected, abs=1e-4)
    assert [frame.time_s for frame in truth.frames] == pytest.approx(expected, abs=1e-5)


def test_sound_can_be_late_or_begin_late_or_be_absent(tmp_path: Path) -> None:
    shots = [Shot(duration_s=2, speech=(Speech(text="One, two, three.", start_s=0.4),))]
    changes: dict[str, dict[str, Any]] = {
        "plain": {},
        "late": {"sound_late_s": 0.2},
        "begins": {"sound_from_s": 0.6},
        "none": {"sound": False},
    }
    for name, change in changes.items():
        render(shots, tmp_path / f"{name}.mp4", SMALL.model_copy(update=change))
    _, plain = heard(tmp_path / "plain.mp4")
    _, late = heard(tmp_path / "late.mp4")
    lag = np.argmax(np.correlate(late, plain, "full")) - (len(plain) - 1)
    assert lag / 16_000 == pytest.approx(0.2, abs=0.005)
    start_s, samples = heard(tmp_path / "begins.mp4")
    assert start_s == pytest.approx(0.6, abs=0.03)
    rest = plain[round(start_s * 16_000) :]
    lag = np.argmax(np.correlate(samples, rest, "full")) - (len(rest) - 1)
    assert lag / 16_000 == pytest.approx(0, abs=0.005)
    with av.open(str(tmp_path / "none.mp4")) as container:
        assert not container.streams.audio


def test_a_fade_darkens_the_picture_as_told(tmp_path: Path) -> None:
    shots = [
        Shot(duration_s=0.6, fade_out_s=0.4),
        Shot(duration_s=0.6, background="coffee", fade_in_s=0.4),
    ]
    truth = render(shots, tmp_path / "fade.mp4", SMALL)
    light = np.array([picture.mean() for _, picture in decode(tmp_path / "fade.mp4")])
    full = [light[0]] * 15 + [light[-1]] * 15
    assert light / full == pytest.approx([frame.brightness for frame in truth.frames], abs=0.03)
    (cut,) = truth.cuts
    assert (cut.kind, cut.frame) == ("fade", 15)
    assert truth.frames[14].brightness == truth.frames[15].brightness == 0


def test_a_face_counts_once_half_of_it_is_on_the_screen(tmp_path: Path) -> None:
    guest = Face(identity="mirrored", width_px=110, x=1.3, drift_x=-0.6, sway_px=0)
    host = Face(width_px=110, x=0.25)
    truth = render([Shot(duration_s=1, faces=(host, guest))], tmp_path / "v.mp4", SMALL)
    seen = [sum(face.visible >= 0.5 for face in frame.faces) for frame in truth.frames]
    assert (seen[0], seen[-1]) == (1, 2)
    assert sorted(seen) == seen
    detector = DlibDetector()
    pictures = [picture for _, picture in decode(tmp_path / "v.mp4")]
    assert [len(detector.detect(pictures[i])) for i in (0, -1)] == [1, 2]
    assert truth.segments[0].faces == 2


def test_a_framed_portrait_is_far_smaller_than_the_speaker_and_still(tmp_path: Path) -> None:
    inset = Face(width_px=50, x=0.12, y=0.75, framed=True)
    shot = Shot(duration_s=0.6, faces=(Face(width_px=150, x=0.6), inset))
    truth = render([shot], tmp_path / "v.mp4", SMALL)
    boxes = {frame.faces[1].box for frame in truth.frames}
    assert len(boxes) == 1
    x1, y1, x2, y2 = boxes.pop()
    assert x2 - x1 == pytest.approx(50, abs=1)
    pictures = [picture.astype(np.int16) for _, picture in decode(tmp_path / "v.mp4")]
    inside = np.s_[int(y1) : int(y2), int(x1) : int(x2)]
    assert pictures[0][inside].std() > 30
    assert np.abs(pictures[0][inside] - pictures[-1][inside]).mean() < 8


@pytest.fixture(scope="module")
def broken(
    video: tuple[Path, Truth], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Expectation]]:
    folder = tmp_path_factory.mktemp("broken")
    return folder, make_broken_videos(folder, video[0])


def count_frames(path: Path) -> int:
    """Frames that can be decoded before the first error."""
    count = 0
    try:
        for _ in decode(path):
            count += 1
    except (OSError, IndexError, av.error.FFmpegError):
        pass
    return count


def test_broken_videos_are_readable_or_not_as_expected(
    broken: tuple[Path, dict[str, Expectation]], video: tuple[Path, Truth]
) -> None:
    folder, expected = broken
    counts = {name: count_frames(folder / name) for name in expected}
    assert {name: count > 0 for name, count in counts.items()} == {
        name: expectation.readable for name, expectation in expected.items()
    }
    whole = len(video[1].frames)
    assert 0 < counts["truncated_index_first.mp4"] < whole
    assert counts["one_frame.mp4"] == 1
    assert counts["no_sound.mp4"] == counts["claims_huge_size.mp4"] == whole
    entries = {path.name for path in folder.iterdir()}
    assert entries == {*expected, "expectations.json"}


def test_odd_videos_are_odd_as_promised(broken: tuple[Path, dict[str, Expectation]]) -> None:
    folder, _ = broken
    frames = {}
    for name in ("odd_size_361x641", "ten_bit_422", "rotated_90", "tall_pixels", "no_sound"):
        with av.open(str(folder / f"{name}.mp4")) as container:
            frames[name] = next(container.decode(video=0))
            aspect = container.streams.video[0].sample_aspect_ratio
            assert aspect == (Fraction(1, 2) if name == "tall_pixels" else 1)
            assert not container.streams.audio
    assert (frames["odd_size_361x641"].width, frames["odd_size_361x641"].height) == (361, 641)
    assert frames["ten_bit_422"].format.name == "yuv422p10le"
    assert frames["rotated_90"].rotation == -90
    times = [time for time, _ in decode(folder / "variable_frame_rate.mp4")]
    assert set(np.round(np.diff(times), 3)) == {0.04, 0.08}
    assert b"moov" in (folder / "truncated_index_first.mp4").read_bytes()[:64]
    assert b"moov" not in (folder / "truncated_index_last.mp4").read_bytes()
