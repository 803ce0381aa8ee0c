"""The sound of a script, its loudness, and the lips that follow it."""

from dataclasses import dataclass
from math import gcd

import numpy as np
from scipy.signal import resample_poly

from tests.talking_heads.portrait import Floats
from tests.talking_heads.script import Shot
from tests.talking_heads.voice import read, speak

LEVEL = 0.09
"""Root mean square to which every sentence is brought, about -21 dB of full scale."""


@dataclass(frozen=True)
class Utterance:
    """A sentence placed on the time line of the video."""

    segment: int
    speaker: int | None
    text: str
    start_s: float
    samples: Floats
    rate: int
    words: tuple[tuple[str, float, float], ...]
    """Each word with start and end, seconds after `start_s`."""

    @property
    def end_s(self) -> float:
        """When it ends."""
        return self.start_s + len(self.samples) / self.rate


def utterances(shots: list[Shot], starts_s: list[float], rate: int) -> list[Utterance]:
    """Every sentence of the shots, which start at `starts_s`, at `rate` Hz."""
    placed = []
    for segment, (shot, shot_start_s) in enumerate(zip(shots, starts_s, strict=True)):
        for speech in shot.speech:
            said = read(speech.recording) if speech.recording else speak(speech.text, speech.voice)
            common = gcd(rate, said.rate)
            voice = resample_poly(said.samples, rate // common, said.rate // common)
            voice = voice * (LEVEL / np.sqrt(np.mean(voice**2)))
            voice = voice[: max(0, int((shot.duration_s - speech.start_s) * rate))]
            start_s = shot_start_s + speech.start_s
            voice = np.clip(voice, -1, 1).astype(np.float32)
            placed.append(
                Utterance(segment, speech.speaker, speech.text, start_s, voice, rate, said.words)
            )
    return placed


def mix(spoken: list[Utterance], duration_s: float, rate: int, late_s: float = 0) -> Floats:
    """Mono samples of the whole video, silent where nobody speaks, `late_s` behind the lips."""
    track = np.zeros(round(duration_s * rate), np.float32)
    for one in spoken:
        start = round((one.start_s + late_s) * rate)
        samples = one.samples[max(0, -start) : max(0, len(track) - start)]
        track[max(0, start) : max(0, start) + len(samples)] += samples
    return track


def loudness(track: Floats, rate: int, times_s: list[float], length_s: float) -> Floats:
    """Root mean square of the `length_s` seconds that follow each time."""
    energy = np.concatenate([[0], np.cumsum(track.astype(np.float64) ** 2)])
    starts = np.clip(np.round(np.array(times_s) * rate).astype(int), 0, len(track))
    ends = np.clip(starts + max(1, round(length_s * rate)), 0, len(track))
    return np.sqrt((energy[ends] - energy[starts]) / max(1, round(length_s * rate)))


def lips(
    spoken: list[Utterance], segment: int, speaker: int, times_s: list[float], duration_s: float
) -> Floats:
    """How far a face's mouth is open at each time, 0 closed .. 1, from its own voice alone."""
    own = [one for one in spoken if (one.segment, one.speaker) == (segment, speaker)]
    if not own:
        return np.zeros(len(times_s), np.float32)
    rate = own[0].rate
    window_s = 0.06
    middles = [time_s - window_s / 2 for time_s in times_s]
    level = loudness(mix(own, duration_s, rate), rate, middles, window_s)
    return np.clip(level / (2.2 * LEVEL), 0, 1) ** 0.8
