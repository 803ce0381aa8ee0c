"""The sound of a clip is as loud, as silent and as spoken as the truth says."""

import wave
from pathlib import Path

import numpy as np
import pytest

from tests.helpers.steps import candidates, look, probed
from tests.talking_heads import Shot, VideoFormat, render
from tests.tasks.conftest import Rendered
from vexpress.tasks.curate.features import read_wav
from vexpress.tasks.curate.sound import RATE, SoundConfig, TakeSound, levels, speech_share
from vexpress.tasks.engine.step import Context
from vexpress.tasks.engine.units import Candidate


@pytest.fixture
def spoken_and_silent(
    four_shots: Rendered, tmp_path: Path, context: Context
) -> tuple[Candidate, Candidate]:
    """The clips of the first shot, in which somebody speaks, and of the last."""
    clips = [c for c in candidates(four_shots.detected_video, tmp_path) if c.clip.status == "kept"]
    step = TakeSound(SoundConfig(), context)
    made = [next(step(clip)) for clip in (clips[0], clips[-1])]
    return made[0], made[1]


def test_the_wav_is_as_long_as_the_picture(
    spoken_and_silent: tuple[Candidate, Candidate], context: Context
) -> None:
    for made in spoken_and_silent:
        clip = made.clip
        assert clip.audio_path == f"media/{clip.clip_id}.wav"
        with wave.open(str(context.dataset.fetch(clip.audio_path)), "rb") as file:
            told = (file.getnchannels(), file.getsampwidth(), file.getframerate())
            assert told == (1, 2, 16000)
            assert file.getnframes() == round(clip.frames / 25 * 16000)
        assert clip.audio_duration_s == pytest.approx(clip.frames / 25)


def test_speech_is_told_from_silence(
    four_shots: Rendered, spoken_and_silent: tuple[Candidate, Candidate]
) -> None:
    (told,) = four_shots.truth.speech
    spoken, silent = (made.clip for made in spoken_and_silent)
    share = (told.end_s - told.start_s) / (spoken.end_s - spoken.start_s)
    assert spoken.speech_share == pytest.approx(share, abs=0.1)
    assert silent.speech_share == 0
    assert silent.silence_share == 1
    assert (silent.audio_rms_db, silent.audio_peak_db) == (-120, -120)
    assert spoken.silence_share is not None and 0 < spoken.silence_share < 0.6


def test_levels_are_those_of_the_sound(
    spoken_and_silent: tuple[Candidate, Candidate], context: Context
) -> None:
    clip = spoken_and_silent[0].clip
    sound = read_wav(context.dataset.fetch(str(clip.audio_path)))
    rms, peak = np.sqrt((sound**2).mean()), np.abs(sound).max()
    assert clip.audio_rms_db == pytest.approx(20 * np.log10(rms), abs=0.05)
    assert clip.audio_peak_db == pytest.approx(20 * np.log10(peak), abs=0.05)


def test_known_signals_have_known_levels() -> None:
    sine = np.sin(np.arange(2 * RATE) * 2 * np.pi * 440 / RATE).astype(np.float32)
    assert levels(sine)["audio_rms_db"] == pytest.approx(-3.01, abs=0.01)
    assert levels(sine)["audio_peak_db"] == pytest.approx(0, abs=0.01)
    assert levels(0.01 * sine)["audio_rms_db"] == pytest.approx(-43.01, abs=0.01)
    half = np.concatenate([sine[:RATE], 0.001 * sine[:RATE]])
    assert levels(half)["silence_share"] == pytest.approx(0.5)
    assert levels(np.zeros(RATE, np.float32))["audio_rms_db"] == -120


def test_noise_and_tones_are_no_speech() -> None:
    noise = 0.1 * np.random.default_rng(0).standard_normal(3 * RATE).astype(np.float32)
    tone = 0.3 * np.sin(np.arange(3 * RATE) * 2 * np.pi * 440 / RATE).astype(np.float32)
    assert speech_share(noise, 0.5) < 0.05
    assert speech_share(tone, 0.5) < 0.05


def test_a_source_without_sound_passes_by(tmp_path: Path, context: Context) -> None:
    form = VideoFormat(width=64, height=48, sound=False)
    render([Shot(duration_s=0.4)], tmp_path / "v.mp4", form)
    detected_video = look(probed(tmp_path / "v.mp4"), (10, 10, 40, 40))
    (candidate,) = candidates(detected_video, tmp_path)
    (made,) = TakeSound(SoundConfig(), context)(candidate)
    assert made == candidate
    assert not context.dataset.names("media/*")
