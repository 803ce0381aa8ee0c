"""Speech from eSpeak NG (library and voices from the package espeakng-loader), or from a file."""

import ctypes
import shutil
import tempfile
from functools import cache
from pathlib import Path

import av
import espeakng_loader  # type: ignore[import-untyped]
import numpy as np
from numpy.typing import NDArray

AUDIO_OUTPUT_SYNCHRONOUS = 2  # names and values as in speak_lib.h
INITIALIZE_DONT_EXIT = 0x8000
POS_CHARACTER = 1
CHARS_UTF8 = 1
SILENT = 1e-3
"""Amplitude under which the ends of a sentence are trimmed."""

_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


@cache
def speak(text: str, voice: str) -> tuple[NDArray[np.float32], int]:
    """Samples of one sentence, float32 mono in -1..1, silent ends trimmed, and their rate in Hz.

    Every sentence has its own copy of the library: its global state (noise, wave phase) would
    make a sentence depend on those before it. The link keeps the data's path short, since
    eSpeak NG holds at most 160 characters of it.
    """
    with tempfile.TemporaryDirectory() as folder:
        library_path = Path(folder) / Path(espeakng_loader.get_library_path()).name
        shutil.copyfile(espeakng_loader.get_library_path(), library_path)
        Path(folder, "espeak-ng-data").symlink_to(espeakng_loader.get_data_path())
        samples, rate = _synthesize(ctypes.CDLL(str(library_path)), folder, text, voice)
    loud = np.flatnonzero(np.abs(samples) > SILENT)
    if not len(loud):
        raise ValueError(f"eSpeak NG said nothing for {text!r}; give words to speak")
    return samples[loud[0] : loud[-1] + 1], rate


def read(recording: Path) -> tuple[NDArray[np.float32], int]:
    """Samples of a sound file, float32 mono in -1..1, and their rate in Hz."""
    with av.open(str(recording)) as container:
        rate = container.streams.audio[0].rate
        resampler = av.AudioResampler(format="flt", layout="mono", rate=rate)
        frames = [*container.decode(audio=0), None]
        chunks = [made.to_ndarray()[0] for frame in frames for made in resampler.resample(frame)]
    return np.concatenate(chunks), rate


def _synthesize(
    library: ctypes.CDLL, folder: str, text: str, voice: str
) -> tuple[NDArray[np.float32], int]:
    chunks: list[NDArray[np.int16]] = []

    def receive(wave: "ctypes._Pointer[ctypes.c_short]", count: int, _events: int) -> int:
        if wave and count:
            chunks.append(np.ctypeslib.as_array(wave, (count,)).copy())
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
    return (np.concatenate(chunks) / 32768).astype(np.float32), int(rate)
