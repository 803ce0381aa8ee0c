"""`vexpress generate --preset tiny` from real pictures, sound and points to a file read back."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from tests.helpers.published_folder import write_published_folder
from vexpress.faces.strategy import Strategy
from vexpress.flows.cli.app import app
from vexpress.inference.pipeline import VExpressPipeline
from vexpress.inference.settings import Sampling

pytestmark = pytest.mark.assets


@pytest.fixture()
def sample(assets: Path) -> Path:
    return assets / "vexpress_samples/tys"


def generate(assets: Path, out: Path, **options: object) -> str:
    """Run the command in this process at its smallest; gives what it printed."""
    sample = assets / "vexpress_samples/tys"
    given: dict[str, object] = {
        "reference": sample / "ref.jpg",
        "audio": sample / "aud.mp3",
        "face-model": assets / "models/insightface/models/scrfd_500m",
        "preset": "tiny",
        "size": "64x64",
        "steps": 1,
        "guidance": 1,
        **options,
    }
    words = [f"--{name}={value}" for name, value in given.items() if value is not True]
    switches = [f"--{name}" for name, value in given.items() if value is True]
    done = CliRunner().invoke(app, ["generate", f"--out={out}", *words, *switches])
    assert done.exit_code == 0, done.output
    return done.output


def check_video(out: Path, sound: Path, fps: int, size: tuple[int, int] = (64, 64)) -> None:
    """The file plays, at the rate asked for, as long as the sound, and the sound is in it."""
    with av.open(str(sound)) as source:
        wanted = _seconds_of_sound(source)
    with av.open(str(out)) as video:
        stream = video.streams.video[0]
        assert stream.average_rate == Fraction(fps)
        frames = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
    assert abs(len(frames) / fps - wanted) <= 1 / fps
    assert frames[0].shape == (size[1], size[0], 3)
    assert np.std(frames[0]) > 0
    with av.open(str(out)) as video:
        # AAC comes in packets of 1024 samples: the last may reach a little further.
        assert _seconds_of_sound(video) == pytest.approx(wanted, abs=0.05)


def pictures(path: Path) -> np.ndarray:
    """All frames, (F, H, W, 3)."""
    with av.open(str(path)) as video:
        return np.stack([f.to_ndarray(format="rgb24").astype(int) for f in video.decode(video=0)])


def _seconds_of_sound(container: av.container.InputContainer) -> float:
    return sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))


@pytest.mark.parametrize("strategy", Strategy)
def test_every_strategy_makes_a_video_as_long_as_the_sound(
    assets: Path, sample: Path, tmp_path: Path, strategy: Strategy
) -> None:
    out = tmp_path / "out.mp4"
    said = generate(assets, out, kps=sample / "kps.pth", retarget=strategy.value, fps=25)
    assert "random weights" in said and "101 frames" in said
    check_video(out, sample / "aud.mp3", 25)


def test_a_driving_video_gives_the_points(assets: Path, sample: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    said = generate(assets, out, video=sample / "gt.mp4", retarget="similarity_retarget", fps=5)
    assert "have no face" not in said
    check_video(out, sample / "aud.mp3", 5)


def test_fast_takes_half_the_steps_with_another_solver(
    assets: Path, sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, Sampling]] = []
    stream = VExpressPipeline.stream

    def watched(self: VExpressPipeline, *given: Any) -> Any:
        seen.append((type(self.scheduler).__name__, given[5]))
        return stream(self, *given)

    monkeypatch.setattr(VExpressPipeline, "stream", watched)
    out = tmp_path / "out.mp4"
    generate(assets, out, fast=True, guidance=3.5, fps=2)
    check_video(out, sample / "aud.mp3", 2)
    ((solver, sampling),) = seen
    assert solver == "UniPCMultistepScheduler"
    assert (sampling.steps, sampling.guidance_share, sampling.reuse_every) == (12, 0.5, 2)


def test_the_published_length_is_whole_windows_over_the_whole_sound(
    assets: Path, sample: Path, tmp_path: Path
) -> None:
    """Thirty-two frames become one window of 24."""
    out = tmp_path / "out.mp4"
    said = generate(assets, out, fps=8, **{"published-length": True})
    with av.open(str(sample / "aud.mp3")) as source:
        wanted = _seconds_of_sound(source)
    assert f"24 frames at {24 / wanted:.2f}" in said
    with av.open(str(out)) as video:
        assert float(video.streams.video[0].average_rate) == pytest.approx(24 / wanted, rel=1e-3)
        assert sum(1 for _ in video.decode(video=0)) == 24
    with av.open(str(out)) as video:
        assert _seconds_of_sound(video) == pytest.approx(wanted, abs=0.05)


def test_a_portrait_not_square_is_cropped(assets: Path, sample: Path, tmp_path: Path) -> None:
    portrait = Image.open(sample / "ref.jpg").convert("RGB")
    wide = Image.new("RGB", (portrait.width * 2, portrait.height), "grey")
    wide.paste(portrait, (200, 0))
    wide.save(tmp_path / "wide.png")
    out = tmp_path / "out.mp4"
    wanted = {"reference": tmp_path / "wide.png", "auto-crop": True, "fps": 5, "size": "96x64"}
    generate(assets, out, **wanted)
    check_video(out, sample / "aud.mp3", 5, (96, 64))


def test_the_published_command_line_runs_as_it_is(
    assets: Path, sample: Path, tmp_path: Path
) -> None:
    """Its names have underscores; three of its parameters are checked, not used."""
    out = tmp_path / "out.mp4"
    words = {
        "reference_image_path": sample / "ref.jpg",
        "audio_path": sample / "aud.mp3",
        "kps_path": sample / "kps.pth",
        "output_path": out,
        "insightface_model_path": assets / "models/insightface/models/scrfd_500m",
        "retarget_strategy": "naive_retarget",
        "image_width": 64,
        "image_height": 64,
        "fps": 5,
        "num_inference_steps": 1,
        "guidance_scale": 1.0,
        "context_frames": 12,
        "context_overlap": 4,
        "context_stride": 1,
        "reference_attention_weight": 0.95,
        "audio_attention_weight": 3.0,
        "num_pad_audio_frames": 2,
        "standard_audio_sampling_rate": 16000,
        "device": "cpu",
        "preset": "tiny",
    }
    line = [word for name, value in words.items() for word in (f"--{name}", str(value))]
    done = CliRunner().invoke(app, ["generate", *line, "--save_gpu_memory"])
    assert done.exit_code == 0, done.output
    check_video(out, sample / "aud.mp3", 5)
    done = CliRunner().invoke(app, ["generate", *line, "--standard_audio_sampling_rate", "8000"])
    assert done.exit_code == 2 and "wav2vec2 hears 16000" in done.output


@pytest.mark.parametrize(
    ("suffix", "below"), [(".bin", "model_ckpts"), (".pth", "."), (".safetensors", "model_ckpts")]
)
def test_a_folder_in_the_published_layout_makes_the_video_of_its_weights(
    assets: Path, sample: Path, tmp_path: Path, suffix: str, below: str
) -> None:
    """At tiny sizes; real names, formats and keys (tests/helpers/published_folder.py)."""
    write_published_folder(tmp_path / "weights" / below, suffix)
    face = tmp_path / "weights" / below / "insightface_models/models"
    face.mkdir(parents=True)
    (face / "buffalo_l").symlink_to(assets / "models/insightface/models/scrfd_500m")
    common = {"kps": sample / "kps.pth", "retarget": "naive_retarget", "fps": 5, "steps": 2}
    found, wanted = tmp_path / "found.mp4", tmp_path / "wanted.mp4"
    folder = {"weights": tmp_path / "weights", "preset": "published", "face-model": "buffalo_l"}
    said = generate(assets, found, **common, **folder)
    assert "random weights" not in said and "UNEXPECTED" not in said
    check_video(found, sample / "aud.mp3", 5)
    generate(assets, wanted, **common)
    # Pictures so small x264 encodes a little otherwise each time (1 to 2 of 255).
    off = np.abs(pictures(found) - pictures(wanted)).mean()
    spread = np.abs(pictures(wanted) - pictures(wanted).mean()).mean()
    assert off < 4 < spread / 4, "the folder holds the tiny preset's weights"


def test_all_gpus_where_there_is_none_is_refused(
    sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    given = ["--reference", str(sample / "ref.jpg"), "--audio", str(sample / "aud.mp3")]
    line = ["generate", *given, "--out", str(tmp_path / "o.mp4"), "--do-multi-devices-inference"]
    done = CliRunner().invoke(app, line)
    assert done.exit_code == 2 and "torch finds none here" in done.output
