"""Rendered talking heads whose sound is late by a known number of frames."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from tests.talking_heads import Face, Shot, Speech, VideoFormat, render
from vexpress.tasks.media.resample import read_sound

RATE = 44100
SECONDS = 6
TEXT = "The ferry left the harbour before sunrise, and most of the town was still asleep."


def render_speaker(path: Path) -> None:
    """Write one face that speaks for 6 s, in time."""
    speech = (Speech(text=TEXT, start_s=0.5),)
    shot = Shot(duration_s=SECONDS, faces=(Face(width_px=200),), speech=speech)
    render([shot], path, VideoFormat(width=480, height=360))


def make_late(source: Path, target: Path, frames: float) -> Path:
    """Write `target` with the picture of `source` and its sound later by `frames` of 1/25 s."""
    sound = read_sound(str(source), -frames / 25, SECONDS * RATE, RATE)[:, 0]
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        picture = new.add_stream_from_template(old.streams.video[0])
        voice = new.add_stream("aac", rate=RATE, layout="mono")
        for packet in old.demux(old.streams.video[0]):
            if packet.dts is not None:
                packet.stream = picture
                new.mux(packet)
        for first in range(0, len(sound), 1024):
            part = sound[None, first : first + 1024].copy()
            frame = av.AudioFrame.from_ndarray(part, "fltp", "mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE, first, Fraction(1, RATE)
            new.mux(voice.encode(frame))
        new.mux(voice.encode(None))
    return target


def lateness(sound: np.ndarray, truth: np.ndarray, rate: int) -> float:
    """Return by how many frames of 1/25 s `sound` is later than `truth`, both (samples,)."""
    size = len(sound) + len(truth)
    product = np.fft.rfft(sound, size) * np.conj(np.fft.rfft(truth, size))
    peak = int(np.fft.irfft(product, size).argmax())
    return (peak if peak < size / 2 else peak - size) / rate * 25
