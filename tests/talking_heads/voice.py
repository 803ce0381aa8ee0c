"""Speech from eSpeak NG (library and voices from the package espeakng-loader), or from a file."""

import ctypes
import shutil
import tempfile
from dataclasses import dataclass
from functools import cache
from itertools import pairwise, takewhile
from pathlib import Path

import av
import espeakng_loader  # type: ignore[import-untyped]
import numpy as np
from numpy.typing import NDArray

AUDIO_OUTPUT_SYNCHRONOUS = 2  # names and values as in speak_lib.h
INITIALIZE_DONT_EXIT = 0x8000
POS_CHARACTER = 1
CHARS_UTF8 = 1
EVENT_LIST_TERMINATED, EVENT_WORD = 0, 1
SILENT = 1e-3
"""Amplitude under which the ends of a sentence are trimmed, and a word has ended."""


class _Event(ctypes.Structure):
    """`espeak_EVENT`: something begins at a sample."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),  # characters, from 1
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),  # milliseconds
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", ctypes.c_char * 8),
    )


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


@dataclass(frozen=True)
class Voice:
    """One sentence as it sounds."""

    samples: NDArray[np.float32]
    """Mono, -1..1."""
    rate: int
    """Hz."""
    words: tuple[tuple[str, float, float], ...] = ()
    """Each word with start and end, seconds; a recording's are not known."""


@cache
def speak(text: str, voice: str) -> Voice:
    """Speak one sentence; silent ends are trimmed.

    Every sentence has its own copy of the library: its global state (noise, wave phase) would
    make a sentence depend on those before it. The link keeps the data's path short, since
    eSpeak NG holds at most 160 characters of it.
    """
    with tempfile.TemporaryDirectory() as folder:
        library_path = Path(folder) / Path(espeakng_loader.get_library_path()).name
        shutil.copyfile(espeakng_loader.get_library_path(), library_path)
        Path(folder, "espeak-ng-data").symlink_to(espeakng_loader.get_data_path())
        samples, rate, begun = _synthesize(ctypes.CDLL(str(library_path)), folder, text, voice)
    loud = np.flatnonzero(np.abs(samples) > SILENT)
    if not len(loud):
        raise ValueError(f"eSpeak NG said nothing for {text!r}; give words to speak")
    words = _words(begun, loud, rate)
    return Voice(samples[loud[0] : loud[-1] + 1], rate, words)


def _words(
    begun: list[tuple[str, int]], loud: NDArray[np.intp], rate: int
) -> tuple[tuple[str, float, float], ...]:
    """Words with start and end in seconds after the first `loud` sample, from their first samples.

    A word lasts until it is silent before the next one begins.
    """
    words = []
    for (word, start), (_, after) in pairwise([*begun, ("", int(loud[-1]) + 1)]):
        own = loud[(start <= loud) & (loud < after)]
        if len(own):
            words.append((word, (own[0] - loud[0]) / rate, (own[-1] + 1 - loud[0]) / rate))
    return tuple(words)


def read(recording: Path) -> Voice:
    """What a sound file holds, in its own rate."""
    with av.open(str(recording)) as container:
        rate = container.streams.audio[0].rate
        resampler = av.AudioResampler(format="flt", layout="mono", rate=rate)
        frames = [*container.decode(audio=0), None]
        chunks = [made.to_ndarray()[0] for frame in frames for made in resampler.resample(frame)]
    return Voice(np.concatenate(chunks), rate)


def _synthesize(
    library: ctypes.CDLL, folder: str, text: str, voice: str
) -> tuple[NDArray[np.float32], int, list[tuple[str, int]]]:
    """Samples, their rate, and words with the sample at which each begins."""
    chunks: list[NDArray[np.int16]] = []
    begun: list[tuple[str, int]] = []

    def receive(
        batch: "ctypes._Pointer[ctypes.c_short]", count: int, events: "ctypes._Pointer[_Event]"
    ) -> int:
        if batch and count:
            chunks.append(np.ctypeslib.as_array(batch, (count,)).copy())
        for event in takewhile(lambda event: event.type != EVENT_LIST_TERMINATED, events):
            if event.type == EVENT_WORD:
                first = event.text_position - 1
                begun.append((text[first : first + event.length], event.sample))
        return 0

    callback = _Callback(receive)
    rate = library.espeak_Initialize(
        AUDIO_OUTPUT_SYNCHRONOUS, 0, folder.encode(), INITIALIZE_DONT_EXIT
    )
    if rate <= 0:
        raise RuntimeError(f"eSpeak NG did not start with the data in {folder}")
    library.espeak_SetSynthCallback(callback)
    if library.espeak_SetVoiceByName(voice.encode()):
        raise ValueError(f"eSpeak NG has no voice {voice!r}; try en-us+f4 or en-us+m3")
    data = text.encode()
    library.espeak_Synth(
        data, ctypes.c_size_t(len(data) + 1), 0, POS_CHARACTER, 0, CHARS_UTF8, None, None
    )
    library.espeak_Synchronize()
    library.espeak_Terminate()
    return (np.concatenate(chunks) / 32768).astype(np.float32), int(rate), begun
