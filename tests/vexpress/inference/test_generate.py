"""`vexpress generate` with a tiny random model on real pictures, sound and points; bad input."""

import os
import struct
import wave
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from PIL import Image

from vexpress.errors import InputError, PointsError, PortraitError, SoundError
from vexpress.faces.backends import load_face_detector
from vexpress.faces.kps_file import read_kps
from vexpress.faces.points import DlibDetector, FaceDetector
from vexpress.faces.portrait import read_image, read_portrait
from vexpress.faces.strategy import Strategy
from vexpress.inference.generate import Request, prepare, render
from vexpress.inference.pipeline import VExpressPipeline
from vexpress.inference.random_model import tiny_pipeline
from vexpress.inference.settings import Sampling
from vexpress.media.sound import read_sound

pytestmark = pytest.mark.assets


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return DlibDetector()


@pytest.fixture(scope="module")
def pipeline() -> VExpressPipeline:
    pipeline = tiny_pipeline()
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture()
def request_for(assets: Path, tmp_path: Path) -> Callable[..., Request]:
    sample = assets / "vexpress_samples/tys"

    def make(**changes: Any) -> Request:
        given = {
            "reference": sample / "ref.jpg",
            "audio": sample / "aud.mp3",
            "out": tmp_path / "out.mp4",
            "width": 64,
            "height": 64,
            "sampling": Sampling(steps=1, guidance=1.0),
        }
        return Request(**{**given, **changes})

    return make


@pytest.mark.parametrize("strategy", Strategy)
def test_every_strategy_gives_points_for_the_whole_sound(
    request_for: Callable[..., Request], detector: FaceDetector, assets: Path, strategy: Strategy
) -> None:
    kps = assets / "vexpress_samples/tys/kps.pth"
    prepared = prepare(request_for(kps=kps, strategy=strategy), detector)
    assert abs(len(prepared.points) / 25 - prepared.sound.seconds) < 1 / 25
    assert np.isfinite(prepared.points).all()
    if strategy == Strategy.SIMILARITY_RETARGET:
        assert prepared.points.min() >= 0 and prepared.points.max() <= 63


def test_the_video_has_the_sound_the_rate_and_the_length(
    request_for: Callable[..., Request],
    detector: FaceDetector,
    pipeline: VExpressPipeline,
    tmp_path: Path,
) -> None:
    sound = tmp_path / "short.wav"
    write_wav(sound, voice(44_100, 1.3), 44_100, channels=2)
    result = render(prepare(request_for(audio=sound, fps=29.97), detector), pipeline)
    with av.open(str(result.path)) as video:
        assert {stream.type for stream in video.streams} == {"video", "audio"}
        stream = video.streams.video[0]
        assert float(stream.average_rate) == pytest.approx(29.97, abs=1e-3)
        frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
        assert len(frames) == result.frames == 39
        assert frames[0].shape == (64, 64, 3)
    with av.open(str(result.path)) as video:
        heard = sum(frame.samples for frame in video.decode(audio=0))
        assert heard / 44_100 == pytest.approx(1.3, abs=0.05)
    assert [path.name for path in tmp_path.glob("*.mp4")] == ["out.mp4"]


