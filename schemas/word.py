"""The words that are spoken in a clip. Table `words`, one row per word."""

from typing import ClassVar

from vexpress.schemas.row import Row, formerly


class Word(Row):
    """One word, in the clip's own time: the sound as it lies beside the picture."""

    TABLE: ClassVar[str] = "words"

    clip_id: str
    """The clip."""
    video_id: str
    """The video."""
    batch_id: str = formerly("wave_id", "batch_id", "")
    """The batch that wrote this row."""
    index: int
    """Place of the word in the clip, from 0."""
    word: str
    """The word as it was transcribed, with its punctuation, without spaces around it."""
    start_s: float | None
    """Start, seconds from the start of the clip; null where the aligner could not place it."""
    end_s: float | None
    """End, seconds from the start of the clip; null where the aligner could not place it."""
    score: float | None
    """How sure the back end is, 0..1: faster-whisper's probability, whisperx's alignment score."""
    language: str | None
    """Language of the clip, ISO 639-1 as Whisper names it."""
    backend: str
    """What transcribed: `faster-whisper` or `whisperx`, and the model's name."""
