"""Find speech in a video in one pass: where somebody speaks, and how loud it is.

Takes a `DetectedVideo`, gives it with `speech`; a video without sound passes by. The sound is
streamed through Silero VAD (as faster-whisper carries it) with the network's state carried
from block to block, so that memory is flat in length and the answer is that of one piece.
"""

import itertools
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from vexpress.schemas.row import Model
from vexpress.schemas.versions import version_of
from vexpress.schemas.video import Video
from vexpress.tasks.curate.sound import RATE, decibels, speech_share
from vexpress.tasks.engine.step import Step
from vexpress.tasks.engine.units import DetectedVideo, SpeechActivity
from vexpress.tasks.engine.weights import Need, file_digest
from vexpress.tasks.media.frames import sound_identity
from vexpress.tasks.media.resample import read_sound, stream_sound

WINDOW = 512
"""Samples that Silero looks at at once: 32 ms."""
CONTEXT = 64
"""Samples before a window that Silero sees too."""
STATE = (1, 1, 128)
"""Shape of each of the network's two states."""
WINDOWS_AT_ONCE = 1000
HYSTERESIS = 0.15
"""Speech ends where the probability is this much below the threshold (Silero's own)."""
BLOCK_S = 60.0
"""Sound of a listed span that is read at once, seconds."""
MIN_PAUSE_S = 0.2
"""A shorter silence belongs to the speech around it, seconds."""


class VadConfig(Model):
    """What counts as speech when clips are cut in pauses."""

    vad_threshold: float = Field(0.5, gt=0, lt=1)
    """Silero's speech probability from which a window is speech."""


class DetectSpeech(Step[DetectedVideo]):
    """Find the pauses of a whole video."""

    NAME: ClassVar[str] = "vad"
    LEDGER_NAME: ClassVar[str] = "listen"
    TAKES: ClassVar[type] = DetectedVideo

    @classmethod
    def needs(cls, weights: Path | None) -> list[Need]:
        """Silero VAD, by running it over a second of silence."""
        share = speech_share(np.zeros(RATE, np.float32), VadConfig().vad_threshold)
        found = (
            f"faster-whisper {version_of('faster-whisper')}, hears {share:.0%} speech in silence"
        )
        return [Need("speech (Silero VAD)", found, share == 0, required=True)]

    def skip(self, row: DetectedVideo) -> list[Model] | None:
        """Without sound there is nothing to hear."""
        return None if row.video.audio_streams else [row]

    def identity(self, row: DetectedVideo) -> str:
        """The content alone: neither cuts nor faces change what is speech."""
        return sound_identity(row.video)

    @cached_property
    def weights_digest(self) -> str:
        """Digest of Silero's network, which a package carries: no row of `runs` names it."""
        from faster_whisper.utils import get_assets_path

        return file_digest(sorted(Path(get_assets_path()).glob("silero*.onnx")))

    def condense(self, row: DetectedVideo, answers: list[Model]) -> list[Model]:
        """Keep where speech is; the rest is kept by `detect`."""
        return [a.speech if isinstance(a, DetectedVideo) and a.speech else a for a in answers]

    def restore(self, row: DetectedVideo, kept: list[Any]) -> list[Model]:
        """Give what was speech to the video at hand."""
        return [
            row.model_copy(update={"speech": k}) if isinstance(k, SpeechActivity) else k
            for k in kept
        ]

    def __call__(self, row: DetectedVideo) -> Iterator[DetectedVideo]:
        """Yield the video with what is heard in it."""
        first, seconds = 0.0, float(row.cuts.times[-1])
        if row.video.span:
            first = float(row.cuts.times[0])
            blocks = span_sound(row.video, first, seconds - first)
        else:
            blocks = stream_sound(row.video, row.video.start_s or 0.0, seconds, RATE)
        speech = detect_speech(blocks, self.config.vad_threshold)
        yield row.model_copy(update={"speech": speech.model_copy(update={"from_s": first})})