def test_an_error_while_rendering_leaves_no_file(
    request_for: Callable[..., Request],
    detector: FaceDetector,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pipeline = tiny_pipeline()
    monkeypatch.setattr(pipeline, "encode_audio", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        render(prepare(request_for(), detector), pipeline)
    assert not list(tmp_path.glob("*.mp4")) and not list(tmp_path.glob(".*"))


def voice(rate: int, seconds: float) -> np.ndarray:
    """A buzzing tone, 16-bit."""
    t = np.arange(int(rate * seconds)) / rate
    return (8000 * np.sign(np.sin(2 * np.pi * 140 * t)) * np.sin(2 * np.pi * 3 * t)).astype("<i2")


def write_wav(path: Path, samples: np.ndarray, rate: int, channels: int = 1) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.repeat(samples, channels).tobytes())


@pytest.mark.parametrize(("rate", "channels"), [(48_000, 2), (8_000, 1)])
def test_sound_of_any_rate_and_layout_becomes_16_khz_mono(
    tmp_path: Path, rate: int, channels: int
) -> None:
    write_wav(tmp_path / "a.wav", voice(rate, 1.0), rate, channels)
    assert read_sound(tmp_path / "a.wav").seconds == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize(("seconds", "loud", "says"), [(1.0, 0, "silent"), (0.0, 1, "0 s")])
def test_sound_without_content_is_refused(
    tmp_path: Path, seconds: float, loud: int, says: str
) -> None:
    write_wav(tmp_path / "a.wav", voice(16_000, seconds) * loud, 16_000)
    with pytest.raises(SoundError, match=says):
        read_sound(tmp_path / "a.wav")


def test_a_damaged_mp3_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mp3").write_bytes(np.random.default_rng(0).bytes(4000))
    with pytest.raises(SoundError, match=r"cannot be decoded|0 s"):
        read_sound(tmp_path / "a.mp3")


def test_files_without_sound_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("no sound")
    with av.open(str(tmp_path / "mute.mp4"), "w") as video:
        stream = video.add_stream("libx264", rate=25)
        stream.width = stream.height = 64
        picture = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), format="rgb24")
        video.mux(stream.encode(picture))
        video.mux(stream.encode(None))
    for name, says in (("a.txt", "cannot be decoded"), ("mute.mp4", "found none in the file")):
        with pytest.raises(SoundError, match=says):
            read_sound(tmp_path / name)
    with pytest.raises(SoundError, match="expected a file"):
        read_sound(tmp_path)


