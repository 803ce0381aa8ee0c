"""Warm transcribers against a process a clip, for both back ends.

The same real recording of 11 s, clip after clip, batch 1, two threads. The baseline starts
Python, loads the models and transcribes one clip; the warm side has done so before the clock
starts. whisperx aligns with a wav2vec2 of base size whose weights are random: what it finds
means nothing, what it costs does.

    python -m benchmarks.speech --assets DIR [--clips 4]
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from faster_whisper.audio import decode_audio
from transformers import Wav2Vec2Config, Wav2Vec2ForCTC

from tests.helpers.tiny_ctc import LETTERS, save
from vexpress.tasks.curate.speech.transcribe import SpeechConfig, TranscribeClip, aligners
from vexpress.tasks.curate.speech.transcript import FasterWhisper, Transcriber
from vexpress.tasks.curate.speech.whisperx_process import WhisperX

SECONDS = 11
ONE = """
import sys, numpy as np
from vexpress.tasks.curate.speech.transcribe import SpeechConfig
from vexpress.tasks.curate.speech.transcript import FasterWhisper
config = SpeechConfig.model_validate_json(sys.argv[1])
assert FasterWhisper(config, gpu=False)(np.load(sys.argv[2])).words
"""
"""A process for one clip with faster-whisper; whisperx has one of its own."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--assets", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=4)
    args = parser.parse_args()
    sound = decode_audio(str(args.assets / "audio/jfk.flac"))
    print(f"{args.clips} clips of {SECONDS} s, batch 1; seconds of work for a second of sound")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        np.save(folder / "sound.npy", sound)
        config = SpeechConfig(
            language="en", model=str(args.assets / "models/faster-whisper-tiny.en")
        )
        ours, _ = TranscribeClip.resolve(config, None)

        def process() -> None:
            command = [sys.executable, "-c", ONE, ours.model_dump_json(), folder / "sound.npy"]
            subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": "."})

        show("faster-whisper", FasterWhisper(ours, gpu=False), process, sound, args.clips)
        changes = {"backend": "whisperx", "align": (f"en={base_size(folder / 'en')}",)}
        theirs, _ = TranscribeClip.resolve(config.model_copy(update=changes), None)

        def other() -> None:
            assert WhisperX(theirs, aligners(theirs), gpu=False)(sound).words

        show("whisperx", WhisperX(theirs, aligners(theirs), gpu=False), other, sound, args.clips)


def base_size(folder: Path) -> Path:
    """Save, and return, a CTC model of wav2vec2-base's size with random weights."""
    config = Wav2Vec2Config(vocab_size=len(LETTERS), pad_token_id=0)
    return save(Wav2Vec2ForCTC(config), folder)


def show(
    name: str, transcriber: Transcriber, process: Callable[[], None], sound: np.ndarray, clips: int
) -> None:
    """Print the time of a second of sound, warm and with a process a clip, and the ratio."""
    transcriber(sound)  # load
    warm, cold = timed(lambda: transcriber(sound), clips), timed(process, clips)
    print(
        f"{name:15} warm {warm / SECONDS:6.3f}   a process a clip {cold / SECONDS:6.3f}"
        f"   ratio {cold / warm:5.1f}   (a clip: {warm:.2f} s, {cold:.2f} s)",
        flush=True,
    )


def timed(work: Callable[[], object], times: int) -> float:
    """Return seconds a time."""
    began = time.monotonic()
    for _ in range(times):
        work()
    return (time.monotonic() - began) / times


if __name__ == "__main__":
    main()
