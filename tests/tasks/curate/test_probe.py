"""Probing says of any file what it is, or in words for people why it is no video."""

import hashlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.helpers.steps import probed
from tests.talking_heads import Shot, render
from tests.tasks.conftest import SMALL, Rendered
from vexpress.schemas.dataset import Dataset
from vexpress.schemas.video import Video
from vexpress.tasks.curate.probe import ProbeConfig, ProbeVideo
from vexpress.tasks.engine.step import Context
from vexpress.tasks.media.source import list_sources

REJECTED = {
    "empty.mp4": ("empty", "found a file of 0 bytes"),
    "truncated_in_header.mp4": ("no_video_stream", "expected a video stream"),
    "truncated_index_first.mp4": ("truncated", "the header declares 60 frames, the file holds"),
    "truncated_index_last.mp4": ("unreadable", "without its index"),
    "random_bytes.mp4": ("unreadable", "expected a video file; it cannot be opened"),
    "text.mp4": ("unreadable", "expected a video file; it cannot be opened"),
    "audio_only.mp4": ("no_video_stream", "expected a video stream, found: audio"),
    "directory.mp4": ("not_a_file", "expected a file, found a folder"),
    "loop_a.mp4": ("not_a_file", "a name that leads nowhere: Too many levels of symbolic links"),
    "loop_b.mp4": ("not_a_file", "a name that leads nowhere: Too many levels of symbolic links"),
    "dangling.mp4": ("not_a_file", "a name that leads nowhere: No such file or directory"),
}
ODD = {
    "claims_huge_size.mp4": {"width": 480, "height": 360, "frames": 60},
    "zeroed.mp4": {"frames": 60},
    "no_sound.mp4": {"audio_streams": 0, "audio_codec": None, "frames": 60},
    "odd_size_361x641.mp4": {"width": 361, "height": 641, "pixel_format": "yuv444p"},
    "ten_bit_422.mp4": {"pixel_format": "yuv422p10le"},
    "tall_pixels.mp4": {"width": 480, "height": 360, "coded_width": 960, "pixel_aspect": 0.5},
    "rotated_90.mp4": {"width": 480, "height": 360, "coded_width": 360, "rotation": 90},
    "tiny_16x16.mp4": {"width": 16, "height": 16},
    "one_frame.mp4": {"frames": 1, "fps": 25.0, "duration_s": 0.04},
    "variable_frame_rate.mp4": {"variable_fps": True, "frames": 34},
    "matroska.mp4": {"container": "matroska,webm", "audio_streams": 1, "frames": 60},
}


@pytest.fixture(scope="module")
def videos(broken: Path) -> dict[str, Video]:
    """What is said of each broken or odd file, by name."""
    step = ProbeVideo(ProbeConfig(), Context(Dataset(broken)))
    answers = [answer for s in list_sources(str(broken)) for answer in step.guarded(s, step)]
    assert all(isinstance(answer, Video) for answer in answers)
    return {Path(video.source).name: video for video in answers}  # type: ignore[attr-defined]


def test_every_file_of_the_folder_is_told_of_once(broken: Path, videos: dict[str, Video]) -> None:
    present = {path.name for path in broken.iterdir() if path.suffix.lower() == ".mp4"}
    assert set(videos) == present and len(videos) == 27


def test_what_is_no_video_is_rejected_with_its_reason(videos: dict[str, Video]) -> None:
    rejected = {name: video for name, video in videos.items() if video.status == "rejected"}
    assert {name: video.reason for name, video in rejected.items()} == {
        name: reason for name, (reason, _) in REJECTED.items()
    }
    for name, video in rejected.items():
        assert REJECTED[name][1] in str(video.detail)
    errors = {video.reason for video in rejected.values() if video.is_error}
    assert errors == {"unreadable", "truncated"}, "what a new copy may repair"


@pytest.mark.parametrize("name", ODD)
def test_what_is_odd_is_accepted_and_described(name: str, videos: dict[str, Video]) -> None:
    video = videos[name]
    assert (video.status, video.reason) == ("ok", None)
    assert {key: getattr(video, key) for key in ODD[name]} == pytest.approx(ODD[name])


def test_odd_names_are_kept_as_they_are(broken: Path, videos: dict[str, Video]) -> None:
    names = ['it\'s "quoted".mp4', "two\nlines.mp4", "смех 笑い é.mp4", "-y.mp4"]
    for name in [*names, "100% {of} $HOME; ls * #1.MP4"]:
        assert videos[name].status == "ok"
        assert videos[name].source == str(broken / name)


