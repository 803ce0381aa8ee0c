"""Transcribe and align with whisperx, clip after clip; runs in whisperx's own environment.

Started by `whisperx_process.py`, and imports nothing of this project. On standard
input: one line of JSON with the settings, then for each clip one line `{"samples": N}` and N
float32 samples, little-endian, 16 kHz mono. On standard output: one line of JSON for each.
Nothing is fetched: Whisper and the alignment models are folders, pyannote's voice activity
model is inside whisperx's wheel.
"""

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any, BinaryIO

THREADS = 2
PUNKT_FILES = ("collocations.tab", "sent_starters.txt", "abbrev_types.txt", "ortho_context.tab")


def main() -> None:
    """Answer until standard input ends."""
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints is no answer
    with tempfile.TemporaryDirectory() as folder:
        worker = Worker(json.loads(requests.readline()), Path(folder))
        tell(answers, {"ready": True})
        while line := requests.readline():
            samples = read_exactly(requests, 4 * json.loads(line)["samples"])
            try:
                answer = worker.transcribe(samples)
            except Exception as error:
                answer = {"error": f"{type(error).__name__}: {error}"[:400]}
            tell(answers, answer)


def tell(answers: BinaryIO, answer: dict[str, Any]) -> None:
    """Write one answer."""
    answers.write(json.dumps(answer).encode() + b"\n")
    answers.flush()


def read_exactly(stream: BinaryIO, count: int) -> bytes:
    """Return `count` bytes; an early end ends the process."""
    data = stream.read(count)
    if len(data) < count:
        sys.exit("standard input ended within a clip")
    return data


class Worker:
    """The models, loaded once; an alignment model when its language is first spoken."""

    def __init__(self, settings: dict[str, Any], scratch: Path) -> None:
        import torch
        import whisperx

        torch.set_num_threads(THREADS)
        make_punkt(scratch)
        self._settings = settings
        self._aligners: dict[str, Any] = {}
        self._pipeline = whisperx.load_model(
            settings["model"],
            device=settings["device"],
            compute_type=settings["compute_type"],
            language=settings["language"],
            asr_options={"beam_size": settings["beam_size"], "temperatures": [0.0]},
            vad_options={"vad_onset": settings["vad_threshold"]},
            local_files_only=True,
            threads=THREADS,
        )

    def transcribe(self, samples: bytes) -> dict[str, Any]:
        """Return language, its score, text, words and a note."""
        import numpy as np

        sound = np.frombuffer(samples, dtype="<f4")
        language, score = self._language(sound)
        size = self._settings["batch_size"]
        found = self._pipeline.transcribe(sound, batch_size=size, language=language)
        segments = found["segments"]
        text = "".join(segment["text"] for segment in segments).strip()
        answer: dict[str, Any] = {
            "language": language,
            "language_score": score,
            "text": text,
            "words": [],
        }
        if not segments:
            return answer
        if language not in self._settings["align"]:
            return {**answer, "note": f"no alignment model for {language}, so no words"}
        return {**answer, "words": self._align(segments, language, sound)}

    def _language(self, sound: Any) -> tuple[str, float | None]:
        model = self._pipeline.model
        if self._settings["language"] or not model.model.is_multilingual:
            return self._settings["language"] or "en", None
        language, score, _ = model.detect_language(sound)
        return language, float(score)

    def _align(self, segments: list[Any], language: str, sound: Any) -> list[dict[str, Any]]:
        import whisperx

        device = self._settings["device"]
        if language not in self._aligners:
            self._aligners[language] = whisperx.load_align_model(
                language, device, model_name=self._settings["align"][language]
            )
        found = whisperx.align(segments, *self._aligners[language], sound, device)
        return [
            {
                "word": word["word"],
                **{key: number(word.get(key)) for key in ("start", "end", "score")},
            }
            for word in found["word_segments"]
        ]


def number(value: Any) -> float | None:
    """Return a float that JSON knows."""
    return None if value is None or value != value else float(value)


def make_punkt(folder: Path) -> None:
    """Give NLTK a sentence splitter that has learnt no abbreviations.

    whisperx's `align` loads one, and would fetch it; sentences play no part for the words. One
    that is installed comes first.
    """
    import nltk
    from whisperx.utils import PUNKT_LANGUAGES

    for language in {"english", *PUNKT_LANGUAGES.values()}:
        place = folder / "tokenizers/punkt_tab" / language
        place.mkdir(parents=True)
        for name in PUNKT_FILES:
            (place / name).touch()
    nltk.data.path.append(str(folder))


if __name__ == "__main__":
    main()
