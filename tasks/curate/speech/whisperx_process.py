"""whisperx in a process of its own environment, warm from clip to clip.

Its pins exclude ours, so only JSON and samples go to and fro (`whisperx_worker.py`
tells the protocol). A process that died is started again for the next clip.
"""

import contextlib
import json
import os
import select
import subprocess
import tempfile
import time
import weakref
from pathlib import Path
from typing import IO, Any

import numpy as np

from vexpress.tasks.curate.speech.transcript import Spoken, Transcript

SCRIPT = Path(__file__).with_name("whisperx_worker.py")
PATIENCE_S = 900.0
"""A process that does not answer a clip for so long is ended, seconds."""
QUIET = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "PYANNOTE_METRICS_ENABLED": "0"}
"""Neither whisperx nor what it uses asks or tells anybody anything."""
SENT = ("model", "language", "compute_type", "beam_size", "batch_size", "vad_threshold")


class WhisperX:
    """whisperx: words from Whisper, their times from a wav2vec2 alignment model."""

    def __init__(self, config: Any, align: dict[str, str], *, gpu: bool) -> None:
        self._python = config.python
        self._settings = {name: getattr(config, name) for name in SENT}
        self._settings |= {"align": align, "device": "cuda" if gpu else "cpu"}
        self._running: Process | None = None

    def __call__(self, sound: np.ndarray) -> Transcript:
        """Return what is said in 16 kHz mono sound, float32 (samples,).

        Raises RuntimeError with the process's last words when it fails or dies.
        """
        if self._running is None:
            self._running = Process(self._python)
            self._ask(json.dumps(self._settings).encode() + b"\n")
        samples = np.ascontiguousarray(sound, "<f4").tobytes()
        answer = self._ask(json.dumps({"samples": len(sound)}).encode() + b"\n" + samples)
        return Transcript(
            language=answer["language"],
            language_score=answer["language_score"],
            text=answer["text"],
            words=[Spoken(w["word"], w["start"], w["end"], w["score"]) for w in answer["words"]],
            note=answer.get("note", ""),
        )

    def _ask(self, request: bytes) -> dict[str, Any]:
        assert self._running is not None
        try:
            answer = self._running.ask(request)
        except (EOFError, TimeoutError, BrokenPipeError) as error:
            last_words = self._running.stop()
            self._running = None
            raise RuntimeError(f"whisperx's process ended: {error}{last_words}") from error
        if "error" in answer:
            raise RuntimeError(f"whisperx: {answer['error']}")
        return answer


class Process:
    """A running worker; it ends with this object, and when this process dies."""

    def __init__(self, python: str) -> None:
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as the process
        self._process = subprocess.Popen(
            [python, "-I", str(SCRIPT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            bufsize=0,
            env=os.environ | QUIET,
        )
        self._end = weakref.finalize(self, end, self._process)

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    def ask(self, request: bytes) -> dict[str, Any]:
        """Return the answer to one request.

        Raises EOFError or BrokenPipeError when the process is gone, TimeoutError when it is stuck.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        view = memoryview(request)
        while view:
            view = view[self._process.stdin.write(view) :]
        answer: dict[str, Any] = json.loads(read_line(self._process.stdout, PATIENCE_S))
        return answer

    def stop(self) -> str:
        """End the process; return how it ended and the last lines it said."""
        self._end()
        self._said.seek(0, os.SEEK_END)
        self._said.seek(max(self._said.tell() - 2000, 0))
        lines = self._said.read().decode(errors="replace").strip().splitlines()
        self._said.close()
        return f" (exit code {self._process.returncode}) {' '.join(lines[-3:])}"[:400]


def end(process: "subprocess.Popen[bytes]") -> None:
    """Close the pipes and see the process out."""
    for pipe in (process.stdin, process.stdout):
        with contextlib.suppress(OSError):
            if pipe:
                pipe.close()
    try:
        process.wait(timeout=1)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def read_line(pipe: IO[bytes], patience_s: float) -> bytes:
    """Return the next line, without waiting for it longer than `patience_s`."""
    deadline, line = time.monotonic() + patience_s, bytearray()
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    while not line.endswith(b"\n"):
        if not poll.poll(max(deadline - time.monotonic(), 0) * 1000):
            raise TimeoutError(f"no answer within {patience_s:.0f} s")
        data = os.read(pipe.fileno(), 1 << 16)
        if not data:
            raise EOFError("it closed its output")
        line += data
    return bytes(line)
