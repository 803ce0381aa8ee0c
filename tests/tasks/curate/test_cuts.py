"""Long speech is cut between words: every cut against the exact times of the words."""

import numpy as np
import pytest

from tests.helpers.sentences import SENTENCES
from tests.talking_heads import Shot, Speech
from tests.talking_heads.sound import mix, utterances
from tests.talking_heads.voice import speak
from vexpress.tasks.curate.clips import LEAST_PART, divide
from vexpress.tasks.curate.vad import detect_speech

RATE = 16000
PAUSE_S = 0.2
"""From which silence on a pause counts as one."""


def monologue(seed: int, voice: str, pauses_s: tuple[float, float]) -> Shot:
    """Sixteen sentences with pauses of random length between them."""
    random = np.random.default_rng(seed)
    said: list[Speech] = []
    end_s = 0.4
    for _ in range(16):
        text = SENTENCES[random.integers(len(SENTENCES))]
        said.append(Speech(text=text, start_s=round(end_s, 3), voice=voice))
        spoken = speak(text, voice)
        end_s += len(spoken.samples) / spoken.rate + random.uniform(*pauses_s)
    return Shot(duration_s=end_s + 1, speech=tuple(said))


@pytest.mark.parametrize("noise_db", [None, -45, -40], ids=str)
@pytest.mark.parametrize("pauses_s", [(0.05, 0.3), (0.2, 0.35), (0.2, 0.7)], ids=str)
def test_no_cut_is_inside_a_word_where_a_pause_is_within_reach(
    pauses_s: tuple[float, float], noise_db: float | None
) -> None:
    cuts = 0
    for seed, voice in enumerate(("en-us+m3", "en-us+f4", "en-us+m7")):
        shot = monologue(seed, voice, pauses_s)
        spoken = utterances([shot], [0.0], RATE)
        sound = mix(spoken, shot.duration_s, RATE)
        if noise_db is not None:
            noise = np.random.default_rng(seed).normal(0, 10 ** (noise_db / 20), len(sound))
            sound = sound + noise.astype(np.float32)
        words = np.array([(u.start_s + a, u.start_s + b) for u in spoken for _, a, b in u.words])
        times = np.arange(int(shot.duration_s * 25) + 1) / 25
        for max_s in (4, 6, 10):
            parts = divide(times, max_s, detect_speech(iter([sound]), 0.5))
            for first, last in parts[:-1]:
                if pause_in_reach(words, times[first], times[-1], max_s):
                    cuts += 1
                    inside = (words[:, 0] < times[last]) & (times[last] < words[:, 1])
                    assert not inside.any(), (voice, max_s, times[last], words[inside])
    assert cuts > 20


def pause_in_reach(words: np.ndarray, start_s: float, end_s: float, max_s: float) -> bool:
    """Whether a pause of `PAUSE_S` between words (W, 2) lies whole where a part that begins at
    `start_s` may end."""
    earliest = start_s + LEAST_PART * max_s
    latest = min(start_s + max_s, end_s - LEAST_PART * max_s)
    pauses = np.stack([words[:-1, 1], words[1:, 0]], axis=1)
    long = pauses[:, 1] - pauses[:, 0] >= PAUSE_S
    return bool((long & (pauses[:, 0] >= earliest) & (pauses[:, 1] <= latest)).any())
