"""The sound of a clip: 16 kHz mono, its level, and how much of it is speech.

Takes a `Candidate`, gives it with `audio_path` and scores. Cut from the source, not from
the clip's AAC, and where sound and lips were apart (`tasks/curate/sync.py`) from where it belongs;
then the sound in the clip is written anew too, its picture copied as it is. The clip says by
how much its sound was moved, so that the same is never done twice, and undone when it must.
Speech by Silero VAD, as faster-whisper carries it.
"""

import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import av
import numpy as np
from pydantic import Field

from vexpress.media.formats import open_media
from vexpress.media.video import MP4_OPTIONS
from vexpress.schemas.row import Model
from vexpress.tasks.curate.crop import sound_stream, temporary_file, write_sound
from vexpress.tasks.engine.step import ClipStep, is_rejected
from vexpress.tasks.engine.units import Candidate
from vexpress.tasks.engine.weights import file_digest
from vexpress.tasks.media.resample import read_sound

RATE = 16000
WINDOW = RATE // 50
QUIET_DB = -50.0
FLOOR_DB = -120.0
FRAME_S = 1 / 25
"""Offsets of sound and lips are counted in these, whatever the clip's own rate."""
MOVED = "sound moved, frames of 1/25 s: "
"""What the comment of a clip begins with whose sound was moved."""


class SoundConfig(Model):
    """What counts as speech."""

    vad_threshold: float = Field(0.5, gt=0, lt=1)
    """Silero's speech probability above which a window is speech."""
    track: int | None = Field(None, ge=0, exclude_if=lambda track: track is None)
    """Number of the sound track to take, from 0, of sources that have it; null: the one marked
    default, else the one with most speech."""


class TakeSound(ClipStep):
    """Write the sound and measure it."""

    NAME: ClassVar[str] = "sound"
    VERSION: ClassVar[int] = 2

    def __call__(self, row: Candidate) -> Iterator[Candidate]:
        """Yield the candidate with its sound; unchanged where the source has none."""
        if not row.video.audio_streams:
            yield row
            return
        moved = row.clip.sync_repaired_frames or 0.0
        self._move(row, moved)
        samples = round(row.clip.frames / row.clip.fps * RATE)
        start = (row.video.start_s or 0.0) + row.clip.start_s + moved * FRAME_S
        sound = read_sound(row.video, start, samples, RATE)[:, 0]
        name = wav_name(row)
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

    def _move(self, row: Candidate, frames: float) -> None:
        """Write the clip's sound anew unless it is where it should be.

        The WAV goes first: whoever is killed before both are done finds it missing.
        """
        name, dataset = row.clip.media_path, self.context.dataset
        if name is None or self._moved(name) == frames:
            return
        if dataset.exists(wav_name(row)):
            dataset.fs.rm(dataset.path(wav_name(row)))
        with temporary_file(self.context.dataset.scratch, ".mp4") as path:
            with dataset.local_copy(name) as old:
                replace_sound(old, path, row, frames)
            dataset.publish(path, name)

    def _moved(self, name: str) -> float:
        dataset = self.context.dataset
        with dataset.fs.open(dataset.path(name), "rb") as file, open_media(file) as container:
            return moved_frames(container)

    def is_complete(self, answers: list[Model]) -> bool:
        """Also whether the clip's sound is where it should be: it may have been cut again."""
        clips = [a.clip for a in answers if isinstance(a, Candidate) and not is_rejected(a)]
        return super().is_complete(answers) and all(
            self._moved(clip.media_path) == (clip.sync_repaired_frames or 0.0)
            for clip in clips
            if clip.media_path and clip.audio_path
        )


def wav_name(row: Candidate) -> str:
    """Return the name of the clip's WAV."""
    return f"media/{row.clip.clip_id}.wav"


def moved_frames(container: Any) -> float:
    """Return by how many frames of 1/25 s a clip's sound was moved, as its comment says."""
    comment = container.metadata.get("comment", "")
    return float(comment.removeprefix(MOVED)) if comment.startswith(MOVED) else 0.0


def replace_sound(old: Path, new: Path, row: Candidate, frames: float) -> None:
    """Write `new` with the picture of `old`, packet for packet, and the source's sound.

    The sound is taken from `frames` of 1/25 s later in the source than the picture.
    """
    with (
        open_media(old) as source,
        av.open(str(new), "w", format="mp4", options=MP4_OPTIONS) as target,
    ):
        if frames:
            target.metadata["comment"] = f"{MOVED}{frames:g}"
        picture = target.add_stream_from_template(source.streams.video[0])
        sound = sound_stream(target, row.video)
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = picture
                target.mux(packet)
        write_sound(target, sound, row, frames * FRAME_S)


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