def span_sound(video: Video, first_s: float, seconds: float) -> Iterator[np.ndarray]:
    """Yield the sound of a span of a video, 16 kHz mono, without what lies before it."""
    edges = [*np.arange(0, seconds, BLOCK_S), seconds]
    for begin, end in itertools.pairwise(edges):
        samples = round(end * RATE) - round(begin * RATE)
        start = (video.start_s or 0.0) + first_s + round(begin * RATE) / RATE
        yield read_sound(video, start, samples, RATE)[:, 0]


def detect_speech(blocks: Iterator[np.ndarray], threshold: float) -> SpeechActivity:
    """Return what is heard in 16 kHz mono sound, float32 (N,) blocks of any length."""
    silero, spans = Silero(), SpeechSpans(threshold)
    levels: list[np.ndarray] = []
    for windows in in_windows(blocks):
        spans.see(silero(windows))
        levels.append(decibels(np.sqrt((windows**2).mean(axis=1))).astype(np.int8))
    starts, ends = spans.finish()
    return SpeechActivity(
        starts=np.array(starts) * WINDOW / RATE,
        ends=np.array(ends) * WINDOW / RATE,
        levels=np.concatenate(levels) if levels else np.zeros(0, np.int8),
        window_s=WINDOW / RATE,
    )


def in_windows(blocks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """Yield float32 (W, `WINDOW`) of the same samples; zeros fill the last window."""
    waiting: list[np.ndarray] = []
    for block in blocks:
        waiting.append(block)
        if sum(map(len, waiting)) >= WINDOWS_AT_ONCE * WINDOW:
            sound = np.concatenate(waiting)
            whole = len(sound) // WINDOW * WINDOW
            waiting = [sound[whole:]]
            yield sound[:whole].reshape(-1, WINDOW)
    rest = np.concatenate([*waiting, np.zeros(0, np.float32)])
    if len(rest):
        yield np.pad(rest, (0, -len(rest) % WINDOW)).reshape(-1, WINDOW)


class Silero:
    """Silero VAD with its state between calls."""

    def __init__(self) -> None:
        from faster_whisper.vad import get_vad_model

        self._session = get_vad_model().session
        self._h, self._c = np.zeros(STATE, np.float32), np.zeros(STATE, np.float32)
        self._before = np.zeros(CONTEXT, np.float32)

    def __call__(self, windows: np.ndarray) -> np.ndarray:
        """Return the probability of speech, (W,), of 16 kHz windows float32 (W, `WINDOW`)."""
        tails = np.vstack([self._before, windows[:-1, -CONTEXT:]])
        self._before = windows[-1, -CONTEXT:]
        inputs = {"input": np.hstack([tails, windows]), "h": self._h, "c": self._c}
        probability, self._h, self._c = self._session.run(None, inputs)
        return np.asarray(probability).reshape(-1)


class SpeechSpans:
    """Probabilities to spans, in windows, by the rule of Silero's `get_speech_timestamps`."""

    def __init__(self, threshold: float) -> None:
        self._on, self._off = threshold, max(threshold - HYSTERESIS, 0.01)
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._number = 0
        self._quiet_since: int | None = None

    def see(self, probabilities: np.ndarray) -> None:
        """Look at the next windows."""
        for probability in probabilities.tolist():
            speaks = len(self._starts) > len(self._ends)
            if probability >= self._on:
                self._quiet_since = None
                if not speaks:
                    self._starts.append(self._number)
            elif speaks and probability < self._off:
                self._quiet()
            self._number += 1

    def _quiet(self) -> None:
        if self._quiet_since is None:
            self._quiet_since = self._number
        if (self._number - self._quiet_since) * WINDOW >= MIN_PAUSE_S * RATE:
            self._ends.append(self._quiet_since)
            self._quiet_since = None

    def finish(self) -> tuple[list[int], list[int]]:
        """Return first windows and end windows; speech that does not end ends with the sound."""
        if len(self._starts) > len(self._ends):
            self._ends.append(self._number)
        return self._starts, self._ends