def test_a_plain_video_is_described_in_full(four_shots: Rendered) -> None:
    video, truth = four_shots.video, four_shots.truth
    content = four_shots.path.read_bytes()
    told = video.model_dump(exclude={"batch_id", "source", "licence", "committed_at"})
    assert told == {
        "video_id": hashlib.blake2b(content, digest_size=32).hexdigest()[:16],
        "content_hash": hashlib.blake2b(content, digest_size=32).hexdigest(),
        "status": "ok",
        "reason": None,
        "detail": None,
        "span": None,
        "is_error": False,
        "duplicate_of": None,
        "size_bytes": len(content),
        "container": "mov,mp4,m4a,3gp,3g2,mj2",
        "video_codec": "h264",
        "pixel_format": "yuv420p",
        "audio_codec": "aac",
        "audio_rate": 44100,
        "audio_channels": 1,
        "video_streams": 1,
        "audio_streams": 1,
        "coded_width": 480,
        "coded_height": 360,
        "sound_track": 0,
        "sound_choice": "the only one",
        "sound_language": None,
        "sound_title": None,
        "sound_inverted": False,
        "rotation": 0,
        "mirrored": False,
        "color_transfer": None,
        "color_primaries": None,
        "color_matrix": None,
        "color_range": None,
        "field_order": "progressive",
        "interlaced": False,
        "clock_jumps": 0,
        "pixel_aspect": 1.0,
        "width": 480,
        "height": 360,
        "fps": pytest.approx(25),
        "variable_fps": False,
        "frames": len(truth.frames),
        "start_s": 0.0,
        "duration_s": pytest.approx(truth.duration_s),
    }


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_rotation_and_pixel_aspect_make_the_upright_size(rotation: int, tmp_path: Path) -> None:
    change = {"rotation": rotation, "pixel_aspect": Fraction(4, 3)}
    form = SMALL.model_copy(update=change)
    render([Shot(duration_s=0.2)], tmp_path / "v.mp4", form)
    video = probed(tmp_path / "v.mp4")
    assert video.rotation == rotation
    assert video.pixel_aspect == pytest.approx(4 / 3)
    assert (video.width, video.height) == (480, 360)


@pytest.mark.parametrize("fps", [Fraction(30000, 1001), Fraction(60), Fraction(24)])
def test_common_frame_rates_are_constant(fps: Fraction, tmp_path: Path) -> None:
    form = SMALL.model_copy(update={"fps": fps, "sound": False})
    render([Shot(duration_s=1)], tmp_path / "v.mp4", form)
    with av.open(str(tmp_path / "v.mp4")) as source, av.open(str(tmp_path / "v.mkv"), "w") as copy:
        stream = copy.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                copy.mux(packet)
    for name in ("v.mp4", "v.mkv"):  # Matroska counts in milliseconds
        video = probed(tmp_path / name)
        assert video.fps == pytest.approx(float(fps), rel=0.002), name
        assert video.variable_fps is False, name


def test_a_cover_picture_is_no_video(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "song.mp4"), "w") as container:
        sound = container.add_stream("aac", rate=16000, layout="mono")
        cover = container.add_stream("mjpeg", rate=1)
        cover.width = cover.height = 64
        cover.pix_fmt = "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        second = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), "fltp", "mono")
        second.sample_rate = 16000
        picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), "rgb24")
        container.mux([*sound.encode(second), *sound.encode(None)])
        container.mux([*cover.encode(picture), *cover.encode(None)])
    video = probed(tmp_path / "song.mp4")
    assert (video.status, video.reason) == ("rejected", "no_video_stream")


def test_a_file_that_may_not_be_read_is_an_error_of_its_own() -> None:
    video = probed(Path("/proc/self/mem"))
    assert (video.status, video.reason, video.is_error) == ("rejected", "unreadable", True)
    assert "the file cannot be read" in str(video.detail)


def test_a_name_that_vanished_after_listing_is_a_row(tmp_path: Path) -> None:
    (tmp_path / "v.mp4").write_bytes(b"x")
    (source,) = list_sources(str(tmp_path))
    (tmp_path / "v.mp4").unlink()
    step = ProbeVideo(ProbeConfig(), Context(Dataset(tmp_path)))
    (video,) = step.guarded(source, step)
    assert isinstance(video, Video)
    assert (video.reason, video.is_error) == ("unreadable", True)
    assert "No such file" in str(video.detail)
