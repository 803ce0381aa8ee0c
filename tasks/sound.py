"""The sound of a clip: 16 kHz mono, its level, and how much of it is speech.

Takes a `Candidate`, gives it with `audio_path` and scores. Cut from the source, not from
the clip's AAC. Speech by Silero VAD, as faster-whisper carries it.
"""

import wave
from collections.abc import Iterator
from typing import ClassVar

import numpy as np
from pydantic import Field

from schemas.row import Model
from tasks.crop import temporary_file
from tasks.resample import read_sound
from tasks.step import ClipStep, file_digest
from tasks.units import Candidate

RATE = 16000
WINDOW = RATE // 50
QUIET_DB = -50.0
FLOOR_DB = -120.0


class SoundConfig(Model):
    """What counts as speech."""

    vad_threshold: float = Field(0.5, gt=0, lt=1)
    """Silero's speech probability above which a window is speech."""


class TakeSound(ClipStep):
    """Write the sound and measure it."""

    NAME: ClassVar[str] = "sound"
    VERSION: ClassVar[int] = 2

    def __call__(self, row: Candidate) -> Iterator[Candidate]:
        """Yield the candidate with its sound; unchanged where the source has none."""
        if not row.video.audio_streams:
            yield row
            return
        samples = round(row.clip.frames / row.clip.fps * RATE)
        start = (row.video.start_s or 0.0) + row.clip.start_s
        sound = read_sound(row.video.source, start, samples, RATE)[:, 0]
        name = f"media/{row.clip.clip_id}.wav"
        with temporary_file(self.context.dataset.scratch, ".wav") as path:
            write_wav(str(path), sound)
            audio_hash = file_digest([path])[:16]
            self.context.dataset.publish(path, name)
        yield row.update(
            audio_path=name,
            audio_duration_s=samples / RATE,
            audio_hash=audio_hash,
            speech_share=speech_share(sound, self.config.vad_threshold),
            **levels(sound),
        )


def write_wav(path: str, sound: np.ndarray) -> None:
    """Write float32 (samples,) in -1 … 1 as 16 bit mono at `RATE`."""
    with wave.open(path, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())


def levels(sound: np.ndarray) -> dict[str, float]:
    """Return `audio_rms_db`, `audio_peak_db` and `silence_share` of float32 (samples,)."""
    windows = sound[: len(sound) // WINDOW * WINDOW].reshape(-1, WINDOW)
    quiet = decibels(np.sqrt((windows**2).mean(axis=1))) < QUIET_DB
    return {
        "audio_rms_db": float(decibels(np.sqrt((sound**2).mean()))),
        "audio_peak_db": float(decibels(np.abs(sound).max())),
        "silence_share": float(quiet.mean()),
    }


def decibels(amplitude: np.ndarray) -> np.ndarray:
    """Return amplitude as dB relative to full scale, at least `FLOOR_DB`."""
    return np.maximum(20 * np.log10(np.maximum(amplitude, 1e-9)), FLOOR_DB)


def speech_share(sound: np.ndarray, threshold: float) -> float:
    """Return the share of 16 kHz float32 (samples,) that Silero VAD calls speech."""
    from faster_whisper.vad import VadOptions, get_speech_timestamps

    options = VadOptions(threshold=threshold, min_silence_duration_ms=200, speech_pad_ms=30)
    spans = get_speech_timestamps(sound, options)
    return float(sum(span["end"] - span["start"] for span in spans) / max(len(sound), 1))
