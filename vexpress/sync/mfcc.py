"""Mel-frequency cepstral coefficients as python_speech_features 0.6 computes them by default.

SyncNet was trained on these: windows of 25 ms each 10 ms without a window function, 26 mel
bands from 0 to 8 kHz, 13 coefficients, the first replaced by the log of the energy.
"""

import numpy as np

RATE = 16000
WINDOW, HOP, SIZE = 400, 160, 512
BANDS, COEFFICIENTS, LIFTER = 26, 13, 22
PREEMPHASIS = 0.97
LEAST = np.finfo(float).eps


def mfcc(sound: np.ndarray) -> np.ndarray:
    """Return float64 (T, 13), one row each 10 ms, of 16 kHz `sound`.

    `sound` (samples,) in units of 16 bit samples, -32768 … 32767.
    """
    from scipy.fft import dct

    signal = np.append(sound[:1], sound[1:] - PREEMPHASIS * sound[:-1]).astype(np.float64)
    count = 1 + max(0, -(-(len(signal) - WINDOW) // HOP))
    padded = np.pad(signal, (0, max(0, (count - 1) * HOP + WINDOW - len(signal))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP][:count]
    power = np.abs(np.fft.rfft(frames, SIZE)) ** 2 / SIZE
    bands = np.log(_positive(power @ _mel_bank().T))
    cepstra = dct(bands, type=2, axis=1, norm="ortho")[:, :COEFFICIENTS]
    cepstra *= 1 + LIFTER / 2 * np.sin(np.pi * np.arange(COEFFICIENTS) / LIFTER)
    cepstra[:, 0] = np.log(_positive(power.sum(axis=1)))
    return np.asarray(cepstra)


def _positive(values: np.ndarray) -> np.ndarray:
    return np.where(values == 0, LEAST, values)


def _mel_bank() -> np.ndarray:
    """Triangles (26, 257) whose corners lie on whole bins."""
    mels = np.linspace(0, 2595 * np.log10(1 + RATE / 2 / 700), BANDS + 2)
    corners = np.floor((SIZE + 1) * 700 * (10 ** (mels / 2595) - 1) / RATE)
    low, middle, high = (corners[i : i + BANDS, None] for i in range(3))
    bins = np.arange(SIZE // 2 + 1)
    rising = np.where((bins >= low) & (bins < middle), (bins - low) / (middle - low), 0)
    falling = np.where((bins >= middle) & (bins < high), (high - bins) / (high - middle), 0)
    return np.asarray(rising + falling)