def test_a_picture_that_would_fill_memory_is_refused_unread(tmp_path: Path) -> None:
    """A PNG of some kilobytes that says it is 30,000 pixels wide and high."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data).to_bytes(4, "big")
        return len(data).to_bytes(4, "big") + kind + data + check

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    bomb = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    (tmp_path / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bomb)
    with pytest.raises(PortraitError, match="at most 100 million"):
        read_image(tmp_path / "bomb.png")
    whole = Image.new("RGB", (256, 256), "grey")
    whole.save(tmp_path / "cut.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "cut.png").read_bytes()[:200])
    with pytest.raises(PortraitError, match="cannot be read as a picture"):
        read_image(tmp_path / "cut.png")


class Runs:
    """A pickle that would make a folder when loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_a_points_file_that_would_run_something_is_refused_and_runs_nothing(
    tmp_path: Path,
) -> None:
    torch.save([Runs(tmp_path / "ran")], tmp_path / "kps.pth")
    with pytest.raises(InputError):
        read_kps(tmp_path / "kps.pth")
    assert not (tmp_path / "ran").exists()
    torch.save([np.zeros((3, 2), np.float32)] * 50, tmp_path / "cut.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "cut.pth").read_bytes()[:300])
    with pytest.raises(InputError):
        read_kps(tmp_path / "cut.pth")


def test_pictures_of_odd_kinds_become_upright_rgb(assets: Path, tmp_path: Path) -> None:
    face = Image.open(assets / "vexpress_samples/tys/ref.jpg").convert("RGB")
    plain = np.asarray(face).astype(int)
    face.convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
    face.save(tmp_path / "moving.gif", save_all=True, append_images=[face.rotate(90)])
    exif = Image.Exif()
    exif[0x0112] = 6
    face.rotate(90, expand=True).save(tmp_path / "turned.png", exif=exif)
    grey = np.asarray(face.convert("L"), dtype=np.uint16) * 257
    Image.fromarray(grey).save(tmp_path / "deep.png")
    for name, tolerance in [("cmyk.jpg", 12), ("moving.gif", 20), ("turned.png", 0)]:
        read = read_image(tmp_path / name).astype(int)
        assert read.shape == plain.shape, name
        assert np.abs(read - plain).mean() <= tolerance, name
    deep = read_image(tmp_path / "deep.png")
    assert np.array_equal(deep[..., 0], np.asarray(face.convert("L")))


def test_portraits_that_do_not_do_are_refused_with_the_reason(
    request_for: Callable[..., Request], detector: FaceDetector, assets: Path, tmp_path: Path
) -> None:
    Image.new("RGB", (256, 256), "grey").save(tmp_path / "empty.png")
    (tmp_path / "text.png").write_text("no picture")
    portrait = Image.open(assets / "vexpress_samples/tys/ref.jpg").convert("RGB")
    wide = Image.new("RGB", (portrait.width * 2, portrait.height), "grey")
    wide.paste(portrait)
    wide.save(tmp_path / "wide.png")
    cases = {
        tmp_path / "empty.png": "no clear face",
        tmp_path / "text.png": "cannot be read as a picture",
        tmp_path / "wide.png": "auto_crop would take",
        assets / "images/t1.jpg": "faces of about the same size",
        tmp_path / "none.png": "found none",
    }
    for path, says in cases.items():
        with pytest.raises(PortraitError, match=says):
            prepare(request_for(reference=path), detector)
    cropped = prepare(request_for(reference=tmp_path / "wide.png", auto_crop=True), detector)
    assert cropped.portrait.points.min() > 0 and cropped.portrait.points.max() < 64


def test_a_face_that_is_too_small_is_refused_with_the_crop_that_helps(
    assets: Path, tmp_path: Path
) -> None:
    model = assets / "models/insightface/models/scrfd_500m"
    detector = load_face_detector("insightface", str(model))
    portrait = Image.open(assets / "vexpress_samples/tys/ref.jpg").convert("RGB")
    for side, around, says in ((150, 640, "auto_crop would take"), (70, 140, "at least 48")):
        canvas = Image.new("RGB", (around, around), "grey")
        canvas.paste(portrait.resize((side, side)), ((around - side) // 2, (around - side) // 2))
        canvas.save(tmp_path / "small.png")
        with pytest.raises(PortraitError, match=says):
            read_portrait(tmp_path / "small.png", 64, 64, detector)


def test_sound_without_speech_or_longer_than_the_points_is_said(
    request_for: Callable[..., Request], detector: FaceDetector, assets: Path, tmp_path: Path
) -> None:
    points = assets / "vexpress_samples/tys/kps.pth"
    fine = prepare(request_for(kps=points, strategy=Strategy.NO_RETARGET, fps=24), detector)
    assert fine.notes == []
    write_wav(tmp_path / "buzz.wav", voice(16_000, 1.0), 16_000)
    torch.save([np.asarray(p, np.float32) for p in read_kps(points)[:10]], tmp_path / "few.pth")
    given = {"audio": tmp_path / "buzz.wav", "kps": tmp_path / "few.pth"}
    said = prepare(request_for(**given, strategy=Strategy.NO_RETARGET), detector).notes
    assert len(said) == 2 and "no speech was heard" in said[0]
    assert "longer than the driving points: 10 points for 25 frames" in said[1]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ([np.zeros((5, 2), np.float32)], "one \\(3, 2\\) array a frame"),
        ([], "one \\(3, 2\\) array a frame"),
        ([np.full((3, 2), np.inf, np.float32)], "infinite"),
        ({"a": np.zeros(3, np.float32)}, "one \\(3, 2\\) array a frame"),
    ],
)
def test_points_files_of_another_kind_are_refused(tmp_path: Path, content: Any, says: str) -> None:
    torch.save(content, tmp_path / "kps.pth")
    with pytest.raises(InputError, match=says):
        read_kps(tmp_path / "kps.pth")


def test_points_missing_in_some_frames_are_interpolated_and_said(
    request_for: Callable[..., Request], detector: FaceDetector, assets: Path, tmp_path: Path
) -> None:
    points = [np.array(p) for p in read_kps(assets / "vexpress_samples/tys/kps.pth")]
    points[3][:] = np.nan
    torch.save([p.astype(np.float32) for p in points], tmp_path / "kps.pth")
    request = request_for(kps=tmp_path / "kps.pth", strategy=Strategy.NO_RETARGET)
    prepared = prepare(request, detector)
    assert any("1 of" in note and "no face" in note for note in prepared.notes)
    assert np.isfinite(prepared.points).all()
    torch.save([np.full((3, 2), np.nan, np.float32)], tmp_path / "kps.pth")
    with pytest.raises(PointsError, match="found none"):
        prepare(request, detector)


def test_motion_without_driving_points_is_refused(
    request_for: Callable[..., Request], detector: FaceDetector
) -> None:
    with pytest.raises(PointsError, match="needs driving points"):
        prepare(request_for(strategy=Strategy.NAIVE_RETARGET), detector)
