"""Read the sound that drives the face."""

import math
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import av
import numpy as np

from vexpress.errors import SoundError
from vexpress.media.formats import open_media
from vexpress.media.tracks import decode_sound, sound_track

SAMPLE_RATE = 16_000
"""Of the sound that V-Express hears, Hz."""
SILENCE_PEAK = 1e-3
"""Peak (-60 dBFS) below which sound counts as silent."""


@dataclass(frozen=True)
class Sound:
    """Sound as V-Express hears it: float32 (samples,), 16 kHz mono."""

    path: Path
    waveform: np.ndarray

    @property
    def seconds(self) -> float:
        """Length."""
        return len(self.waveform) / SAMPLE_RATE

    def fitted(self, seconds: float) -> np.ndarray:
        """The waveform cut or padded with silence to exactly `seconds`."""
        samples = round(seconds * SAMPLE_RATE)
        cut = self.waveform[:samples]
        return np.pad(cut, (0, samples - len(cut)))


def read_sound(path: Path, max_seconds: float | None = None) -> Sound:
    """Decode the sound of a file that counts (`tracks.py`), of any rate, layout and container.

    Raises SoundError for a file without sound, damaged, of 0 s, silent, or longer than
    `max_seconds`, of which no more is decoded.
    """
    if not path.is_file():
        raise SoundError(f"sound: expected a file, found none at {path}")
    try:
        waveform = _decode(path, max_seconds)
    except (av.FFmpegError, EOFError) as error:
        raise SoundError(
            f"{path} cannot be decoded as sound; is it cut short or damaged? ({error})"
        ) from error
    if not len(waveform):
        raise SoundError(f"{path}: expected some sound, found 0 s.")
    if np.abs(waveform).max() < SILENCE_PEAK:
        raise SoundError(
            f"{path} is silent ({len(waveform) / SAMPLE_RATE:.1f} s, peak below -60 dBFS): "
            "nothing to speak. Is it the right file and track?"
        )
    return Sound(path, waveform)


def has_speech(sound: Sound) -> bool:
    """Whether Silero's detector (in the package faster-whisper) hears speech."""
    from faster_whisper.vad import get_speech_timestamps

    return bool(get_speech_timestamps(sound.waveform))


def _decode(path: Path, max_seconds: float | None) -> np.ndarray:
    most = math.inf if max_seconds is None else max_seconds * SAMPLE_RATE
    pieces: list[np.ndarray] = []
    samples = 0
    track = sound_track(path)
    if track is None:
        raise SoundError(f"{path}: expected sound, found none in the file.")
    with open_media(path) as container:
        stream = container.streams.audio[track.number]
        resampler = av.AudioResampler(format="fltp", layout="mono", rate=SAMPLE_RATE)
        # A sound of one person's own that is damaged is refused, not mended.
        heard = (
            decode_sound(container, stream, inverted=True)
            if track.inverted
            else container.decode(stream)
        )
        for decoded in chain(heard, [None]):
            for resampled in resampler.resample(decoded):
                pieces.append(resampled.to_ndarray()[0])
                samples += len(pieces[-1])
            if samples > most + SAMPLE_RATE / 100:
                raise SoundError(f"{path}: expected at most {max_seconds:g} s of sound, found more")
    return np.concatenate(pieces) if pieces else np.zeros(0, np.float32)
