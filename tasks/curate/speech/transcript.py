"""Sound to words, through faster-whisper; what every back end answers."""

import zlib
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

THREADS = 2
"""A fixed number gives the same words and times everywhere. The spectrogram is numpy's, with as
many threads as that takes: scores differ in the sixth digit."""
MOST_COMPRESSION = 2.4
"""Text that zlib makes smaller than this repeats itself, as where Whisper does not make out what
is said (openai-whisper's default `compression_ratio_threshold`)."""
MOST_TOKENS = 224
"""Of 30 s, as in openai-whisper (half of what the decoder holds): a repetition ends sooner."""


@dataclass(frozen=True)
class Spoken:
    """One word, in seconds of the sound; times are None where they are not known."""

    word: str
    start_s: float | None
    end_s: float | None
    score: float | None


@dataclass(frozen=True)
class Transcript:
    """What was said."""

    language: str | None
    language_score: float | None
    text: str
    words: list[Spoken] = field(default_factory=list)
    note: str = ""


def compression(text: str) -> float:
    """Return how many times smaller zlib makes a text."""
    return len(text.encode()) / len(zlib.compress(text.encode()))


def believed(heard: Transcript) -> Transcript:
    """Return a transcript as it is, or without its words where they repeat themselves."""
    found = compression(heard.text)
    if found <= MOST_COMPRESSION:
        return heard
    note = (
        f"left out: {len(heard.words)} words that repeat themselves "
        f"(the text compresses {found:.1f} times, expected ≤ {MOST_COMPRESSION:g})"
    )
    return replace(heard, text="", words=[], note="; ".join(filter(None, (heard.note, note))))


class Transcriber(Protocol):
    """A back end; it is asked clip after clip."""

    def __call__(self, sound: np.ndarray) -> Transcript:
        """Return what is said in 16 kHz mono sound, float32 (samples,)."""
        ...


class FasterWhisper:
    """faster-whisper, word times from its cross-attention."""

    def __init__(self, config: Any, *, gpu: bool) -> None:
        from faster_whisper import BatchedInferencePipeline, WhisperModel

        self._model = WhisperModel(
            config.model,
            device="cuda" if gpu else "cpu",
            compute_type=config.compute_type,
            cpu_threads=THREADS,
            local_files_only=True,
        )
        self._options = {
            "language": config.language,
            "beam_size": config.beam_size,
            "temperature": 0.0,  # no sampling: the same words every time
            "condition_on_previous_text": False,
            "max_new_tokens": MOST_TOKENS,
            "word_timestamps": True,
            "vad_filter": True,
            "vad_parameters": {"threshold": config.vad_threshold},
        }
        self._transcribe: Any = self._model.transcribe
        if config.batch_size > 1:
            self._transcribe = BatchedInferencePipeline(self._model).transcribe
            self._options |= {"batch_size": config.batch_size, "without_timestamps": True}

    def __call__(self, sound: np.ndarray) -> Transcript:
        """Return what is said in 16 kHz mono sound, float32 (samples,)."""
        found, info = self._transcribe(sound, **self._options)
        segments = list(found)
        words = [
            Spoken(word.word.strip(), float(word.start), float(word.end), float(word.probability))
            for segment in segments
            for word in segment.words or []
        ]
        # An English-only model, or a language that was given, is not a finding.
        known = self._options["language"] is not None or not self._model.model.is_multilingual
        return Transcript(
            language=info.language,
            language_score=None if known else float(info.language_probability),
            text="".join(segment.text for segment in segments).strip(),
            words=words,
        )
